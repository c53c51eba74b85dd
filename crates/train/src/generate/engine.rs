//! Many rows at once: each pass takes the next token of every row that is being written and pieces of the
//! prompts that are waiting. A row that ends leaves its slot of the cache to the next one.

use super::active::Active;
use super::{Decode, Generated, Request, Sampling};
use crate::language_model::LanguageModel;
use crate::{Error, Result};
use offshoot_core::{Backbone, Batch, KvCache, Member, NoAdapter, Params, Pass, forward};

/// How much is computed and kept at once. What is written does not depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most rows that are written at once.
    pub sequences: usize,
    /// The most tokens of a pass, as far as prompts can be cut: each row that is being written has one.
    pub batch_tokens: usize,
    /// The most tokens that the cache has room for. A single row may have more.
    pub cache_tokens: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { sequences: 32, batch_tokens: 2048, cache_tokens: 16_384 }
    }
}

/// Where text goes.
pub struct Output<'a> {
    /// Gives the decoder of a row.
    pub decode: &'a dyn Fn() -> Box<dyn Decode + 'a>,
    /// Is told what was written, as soon as it is final: the place of the request, and the new piece of its
    /// text. An error of it ends everything.
    pub written: &'a mut dyn FnMut(usize, &str) -> Result<()>,
}

/// A model and adapters on it, ready to write.
pub struct Generator<'a> {
    pub(super) base: &'a dyn Backbone,
    pub(super) adapters: Vec<&'a LanguageModel>,
    /// How much is computed and kept at once.
    pub limits: Limits,
    /// What no adapter has trained.
    none: Params,
}

impl<'a> Generator<'a> {
    /// A generator on `base`, which was loaded as a language model.
    ///
    /// # Errors
    /// If it was not, or an adapter is on another model.
    pub fn new(base: &'a dyn Backbone, adapters: Vec<&'a LanguageModel>) -> Result<Self> {
        if base.output_head().is_none() {
            return Err(Error::invalid("the model was loaded without its output head"));
        }
        let fits =
            |m: &LanguageModel| m.backbone.shape() == base.shape() && m.backbone.family() == base.family();
        match adapters.iter().position(|adapter| !fits(adapter)) {
            Some(other) => Err(Error::invalid(format!("adapter {other} is on a model of another size"))),
            None => Ok(Self { base, adapters, limits: Limits::default(), none: Params::new() }),
        }
    }

    /// Continues all requests; the results have their order.
    ///
    /// # Errors
    /// As [`check`](Self::check); if logits are not numbers; as the model, the decoder and `output` fail.
    pub fn run(
        &self,
        requests: &[Request],
        sampling: &Sampling,
        output: &mut Output<'_>,
    ) -> Result<Vec<Generated>> {
        self.check(requests, sampling)?;
        let capacity = requests.iter().map(|request| self.rows(request)).max().unwrap_or(0);
        let fitting = (self.limits.cache_tokens / capacity.max(1)).min(self.limits.sequences).max(1);
        let cache = KvCache::new(fitting.min(requests.len()), capacity);
        let mut free: Vec<usize> = (0..cache.slots()).collect();
        let mut order: Vec<usize> = (0..requests.len()).collect();
        // Rows of one adapter follow each other, so that few adapters share a pass. The first is the last.
        order.sort_by_key(|&index| (requests[index].adapter, index));
        order.reverse();
        let mut results = vec![None; requests.len()];
        let mut active = Vec::new();
        loop {
            while let Some(slot) = free.pop_if(|_| !order.is_empty()) {
                let Some(index) = order.pop() else { break };
                cache.truncate(slot, 0);
                active.push(self.start((index, slot), &requests[index], sampling, output)?);
            }
            if active.is_empty() {
                break;
            }
            self.step(&mut active, &cache, output)?;
            for row in active.extract_if(.., |row| row.finish.is_some()) {
                free.push(row.slot);
                let (index, (last, result)) = (row.index, row.end()?);
                tell(output, index, &last)?;
                results[index] = Some(result);
            }
        }
        Ok(results.into_iter().flatten().collect())
    }

