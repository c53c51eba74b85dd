//! One file a command: its arguments, its example, what it does.

pub(crate) mod chat;
pub(crate) mod compare;
pub(crate) mod embed;
pub(crate) mod evaluate;
mod evaluate_text;
pub(crate) mod export;
pub(crate) mod generate;
pub(crate) mod inspect;
mod leaving_out;
pub(crate) mod merge;
pub(crate) mod methods;
pub(crate) mod models;
pub(crate) mod predict;
pub(crate) mod report;
pub(crate) mod shell;
pub(crate) mod train;
mod train_text;
mod watching;

use crate::args::Command;
use crate::session::Session;
use anyhow::Result;

/// Runs a command.
///
/// # Errors
/// Whatever stands in its way, as one message for the user.
pub(crate) fn run(command: &Command, session: &Session) -> Result<()> {
    match command {
        Command::Compare(args) => compare::run(args, session),
        Command::Embed(args) => embed::run(args, session),
        Command::Report(args) => report::run(args, session),
        Command::Shell(args) => shell::run(args, session),
        Command::Train(args) => train::run(args, session),
        Command::Evaluate(args) => evaluate::run(args, session),
        Command::Predict(args) => predict::run(args, session),
        Command::Generate(args) => generate::run(args, session),
        Command::Chat(args) => chat::run(args, session),
        Command::Inspect(args) => inspect::run(args, session),
        Command::Merge(args) => merge::run(args, session),
        Command::Export(args) => export::run(args, session),
        Command::Methods(args) => methods::run(args, session),
        Command::Models(args) => models::run(args, session),
    }
}
