//! `offshoot shell`: what a shell and a manual want to know of the command line.

use crate::args::Cli;
use crate::session::Session;
use anyhow::{Context, Result};
use clap::CommandFactory;
use clap_complete::Shell;
use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

const EXAMPLE: &str = "Examples:
  offshoot shell completions bash > ~/.local/share/bash-completion/completions/offshoot
  offshoot shell man ~/.local/share/man/man1";

/// The arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

/// What is written.
#[derive(Debug, clap::Subcommand)]
enum What {
    /// Print the completions of a shell
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Write the manual's pages, one a command
    Man {
        /// The folder for them
        folder: PathBuf,
    },
}

/// Writes it.
///
/// # Errors
/// If a file, or standard output, cannot be written to.
pub(crate) fn run(args: &Args, session: &Session) -> Result<()> {
    match &args.what {
        What::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "offshoot", &mut text);
            Ok(io::stdout().write_all(&text)?)
        }
        What::Man { folder } => {
            let failed = || format!("cannot write to {}", folder.display());
            fs::create_dir_all(folder).with_context(failed)?;
            clap_mangen::generate_to(Cli::command(), folder).with_context(failed)?;
            session.console.show(&format!("the manual's pages are in {}", folder.display()))
        }
    }
}
