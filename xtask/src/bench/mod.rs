//! `cargo xtask bench`: ours and the peer's training on the same rows, in one session, as ratios.
//!
//! Both are held to the same cores and threads and run in turn, each after the machine has become quiet; what
//! the machine can do at most is measured between them. A run is a line of the table in `runs`; `measured` says
//! what is computed from a pair of runs, `flops` what the ceiling is.

mod execute;
mod flops;
mod machine;
mod measured;
mod options;
mod results;
mod runs;
mod session;
mod setup;
mod sides;
mod table;

use std::process::ExitCode;

use anyhow::Result;
use serde_json::json;

use self::machine::Place;
use self::options::{Only, Options};
use self::results::Results;
use self::session::Session;
use self::setup::Programs;
use crate::shell::{root, step};

pub(crate) const HELP: &str =
    "trains side by side with transformers + peft and writes the table of ratios; --help";

/// Makes what is needed, measures, writes. Fails if a run of ours did.
pub(crate) fn run(args: &[String]) -> Result<ExitCode> {
    let options = Options::read(args)?;
    match options.only {
        Some(Only::Usage) => println!("{}", options::USAGE),
        Some(Only::List) => println!("{}", options::names().join("\n")),
        None => return measure(&options),
    }
    Ok(ExitCode::SUCCESS)
}

fn measure(options: &Options) -> Result<ExitCode> {
    let (mut results, session) = (Results::open(options)?, session(options)?);
    let mut all_ran = true;
    for run in options.runs() {
        let result = step(run.name, || session.measure(run))?;
        all_ran &= result["failed"].get("ours").is_none();
        results.put(run.name, result)?;
    }
    show(&results)?;
    Ok(if all_ran { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn session(options: &Options) -> Result<Session<'_>> {
    let place = Place::new(options)?;
    let programs = Programs::ready(options)?;
    let torch_bytes = if options.ours_only { None } else { session::torch_bytes(&programs, &place) };
    let about = json!({
        "date": machine::today(),
        "machine": place.describe(),
        "versions": machine::versions(programs.python.as_deref(), options.offshoot.as_deref()),
        "asked_for": { "pairs": options.pairs, "rows": options.rows, "ours_only": options.ours_only },
    });
    Ok(Session { options, place, programs, torch_bytes, about })
}

/// The table on stdout, and in the README where the results are those of the repository.
fn show(results: &Results) -> Result<()> {
    let table = table::table(results);
    println!("{table}");
    eprintln!("everything is in {}", results.path().display());
    if results.are_published() && !table::publish(&root().join("README.md"), &table)? {
        eprintln!("README.md has no marks <!-- bench --> and <!-- /bench -->: the table is not in it");
    }
    Ok(())
}
