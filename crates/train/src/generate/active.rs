//! A row that is being continued.

use super::text::Text;
use super::{Decode, Finish, Generated, Request, Sampler, Sampling, Stop};
use crate::{Error, Result};

pub(super) struct Active<'a> {
    /// The place of its request among all.
    pub(super) index: usize,
    /// What its random numbers depend on, and messages name.
    pub(super) row: u64,
    pub(super) adapter: Option<usize>,
    /// Its slot of the cache.
    pub(super) slot: usize,
    /// How many of its tokens the cache holds. At 0 it holds none of the adapter's virtual ones either.
    pub(super) held: usize,
    /// The prompt, then what was written.
    pub(super) tokens: Vec<u32>,
    prompt: usize,
    /// The most tokens that the model has positions for.
    room: usize,
    stop: Stop,
    sampler: Sampler,
    text: Text,
    decode: Box<dyn Decode + 'a>,
    /// Why it ended, once it has.
    pub(super) finish: Option<Finish>,
}

impl<'a> Active<'a> {
    /// A request at its start, with nothing in the cache.
    pub(super) fn new(
        (index, slot): (usize, usize),
        request: &Request,
        sampling: &Sampling,
        room: usize,
        decode: Box<dyn Decode + 'a>,
    ) -> Result<Self> {
        Ok(Self {
            index,
            row: request.row,
            adapter: request.adapter,
            slot,
            held: 0,
            tokens: request.prompt.clone(),
            prompt: request.prompt.len(),
            room,
            stop: request.stop.clone(),
            sampler: Sampler::new(sampling, request.row, &request.prompt)?,
            text: Text::new(&request.stop.strings),
            decode,
            finish: None,
        })
    }

    /// The tokens that the cache does not hold yet. At least one, until the row ends.
    pub(super) fn pending(&self) -> &[u32] {
        &self.tokens[self.held..]
    }

    /// Chooses the next token from its logits `[vocab]`; the text that is final now.
    pub(super) fn advance(&mut self, logits: &[f32]) -> Result<String> {
        let written = self.tokens.len() - self.prompt;
        let named =
            |error: Error| Error::invalid(format!("row {}, token {}: {error}", self.row, written + 1));
        let id = self.sampler.next(logits).map_err(named)?;
        if self.stop.eos.contains(&id) {
            self.finish = Some(Finish::Eos);
            return Ok(String::new());
        }
        self.tokens.push(id);
        let new = self.text.push(&self.decode.push(id)?);
        if self.text.stopped {
            self.finish = Some(Finish::Stop);
        } else if written + 1 >= self.stop.max_tokens || self.tokens.len() > self.room {
            self.finish = Some(Finish::Length);
        }
        Ok(new)
    }

    /// The result, and the text that is final only now.
    pub(super) fn end(mut self) -> Result<(String, Generated)> {
        let mut last = self.text.push(&self.decode.finish()?);
        last += &self.text.finish();
        let finish = match self.finish {
            Some(finish) if !self.text.stopped => finish,
            _ => Finish::Stop,
        };
        let ids = self.tokens.split_off(self.prompt);
        Ok((last, Generated { ids, text: self.text.into_text(), finish }))
    }
}
