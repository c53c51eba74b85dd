//! What a run will hold, part by part, and how it is made to fit.

use super::probe::Costs;
use super::system::{code_bytes, own_bytes};
use crate::frozen::Depth;
use crate::rows::Tokens;
use crate::trainer::{Given, Learner, TrainSettings};
use crate::{Error, Result};
use offshoot_core::{Backbone, logits_bytes};
use serde::{Deserialize, Serialize};

/// The most bytes that a run will hold at a time, and the settings by which it stays there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryPlan {
    /// The model's, in its files' pages or copied.
    pub weights: u64,
    /// The program's own, with rows and tokenizer.
    pub program: u64,
    /// What is trained, with its gradients.
    pub adapter: u64,
    /// The optimizer's two means for each trained value, and the values of the best epoch.
    pub optimizer: u64,
    /// What a step saves on the way up and uses beside it.
    pub activations: u64,
    /// Outputs of frozen blocks that are kept in memory.
    pub cache: u64,
    /// Most tokens of a micro-batch.
    pub batch_tokens: usize,
    /// Blocks that are computed again on the way back.
    pub recompute: usize,
    /// Blocks that record anything.
    pub trained_blocks: usize,
}

/// Micro-batches of fewer tokens make products slower; until then they are the cheaper way to save.
const FULL_SPEED: usize = 512;

/// The share of a limit that a plan may fill: no plan is exact.
const CERTAIN: f64 = 0.97;

/// What is held beyond what is in use: buffers come in sizes, and batches differ. The pool is told which.
const TIGHT: f64 = 1.08;
const LOOSE: f64 = 1.12;

impl MemoryPlan {
    /// Plans a run on the given rows to train on, under `settings.memory` if that is given.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the limit is too small, with the smallest that would do; as the model fails on a
    /// row.
    pub fn new<L: Learner>(learner: &L, given: &Given<'_, L::Row>, settings: &TrainSettings) -> Result<Self> {
        let (rows, validates) = (given.train, !given.validation.is_empty());
        let Some(first) = rows.first() else { return Ok(Self::default()) };
        let mut lengths: Vec<usize> = rows.iter().map(|row| row.ids().len()).collect();
        lengths.sort_unstable_by(|a, b| b.cmp(a));
        let depth = Depth::of(learner, first)?;
        let costs = Costs::of(learner, (first, lengths[0]), depth, settings)?;
        let slack = if settings.memory.is_some() { TIGHT } else { LOOSE };
        let needs = Needs { costs, batch: settings.batch, lengths, model: Sizes::of(learner), slack };
        let whole =
            Self { cache: cached(learner, given, depth, settings), ..Self::standing(learner, validates) };
        let Some(limit) = settings.memory else {
            return Ok(whole.with(&needs, settings.batch_tokens, settings.recompute));
        };
        let choices = needs.choices(settings);
        let fits = choices.iter().map(|&(tokens, recompute)| whole.with(&needs, tokens, recompute));
        let smallest = fits.clone().map(|plan| plan.without_cache()).min().unwrap_or(0);
        let room = (limit as f64 * CERTAIN) as u64;
        let chosen = fits.into_iter().find(|plan| plan.without_cache() <= room);
        let chosen = chosen.ok_or_else(|| too_small(limit, (smallest as f64 / CERTAIN) as u64))?;
        // What is left is for outputs that need not be computed again.
        Ok(Self { cache: chosen.cache.min(room - chosen.without_cache()), ..chosen })
    }

    /// All parts together.
    pub fn total(&self) -> u64 {
        self.without_cache() + self.cache
    }

    fn without_cache(&self) -> u64 {
        self.weights + self.program + self.adapter + self.optimizer + self.activations
    }

    /// The settings of a run that stays in the plan.
    pub fn settings(&self, settings: &TrainSettings) -> TrainSettings {
        TrainSettings {
            batch_tokens: self.batch_tokens,
            recompute: self.recompute,
            cache_memory: self.cache,
            ..settings.clone()
        }
    }

