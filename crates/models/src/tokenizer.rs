//! Text to token ids, as the model was trained to see it.

use std::path::{Path, PathBuf};

use rayon::prelude::*;
use tokenizers::utils::parallelism::set_parallelism;
use tokenizers::utils::truncation::{TruncationParams, TruncationStrategy, truncate_encodings};
use tokenizers::{Encoding, ModelWrapper, PostProcessor};

use crate::error::{Error, Result};
use crate::files;

mod added_tokens;
mod byte_pairs;
#[cfg(test)]
mod byte_pairs_tests;
mod plain;
mod special;
mod vocabulary;

pub use plain::TextStream;
pub use special::SpecialTokens;

/// A text, and the second one of a pair.
pub type Row<'a> = (&'a str, Option<&'a str>);

/// A tokenizer without truncation or padding of its own.
#[derive(Debug)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    path: PathBuf,
    vocab_size: usize,
}

/// One row's tokens, the special ones among them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// Token ids, each below [`Tokenizer::vocab_size`].
    pub ids: Vec<u32>,
    /// Token type of each: 0 for the first text, 1 for the second where the model tells them apart.
    pub types: Vec<u8>,
    /// Whether tokens were cut off to keep to the length.
    pub truncated: bool,
}

impl Tokenizer {
    /// Opens a folder's tokenizer: `tokenizer.json`, else `vocab.txt` (BERT's word pieces, with the settings
    /// of `tokenizer_config.json`), else `vocab.json` with `merges.txt` (byte-level pairs of GPT-2 or RoBERTa, with
    /// the special tokens that `tokenizer_config.json`, `special_tokens_map.json` and `added_tokens.json` name).
    ///
    /// # Errors
    /// If there is none of these, or if it is damaged or cannot encode a short text.
    pub fn open(folder: &Path) -> Result<Self> {
        let json = folder.join("tokenizer.json");
        if json.exists() {
            Self::parse(&json, &files::read_text(&json)?)
        } else if folder.join("vocab.txt").exists() {
            Self::parse(&folder.join("vocab.txt"), &vocabulary::word_pieces(folder)?)
        } else if byte_pairs::FILES.iter().all(|name| folder.join(name).exists()) {
            Self::parse(&folder.join(byte_pairs::FILES[0]), &byte_pairs::read(folder)?)
        } else {
            let half = byte_pairs::FILES.iter().find(|name| folder.join(name).exists());
            let half = half.map_or(String::new(), |name| format!("; only {name} is here"));
            let reason = "no tokenizer: expected tokenizer.json, vocab.txt (BERT), or vocab.json and merges.txt \
                          (GPT-2, RoBERTa)";
            Err(Error::tokenizer(folder, format!("{reason}{half}")))
        }
    }

    /// From the text of a tokenizer.json, wherever it came from; `path` is for messages.
    ///
    /// # Errors
    /// If it is damaged or cannot encode a short text.
    pub fn from_json(path: &Path, json: &str) -> Result<Self> {
        Self::parse(path, json)
    }

    /// From the text of a tokenizer.json; `path` is for messages.
    fn parse(path: &Path, json: &str) -> Result<Self> {
        // Otherwise the crate asks the environment on every call.
        set_parallelism(true);
        let damaged =
            |cause: String| Error::tokenizer(path, format!("cannot be used as a tokenizer: {cause}"));
        let mut inner = guarded(|| tokenizers::Tokenizer::from_bytes(json)).map_err(damaged)?;
        inner.with_padding(None);
        inner.with_truncation(None).map_err(|cause| damaged(cause.to_string()))?;
        if let ModelWrapper::BPE(model) = inner.get_model()
            && model.dropout.is_some_and(|dropout| dropout > 0.0)
        {
            return Err(damaged("its merges are random (`dropout`); set model.dropout to null".into()));
        }
        let largest = inner.get_vocab(true).into_values().max();
        let vocab_size = largest.map_or(0, |id| id as usize + 1);
        let tokenizer = Self { inner, path: path.to_path_buf(), vocab_size };
        // Whatever is inconsistent in the file shows here rather than in the middle of the data.
        tokenizer.encode("Hello, world", Some("42"), 512)?;
        tokenizer.encode("", None, 512)?;
        Ok(tokenizer)
    }

    /// One more than the largest id; a model with fewer rows in its embedding does not belong to this
    /// tokenizer.
    pub fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    /// Encodes a text, or a pair, with the model's special tokens. More than `max_length` tokens (special
    /// ones counted) are cut off at the end of the longer text (`longest_first`, as transformers does).
    ///
    /// # Errors
    /// If `max_length` leaves no room for text, or if the tokenizer cannot encode it.
    pub fn encode(&self, text: &str, pair: Option<&str>, max_length: usize) -> Result<Encoded> {
        let added =
            self.inner.get_post_processor().map_or(0, |processor| processor.added_tokens(pair.is_some()));
        if max_length <= added {
            let reason =
                format!("a maximum length of {max_length} leaves no room beside {added} special tokens");
            return Err(Error::tokenizer(&self.path, reason));
        }
        let encoded = guarded(|| self.try_encode(text, pair, max_length - added));
        encoded.map_err(|cause| Error::tokenizer(&self.path, format!("cannot encode a text: {cause}")))
    }

    /// Encodes many rows at once, in parallel; the result has their order.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn encode_all(&self, rows: &[Row<'_>], max_length: usize) -> Result<Vec<Encoded>> {
        rows.par_iter().map(|(text, pair)| self.encode(text, *pair, max_length)).collect()
    }

    /// `room` is what the special tokens leave.
    fn try_encode(&self, text: &str, pair: Option<&str>, room: usize) -> tokenizers::Result<Encoded> {
        let first = self.inner.encode_fast(text, false)?;
        let second = pair.map(|pair| self.inner.encode_fast(pair, false)).transpose()?;
        let length = first.len() + second.as_ref().map_or(0, Encoding::len);
        let cut = TruncationParams {
            max_length: room,
            strategy: TruncationStrategy::LongestFirst,
            ..Default::default()
        };
        let (mut first, mut second) = truncate_encodings(first, second, &cut)?;
        // What was cut off is kept as "overflowing", and would get special tokens too.
        first.take_overflowing();
        second.as_mut().map(Encoding::take_overflowing);
        let whole = self.inner.post_process(first, second, true)?;
        let types = whole.get_type_ids().iter().map(|&id| u8::try_from(id)).collect::<Result<_, _>>()?;
        let ids = whole.get_ids().to_vec();
        if let Some(id) = ids.iter().find(|&&id| id as usize >= self.vocab_size) {
            return Err(format!("the id {id} is not in its vocabulary").into());
        }
        Ok(Encoded { ids, types, truncated: length > room })
    }
}

/// Runs a call into the tokenizers crate, which panics on some inconsistent files instead of failing.
fn guarded<T>(call: impl FnOnce() -> tokenizers::Result<T>) -> Result<T, String> {
    match offshoot_core::guarded(call) {
        Some(result) => result.map_err(|cause| cause.to_string()),
        None => Err("the file contradicts itself (a token or a merge that is not in its vocabulary)".into()),
    }
}

#[cfg(test)]
mod tests;
