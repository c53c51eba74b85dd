//! The tokenizer that a file carries, as a tokenizer.json, which is then read like any other.
//!
//! The ids are those of transformers' `AutoTokenizer.from_pretrained(..., gguf_file=...)`, with exceptions
//! where it parts from the models' own tokenizer.json and from llama.cpp: LLaMA 3's words that are tokens
//! stay whole and its texts begin with its first token; `add_space_prefix` is heeded; control tokens are
//! found in a text whatever their characters.

use serde_json::{Value as Json, json};

use super::file::Gguf;
use crate::error::{Error, Result};
use crate::tokenizer::{SpecialTokens, Tokenizer};

mod bytes;
mod merges;
mod parts;
mod split;
#[cfg(test)]
mod tests;
mod vocabulary;

pub(crate) use merges::{checked, pair};
pub(crate) use parts::{Added, Bpe, File, write};
use parts::{added, around, pieces_to_text, spaces};
use split::Split;
use vocabulary::Vocabulary;

/// How sentencepiece writes a space.
const SPACE: &str = "\u{2581}";

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

    /// The special tokens that the file names, of ends those of the sequence, a turn and a message. Ids that are
    /// no token of it are left out.
    pub fn special_tokens(&self) -> SpecialTokens {
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
        SpecialTokens { bos: id("bos"), eos, pad: id("padding") }
    }

    fn text(&self, key: &str) -> Option<String> {
        self.get(key)?.as_text().map(str::to_owned)
    }
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
        merges: checked(&merges, &vocab)?,
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
        Some(listed) => checked(listed, &vocab)?,
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
