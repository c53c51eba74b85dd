//! `offshoot inspect`: what a model, an adapter or a file of weights is.

mod adapter;
mod listing;
mod model;

use crate::adapters::Adapter;
use crate::flags::PickleFlags;
use crate::session::Session;
use anyhow::Result;
use clap::value_parser;
use listing::Listing;
use offshoot::models::Pooling;
use offshoot::models::gguf::{self, Gguf};
use offshoot::models::weights::Checkpoint;
use offshoot::train::checkpoint::is_adapter;
use serde_json::{Value, json};
use std::path::Path;

const EXAMPLE: &str = "Examples:
  offshoot inspect sentence-transformers/all-MiniLM-L6-v2
  offshoot inspect ./my-bert --classes 5
  offshoot inspect SmolLM2-135M-Instruct.Q4_1.gguf --tensors
  offshoot inspect ./my-adapter";

/// The arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct Args {
    /// A model (a folder, a GGUF file or a hub id), the folder of an adapter, or a safetensors or GGUF file
    #[arg(value_name = "MODEL|ADAPTER|FILE")]
    name: String,

    /// List every tensor with its type and shape
    #[arg(long)]
    tensors: bool,

    /// Count the head for this many classes
    #[arg(long, value_name = "COUNT", default_value = "2", value_parser = value_parser!(u16).range(2..))]
    classes: u16,

    /// What stands for a text: cls, mean, pooler or last [default: what the model's files say]
    #[arg(long)]
    pooling: Option<Pooling>,

    #[command(flatten)]
    pickle: PickleFlags,

    /// Print one JSON object as the last line of stdout
    #[arg(long)]
    pub(crate) json: bool,
}

/// Prints what is there.
///
/// # Errors
/// If it is none of these, or damaged.
pub(crate) fn run(args: &Args, session: &Session) -> Result<()> {
    let path = Path::new(&args.name);
    if is_adapter(path) {
        return adapter::show(&Adapter::open(path)?, args.tensors, session);
    }
    let ends =
        |end: &str| path.is_file() && path.extension().is_some_and(|own| own.eq_ignore_ascii_case(end));
    if ends("safetensors") {
        let listing = Listing::of(&Checkpoint::open_file(path)?);
        return file(args, (&[], &listing), session);
    }
    if ends("gguf") {
        return gguf_file(args, path, session);
    }
    model::show(args, &session.model_folder(&args.name, args.pickle.pickles())?, session)
}

/// A GGUF file: a model that is supported, or whatever else is in it.
fn gguf_file(args: &Args, path: &Path, session: &Session) -> Result<()> {
    let file_itself = Gguf::open(path)?;
    let refusal = match gguf::open(path) {
        Ok(_) => return model::show(args, path, session),
        Err(error) => error.to_string(),
    };
    let said = |key: &str| file_itself.get(key).and_then(|value| value.as_text().map(str::to_owned));
    let mut about: Vec<(&str, String)> = [
        ("kind", "general.type"),
        ("family", "general.architecture"),
        ("title", "general.name"),
        ("adapter", "adapter.type"),
    ]
    .into_iter()
    .filter_map(|(name, key)| Some((name, said(key)?)))
    .collect();
    if let Some(gguf::Value::F32(alpha)) = file_itself.get("adapter.lora.alpha") {
        about.push(("alpha", alpha.to_string()));
    }
    if said("general.type").is_none_or(|kind| kind == "model") {
        about.push(("note", refusal));
    }
    file(args, (&about, &Listing::of_gguf(&file_itself)), session)
}

/// A file of weights that is no model by itself.
fn file(args: &Args, (about, listing): (&[(&str, String)], &Listing), session: &Session) -> Result<()> {
    let mut lines = vec![format!("file      {}", args.name)];
    lines.extend(about.iter().map(|(name, value)| format!("{name:<9} {value}")));
    lines.extend(listing.lines());
    session.console.show(&lines.join("\n"))?;
    if args.tensors {
        session.console.show(&format!("\n{}", listing.table()))?;
    }
    let mut object = json!({ "file": args.name });
    about.iter().for_each(|(name, value)| object[*name] = Value::String(value.clone()));
    listing.describe(&mut object, args.tensors);
    session.console.json(&object)
}
