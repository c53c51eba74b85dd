//! The tokens of a file, their kinds, and the ids that it names.

use std::collections::BTreeMap;

use super::SPACE;
use crate::gguf::{Array, Gguf};

/// No vocabulary has more tokens.
const MOST_TOKENS: usize = 1 << 22;

/// What a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Text, a byte, or never used.
    Other,
    /// Has a meaning of its own, as that of unknown characters; never text.
    Control,
    /// Text that is always one token.
    UserDefined,
}

/// The vocabulary.
pub(super) struct Vocabulary {
    /// Each token's text; its id is its place.
    pub(super) tokens: Vec<String>,
    /// One for each token.
    pub(super) kinds: Vec<Kind>,
    /// The ids that the file names, by what for.
    ids: BTreeMap<&'static str, u64>,
}

impl Vocabulary {
    pub(super) fn read(gguf: &Gguf) -> Result<Self, String> {
        let tokens = texts(gguf, "tokenizer.ggml.tokens")?
            .ok_or("there is no `tokenizer.ggml.tokens`; convert the model again")?;
        if tokens.is_empty() || tokens.len() > MOST_TOKENS {
            let count = tokens.len();
            return Err(format!("a vocabulary of {count} tokens, not of 1 to {MOST_TOKENS}: damaged file"));
        }
        let id = |name: &'static str| {
            Some((name, gguf.get(&format!("tokenizer.ggml.{name}_token_id"))?.as_u64()?))
        };
        let ids = ["bos", "eos", "eot", "unknown"].into_iter().filter_map(id).collect();
        let kinds = kinds(gguf, tokens.len())?;
        Ok(Self { tokens, kinds, ids })
    }

    /// The id that the file names, which is one of its tokens.
    pub(super) fn named(&self, name: &str) -> Result<Option<usize>, String> {
        let Some(&id) = self.ids.get(name) else { return Ok(None) };
        let count = self.tokens.len();
        let known = usize::try_from(id).ok().filter(|&id| id < count);
        known.map(Some).ok_or_else(|| {
            format!("`tokenizer.ggml.{name}_token_id` is {id}, but there are {count} tokens: damaged file")
        })
    }

    /// A truth value of the tokenizer.
    pub(super) fn flag(&self, gguf: &Gguf, name: &str) -> Result<Option<bool>, String> {
        let key = format!("tokenizer.ggml.{name}");
        let Some(value) = gguf.get(&key) else { return Ok(None) };
        value.as_bool().map(Some).ok_or_else(|| format!("`{key}` must be true or false: damaged file"))
    }

    /// The score of each token.
    pub(super) fn scores(&self, gguf: &Gguf) -> Result<Vec<f64>, String> {
        let key = "tokenizer.ggml.scores";
        let value = gguf.get(key);
        let scores: Option<Vec<f64>> =
            value.as_ref().and_then(|value| value.as_array()?.iter().map(|score| score.as_f64()).collect());
        scores
            .filter(|scores| scores.len() == self.tokens.len())
            .ok_or_else(|| format!("`{key}` must be one number for each token; convert the model again"))
    }

    /// Token to id.
    pub(super) fn by_text(&self) -> Result<BTreeMap<&str, usize>, String> {
        let mut vocab = BTreeMap::new();
        for (id, token) in self.tokens.iter().enumerate() {
            if let Some(first) = vocab.insert(token.as_str(), id) {
                return Err(format!("tokens {first} and {id} are both {token:?}: damaged file"));
            }
        }
        Ok(vocab)
    }

    /// Gemma's runs of spaces stand in the file as spaces, but texts have none left when they are looked up.
    pub(super) fn respell_spaces(&mut self) {
        for (token, kind) in self.tokens.iter_mut().zip(&mut self.kinds) {
            if token.contains(' ') && token.trim().is_empty() {
                *token = SPACE.repeat(token.chars().count());
                // Made by pairs: what is looked for in a text as it is would have to be spaces.
                *kind = Kind::Other;
            }
        }
    }
}

fn kinds(gguf: &Gguf, count: usize) -> Result<Vec<Kind>, String> {
    let key = "tokenizer.ggml.token_type";
    let Some(value) = gguf.get(key) else { return Ok(vec![Kind::Other; count]) };
    let kind = |kind: u64| match kind {
        2 | 3 => Kind::Control,
        4 => Kind::UserDefined,
        _ => Kind::Other,
    };
    let kinds: Option<Vec<Kind>> =
        value.as_array().and_then(|kinds| kinds.iter().map(|value| value.as_u64().map(kind)).collect());
    kinds
        .filter(|kinds| kinds.len() == count)
        .ok_or_else(|| format!("`{key}` must be one number for each of {count} tokens: damaged file"))
}

/// A list of texts.
pub(super) fn texts(gguf: &Gguf, key: &str) -> Result<Option<Vec<String>>, String> {
    let Some(value) = gguf.get(key) else { return Ok(None) };
    let all = |array: &Array<'_>| {
        array.iter().map(|text| text.as_text().map(str::to_owned)).collect::<Option<Vec<_>>>()
    };
    let texts = value.as_array().and_then(all);
    texts.map(Some).ok_or_else(|| format!("`{key}` must be a list of texts: damaged file"))
}
