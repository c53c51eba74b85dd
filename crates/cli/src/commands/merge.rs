//! `offshoot merge`: an adapter written into its model.

use crate::adapters::Placed;
use crate::flags::BaseFlags;
use crate::session::Session;
use crate::text::{bytes, some};
use anyhow::Result;
use offshoot::models::weights::Precision;
use offshoot::train::merge;
use serde_json::json;
use std::path::PathBuf;

const EXAMPLE: &str = "Examples:
  offshoot merge my-adapter --model HuggingFaceTB/SmolLM2-135M-Instruct --output merged
  offshoot merge my-adapter --model base.gguf --output merged --dtype bf16";

/// The arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct Args {
    #[command(flatten)]
    base: BaseFlags,

    /// The folder for the merged model, in the Hugging Face layout
    #[arg(short, long, value_name = "FOLDER")]
    output: PathBuf,

    /// The type of the written weights: f32 or bf16
    #[arg(long, value_name = "TYPE", default_value_t = Precision::F32)]
    dtype: Precision,

    /// Print one JSON object as the last line of stdout
    #[arg(long)]
    pub(crate) json: bool,
}

/// Writes the merged model.
///
/// # Errors
/// If the adapter or its model cannot be read, the method cannot be merged, or the folder cannot be written.
pub(crate) fn run(args: &Args, session: &Session) -> Result<()> {
    let Placed { on_base, model_name } = Placed::load(&args.base, session)?;
    let merged = merge(&args.output, &on_base.trained, &on_base.model, args.dtype)?;
    let (method, place) = (on_base.trained.method().info().name, args.output.display());
    let (tensors, size) = (some(merged.tensors, "tensor"), bytes(merged.bytes));
    session.console.show(&format!(
        "{method} merged into {model_name}: {tensors} in {}, {size}, in {place}",
        args.dtype
    ))?;
    session.console.json(&json!({
        "adapter": args.base.adapter,
        "model": model_name,
        "method": on_base.trained.method(),
        "output": args.output,
        "dtype": args.dtype.to_string(),
        "tensors": merged.tensors,
        "bytes": merged.bytes,
    }))
}
