//! Running other programs, and saying how long each step took.

use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};

/// The repository's root: this package lies directly under it.
pub(crate) fn root() -> PathBuf {
    let mut here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.pop();
    here
}

/// Where cargo builds.
pub(crate) fn target() -> PathBuf {
    std::env::var("CARGO_TARGET_DIR").map_or_else(|_| root().join("target"), |folder| root().join(folder))
}

/// A program of ours under a profile's folder, whether it is there or not.
pub(crate) fn built(profile: &str, name: &str) -> PathBuf {
    target().join(profile).join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
}

/// A program started in the repository's root.
pub(crate) fn program(name: &str, args: &[&str]) -> Command {
    let mut command = Command::new(name);
    command.args(args).current_dir(root());
    command
}

/// The cargo that runs this program, so that a chosen toolchain stays chosen.
pub(crate) fn cargo(args: &[&str]) -> Command {
    let name = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    program(&name, args)
}

/// Runs to the end with the terminal inherited. Fails when it cannot start or exits with anything but 0.
pub(crate) fn run(mut command: Command) -> Result<()> {
    let shown = show(&command);
    let status = command.status().with_context(|| format!("`{shown}` cannot start"))?;
    if !status.success() {
        bail!("`{shown}` failed ({status}); what is wrong stands above");
    }
    Ok(())
}

/// Whether `cargo NAME` exists and answers.
pub(crate) fn has_subcommand(name: &str) -> bool {
    cargo(&[name, "--version"]).output().is_ok_and(|output| output.status.success())
}

/// The names that a browser goes by.
pub(crate) const BROWSERS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// The browser of this machine, if there is one.
pub(crate) fn browser() -> Option<&'static str> {
    let answers =
        |name: &&str| Command::new(name).arg("--version").output().is_ok_and(|ran| ran.status.success());
    BROWSERS.into_iter().find(answers)
}

/// Does `work` under a name; the name and the duration go to stderr.
pub(crate) fn step<T>(name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    eprintln!("== {name}");
    let start = Instant::now();
    let made = work().with_context(|| format!("step `{name}`"))?;
    eprintln!("== {name}: {:.1} s", start.elapsed().as_secs_f64());
    Ok(made)
}

/// The command line as one would type it.
fn show(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_holds_the_workspace() {
        assert!(root().join("xtask/Cargo.toml").is_file());
    }

    #[test]
    fn a_failure_names_the_step_and_the_command() {
        let work = || run(cargo(&["no-such-subcommand"]));
        let error = format!("{:#}", step("nothing", work).unwrap_err());
        assert!(error.contains("`nothing`") && error.contains("no-such-subcommand"), "{error}");
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let error = run(program("no-such-program-anywhere", &[])).unwrap_err().to_string();
        assert!(error.contains("cannot start"), "{error}");
    }
}
