//! The parts of a tokenizer.json.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::{Value as Json, json};

use super::SPACE;
use super::vocabulary::{Kind, Vocabulary};
use crate::gguf::Gguf;

/// A tokenizer.json.
#[derive(Serialize)]
pub(crate) struct File<'a> {
    pub(crate) version: &'static str,
    pub(crate) added_tokens: Vec<Added<'a>>,
    pub(crate) normalizer: Json,
    pub(crate) pre_tokenizer: Json,
    pub(crate) post_processor: Json,
    pub(crate) decoder: Json,
    pub(crate) model: Bpe<'a>,
}

/// A token that is found in the text before anything else is done to it.
#[derive(Serialize)]
pub(crate) struct Added<'a> {
    pub(crate) id: usize,
    pub(crate) content: &'a str,
    pub(crate) single_word: bool,
    pub(crate) lstrip: bool,
    pub(crate) rstrip: bool,
    pub(crate) normalized: bool,
    pub(crate) special: bool,
}

/// Its model.
#[derive(Serialize)]
pub(crate) struct Bpe<'a> {
    pub(crate) r#type: &'static str,
    pub(crate) unk_token: Option<&'a str>,
    pub(crate) fuse_unk: bool,
    pub(crate) byte_fallback: bool,
    pub(crate) ignore_merges: bool,
    pub(crate) vocab: BTreeMap<&'a str, usize>,
    pub(crate) merges: Vec<(&'a str, &'a str)>,
}

/// Normalizer and pre-tokenizer that write spaces as sentencepiece does. They differ beside added tokens:
/// elsewhere than in Gemma the first word gets a space before it.
pub(super) fn spaces(gemma: bool, prefixed: bool) -> (Json, Json) {
    if gemma && !prefixed {
        let split = json!({
            "type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": false,
        });
        return (json!({"type": "Replace", "pattern": {"String": " "}, "content": SPACE}), split);
    }
    let scheme = if prefixed { "first" } else { "never" };
    let metaspace =
        json!({"type": "Metaspace", "replacement": SPACE, "prepend_scheme": scheme, "split": false});
    (Json::Null, metaspace)
}

pub(super) fn pieces_to_text(prefixed: bool) -> Json {
    let mut decoders = vec![
        json!({"type": "Replace", "pattern": {"String": SPACE}, "content": " "}),
        json!({"type": "ByteFallback"}),
        json!({"type": "Fuse"}),
    ];
    if prefixed {
        decoders.push(json!({"type": "Strip", "content": " ", "start": 1, "stop": 0}));
    }
    json!({"type": "Sequence", "decoders": decoders})
}

/// Control tokens and those that begin and end texts are special; what a user defined is only kept whole.
pub(super) fn added(words: &Vocabulary) -> Vec<Added<'_>> {
    let names: &[&str] = &["bos", "eos", "eot"];
    let named: BTreeSet<usize> = names.iter().filter_map(|name| words.named(name).ok()?).collect();
    let add = |(id, (token, &kind)): (usize, (&'_ String, &Kind))| {
        let special = kind == Kind::Control || named.contains(&id);
        (special || kind == Kind::UserDefined).then_some((id, special, token.len()))
    };
    let found = words.tokens.iter().zip(&words.kinds).enumerate().filter_map(add);
    found
        .filter(|(_, _, length)| *length > 0)
        .map(|(id, special, _)| Added {
            id,
            content: &words.tokens[id],
            single_word: false,
            lstrip: false,
            rstrip: false,
            normalized: false,
            special,
        })
        .collect()
}

/// What stands around every text: the tokens that begin and end it, as the file wishes.
pub(super) fn around(gguf: &Gguf, words: &Vocabulary, begins: bool) -> Result<Json, String> {
    let wished = |name: &str, default: bool| -> Result<Option<usize>, String> {
        let flag = words.flag(gguf, &format!("add_{name}_token"))?;
        match (flag.unwrap_or(default), words.named(name)?) {
            (false, _) => Ok(None),
            (true, None) if flag.is_some() => Err(format!(
                "`tokenizer.ggml.add_{name}_token` asks for a token that `tokenizer.ggml.{name}_token_id` does \
                 not name: damaged file"
            )),
            (true, id) => Ok(id),
        }
    };
    let (bos, eos) = (wished("bos", begins)?, wished("eos", false)?);
    let special =
        |id: Option<usize>| id.map(|id| json!({"SpecialToken": {"id": words.tokens[id], "type_id": 0}}));
    // These models know no token types.
    let text = |name: &str| {
        let text = json!({"Sequence": {"id": name, "type_id": 0}});
        [special(bos), Some(text), special(eos)].into_iter().flatten().collect::<Vec<_>>()
    };
    let tokens: serde_json::Map<String, Json> = [bos, eos]
        .into_iter()
        .flatten()
        .map(|id| (&words.tokens[id], id))
        .map(|(token, id)| (token.clone(), json!({"id": token, "ids": [id], "tokens": [token]})))
        .collect();
    let pair = [text("A"), text("B")].concat();
    Ok(json!({
        "type": "TemplateProcessing",
        "single": text("A"),
        "pair": pair,
        "special_tokens": tokens,
    }))
}

pub(crate) fn write(file: &File<'_>) -> Result<String, String> {
    serde_json::to_string(file).map_err(|cause| cause.to_string())
}
