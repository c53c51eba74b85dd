//! `offshoot export`: an adapter for another program.

use crate::adapters::Placed;
use crate::flags::BaseFlags;
use crate::session::Session;
use crate::text::{bytes, some};
use anyhow::Result;
use offshoot::train::export_gguf;
use serde_json::json;
use std::path::PathBuf;

const EXAMPLE: &str = "Example:
  offshoot export my-adapter --model HuggingFaceTB/SmolLM2-135M-Instruct --gguf my-adapter.gguf
  (then, with llama.cpp: llama-cli -m base.gguf --lora my-adapter.gguf)";

/// The arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct Args {
    #[command(flatten)]
    base: BaseFlags,

    /// The GGUF file to write: a LoRA adapter that llama.cpp loads over its base
    #[arg(long, value_name = "FILE")]
    gguf: PathBuf,

    /// Print one JSON object as the last line of stdout
    #[arg(long)]
    pub(crate) json: bool,
}

/// Writes the adapter's file.
///
/// # Errors
/// If the adapter or its model cannot be read, the file has no place for what the adapter is, or cannot be
/// written.
pub(crate) fn run(args: &Args, session: &Session) -> Result<()> {
    let Placed { on_base, model_name } = Placed::load(&args.base, session)?;
    let projections = export_gguf(&args.gguf, &on_base.trained)?;
    let size = std::fs::metadata(&args.gguf)?.len();
    let (changed, place) = (some(projections, "projection"), args.gguf.display());
    session.console.show(&format!("{changed} of {model_name} in {place}, {}", bytes(size)))?;
    session.console.json(&json!({
        "adapter": args.base.adapter,
        "model": model_name,
        "method": on_base.trained.method(),
        "gguf": args.gguf,
        "projections": projections,
        "bytes": size,
    }))
}
