//! What an adapter is, from its own files: the model it needs is not loaded.

use super::listing::Listing;
use crate::adapters::Adapter;
use crate::commands::methods;
use crate::session::Session;
use crate::text::{bytes, some};
use anyhow::{Context, Result};
use offshoot::methods::formats::CONFIG_FILE;
use offshoot::models::weights::Checkpoint;
use offshoot::train::checkpoint::Card;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// A module whose tensors are a head's.
const HEADS: [&str; 4] = ["classifier", "pre_classifier", "score", "heads"];
/// What a library's configuration says of a run, and not of the adapter.
const BOOKKEEPING: [&str; 7] = [
    "auto_mapping",
    "base_model_name_or_path",
    "inference_mode",
    "peft_type",
    "peft_version",
    "revision",
    "task_type",
];

/// Prints an adapter's folder.
///
/// # Errors
/// If a file cannot be read.
pub(super) fn show(adapter: &Adapter, tensors: bool, session: &Session) -> Result<()> {
    let (files, listing) = (adapter.files()?, listing(adapter)?);
    let config = config(&adapter.folder)?;
    let mut lines = vec![format!("adapter   {}", adapter.folder.display())];
    match &adapter.card {
        Some(card) => lines.extend(card_lines(card)?),
        None => {
            lines.push(
                "origin    another program: no offshoot.json, so labels and pooling are not known".into(),
            );
            lines.extend(config_lines(&config));
        }
    }
    let head = head(&listing);
    lines.push(format!("head      {}", if head { "yes: it classifies" } else { "none" }));
    lines.extend(listing.lines());
    lines.extend(files.iter().map(|(name, size)| format!("file      {name} ({})", bytes(*size))));
    session.console.show(&lines.join("\n"))?;
    if tensors {
        session.console.show(&format!("\n{}", listing.table()))?;
    }
    let files: BTreeMap<&str, u64> = files.iter().map(|(name, size)| (name.as_str(), *size)).collect();
    let (card, folder) = (&adapter.card, &adapter.folder);
    let mut object =
        json!({ "adapter": folder, "card": card, "config": config, "head": head, "files": files });
    listing.describe(&mut object, tensors);
    session.console.json(&object)
}

/// The tensors of every safetensors file in the folder.
fn listing(adapter: &Adapter) -> Result<Listing> {
    let mut listing = Listing::default();
    for (name, _) in adapter.files()? {
        let path = adapter.folder.join(&name);
        if Path::new(&name).extension().is_some_and(|end| end == "safetensors") {
            listing.extend(Listing::of(&Checkpoint::open_file(&path)?));
        }
    }
    Ok(listing)
}

fn head(listing: &Listing) -> bool {
    listing.names().any(|name| name.split('.').any(|module| HEADS.contains(&module)))
}

/// The library's configuration; empty if there is none.
fn config(folder: &Path) -> Result<Map<String, Value>> {
    let path = folder.join(CONFIG_FILE);
    if !path.exists() {
        return Ok(Map::new());
    }
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{}: no JSON object", path.display()))
}

fn card_lines(card: &Card) -> Result<Vec<String>> {
    let base = &card.base;
    let layers = some(base.layers, "layer");
    Ok(vec![
        format!("method    {} ({})", card.method.info().name, card.method.info().summary),
        format!("settings  {}", methods::summary(&card.method)?),
        format!("base      {} ({}, {layers}, hidden {})", base.name, base.family, base.hidden),
        format!("pooling   {}", card.pooling),
        match card.labels.as_slice() {
            [] => format!("task      {}", card.task.name()),
            labels => format!("labels    {}", labels.join(", ")),
        },
    ])
}

/// What another program's configuration says.
fn config_lines(config: &Map<String, Value>) -> Vec<String> {
    let text = |key: &str| config.get(key).and_then(Value::as_str);
    // AdapterHub's has the method's settings in an object of its own.
    let own = config.get("config").and_then(Value::as_object);
    let method = text("peft_type").or_else(|| own?.get("architecture")?.as_str()).unwrap_or("not said");
    let base = text("base_model_name_or_path").or_else(|| text("model_name")).unwrap_or("not said");
    let said = |value: &&Value| value.is_number() || value.is_string() || **value == Value::Bool(true);
    let settings = own
        .unwrap_or(config)
        .iter()
        .filter(|(key, value)| !BOOKKEEPING.contains(&key.as_str()) && said(value));
    let settings: Vec<String> = settings.map(|(key, value)| format!("{key} {}", plain(value))).collect();
    vec![
        format!("method    {method}"),
        format!("settings  {}", settings.join(", ")),
        format!("base      {base}"),
    ]
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
