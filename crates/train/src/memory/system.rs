//! What the operating system says about this process's memory.

use std::fs;

/// The largest resident set so far, in bytes, where the system tells (Linux).
pub fn peak_rss() -> Option<u64> {
    status("VmHWM:")
}

/// Bytes in memory now that no file stands behind, where the system tells.
pub(super) fn own_bytes() -> Option<u64> {
    status("RssAnon:")
}

/// Bytes in memory now that files stand behind, other than the `mapped` ones of weights: the program's own, about.
pub(super) fn code_bytes(mapped: u64) -> u64 {
    let (files, code) = (status("RssFile:").unwrap_or(0), status("VmExe:").unwrap_or(0));
    files.saturating_sub(mapped).max(code)
}

fn status(field: &str) -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

/// Pages that had to be made or mapped for this process so far, none of them read from a disk; where the system
/// tells.
pub fn page_faults() -> Option<u64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The tenth field; the second, a name, may hold anything but ends with the last parenthesis.
    stat.rsplit_once(')')?.1.split_whitespace().nth(7)?.parse().ok()
}

/// Forgets the largest resident set, so that each run of a comparison has its own. Where the system does not
/// allow it, peaks only grow.
pub(crate) fn reset_peak_rss() {
    // A refusal leaves the old peak standing, which errs on the side of reporting too much.
    drop(fs::write("/proc/self/clear_refs", "5"));
}