    /// What is there whatever a step does.
    fn standing<L: Learner>(learner: &L, validates: bool) -> Self {
        let values = 4 * learner.params().count() as u64;
        let (copied, mapped) = weights(learner.backbone());
        let own = own_bytes().unwrap_or(copied + values);
        Self {
            weights: copied + mapped,
            program: code_bytes(mapped) + own.saturating_sub(copied + values),
            adapter: 2 * values,
            optimizer: 2 * values + if validates { values } else { 0 },
            ..Self::default()
        }
    }

    fn with(self, needs: &Needs, batch_tokens: usize, recompute: usize) -> Self {
        let recompute = recompute.min(needs.costs.tracked);
        let activations = needs.activations(batch_tokens, recompute, self.adapter / 2);
        Self { activations, batch_tokens, recompute, trained_blocks: needs.costs.tracked, ..self }
    }
}

fn too_small(limit: u64, smallest: u64) -> Error {
    let megabytes = |bytes: u64| bytes.div_ceil(1_000_000);
    Error::invalid(format!(
        "--memory {}MB is too small for this run: it takes {}MB at least. Shorter rows (--max-length), a smaller \
         adapter or a base of fewer bits (a GGUF file) take less",
        megabytes(limit),
        megabytes(smallest)
    ))
}

/// Bytes of the frozen weights that were copied into memory, and of those that lie in mapped files.
fn weights(backbone: &dyn Backbone) -> (u64, u64) {
    let (mut copied, mut mapped) = (0, 0);
    for weight in backbone.weights() {
        match (weight.blocks(), weight.frozen_value()) {
            (Some(blocks), _) if blocks.packed_bytes().is_some() => {
                copied += blocks.packed_bytes().unwrap_or_default() as u64;
            }
            (Some(blocks), _) if blocks.is_part() => mapped += blocks.bytes().len() as u64,
            (Some(blocks), _) => copied += blocks.bytes().len() as u64,
            (None, Some(value)) => copied += 4 * value.len() as u64,
            (None, None) => {}
        }
    }
    (copied, mapped)
}

/// Bytes of all outputs that may be kept in memory.
fn cached<L: Learner>(learner: &L, given: &Given<'_, L::Row>, depth: Depth, settings: &TrainSettings) -> u64 {
    let most = settings.cache_memory.min(settings.cache_limit);
    if !given.states.is_some_and(|states| states.keep(settings.epochs)) {
        return 0;
    }
    let rows = given.train;
    let tokens: usize = rows.iter().map(|row| row.ids().len()).sum();
    let kept = match depth {
        Depth::Nothing => 0,
        Depth::Blocks { blocks, all: true } => blocks * tokens,
        Depth::Blocks { all: false, .. } => tokens,
        Depth::Pooled => rows.len(),
    };
    let values = kept * learner.backbone().shape().hidden + tokens;
    most.min(4 * values as u64)
}

/// Widths of a model.
struct Sizes {
    hidden: usize,
    ffn: usize,
    /// Of the output head, where a loss goes through one.
    vocab: usize,
}

impl Sizes {
    fn of<L: Learner>(learner: &L) -> Self {
        let shape = learner.backbone().shape();
        let vocab = if L::PREDICTS_TOKENS { shape.vocab } else { 0 };
        Self { hidden: shape.hidden, ffn: shape.ffn, vocab }
    }
}

/// What decides the activations of a step.
struct Needs {
    costs: Costs,
    batch: usize,
    /// Of all rows, the longest first.
    lengths: Vec<usize>,
    model: Sizes,
    slack: f64,
}

impl Needs {
    /// Micro-batches and blocks to compute again, the fastest first.
    fn choices(&self, settings: &TrainSettings) -> Vec<(usize, usize)> {
        let longest = self.lengths[0];
        let largest = settings.batch_tokens.max(longest);
        let least = longest.max(FULL_SPEED).min(largest);
        let sixteenth = |i: usize| least + (largest - least) * i / 16;
        let shorter = (0..=16).rev().map(|i| (sixteenth(i), settings.recompute));
        // The highest block is the first on the way back: its activations may as well stay.
        let again = |tokens| (settings.recompute..self.costs.tracked).map(move |blocks| (tokens, blocks));
        let shortest = (longest < least).then(|| again(longest));
        shorter.chain(again(least)).chain(shortest.into_iter().flatten()).collect()
    }

