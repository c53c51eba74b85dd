//! Prefix tuning, Li and Liang 2021, <https://arxiv.org/abs/2101.00190>, section 4, with keys and values
//! trained directly.
//!
//! In every layer, `attention(q, K, V)` becomes `attention(q, [P_K; K], [P_V; V])`, with `P_K` and `P_V`
//! `[tokens, g e]`. The file keeps them as one table `[tokens, layers 2 (g e)]`, layer by layer, key before
//! value. `prefix-mlp` is the paper's own reparameterised form.

use crate::virtual_tokens::{EMBEDDING, check_tokens, draw_words, key_value, prefix_width, split};
use crate::{Info, Merging, Method, Saves, Target};
use offshoot_core::nn::Base;
use offshoot_core::{
    Adapter, Batch, KeyValue, Mode, ParamId, Pass, Result, Shape, Site, Slot, Step, Tensor, forward,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// How `prefix` presents itself.
pub const INFO: Info = Info {
    name: "prefix",
    summary: "learned keys and values before those of every layer",
    paper: "Li and Liang 2021, https://arxiv.org/abs/2101.00190",
    // Keys and values are of unit scale and have a few hundred steps to travel that far.
    learning_rate: 1e-2,
    saves: Saves::Peft,
    starts_as_identity: false,
    merging: Merging::Never("its keys and values stand beside the tokens' own, and no weight computes them"),
};

/// Settings of `prefix`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Virtual tokens. Default 20.
    pub tokens: usize,
    /// Where they start. Default `words`.
    pub init: Init,
}

/// Where keys and values start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Init {
    /// At those which the backbone computes for words drawn from the vocabulary. Each layer then sees keys
    /// and values of the kind it was trained on (the paper's section 7.4: starting from real words matters
    /// most when rows are few).
    #[default]
    Words,
    /// At normal numbers of deviation 0.02. Keys near zero take their even share of the softmax, so this is
    /// not silent.
    Normal,
}

impl Default for Config {
    fn default() -> Self {
        Self { tokens: 20, init: Init::default() }
    }
}

impl Method for Config {
    fn build(&self, target: &mut Target<'_>) -> Result<Box<dyn Adapter>> {
        let shape = target.shape();
        check_tokens(INFO.name, self.tokens, &shape)?;
        let flat = match self.init {
            Init::Words => words(target, self.tokens)?,
            Init::Normal => target.normal(&[self.tokens, prefix_width(&shape)], 0.02),
        };
        let flat = target.params.insert(EMBEDDING, flat)?;
        Ok(Box::new(Prefix { tokens: self.tokens, shape, flat }))
    }
}

struct Prefix {
    tokens: usize,
    shape: Shape,
    /// `[p, layers 2 (g e)]`
    flat: ParamId,
}

impl Adapter for Prefix {
    fn begin(&self, step: &Step<'_>) -> Result<Vec<Tensor>> {
        split(&step.param(self.flat), &self.shape)
    }

    fn prefix_tokens(&self) -> usize {
        self.tokens
    }

    fn prefix(&self, step: &Step<'_>, layer: usize) -> Result<Option<KeyValue>> {
        Ok(key_value(step, layer))
    }
}

/// The keys and values of `count` words in one sequence, in every layer: `[count, layers 2 (g e)]`.
fn words(target: &mut Target<'_>, count: usize) -> Result<Tensor> {
    let mut batch = Batch::new();
    batch.push(&draw_words(target, count), None, 0)?;
    let recorder = Recorder::default();
    forward(target.backbone, &mut Pass::new(&batch, &recorder, target.params, Mode::Evaluate)?)?;
    let seen = recorder.0.into_inner().unwrap_or_else(PoisonError::into_inner);
    let width = prefix_width(&target.shape());
    let parts: Vec<Vec<f32>> = seen.values().map(Tensor::to_vec).collect();
    let row = |row: usize| parts.iter().flat_map(move |part| part.chunks(part.len() / count).nth(row));
    let values: Vec<f32> = (0..count).flat_map(|index| row(index).flatten().copied()).collect();
    Tensor::new(target.device, &[count, width], &values)
}

/// Keeps the keys and values of every layer. A site sorts by layer, then key before value: the order of the
/// file.
#[derive(Default)]
struct Recorder(Mutex<BTreeMap<Site, Tensor>>);

impl Adapter for Recorder {
    fn linear(&self, _: &Step<'_>, site: Site, _: &Tensor, y: Tensor, _: &Base<'_>) -> Result<Tensor> {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match site.slot {
            Slot::Key | Slot::Value => drop(seen.insert(site, y.clone())),
            Slot::QueryKeyValue => {
                let third = y.cols() / 3;
                let part = |index: usize| y.columns(index * third..(index + 1) * third);
                seen.insert(Site { slot: Slot::Key, ..site }, part(1)?);
                seen.insert(Site { slot: Slot::Value, ..site }, part(2)?);
            }
            _ => {}
        }
        drop(seen);
        Ok(y)
    }
}
