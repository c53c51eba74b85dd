//! What every hook is told about the forward pass it runs in.

use crate::{Layout, ParamId, Params, Result, Tape, Tensor, Weight};
use offshoot_kernels::dropout::row_key;

/// Where dropout's randomness comes from: a counter, so that a mask never depends on the place in a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counter {
    /// The run's seed.
    pub seed: u64,
    /// The optimizer step.
    pub step: u64,
}

/// One micro-batch as one adapter sees it.
pub struct Step<'a> {
    pub(crate) params: &'a Params,
    pub(crate) tape: Option<Tape>,
    pub(crate) dropout: Option<Counter>,
    pub(crate) prepared: Vec<Tensor>,
    pub(crate) layout: Layout,
}

impl<'a> Step<'a> {
    /// A step outside any batch, for evaluating a method's own networks (saving, merging).
    pub fn detached(params: &'a Params) -> Self {
        Self { params, tape: None, dropout: None, prepared: Vec::new(), layout: Layout::empty() }
    }

    /// A training step outside any batch, without dropout: what it hands out is tracked on `tape`.
    pub fn tracked(params: &'a Params, tape: &Tape) -> Self {
        Self { tape: Some(tape.clone()), ..Self::detached(params) }
    }

    /// The value of a parameter, tracked when training.
    pub fn param(&self, id: ParamId) -> Tensor {
        self.params.tensor(id, self.tape.as_ref())
    }

    /// The value of a weight, tracked when it is trained.
    pub fn weight(&self, weight: &Weight) -> Tensor {
        match weight.param() {
            Some(id) => self.param(id),
            None => weight.value(self.params),
        }
    }

    /// All parameters.
    pub fn params(&self) -> &'a Params {
        self.params
    }

    /// What [`Adapter::begin`](crate::Adapter::begin) computed.
    pub fn prepared(&self) -> &[Tensor] {
        &self.prepared
    }

    /// Whether gradients are wanted.
    pub fn training(&self) -> bool {
        self.tape.is_some()
    }

    /// The sequences' rows.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Dropout in training; `x` `[rows or sequences, d]` itself in evaluation. `site` tells one use in a pass from another.
    ///
    /// # Errors
    /// If `x` has neither one row per token nor one per sequence.
    pub fn dropout(&self, x: &Tensor, p: f32, site: u64) -> Result<Tensor> {
        match self.dropout {
            Some(counter) if p > 0.0 => x.dropout(p, self.layout.keys(counter, site, x.rows())),
            _ => Ok(x.clone()),
        }
    }
}

impl Layout {
    fn empty() -> Self {
        Self::new(&crate::Batch::new(), Vec::new())
    }

    /// One dropout key per row of an activation of `rows` rows: one per token, else one per sequence.
    pub(crate) fn keys(&self, counter: Counter, site: u64, rows: usize) -> Vec<u64> {
        let key = |sequence: usize, token: usize| {
            row_key(counter.seed, &[counter.step, site, self.row_id(sequence), token as u64])
        };
        if rows != self.rows() {
            return (0..self.sequences()).map(|s| key(s, 0)).collect();
        }
        (0..self.sequences()).flat_map(|s| (0..self.sequence(s).len()).map(move |t| key(s, t))).collect()
    }
}
