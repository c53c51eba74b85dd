//! The command line as a whole.

use crate::commands::{
    chat, compare, embed, evaluate, export, generate, inspect, merge, methods, models, predict, report,
    shell, train,
};
use clap::{ArgAction, Parser, Subcommand};

/// Fine-tune a frozen transformer with a small adapter, and see what each way of doing it costs and buys.
#[derive(Debug, Parser)]
#[command(name = "offshoot", version, arg_required_else_help = true, after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,

    /// Say what is being done; twice for every detail
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
}

const EXAMPLES: &str = "Examples:
  offshoot compare reviews.csv --model sentence-transformers/all-MiniLM-L6-v2
  offshoot train reviews.csv --model sentence-transformers/all-MiniLM-L6-v2 --method lora --output sentiment
  offshoot predict new.csv --adapter sentiment

`offshoot COMMAND --help` has the flags of a command and an example.";

/// What there is to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Train every method on the same rows and recommend one
    Compare(Box<compare::Args>),
    /// Train one method and save the adapter
    Train(Box<train::Args>),
    /// Make a page of comparisons and runs that exist
    Report(report::Args),
    /// Measure an adapter on labelled rows
    Evaluate(evaluate::Args),
    /// Give rows a label with probabilities, or a number
    Predict(predict::Args),
    /// Write embeddings of rows, for use elsewhere
    Embed(embed::Args),
    /// Continue prompts, each with an adapter of its own or none
    Generate(generate::Args),
    /// Talk to a model, and switch its adapter in the middle
    Chat(chat::Args),
    /// Show what a model or an adapter is, and what each method would train
    Inspect(inspect::Args),
    /// Write an adapter into its model: an ordinary model in the Hugging Face layout
    Merge(merge::Args),
    /// Write a LoRA adapter for llama.cpp
    Export(export::Args),
    /// Write completions for a shell, or the manual's pages
    Shell(shell::Args),
    /// List the methods, or the settings of one
    Methods(methods::Args),
    /// List the families of models that can be loaded
    Models(models::Args),
}

impl Command {
    /// Whether stdout is for one JSON object.
    pub(crate) fn wants_json(&self) -> bool {
        match self {
            Self::Compare(args) => args.run.json,
            Self::Train(args) => args.run.json,
            Self::Evaluate(args) => args.json,
            Self::Predict(args) => args.json,
            Self::Embed(args) => args.json,
            Self::Generate(args) => args.json,
            Self::Chat(_) => false,
            Self::Inspect(args) => args.json,
            Self::Merge(args) => args.json,
            Self::Export(args) => args.json,
            Self::Report(_) | Self::Shell(_) => false,
            Self::Methods(args) => args.json,
            Self::Models(args) => args.json,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_do_not_contradict_each_other() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_has_an_example() {
        for command in Cli::command().get_subcommands() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains(&format!("offshoot {}", command.get_name())), "{}", command.get_name());
        }
    }
}