    /// A request at its start: its place and its slot of the cache.
    pub(super) fn start<'d>(
        &self,
        place: (usize, usize),
        request: &Request,
        sampling: &Sampling,
        output: &Output<'d>,
    ) -> Result<Active<'d>> {
        Active::new(place, request, sampling, self.room(request.adapter), (output.decode)())
    }

    /// One pass over all rows, and the next token of each whose prompt is complete.
    pub(super) fn step(
        &self,
        active: &mut [Active<'_>],
        cache: &KvCache,
        output: &mut Output<'_>,
    ) -> Result<()> {
        active.sort_by_key(|row| (row.adapter, row.held > 0));
        let shares = shares(active, self.limits.batch_tokens);
        let (logits, vocab) = self.logits(active, &shares, cache)?;
        let mut logits = logits.chunks(vocab.max(1));
        for (row, share) in active.iter_mut().zip(shares) {
            row.held += share;
            if row.pending().is_empty()
                && let Some(logits) = logits.next()
            {
                let new = row.advance(logits)?;
                tell(output, row.index, &new)?;
            }
        }
        Ok(())
    }

    /// The logits after the rows whose tokens are all in with this pass, and the size of the vocabulary.
    fn logits(&self, active: &[Active<'_>], shares: &[usize], cache: &KvCache) -> Result<(Vec<f32>, usize)> {
        let (mut batch, mut slots, mut complete) = (Batch::new(), Vec::new(), Vec::new());
        let mut members: Vec<Member<'_>> = Vec::new();
        let mut last = None;
        for (row, &share) in active.iter().zip(shares).filter(|(_, share)| **share > 0) {
            batch.push(&row.pending()[..share], None, row.row)?;
            slots.push(row.slot);
            complete.push(share == row.pending().len());
            let kind = (row.adapter, row.held > 0);
            match members.last_mut().filter(|_| last == Some(kind)) {
                Some(member) => member.sequences += 1,
                None => members.push(self.member(row.adapter)),
            }
            last = Some(kind);
        }
        let backbone = self.backbone(active);
        let mut pass = Pass::cached(&batch, &members, cache, slots)?;
        let hidden = forward(backbone, &mut pass)?;
        let ends = pass.layout().last_rows();
        let ends: Vec<u32> =
            ends.into_iter().zip(complete).filter(|(_, done)| *done).map(|(row, _)| row).collect();
        let Some(head) = backbone.output_head().filter(|_| !ends.is_empty()) else {
            return Ok((Vec::new(), 0));
        };
        let logits = pass.step().product(&hidden.gather_rows(&ends)?, head)?;
        Ok((logits.to_vec(), logits.cols()))
    }

    fn member(&self, adapter: Option<usize>) -> Member<'_> {
        match adapter.map(|adapter| self.adapters[adapter]) {
            Some(model) => Member { adapter: model.adapter.as_ref(), params: &model.params, sequences: 1 },
            None => Member { adapter: &NoAdapter, params: &self.none, sequences: 1 },
        }
    }

    /// The model itself, or the copy whose weights an adapter trained: its rows are alone.
    fn backbone(&self, active: &[Active<'_>]) -> &dyn Backbone {
        let own = active.first().and_then(|row| row.adapter).filter(|&adapter| self.trains_base(adapter));
        own.map_or(self.base, |adapter| self.adapters[adapter].backbone.as_ref())
    }

    /// Whether an adapter trained weights of the model itself.
    pub(super) fn trains_base(&self, adapter: usize) -> bool {
        let own = |model: &&LanguageModel| model.backbone.weights().iter().any(|w| w.param().is_some());
        self.adapters.get(adapter).is_some_and(own)
    }

    /// Rows of the cache that an adapter's virtual tokens and prefixes take.
    pub(super) fn virtual_tokens(&self, adapter: Option<usize>) -> usize {
        let tokens = |m: &&LanguageModel| m.adapter.prompt_tokens() + m.adapter.prefix_tokens();
        adapter.and_then(|adapter| self.adapters.get(adapter)).map_or(0, tokens)
    }

    /// The most tokens that the model has positions for beside an adapter's.
    pub(super) fn room(&self, adapter: Option<usize>) -> usize {
        self.base.shape().positions.saturating_sub(self.virtual_tokens(adapter))
    }

    /// The most rows of the cache that a request can come to need.
    pub(super) fn rows(&self, request: &Request) -> usize {
        let tokens = request.prompt.len().saturating_add(request.stop.max_tokens);
        tokens.saturating_add(self.virtual_tokens(request.adapter)).min(self.base.shape().positions)
    }
}

pub(super) fn tell(output: &mut Output<'_>, index: usize, new: &str) -> Result<()> {
    if new.is_empty() { Ok(()) } else { (output.written)(index, new) }
}

/// How many tokens of each row go into the next pass. A row that is being written has one; prompts share what
/// `most` leaves.
fn shares(active: &[Active<'_>], most: usize) -> Vec<usize> {
    let written = active.iter().filter(|row| row.pending().len() == 1).count();
    let mut left = most.saturating_sub(written);
    let share = |row: &Active<'_>| {
        let pending = row.pending().len();
        if pending == 1 {
            return 1;
        }
        let share = pending.min(left);
        left -= share;
        share
    };
    let mut shares: Vec<_> = active.iter().map(share).collect();
    if shares.iter().all(|share| *share == 0)
        && let Some(first) = shares.first_mut()
    {
        *first = 1;
    }
    shares
}
