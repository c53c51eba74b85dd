//! Replays golden cases of the Python libraries and says how far off we are.

use anyhow::{Result, bail};
use clap::Parser;
use offshoot_testing::golden::{Outcome, cases};
use std::path::PathBuf;
use std::process::ExitCode;

/// Replays every case under DIR/cases: prints a line for each, and exits with 1 if one failed.
#[derive(Parser)]
#[command(after_help = "Example: golden crates/testing/golden --filter lora")]
struct Arguments {
    /// The folder with `cases` and `models`.
    dir: PathBuf,
    /// Only cases whose name contains this.
    #[arg(long, value_name = "TEXT", default_value = "")]
    filter: String,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all passed.
fn run(arguments: &Arguments) -> Result<bool> {
    let cases = cases(&arguments.dir, &arguments.filter)?;
    if cases.is_empty() {
        bail!("no case in {} has `{}` in its name", arguments.dir.join("cases").display(), arguments.filter);
    }
    let mut passed = 0;
    for case in &cases {
        let outcome = Outcome::of(case);
        println!("{outcome}");
        passed += usize::from(outcome.passed());
    }
    println!("{passed} passed, {} failed", cases.len() - passed);
    Ok(passed == cases.len())
}
