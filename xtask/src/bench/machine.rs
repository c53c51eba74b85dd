//! The machine: which cores, how busy they are, what they can do at most, and what everything is called.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::options::{Options, cores};
use crate::shell::program;

/// The cores are quiet when they were idle for at least this share of the time ...
const QUIET: f64 = 0.95;

/// ... over so long a time.
const LOOK: Duration = Duration::from_secs(2);

/// Where and with how many threads everything runs.
pub(crate) struct Place {
    /// Numbers of the cores.
    pub(crate) cores: Vec<usize>,
    pub(crate) threads: usize,
    /// Whether programs can be held to them.
    pub(crate) pinned: bool,
}

/// What waiting for a quiet machine came to.
pub(crate) struct Quiet {
    /// Share of idle time; none where the system does not say.
    pub(crate) idle: Option<f64>,
    pub(crate) reached: bool,
}

/// Ticks of the cores since the system started.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Ticks {
    idle: u64,
    all: u64,
    /// Of this process's children that have ended.
    own: u64,
}

impl Place {
    /// The cores and threads that were asked for, or else those that this process may use.
    pub(crate) fn new(options: &Options) -> Result<Self> {
        let cores = match &options.cores {
            Some(cores) => cores.clone(),
            None => allowed()?,
        };
        let threads = options.threads.unwrap_or(cores.len());
        let pinned = program("taskset", &["--version"]).output().is_ok_and(|output| output.status.success());
        if !pinned {
            eprintln!("note: there is no `taskset` here (util-linux): nothing is held to cores {cores:?}");
        }
        Ok(Self { cores, threads, pinned })
    }

    /// The cores as `taskset` reads them.
    pub(crate) fn list(&self) -> String {
        self.cores.iter().map(usize::to_string).collect::<Vec<_>>().join(",")
    }

    /// Waits until the cores are quiet, but no longer than `patience` says.
    pub(crate) fn wait(&self, patience: Duration) -> Quiet {
        let start = Instant::now();
        loop {
            let before = self.ticks();
            thread::sleep(LOOK);
            let idle = before.zip(self.ticks()).map(|(before, after)| 1.0 - after.since(before).busy());
            let reached = idle.is_some_and(|idle| idle >= QUIET);
            if reached || idle.is_none() || start.elapsed() >= patience {
                return Quiet { idle, reached };
            }
        }
    }

    /// The time of the cores so far, where the system says.
    pub(crate) fn ticks(&self) -> Option<Ticks> {
        let stat = fs::read_to_string("/proc/stat").ok()?;
        let own = fs::read_to_string("/proc/self/stat").ok()?;
        Some(Ticks { own: children(&own)?, ..Ticks::read(&stat, &self.cores)? })
    }

    /// What is written about it.
    pub(crate) fn describe(&self) -> Value {
        let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let has =
            |flag: &&str| field(&cpu, "flags").is_some_and(|flags| flags.split(' ').any(|f| f == *flag));
        let vectors = ["avx2", "fma", "avx512f", "avx512_bf16", "amx_bf16"];
        json!({
            "cpu": field(&cpu, "model name").unwrap_or("unknown"),
            "vectors": vectors.iter().filter(|flag| has(flag)).collect::<Vec<_>>(),
            "memory": field(&memory, "MemTotal"),
            "system": format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            "cores": self.cores,
            "threads": self.threads,
            "pinned": self.pinned,
        })
    }
}

/// The cores that this process may use.
fn allowed() -> Result<Vec<usize>> {
    if let Ok(status) = fs::read_to_string("/proc/self/status") {
        let list = field(&status, "Cpus_allowed_list").context("/proc/self/status names no cores")?;
        return cores(list);
    }
    Ok((0..thread::available_parallelism()?.get()).collect())
}

/// The value behind `name:` in the first line that has it.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then(|| value.trim())
    })
}

impl Ticks {
    /// From /proc/stat: `cpu1 user nice system idle iowait irq softirq steal ...`; what a host takes away counts
    /// as work of others.
    fn read(stat: &str, cores: &[usize]) -> Option<Self> {
        let mut sum = Self::default();
        for core in cores {
            let name = format!("cpu{core} ");
            let line = stat.lines().find_map(|line| line.strip_prefix(&name))?;
            let ticks: Vec<u64> =
                line.split_whitespace().take(8).map_while(|tick| tick.parse().ok()).collect();
            sum.idle += ticks.get(3)? + ticks.get(4)?;
            sum.all += ticks.iter().sum::<u64>();
        }
        Some(sum)
    }

