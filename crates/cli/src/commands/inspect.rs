//! `offshoot inspect`: what a model or an adapter is.

use crate::adapters::Adapter;
use crate::flags::PickleFlags;
use crate::session::Session;
use crate::table::table;
use crate::text::{bytes, count, share, some};
use anyhow::Result;
use clap::value_parser;
use offshoot::core::{Device, Shape};
use offshoot::methods::MethodConfig;
use offshoot::models::weights::Checkpoint;
use offshoot::models::{Model, Pooling};
use offshoot::train::checkpoint::{Card, is_adapter};
use offshoot::train::{Share, shares};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

const EXAMPLE: &str = "Examples:
  offshoot inspect sentence-transformers/all-MiniLM-L6-v2
  offshoot inspect ./my-bert --classes 5
  offshoot inspect ./my-adapter";

/// The arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct Args {
    /// A model (a folder or a hub id), or the folder of an adapter
    #[arg(value_name = "MODEL|ADAPTER")]
    name: String,

    /// Count the head for this many classes
    #[arg(long, value_name = "COUNT", default_value = "2", value_parser = value_parser!(u16).range(2..))]
    classes: u16,

    /// What stands for a text: cls, mean or pooler [default: what the model's files say]
    #[arg(long)]
    pooling: Option<Pooling>,

    #[command(flatten)]
    pickle: PickleFlags,

    /// Print one JSON object as the last line of stdout
    #[arg(long)]
    pub(crate) json: bool,
}

/// Prints what is in the folder.
///
/// # Errors
/// If it is neither, or damaged.
pub(crate) fn run(args: &Args, session: &Session) -> Result<()> {
    let path = Path::new(&args.name);
    if is_adapter(path) {
        return adapter(&Adapter::open(path)?, session);
    }
    let folder = session.model_folder(&args.name)?;
    let model = Model::load(&folder, args.pooling, &Device::cpu())?;
    let checkpoint = Checkpoint::open_with(&folder, args.pickle.pickles())?;
    let shares = shares(&model, args.classes.into())?;
    session.console.show(&about(&args.name, &model, &checkpoint))?;
    session
        .console
        .show(&format!("\nWhat each method trains, with a head for {} classes:\n", args.classes))?;
    session.console.show(&trained(&shares))?;
    for (share, error) in shares.iter().filter_map(|share| Some((share, share.error.as_ref()?))) {
        session.console.show(&format!("\n{} does not fit: {error}", share.method))?;
    }
    session.console.json(&object(&args.name, &model, &checkpoint, &shares))
}

/// Prints what an adapter is, from its own files: the model it needs is not loaded.
fn adapter(adapter: &Adapter, session: &Session) -> Result<()> {
    let files = adapter.files()?;
    let mut lines = vec![format!("adapter   {}", adapter.folder.display())];
    match &adapter.card {
        Some(card) => lines.extend(card_lines(card)?),
        None => lines
            .push("origin    another program: no offshoot.json, so labels and pooling are not known".into()),
    }
    lines.extend(files.iter().map(|(name, size)| format!("file      {name} ({})", bytes(*size))));
    session.console.show(&lines.join("\n"))?;
    let files: BTreeMap<&str, u64> = files.iter().map(|(name, size)| (name.as_str(), *size)).collect();
    session.console.json(&json!({ "adapter": adapter.folder, "card": adapter.card, "files": files }))
}

fn card_lines(card: &Card) -> Result<Vec<String>> {
    let base = &card.base;
    let layers = some(base.layers, "layer");
    Ok(vec![
        format!("method    {} ({})", card.method.info().name, card.method.info().summary),
        format!("settings  {}", super::methods::summary(&card.method)?),
        format!("base      {} ({}, {layers}, hidden {})", base.name, base.family, base.hidden),
        format!("pooling   {}", card.pooling),
        format!("labels    {}", card.labels.join(", ")),
    ])
}

fn about(name: &str, model: &Model, checkpoint: &Checkpoint) -> String {
    let shape = model.backbone.shape();
    let Shape { hidden, head_dim, ffn, .. } = shape;
    let (layers, heads) = (some(shape.layers, "layer"), some(shape.heads, "head"));
    let (vocab, positions) = (count(shape.vocab), count(shape.positions));
    let mut lines = vec![
        format!("model     {name}"),
        format!("folder    {}", model.folder().display()),
        format!("family    {} ({})", model.backbone.family(), model.class()),
        format!("sizes     {layers}, hidden {hidden}, {heads} of {head_dim}, feed-forward {ffn}"),
        format!("texts     {vocab} tokens known, up to {positions} in a text"),
        format!("weights   {}", weights(checkpoint)),
        format!("pooling   {}", model.pooling),
    ];
    lines.extend(model.labels().map(|labels| format!("labels    {}", labels.join(", "))));
    lines.extend(model.notes.iter().map(|note| format!("note      {note}")));
    lines.join("\n")
}

/// `22,713,728 in 104 tensors (F32, I64), 90.9 MB`: the file as it is.
fn weights(checkpoint: &Checkpoint) -> String {
    let infos = checkpoint.names().filter_map(|name| checkpoint.info(name));
    let values: usize = infos.map(|info| info.shape.iter().product::<usize>()).sum();
    let dtypes: Vec<String> = dtypes(checkpoint).into_keys().collect();
    let (tensors, size) =
        (some(checkpoint.names().count(), "tensor"), bytes(checkpoint.total_bytes() as u64));
    format!("{} in {tensors} ({}), {size}", count(values), dtypes.join(", "))
}

/// How many tensors there are of each type.
fn dtypes(checkpoint: &Checkpoint) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for info in checkpoint.names().filter_map(|name| checkpoint.info(name)) {
        *counts.entry(info.dtype.to_string()).or_insert(0) += 1;
    }
    counts
}

fn trained(shares: &[Share]) -> String {
    let row = |s: &Share| match s.error {
        Some(_) => vec![s.method.to_owned(), "does not fit".to_owned(), String::new(), String::new()],
        None => {
            let files = MethodConfig::ALL.iter().find(|info| info.name == s.method);
            let files = files.map_or("", |info| super::methods::files(info.saves));
            vec![s.method.to_owned(), files.to_owned(), count(s.trainable), share(s.trainable, s.total)]
        }
    };
    table(&["method", "files", "trained", "share"], shares.iter().map(row), 2)
}

fn object(name: &str, model: &Model, checkpoint: &Checkpoint, shares: &[Share]) -> Value {
    let shape = model.backbone.shape();
    let methods: Vec<Value> = shares
        .iter()
        .map(|s| {
            json!({
                "method": s.method,
                "trainable_parameters": s.trainable,
                "total_parameters": s.total,
                "error": s.error,
            })
        })
        .collect();
    json!({
        "model": name,
        "family": model.backbone.family(),
        "class": model.class(),
        "layers": shape.layers,
        "hidden": shape.hidden,
        "heads": shape.heads,
        "ffn": shape.ffn,
        "vocab": shape.vocab,
        "positions": shape.positions,
        "pooling": model.pooling,
        "tensors": checkpoint.names().count(),
        "bytes": checkpoint.total_bytes(),
        "dtypes": dtypes(checkpoint),
        "methods": methods,
    })
}
