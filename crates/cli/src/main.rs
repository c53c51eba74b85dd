//! The `offshoot` command: fine-tunes a frozen transformer, compares the ways of doing it, uses the result.
//!
//! `args` says what there is to ask for, `commands` has one file a command, `flags` what several of them
//! share. Results go to stdout; progress, warnings and errors go to stderr. Nothing is computed here: that is
//! the libraries' part.

mod adapters;
mod args;
mod briefing;
mod commands;
mod console;
mod failure;
mod flags;
mod interrupt;
mod language;
mod log;
mod output;
mod pages;
mod predictions;
mod profile;
mod progress;
mod prompts;
mod results;
mod session;
mod sparkline;
mod table;
mod text;
mod unfinished;
mod xgboost;

use clap::Parser;
use std::process::ExitCode;
use std::time::Instant;

/// What a library panics on is an error here, and its message is ours.
fn keep_expected_panics_quiet() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !offshoot::core::is_guarded() {
            usual(panic);
        }
    }));
}

fn main() -> ExitCode {
    let started = Instant::now();
    let args = match args::Cli::try_parse() {
        Ok(args) => args,
        Err(error) => return failure::usage(&error),
    };
    offshoot::core::return_large();
    keep_expected_panics_quiet();
    let session = session::Session::new(started, args.command.wants_json());
    log::start(&session.console, args.verbose);
    match commands::run(&args.command, &session) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failure::report(&error, &session.console),
    }
}
