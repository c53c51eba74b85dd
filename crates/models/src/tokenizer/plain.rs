//! Encoding and decoding for language models: no tokens added, and text given back as it becomes final.

use std::ops::Range;

use super::{Tokenizer, guarded};
use crate::error::{Error, Result};

/// What a decoder writes for bytes that are no character (yet).
const BROKEN: char = '\u{fffd}';

impl Tokenizer {
    /// Encodes a text without adding special tokens; those that stand in the text are recognised.
    ///
    /// # Errors
    /// If the tokenizer cannot encode it.
    pub fn encode_plain(&self, text: &str) -> Result<Vec<u32>> {
        let encoded = guarded(|| Ok(self.inner.encode_fast(text, false)?.get_ids().to_vec()));
        self.in_vocabulary(encoded)
    }

    /// As [`Tokenizer::encode_plain`], and for each token the bytes of the text that it stands for.
    ///
    /// # Errors
    /// As [`Tokenizer::encode_plain`].
    pub fn encode_spans(&self, text: &str) -> Result<(Vec<u32>, Vec<Range<usize>>)> {
        let mut spans = Vec::new();
        let encoded = guarded(|| {
            let encoding = self.inner.encode(text, false)?;
            spans = encoding.get_offsets().iter().map(|&(from, to)| from..to).collect();
            Ok(encoding.get_ids().to_vec())
        });
        Ok((self.in_vocabulary(encoded)?, spans))
    }

    /// The special tokens that this tokenizer puts before a text on its own, such as LLaMA's `<s>`; none for
    /// most.
    ///
    /// # Errors
    /// If the tokenizer cannot encode a short text.
    pub fn start_tokens(&self) -> Result<Vec<u32>> {
        let text = "a";
        let plain = self.encode_plain(text)?;
        let whole =
            self.in_vocabulary(guarded(|| Ok(self.inner.encode_fast(text, true)?.get_ids().to_vec())))?;
        let at = whole.windows(plain.len().max(1)).position(|window| window == plain).unwrap_or(0);
        Ok(whole[..at].to_vec())
    }

    /// The text of some tokens; `skip_special` leaves out special ones. Ids that no token has are left out.
    ///
    /// # Errors
    /// If the tokenizer cannot decode them.
    pub fn decode(&self, ids: &[u32], skip_special: bool) -> Result<String> {
        let text = guarded(|| self.inner.decode(ids, skip_special));
        text.map_err(|cause| Error::tokenizer(&self.path, format!("cannot decode tokens: {cause}")))
    }

    /// Decodes tokens one by one, as they are generated.
    pub fn stream(&self, skip_special: bool) -> TextStream<'_> {
        TextStream { tokenizer: self, skip_special, ids: Vec::new(), given: 0 }
    }

    /// The id of a token, by its exact text.
    pub fn token_id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// The text of a token as the vocabulary has it; none if there is no such id.
    pub fn token(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    /// Whether the id is a special token, which [`Tokenizer::decode`] can leave out.
    pub fn is_special(&self, id: u32) -> bool {
        self.inner.get_added_tokens_decoder().get(&id).is_some_and(|token| token.special)
    }

    fn in_vocabulary(&self, encoded: Result<Vec<u32>, String>) -> Result<Vec<u32>> {
        let checked = encoded.and_then(|ids| match ids.iter().find(|&&id| id as usize >= self.vocab_size) {
            Some(id) => Err(format!("the id {id} is not in its vocabulary")),
            None => Ok(ids),
        });
        checked.map_err(|cause| Error::tokenizer(&self.path, format!("cannot encode a text: {cause}")))
    }
}

/// Text from tokens that come one by one. What it has given never changes: half a character waits for its
/// other half, and all pieces together are the text of all tokens.
#[derive(Debug)]
pub struct TextStream<'a> {
    tokenizer: &'a Tokenizer,
    skip_special: bool,
    /// The last tokens: enough to decode the next one as it would be decoded after all of them.
    ids: Vec<u32>,
    /// How many bytes of their text have been given.
    given: usize,
}

impl TextStream<'_> {
    /// So many tokens are kept to decode the next ones after, and so many let pile up before.
    const KEPT: usize = 8;
    const MOST: usize = 64;

    /// Takes a token; the text that is final now and was not before, often none.
    ///
    /// # Errors
    /// If the tokenizer cannot decode it.
    pub fn push(&mut self, id: u32) -> Result<String> {
        self.ids.push(id);
        if self.is_byte(id) {
            // The bytes of a run are a text together or not at all.
            return Ok(String::new());
        }
        let text = self.tokenizer.decode(&self.ids, self.skip_special)?;
        let whole = text.strip_suffix(BROKEN).unwrap_or(&text);
        let new = self.take(whole);
        if whole.len() == text.len() && self.ids.len() > Self::MOST {
            self.forget(&text)?;
        }
        Ok(new)
    }

    /// What is left when no token follows: half a character as U+FFFD.
    ///
    /// # Errors
    /// If the tokenizer cannot decode it.
    pub fn finish(mut self) -> Result<String> {
        let text = self.tokenizer.decode(&self.ids, self.skip_special)?;
        Ok(self.take(&text))
    }

    fn take(&mut self, text: &str) -> String {
        let new = text.get(self.given..).unwrap_or_default().to_owned();
        self.given += new.len();
        new
    }

    /// Keeps the last tokens only, if their text alone is how the text of all ends.
    fn forget(&mut self, text: &str) -> Result<()> {
        let kept = &self.ids[self.ids.len() - Self::KEPT..];
        let end = self.tokenizer.decode(kept, self.skip_special)?;
        if text.ends_with(&end) && !end.is_empty() && self.given == text.len() {
            self.given = end.len();
            self.ids = kept.to_vec();
        }
        Ok(())
    }

    /// Whether the token is a single byte, as byte fallback writes it: `<0xE2>`.
    fn is_byte(&self, id: u32) -> bool {
        let token = self.tokenizer.token(id).unwrap_or_default();
        let digits = token.strip_prefix("<0x").and_then(|rest| rest.strip_suffix('>'));
        digits.is_some_and(|digits| digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
    }
}

#[cfg(test)]
mod tests;
