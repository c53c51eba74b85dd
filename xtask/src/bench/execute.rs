//! One program to its end: held to the cores, under a limit, its last line read as JSON.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::machine::Place;
use crate::shell::program;

/// How often a running program is looked at.
const LOOK: Duration = Duration::from_millis(10);

/// The most of a program's last words that is repeated.
const WORDS: usize = 300;

/// Programs that count threads for themselves read one of these.
const THREADS: [&str; 3] = ["OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"];

/// A program with its arguments.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) program: String,
    pub(crate) args: Vec<String>,
}

/// The longest that a program may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limit {
    pub(crate) time: Duration,
    /// What it is, for whoever reads that it was reached.
    pub(crate) what: &'static str,
}

impl Limit {
    /// For anything small: the ceiling's program, an import.
    pub(crate) const SMALL: Self =
        Self { time: Duration::from_secs(600), what: "that is too long for anything small" };
}

impl Call {
    pub(crate) fn new(program: impl Into<String>, args: &[&str]) -> Self {
        Self { program: program.into(), args: args.iter().map(|arg| arg.to_string()).collect() }
    }

    /// The command, on the place's cores and with as many threads.
    fn command(&self, place: &Place) -> Command {
        let mut command = match place.pinned {
            true => program("taskset", &["-c", &place.list(), &self.program]),
            false => program(&self.program, &[]),
        };
        command.args(&self.args);
        command.envs(THREADS.iter().map(|name| (name, place.threads.to_string())));
        command
    }

    /// Runs it; what it prints is kept in `folder`. The object it prints last is returned, with `wall_seconds`
    /// and, where the system says, `others`: the share of the cores' time that went to other programs.
    ///
    /// # Errors
    /// If it fails, takes longer than `limit`, or prints no JSON object last.
    pub(crate) fn run(&self, place: &Place, folder: &Path, limit: Limit) -> Result<Value> {
        fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
        let (out, err) = (folder.join("out"), folder.join("err"));
        let create =
            |path: &Path| File::create(path).with_context(|| format!("{} cannot be written", path.display()));
        let mut command = self.command(place);
        command.stdin(Stdio::null()).stdout(create(&out)?).stderr(create(&err)?);
        let (before, start) = (place.ticks(), Instant::now());
        let mut child = command.spawn().with_context(|| format!("`{}` cannot start", self.program))?;
        let status = wait(&mut child, start, limit.time)?;
        let (wall, after) = (start.elapsed().as_secs_f64(), place.ticks());
        let Some(status) = status else { bail!("stopped after {} s: {}", limit.time.as_secs(), limit.what) };
        if !status.success() {
            bail!("{status}: {}", last_words(&read(&err)));
        }
        let mut report =
            last_object(&read(&out)).with_context(|| format!("{} has no JSON object", out.display()))?;
        report["wall_seconds"] = wall.into();
        report["others"] = before.zip(after).map(|(before, after)| after.since(before).others()).into();
        Ok(report)
    }
}

/// The exit status; none if it took longer than the limit, and was ended.
fn wait(child: &mut Child, start: Instant, limit: Duration) -> Result<Option<ExitStatus>> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if start.elapsed() >= limit {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(LOOK);
    }
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}

/// The last line that is a JSON object.
fn last_object(text: &str) -> Option<Value> {
    let objects = text.lines().rev().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    objects.into_iter().find(Value::is_object)
}

/// What a program complained about: the first line that says `error`, as ours do, or the last one, as Python's do.
fn last_words(text: &str) -> String {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let last = lines.clone().next_back();
    let error = lines.find(|line| line.starts_with("error"));
    error.or(last).unwrap_or("it said nothing").chars().take(WORDS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> Place {
        Place { cores: vec![0], threads: 3, pinned: false }
    }

    fn folder(name: &str) -> std::path::PathBuf {
        std::env::temp_dir().join(format!("offshoot-xtask-{}-{name}", std::process::id()))
    }

    fn limit(seconds: u64) -> Limit {
        Limit { time: Duration::from_secs(seconds), what: "the test's" }
    }

    fn shell(script: &str) -> Call {
        Call::new("sh", &["-c", script])
    }

    #[test]
    fn the_last_object_is_the_report() {
        let folder = folder("report");
        let script = r#"echo words; echo "{\"threads\": $OMP_NUM_THREADS}""#;
        let report = shell(script).run(&place(), &folder, limit(60)).unwrap();
        assert_eq!(report["threads"], 3);
        assert!(report["wall_seconds"].as_f64().unwrap() > 0.0);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn failures_say_why() {
        let folder = folder("failures");
        for (script, seconds, said) in [
            ("echo 'error: no such thing' >&2; echo more >&2; exit 2", 60, "error: no such thing"),
            ("echo Traceback >&2; echo 'ValueError: no' >&2; exit 1", 60, "ValueError: no"),
            ("sleep 60", 0, "stopped after 0 s: the test's"),
            ("echo 17", 60, "no JSON object"),
        ] {
            let error = shell(script).run(&place(), &folder, limit(seconds)).unwrap_err();
            assert!(format!("{error:#}").contains(said), "{script}: {error:#}");
        }
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn programs_are_held_to_the_cores() {
        let place = Place { cores: vec![0, 2], threads: 2, pinned: true };
        let command = shell("true").command(&place);
        let words: Vec<_> = command.get_args().map(|arg| arg.to_string_lossy().into_owned()).collect();
        assert_eq!(
            (command.get_program().to_str(), words[..3].join(" ")),
            (Some("taskset"), "-c 0,2 sh".into())
        );
    }
}