    pub(crate) fn since(self, before: Self) -> Self {
        let of = |after: u64, before: u64| after.saturating_sub(before);
        Self {
            idle: of(self.idle, before.idle),
            all: of(self.all, before.all),
            own: of(self.own, before.own),
        }
    }

    /// Share of the time in which the cores worked.
    fn busy(self) -> f64 {
        1.0 - self.idle as f64 / self.all.max(1) as f64
    }

    /// Share of the time in which they worked for others than this process's children.
    pub(crate) fn others(self) -> f64 {
        let work = self.all.saturating_sub(self.idle).saturating_sub(self.own);
        work as f64 / self.all.max(1) as f64
    }
}

/// `cutime + cstime` of /proc/self/stat: the 14th and 15th field after the name, which may hold anything but
/// ends with the last parenthesis.
fn children(stat: &str) -> Option<u64> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let of = |index: usize| fields.get(index)?.parse::<u64>().ok();
    Some(of(13)? + of(14)?)
}

/// Today, as `2026-11-24`, by Greenwich.
pub(crate) fn today() -> String {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    date(since.as_secs() / 86_400)
}

/// The date of a day counted from 1970-01-01: years begin in March, so a leap day is the last of its year.
fn date(days: u64) -> String {
    const ERA: u64 = 146_097; // days of 400 years
    let days = days + 719_468; // from 0000-03-01
    let (era, day) = (days / ERA, days % ERA);
    let year = (day - day / 1460 + day / 36_524 - day / (ERA - 1)) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = 400 * era + year + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

/// What both sides are made of; a binary that was not built here is of no known commit. Whatever does not answer
/// is left out.
pub(crate) fn versions(python: Option<&Path>, given: Option<&Path>) -> Value {
    const PACKAGES: &str = "import importlib.metadata as m, sys; \
        print(sys.version.split()[0], *(m.version(n) for n in ('torch', 'transformers', 'peft')))";
    let python = python.map(|path| said(&path.to_string_lossy(), &["-c", PACKAGES]));
    let names = ["python", "torch", "transformers", "peft"];
    let packages = python.flatten().unwrap_or_default();
    let mut versions: serde_json::Map<String, Value> = names
        .iter()
        .zip(packages.split(' '))
        .map(|(name, version)| (name.to_string(), version.into()))
        .collect();
    let commit = match given {
        Some(path) => Some(format!("unknown, {}", path.file_name().unwrap_or_default().to_string_lossy())),
        None => said("git", &["describe", "--always", "--dirty"]),
    };
    versions.insert("commit".into(), commit.into());
    versions.insert("rustc".into(), said("rustc", &["--version"]).into());
    Value::Object(versions)
}

fn said(name: &str, args: &[&str]) -> Option<String> {
    let output = program(name, args).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str =
        "cpu  9 9 9 9 9 9 9 9 0 0\ncpu0 10 0 5 70 10 1 2 2 0 0\ncpu1 50 0 0 50 0 0 0 0 0 0\nintr 1\n";

    #[test]
    fn time_is_counted_for_the_named_cores() {
        let both = Ticks::read(STAT, &[0, 1]).unwrap();
        assert_eq!(both, Ticks { idle: 130, all: 200, own: 0 });
        assert_eq!(Ticks::read(STAT, &[0]).unwrap().busy(), 1.0 - 80.0 / 100.0);
        assert_eq!(Ticks::read(STAT, &[2]), None);
    }

    #[test]
    fn work_of_others_is_what_is_not_our_own() {
        let before = Ticks { idle: 0, all: 0, own: 5 };
        let after = Ticks { idle: 20, all: 100, own: 75 };
        assert!((after.since(before).others() - 0.1).abs() < 1e-12);
    }

    #[test]
    fn childrens_time_stands_behind_the_name() {
        let stat = "7 (a) b (c)) S 1 2 3 4 5 6 7 8 9 10 11 12 30 12 20 0";
        assert_eq!(children(stat), Some(42));
        assert_eq!(children("7 (a) S 1"), None);
    }

    #[test]
    fn days_are_dates() {
        for (days, expected) in
            [(0, "1970-01-01"), (59, "1970-03-01"), (11_016, "2000-02-29"), (20_781, "2026-11-24")]
        {
            assert_eq!(date(days), expected);
        }
    }
}
