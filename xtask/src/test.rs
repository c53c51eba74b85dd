//! `cargo xtask test`: every check there is, the quick ones first; the tests come last, so their count closes
//! the output.

use std::io::{BufRead, BufReader};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result};

use crate::python::{MLFLOW, TENSORBOARD, Tool};
use crate::shell::{built, cargo, has_subcommand, program, run as execute, step};
use crate::{assets, no_arguments, shell};

pub(crate) const HELP: &str =
    "formatting, clippy, docs, golden cases and all tests; exits 1 if anything is wrong";

/// Runs every check and stops at the first that fails.
pub(crate) fn run(args: &[String]) -> Result<ExitCode> {
    no_arguments("test", args)?;
    check("format", &["fmt", "--all", "--check"])?;
    check("clippy", &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])?;
    step("docs", docs)?;
    licences()?;
    real_files();
    browser();
    check("doc tests", &["test", "--workspace", "--doc"])?;
    step("golden cases", golden)?;
    tests()
}

fn check(name: &str, args: &[&str]) -> Result<()> {
    step(name, || execute(cargo(args)))
}

/// With the whole workspace's features and not optimised further: next to nothing is compiled that the tests do not need.
fn golden() -> Result<()> {
    execute(cargo(&["build", "--workspace", "--bin", "golden"]))?;
    execute(program(&built("debug", "golden").to_string_lossy(), &["crates/testing/golden"]))
}

fn docs() -> Result<()> {
    let mut command = cargo(&["doc", "--workspace", "--no-deps"]);
    command.env("RUSTDOCFLAGS", "-D warnings");
    execute(command)
}

/// The licences and origins of all dependencies, where the tool for it is installed.
fn licences() -> Result<()> {
    if !has_subcommand("deny") {
        eprintln!("== licences: left out, cargo-deny is not installed");
        return Ok(());
    }
    check("licences", &["deny", "check", "--hide-inclusion-graph", "licenses", "bans", "sources"])
}

/// A machine without network can still run everything else: the tests that need these files say that they are
/// absent.
fn real_files() {
    for asset in assets::ALL {
        if let Err(error) = step("assets", || assets::get(asset)) {
            eprintln!("{error:#}\nthe tests on {} will say that they did not run", asset.place);
        }
    }
}

/// A browser for the test of the report's page, which says that it did not run where there is none.
fn browser() {
    if shell::browser().is_some() {
        return;
    }
    if std::env::var_os("CI").is_none() {
        eprintln!("== browser: none is here; the test of the report's page will say that it did not run");
        return;
    }
    let install = || {
        execute(apt(&["update", "-qq"]))?;
        execute(apt(&["install", "-y", "-qq", "--no-install-recommends", "chromium"]))
    };
    if let Err(error) = step("browser", install) {
        eprintln!("{error:#}\nthe test of the report's page will say that it did not run");
    }
}

fn apt(args: &[&str]) -> Command {
    let mut command = Command::new("apt-get");
    command.args(args).env("DEBIAN_FRONTEND", "noninteractive");
    command
}

/// The test programs, under nextest where it is installed.
fn tests() -> Result<ExitCode> {
    let pythons: Vec<_> = [TENSORBOARD, MLFLOW].iter().filter_map(Tool::get).collect();
    eprintln!("== tests");
    let mut command = if has_subcommand("nextest") {
        cargo(&["nextest", "run", "--workspace", "--no-fail-fast", "--color", "never"])
    } else {
        cargo(&["test", "--workspace", "--lib", "--bins", "--tests", "--no-fail-fast"])
    };
    command.envs(pythons);
    let (count, good) = count(command)?;
    println!("{} passed, {} failed", count.passed, count.failed);
    Ok(if good && count.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs the tests, shows what they print, and counts. Also: whether the command itself ended well.
fn count(mut command: Command) -> Result<(Count, bool)> {
    // One pipe for both streams keeps their order: nextest counts on stderr, `cargo test` on stdout.
    let (reader, writer) = std::io::pipe()?;
    command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
    let mut child = command.spawn().context("the tests cannot be started")?;
    // The command holds the pipe's writing end; without this the reading would never end.
    drop(command);
    let mut count = Count::default();
    for line in BufReader::new(reader).split(b'\n') {
        let line = String::from_utf8_lossy(&line?).into_owned();
        println!("{line}");
        count.add(&line);
    }
    Ok((count, child.wait()?.success()))
}

#[derive(Default, Debug, PartialEq, Eq)]
struct Count {
    passed: usize,
    failed: usize,
}

impl Count {
    /// Adds what a summary line says: nextest's one, or one of each test program under `cargo test`.
    fn add(&mut self, line: &str) {
        let line = line.trim_start();
        if line.starts_with("Summary [") || line.starts_with("test result: ") {
            self.passed += number_before(line, "passed");
            self.failed += number_before(line, "failed") + number_before(line, "timed out");
        }
    }
}

/// The number in `… 12 failed …`, for the word `failed`; 0 where the line does not say it.
fn number_before(line: &str, word: &str) -> usize {
    let before = line.split_once(&format!(" {word}")).map_or("", |(before, _)| before);
    before.rsplit(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(lines: &[&str]) -> (usize, usize) {
        let mut count = Count::default();
        lines.iter().for_each(|line| count.add(line));
        (count.passed, count.failed)
    }

    #[test]
    fn nextest_summaries_are_read() {
        assert_eq!(counted(&["     Summary [   0.005s] 3 tests run: 3 passed, 0 skipped"]), (3, 0));
        let line = "     Summary [   1.2s] 9 tests run: 5 passed (1 slow), 3 failed, 1 timed out, 2 skipped";
        assert_eq!(counted(&[line]), (5, 4));
    }

    #[test]
    fn cargo_test_summaries_are_added_up() {
        let ok =
            "test result: ok. 4 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.1s";
        let bad = "test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out";
        assert_eq!(counted(&[ok, "running 3 tests", bad]), (6, 1));
    }

    #[test]
    fn the_output_is_read_to_its_end() {
        assert_eq!(count(cargo(&["--version"])).unwrap(), (Count::default(), true));
        assert!(!count(cargo(&["no-such-subcommand"])).unwrap().1);
    }

    #[test]
    fn other_lines_do_not_count() {
        assert_eq!(counted(&["        PASS [   0.1s] x 12 passed", "error: 7 failed"]), (0, 0));
    }
}
