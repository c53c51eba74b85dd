//! `offshoot models`: the families that can be loaded.

use crate::session::Session;
use crate::table::table;
use anyhow::Result;
use offshoot::models::families;
use serde_json::{Value, json};

const EXAMPLE: &str = "Example:
  offshoot models";

/// The arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct Args {
    /// Print one JSON object as the last line of stdout
    #[arg(long)]
    pub(crate) json: bool,
}

/// Prints the registry.
pub(crate) fn run(_args: &Args, session: &Session) -> Result<()> {
    let rows = families().map(|(name, summary)| vec![name.to_owned(), summary.to_owned()]);
    session.console.show(&table(&["family", "models"], rows, 2))?;
    session.console.show(
        "\nA model is a folder in the Hugging Face layout (config.json, model.safetensors, a tokenizer), or\n\
         a hub id such as sentence-transformers/all-MiniLM-L6-v2. `model_type` in config.json is its family.",
    )?;
    let families: Vec<Value> =
        families().map(|(name, summary)| json!({ "name": name, "summary": summary })).collect();
    session.console.json(&json!({ "families": families }))
}
