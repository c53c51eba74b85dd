//! How a command ends when it does not succeed: one message, and exit code 1, or 2 for wrong usage.

use crate::console::Console;
use std::io;
use std::process::ExitCode;

/// Wrong usage that only shows once several arguments are seen together.
#[derive(Debug)]
pub(crate) struct Usage(pub(crate) String);

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// A command that was asked to stop, and how to go on with it.
#[derive(Debug)]
pub(crate) struct Stopped(pub(crate) String);

impl std::fmt::Display for Stopped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Stopped {}

/// What shells take for the end by an interrupt.
const STOPPED: u8 = 130;

/// Ends after clap: it has the help text, the version, or what is wrong with the arguments.
pub(crate) fn usage(error: &clap::Error) -> ExitCode {
    // Nowhere to say that nothing can be said.
    drop(error.print());
    ExitCode::from(if error.use_stderr() { 2 } else { 0 })
}

/// Prints an error with its causes.
pub(crate) fn report(error: &anyhow::Error, console: &Console) -> ExitCode {
    if reader_is_gone(error) {
        return ExitCode::SUCCESS;
    }
    if let Some(stopped) = error.downcast_ref::<Stopped>() {
        console.say(&stopped.to_string());
        return ExitCode::from(STOPPED);
    }
    console.say(&message(error));
    ExitCode::from(if error.is::<Usage>() { 2 } else { 1 })
}

/// `error: ...`, and a line for each cause that the lines above do not quote already.
fn message(error: &anyhow::Error) -> String {
    let mut text = format!("error: {error}");
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text.push_str(&format!("\n  because: {cause}"));
        }
    }
    if error.is::<Usage>() {
        text.push_str("\n\nFor more information, try '--help'.");
    }
    text
}

/// Whether stdout was closed, as `head` does once it has enough: no failure.
fn reader_is_gone(error: &anyhow::Error) -> bool {
    let closed = |cause: &io::Error| cause.kind() == io::ErrorKind::BrokenPipe;
    error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>()).any(closed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::anyhow;

    #[test]
    fn causes_are_said_once() {
        let error = anyhow!("no such file").context("cannot read rows.csv: no such file");
        assert_eq!(message(&error), "error: cannot read rows.csv: no such file");
        let error = anyhow!("the disk is full").context("the report was not written");
        assert_eq!(message(&error), "error: the report was not written\n  because: the disk is full");
    }

    #[test]
    fn a_closed_pipe_is_no_failure() {
        let error = anyhow::Error::from(io::Error::from(io::ErrorKind::BrokenPipe)).context("printing");
        assert!(reader_is_gone(&error));
        assert!(!reader_is_gone(&anyhow!("else")));
    }
}
