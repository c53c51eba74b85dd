//! The special tokens that begin and end a generated text.

use std::path::Path;

use serde_json::{Map, Value};

use super::Tokenizer;
use crate::error::Result;
use crate::files;

/// Tokens with a meaning for generation. Each is below [`Tokenizer::vocab_size`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpecialTokens {
    /// Begins a sequence.
    pub bos: Option<u32>,
    /// Every token that ends a generated text; the first is the one that training writes after a completion.
    pub eos: Vec<u32>,
    /// Fills up rows, elsewhere: batches here have no padding.
    pub pad: Option<u32>,
}

impl SpecialTokens {
    /// Reads a model's folder. A token is looked for by its text in `tokenizer_config.json` and
    /// `special_tokens_map.json`, then by its id in `generation_config.json` and `config.json`; `eos` takes
    /// from all of them. Ids that the tokenizer does not have are left out.
    ///
    /// # Errors
    /// A file that cannot be read or is not JSON.
    pub fn open(folder: &Path, tokenizer: &Tokenizer) -> Result<Self> {
        let read = |name: &str| -> Result<Map<String, Value>> {
            let path = folder.join(name);
            if path.exists() { files::read_json(&path) } else { Ok(Map::new()) }
        };
        let texts = [read("tokenizer_config.json")?, read("special_tokens_map.json")?];
        let ids = [read("generation_config.json")?, read("config.json")?];
        let all = |kind: &str| {
            let mut found: Vec<u32> = texts
                .iter()
                .filter_map(|map| by_text(map.get(&format!("{kind}_token"))?, tokenizer))
                .collect();
            found.extend(ids.iter().filter_map(|map| map.get(&format!("{kind}_token_id"))).flat_map(by_id));
            found.retain(|&id| (id as usize) < tokenizer.vocab_size());
            found
        };
        let mut eos = Vec::new();
        all("eos").into_iter().for_each(|id| {
            if !eos.contains(&id) {
                eos.push(id)
            }
        });
        Ok(Self { bos: all("bos").first().copied(), eos, pad: all("pad").first().copied() })
    }
}

/// A token named by a text, or by an object that holds it.
fn by_text(value: &Value, tokenizer: &Tokenizer) -> Option<u32> {
    tokenizer.token_id(value.get("content").unwrap_or(value).as_str()?)
}

/// One id or a list of them (no model has more than a few); `null` and -1 are for none.
fn by_id(value: &Value) -> Vec<u32> {
    const MOST: usize = 64;
    let id = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
    match value {
        Value::Array(list) => list.iter().take(MOST).filter_map(id).collect(),
        one => id(one).into_iter().collect(),
    }
}