    /// Rows and tokens of the largest micro-batch.
    fn largest(&self, batch_tokens: usize) -> (usize, usize) {
        let rows = self.lengths.len().min(self.batch);
        let all: usize = self.lengths[..rows].iter().sum();
        (rows, all.min(batch_tokens.max(self.lengths[0])))
    }

    /// Bytes of a step at most, beside the `gradients` of what is trained.
    fn activations(&self, batch_tokens: usize, recompute: usize, gradients: u64) -> u64 {
        let (rows, tokens) = self.largest(batch_tokens);
        let Costs { kept, most, tracked } = self.costs;
        let (kept, most) = (kept.at(rows, tokens), (most.at(rows, tokens) - gradients as f64).max(0.0));
        let passing = (most - kept).max(0.0);
        let blocks = tracked.max(1) as f64;
        let inputs = (recompute * self.model.hidden * tokens * size_of::<f32>()) as f64;
        let above = kept * (blocks - recompute as f64) / blocks;
        let again = if recompute > 0 { inputs + kept / blocks + passing } else { 0.0 };
        let head = match self.model.vocab {
            0 => 0,
            vocab => logits_bytes(tokens, vocab),
        };
        let highest = (above + inputs + passing.max(head as f64)).max(again);
        (highest * self.slack) as u64 + self.scratch(tokens)
    }

    /// What products use beside the pool: the left side laid out anew.
    fn scratch(&self, tokens: usize) -> u64 {
        (tokens * self.model.ffn.max(self.model.hidden) * size_of::<f32>()) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::super::probe::Linear;
    use super::*;

    /// Four blocks that keep 100 bytes a token each and pass 50; rows of at most 600 tokens.
    fn needs() -> Needs {
        let linear = |per_token| Linear { fixed: 0.0, per_row: 0.0, per_token };
        Needs {
            costs: Costs { kept: linear(400.0), most: linear(450.0), tracked: 4 },
            batch: 3,
            lengths: vec![600, 500, 400, 10],
            model: Sizes { hidden: 2, ffn: 0, vocab: 0 },
            slack: TIGHT,
        }
    }

    fn pool(tokens: usize, recompute: usize) -> f64 {
        let needs = needs();
        let all = needs.activations(tokens, recompute, 0) - needs.scratch(needs.largest(tokens).1);
        all as f64 / TIGHT
    }

    #[test]
    fn the_largest_micro_batch_has_the_longest_rows() {
        assert_eq!(needs().largest(10_000), (3, 1500));
        assert_eq!(needs().largest(1000), (3, 1000));
        assert_eq!(needs().largest(100), (3, 600), "a row is never split");
    }

    #[test]
    fn a_block_computed_again_keeps_its_input_alone() {
        let close = |found: f64, expected: f64| assert!((found - expected).abs() < 2.0, "{found} {expected}");
        close(pool(1000, 0), 450_000.0);
        close(pool(1000, 1), 3.0 * 100_000.0 + 8_000.0 + 50_000.0);
        close(pool(1000, 4), 4.0 * 8_000.0 + 100_000.0 + 50_000.0);
    }

    #[test]
    fn choices_go_from_fast_to_small() {
        let settings = TrainSettings { batch_tokens: 2200, ..TrainSettings::default() };
        let choices = needs().choices(&settings);
        assert_eq!((choices[0], choices[1]), ((2200, 0), (2100, 0)));
        assert!(choices.contains(&(600, 0)) && choices.last() == Some(&(600, 3)));
        let bytes = choices.iter().map(|&(tokens, blocks)| needs().activations(tokens, blocks, 0));
        assert!(bytes.is_sorted_by(|a, b| a >= b));
    }
}
