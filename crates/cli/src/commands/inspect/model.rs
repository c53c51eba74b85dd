//! What a model is, and what each method would train of it.

use super::Args;
use super::listing::Listing;
use crate::commands::methods::files;
use crate::session::Session;
use crate::table::table;
use crate::text::{count, share, some};
use anyhow::Result;
use offshoot::core::{Device, Shape};
use offshoot::methods::MethodConfig;
use offshoot::models::weights::Checkpoint;
use offshoot::models::{LoadOptions, Model, Task, gguf, predicts_tokens};
use offshoot::train::{Share, language_model_shares, shares};
use serde_json::{Value, json};
use std::path::Path;

/// Prints a model in a folder or a GGUF file.
///
/// # Errors
/// If it is damaged or not supported.
pub(super) fn show(args: &Args, folder: &Path, session: &Session) -> Result<()> {
    let options = |task| LoadOptions { pooling: args.pooling, task, pickles: args.pickle.pickles() };
    let open = |task| Model::open(folder, &options(task), &Device::cpu());
    let classifier = open(Task::Classification)?;
    let classified = shares(&classifier, args.classes.into())?;
    let speaker = if predicts_tokens(folder)? { Some(open(Task::LanguageModel)?) } else { None };
    let spoken = speaker.as_ref().map(language_model_shares).transpose()?;
    let listing = match folder.is_file() {
        true => Listing::of_gguf(&gguf::open(folder)?.file),
        false => Listing::of(&Checkpoint::open_with(folder, args.pickle.pickles())?),
    };
    session.console.show(&about(&args.name, speaker.as_ref().unwrap_or(&classifier), &listing))?;
    if let Some(shares) = &spoken {
        session.console.show("\nWhat each method trains, as a language model:\n")?;
        show_shares(shares, session)?;
    }
    let classes = args.classes;
    session.console.show(&format!("\nWhat each method trains, with a head for {classes} classes:\n"))?;
    show_shares(&classified, session)?;
    if args.tensors {
        session.console.show(&format!("\n{}", listing.table()))?;
    }
    let mut object = object(&args.name, &classifier);
    listing.describe(&mut object, args.tensors);
    object["methods"] = json!(rows(&classified));
    if let (Some(shares), Some(model)) = (&spoken, &speaker) {
        object["language_model_class"] = json!(model.class());
        object["language_model_methods"] = json!(rows(shares));
    }
    session.console.json(&object)
}

fn show_shares(shares: &[Share], session: &Session) -> Result<()> {
    session.console.show(&trained(shares))?;
    for (share, error) in shares.iter().filter_map(|share| Some((share, share.error.as_ref()?))) {
        session.console.show(&format!("\n{} does not fit: {error}", share.method))?;
    }
    Ok(())
}

fn about(name: &str, model: &Model, listing: &Listing) -> String {
    let shape = model.backbone.shape();
    let Shape { hidden, head_dim, ffn, .. } = shape;
    let (layers, heads) = (some(shape.layers, "layer"), some(shape.heads, "head"));
    let grouped = match shape.kv_heads == shape.heads {
        true => String::new(),
        false => format!(" ({} of keys and values)", shape.kv_heads),
    };
    let (vocab, positions) = (count(shape.vocab), count(shape.positions));
    let place = if model.folder().is_file() { "file  " } else { "folder" };
    let mut lines = vec![
        format!("model     {name}"),
        format!("{place}    {}", model.folder().display()),
        format!("family    {} ({})", model.backbone.family(), model.class()),
        format!("sizes     {layers}, hidden {hidden}, {heads} of {head_dim}{grouped}, feed-forward {ffn}"),
        format!("texts     {vocab} tokens known, up to {positions} in a text"),
    ];
    lines.extend(listing.lines());
    lines.push(format!("pooling   {}", model.pooling));
    lines.extend(model.labels().map(|labels| format!("labels    {}", labels.join(", "))));
    lines.extend(model.notes.iter().map(|note| format!("note      {note}")));
    lines.join("\n")
}

fn trained(shares: &[Share]) -> String {
    let row = |s: &Share| match s.error {
        Some(_) => vec![s.method.to_owned(), "does not fit".to_owned(), String::new(), String::new()],
        None => {
            let info = MethodConfig::ALL.iter().find(|info| info.name == s.method);
            let files = info.map_or("", |info| files(info.saves));
            vec![s.method.to_owned(), files.to_owned(), count(s.trainable), share(s.trainable, s.total)]
        }
    };
    table(&["method", "files", "trained", "share"], shares.iter().map(row), 2)
}

fn rows(shares: &[Share]) -> Vec<Value> {
    let row = |s: &Share| {
        json!({
            "method": s.method,
            "trainable_parameters": s.trainable,
            "total_parameters": s.total,
            "error": s.error,
        })
    };
    shares.iter().map(row).collect()
}

fn object(name: &str, model: &Model) -> Value {
    let shape = model.backbone.shape();
    json!({
        "model": name,
        "family": model.backbone.family(),
        "class": model.class(),
        "layers": shape.layers,
        "hidden": shape.hidden,
        "heads": shape.heads,
        "kv_heads": shape.kv_heads,
        "head_dim": shape.head_dim,
        "ffn": shape.ffn,
        "vocab": shape.vocab,
        "positions": shape.positions,
        "pooling": model.pooling,
    })
}
