//! The tokenizer that a file carries, as a tokenizer.json, which is then read like any other.
//!
//! The ids are those of transformers' `AutoTokenizer.from_pretrained(..., gguf_file=...)`, with one
//! exception: LLaMA 3's words that are tokens as they are stay whole and its texts begin with its first
//! token, as its own tokenizer.json and llama.cpp have it.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::{Value as Json, json};

use super::file::Gguf;
use crate::error::{Error, Result};
use crate::tokenizer::Tokenizer;

mod bytes;
mod merges;
mod split;
#[cfg(test)]
mod tests;
mod vocabulary;

use split::Split;
use vocabulary::{Kind, Vocabulary};

/// How sentencepiece writes a space.
const SPACE: &str = "\u{2581}";

/// The ids that a file gives to tokens with a meaning for generation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpecialIds {
    /// Begins a sequence.
    pub bos: Option<u32>,
    /// End a text: the end of the sequence, then the ends of a turn and of a message where they differ.
    pub eos: Vec<u32>,
    /// Fills up rows.
    pub pad: Option<u32>,
}

impl Gguf {
    /// The tokenizer of the file.
    ///
    /// # Errors
    /// If the file has none or one of a kind that is not read, or if it contradicts itself.
    pub fn tokenizer(&self) -> Result<Tokenizer> {
        Tokenizer::from_json(self.path(), &self.tokenizer_json()?)
    }

    /// The same as the text of a tokenizer.json.
    ///
    /// # Errors
    /// If the file has none or one of a kind that is not read, or if it contradicts itself.
    pub fn tokenizer_json(&self) -> Result<String> {
        build(self).map_err(|reason| Error::tokenizer(self.path(), reason))
    }

    /// The Jinja text that makes a conversation one text, if the file has one.
    pub fn chat_template(&self) -> Option<String> {
        self.text("tokenizer.chat_template")
    }

    /// The special ids that the file names. Those that are no token of it are left out.
    pub fn special_ids(&self) -> SpecialIds {
        let count = self.get("tokenizer.ggml.tokens");
        let count = count.and_then(|tokens| tokens.as_array().map(super::Array::len)).unwrap_or(0);
        let id = |name: &str| {
            let id = self.get(&format!("tokenizer.ggml.{name}_token_id"))?.as_u64()?;
            u32::try_from(id).ok().filter(|&id| (id as usize) < count)
        };
        let mut eos: Vec<u32> = Vec::new();
        for id in ["eos", "eot", "eom"].into_iter().filter_map(id) {
            if !eos.contains(&id) {
                eos.push(id);
            }
        }
        SpecialIds { bos: id("bos"), eos, pad: id("padding") }
    }

    fn text(&self, key: &str) -> Option<String> {
        self.get(key)?.as_text().map(str::to_owned)
    }
}

/// A tokenizer.json.
#[derive(Serialize)]
struct File<'a> {
    version: &'static str,
    added_tokens: Vec<Added<'a>>,
    normalizer: Json,
    pre_tokenizer: Json,
    post_processor: Json,
    decoder: Json,
    model: Bpe<'a>,
}

/// A token that is found in the text before anything else is done to it.
#[derive(Serialize)]
struct Added<'a> {
    id: usize,
    content: &'a str,
    single_word: bool,
    lstrip: bool,
    rstrip: bool,
    normalized: bool,
    special: bool,
}

#[derive(Serialize)]
struct Bpe<'a> {
    r#type: &'static str,
    unk_token: Option<&'a str>,
    fuse_unk: bool,
    byte_fallback: bool,
    ignore_merges: bool,
    vocab: BTreeMap<&'a str, usize>,
    merges: Vec<(&'a str, &'a str)>,
}

fn build(gguf: &Gguf) -> Result<String, String> {
    let Some(model) = gguf.text("tokenizer.ggml.model") else {
        return Err("the file has no tokenizer (`tokenizer.ggml.model`); convert the model again".into());
    };
    match model.as_str() {
        "gpt2" => byte_level(gguf),
        "llama" => sentence_pieces(gguf),
        other => Err(format!("the tokenizer `{other}` is not supported; supported are gpt2 and llama")),
    }
}

/// Byte-level pairs: GPT-2, LLaMA 3, Qwen, SmolLM.
fn byte_level(gguf: &Gguf) -> Result<String, String> {
    let split = Split::of(gguf.text("tokenizer.ggml.pre").as_deref())?;
    let mut words = Vocabulary::read(gguf)?;
    let merges =
        merges::listed(gguf)?.ok_or("there is no `tokenizer.ggml.merges`; convert the model again")?;
    bytes::respell(&mut words, &merges);
    let vocab = words.by_text()?;
    let model = Bpe {
        r#type: "BPE",
        unk_token: None,
        fuse_unk: false,
        byte_fallback: false,
        ignore_merges: split.keeps_words(),
        merges: merges::checked(&merges, &vocab)?,
        vocab,
    };
    write(&File {
        version: "1.0",
        added_tokens: added(&words),
        normalizer: Json::Null,
        pre_tokenizer: split.pre_tokenizer(),
        post_processor: around(gguf, &words, split.begins_texts())?,
        decoder: json!({"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true}),
        model,
    })
}

/// Sentencepiece's pairs: LLaMA 1 and 2, Mistral, Gemma.
fn sentence_pieces(gguf: &Gguf) -> Result<String, String> {
    let mut words = Vocabulary::read(gguf)?;
    let gemma = gguf.text("general.architecture").is_some_and(|name| name.starts_with("gemma"));
    if gemma {
        words.respell_spaces();
    }
    let listed = merges::listed(gguf)?;
    let vocab = words.by_text()?;
    let merges = match &listed {
        Some(listed) => merges::checked(listed, &vocab)?,
        // Gemma's scores do not follow the order in which its pairs were found; its ids do.
        None if gemma => merges::implied(&words.tokens, &vocab, |id| -(id as f64))?,
        None => {
            let scores = words.scores(gguf)?;
            merges::implied(&words.tokens, &vocab, |id| scores[id])?
        }
    };
    let unknown = words.named("unknown")?.map(|id| words.tokens[id].as_str());
    let model = Bpe {
        r#type: "BPE",
        unk_token: unknown,
        fuse_unk: true,
        byte_fallback: true,
        ignore_merges: false,
        vocab,
        merges,
    };
    let prefixed = words.flag(gguf, "add_space_prefix")?.unwrap_or(!gemma);
    let (normalizer, pre_tokenizer) = spaces(gemma, prefixed);
    write(&File {
        version: "1.0",
        added_tokens: added(&words),
        normalizer,
        pre_tokenizer,
        post_processor: around(gguf, &words, true)?,
        decoder: pieces_to_text(prefixed),
        model,
    })
}

/// Normalizer and pre-tokenizer that write spaces as sentencepiece does. They differ beside added tokens:
/// elsewhere than in Gemma the first word gets a space before it.
fn spaces(gemma: bool, prefixed: bool) -> (Json, Json) {
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

fn pieces_to_text(prefixed: bool) -> Json {
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
fn added(words: &Vocabulary) -> Vec<Added<'_>> {
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
fn around(gguf: &Gguf, words: &Vocabulary, begins: bool) -> Result<Json, String> {
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

fn write(file: &File<'_>) -> Result<String, String> {
    serde_json::to_string(file).map_err(|cause| cause.to_string())
}
