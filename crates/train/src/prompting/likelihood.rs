//! How likely a decoder finds words after prompts.

use crate::{Error, Result};
use offshoot_core::{Backbone, Batch, KvCache, Member, NoAdapter, Params, Pass, Weight, forward};

/// The most rows that the cache has room for. A single prompt may have more.
const CACHE_ROWS: usize = 4096;
/// The most prompts in a pass.
const MOST_PROMPTS: usize = 16;

/// A decoder and its output head.
pub(crate) struct Likelihood<'a> {
    pub(super) backbone: &'a dyn Backbone,
    pub(super) head: &'a Weight,
    none: Params,
}

/// The slots of a cache, and the tokens that each holds.
struct Slots {
    cache: KvCache,
    held: Vec<Vec<u32>>,
}

impl<'a> Likelihood<'a> {
    /// Asks a frozen model.
    ///
    /// # Errors
    /// If it has no output head.
    pub(crate) fn new(backbone: &'a dyn Backbone) -> Result<Self> {
        let head = backbone.output_head().ok_or_else(|| {
            Error::invalid(format!(
                "this needs a decoder with its output head, to ask how likely words are; this {} model has none",
                backbone.family()
            ))
        })?;
        Ok(Self { backbone, head, none: Params::new() })
    }

    /// `1/n sum_i log p(w_i | prompt, w_<i)` of every word after every prompt: one list per prompt.
    ///
    /// What a prompt shares with the one before it in its slot is not computed again, and no prompt is
    /// computed more than once for all words.
    ///
    /// # Errors
    /// As the model fails on a prompt; if a likelihood is not a number.
    pub(crate) fn of(&self, prompts: &[&[u32]], words: &[Vec<u32>]) -> Result<Vec<Vec<f64>>> {
        let longest = |lengths: &mut dyn Iterator<Item = usize>| lengths.max().unwrap_or(0);
        let capacity =
            longest(&mut prompts.iter().map(|p| p.len())) + longest(&mut words.iter().map(Vec::len));
        let most = (CACHE_ROWS / capacity.max(1)).clamp(1, MOST_PROMPTS).min(prompts.len());
        let mut slots = Slots { cache: KvCache::new(most, capacity), held: vec![Vec::new(); most] };
        let mut all = Vec::with_capacity(prompts.len());
        for chunk in prompts.chunks(most.max(1)) {
            all.extend(self.chunk(&mut slots, chunk, words)?);
        }
        match all.iter().flatten().all(|value| value.is_finite()) {
            true => Ok(all),
            false => Err(Error::invalid("the model gives a likelihood that is not a number")),
        }
    }

    /// One prompt for each of the first slots.
    fn chunk(&self, slots: &mut Slots, prompts: &[&[u32]], words: &[Vec<u32>]) -> Result<Vec<Vec<f64>>> {
        let starts = slots.keep(prompts);
        let fresh: Vec<&[u32]> = prompts.iter().zip(&starts).map(|(prompt, &at)| &prompt[at..]).collect();
        let first = self.extend(slots, &fresh, 1)?;
        let mut all = vec![Vec::with_capacity(words.len()); prompts.len()];
        for word in words {
            let Some((&head, last)) = word.split_first() else {
                return Err(Error::invalid("a label's word has no token"));
            };
            let mut totals: Vec<f64> = first.iter().map(|logits| log_prob(logits, head)).collect();
            if !last.is_empty() {
                // After all tokens but the last the model says how likely the next is.
                let given = &word[..last.len()];
                let rows = self.extend(slots, &vec![given; prompts.len()], last.len())?;
                for (total, rows) in totals.iter_mut().zip(rows.chunks(last.len())) {
                    *total += rows.iter().zip(last).map(|(logits, &id)| log_prob(logits, id)).sum::<f64>();
                }
                let lengths = prompts.iter().enumerate();
                lengths.for_each(|(slot, prompt)| slots.cache.truncate(slot, prompt.len()));
            }
            all.iter_mut().zip(totals).for_each(|(row, total)| row.push(total / word.len() as f64));
        }
        Ok(all)
    }

    /// Appends tokens to the first slots and gives the logits after the last `wanted` of each, in order.
    fn extend(&self, slots: &Slots, tokens: &[&[u32]], wanted: usize) -> Result<Vec<Vec<f32>>> {
        let mut order: Vec<usize> = (0..tokens.len()).collect();
        // The sequences of one member all start or all continue.
        order.sort_by_key(|&slot| slots.cache.rows(slot) > 0);
        let started = order.iter().filter(|&&slot| slots.cache.rows(slot) > 0).count();
        let mut batch = Batch::new();
        for &slot in &order {
            batch.push(tokens[slot], None, slot as u64)?;
        }
        let member = |sequences| Member { adapter: &NoAdapter, params: &self.none, sequences };
        let counts = [order.len() - started, started];
        let members: Vec<Member<'_>> = counts.into_iter().filter(|&n| n > 0).map(member).collect();
        let mut pass = Pass::cached(&batch, &members, &slots.cache, order.clone())?;
        let hidden = forward(self.backbone, &mut pass)?;
        let layout = pass.layout();
        let mut rows = Vec::with_capacity(order.len() * wanted);
        for slot in 0..order.len() {
            let place = order.iter().position(|&other| other == slot).unwrap_or(slot);
            let end = layout.sequence(place).end;
            rows.extend((end - wanted..end).map(|row| row as u32));
        }
        let logits = pass.step().product(&hidden.gather_rows(&rows)?, self.head)?;
        Ok(logits.to_vec().chunks(logits.cols().max(1)).map(<[f32]>::to_vec).collect())
    }
}

impl Slots {
    /// Keeps of each slot what its next prompt begins with, up to the last token, whose logits are wanted.
    /// Gives how much that is.
    fn keep(&mut self, prompts: &[&[u32]]) -> Vec<usize> {
        let keep = |(slot, prompt): (usize, &&[u32])| {
            let held = &mut self.held[slot];
            let shared = held.iter().zip(prompt.iter()).take_while(|(a, b)| a == b).count();
            let shared = shared.min(prompt.len().saturating_sub(1));
            self.cache.truncate(slot, shared);
            *held = prompt.to_vec();
            shared
        };
        prompts.iter().enumerate().map(keep).collect()
    }
}

/// The logarithm of a token's probability.
fn log_prob(logits: &[f32], id: u32) -> f64 {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let total: f64 = logits.iter().map(|&x| f64::from(x - largest).exp()).sum();
    logits.get(id as usize).map_or(f64::NAN, |&own| f64::from(own - largest) - total.ln())
}
