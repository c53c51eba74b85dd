//! Where a folder's template is, and the special tokens it may name.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::files;

/// A template's source and the file it stands in.
pub(super) struct Found {
    pub(super) source: String,
    pub(super) path: PathBuf,
    /// `bos_token` and the like, with their texts.
    pub(super) tokens: BTreeMap<String, String>,
}

/// The folder's template, if it has one.
pub(super) fn find(folder: &Path) -> Result<Option<Found>> {
    let config = folder.join("tokenizer_config.json");
    let map: Map<String, Value> = if config.exists() { files::read_json(&config)? } else { Map::new() };
    let tokens = tokens(&map);
    let file = folder.join("chat_template.jinja");
    if file.exists() {
        return Ok(Some(Found { source: files::read_text(&file)?, path: file, tokens }));
    }
    let source = match map.get("chat_template") {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(source)) => source.clone(),
        Some(Value::Array(named)) => {
            choose(named).map_err(|what| Error::json(&config, format!("field `chat_template`: {what}")))?
        }
        Some(_) => {
            return Err(Error::json(
                &config,
                "field `chat_template`: must be a text or a list of named texts",
            ));
        }
    };
    Ok(Some(Found { source, path: config, tokens }))
}

/// The template named `default`, or the only one.
fn choose(named: &[Value]) -> Result<String, String> {
    let text = |entry: &Value, field| entry.get(field).and_then(Value::as_str).map(str::to_owned);
    let pairs: Option<Vec<(String, String)>> =
        named.iter().map(|entry| Some((text(entry, "name")?, text(entry, "template")?))).collect();
    let mut pairs = pairs.ok_or("each entry must have a `name` and a `template`")?;
    if let Some(at) = pairs.iter().position(|(name, _)| name == "default") {
        return Ok(pairs.swap_remove(at).1);
    }
    match (pairs.len(), pairs.pop()) {
        (1, Some((_, template))) => Ok(template),
        (0, _) => Err("the list is empty".to_owned()),
        _ => Err("none of its templates is named `default`".to_owned()),
    }
}

/// Every `…_token` that is a text, or an object that holds one.
fn tokens(map: &Map<String, Value>) -> BTreeMap<String, String> {
    let token = |(name, value): (&String, &Value)| {
        let text = value.get("content").unwrap_or(value).as_str()?;
        name.ends_with("_token").then(|| (name.clone(), text.to_owned()))
    };
    map.iter().filter_map(token).collect()
}
