//! What every hook is told about the forward pass it runs in.

use crate::{Layout, OutputHead, ParamId, Params, Result, Tape, Tensor, Weight, linear_cross_entropy};
use offshoot_kernels::dropout::row_key;

/// Where dropout's randomness comes from: a counter, so that a mask never depends on the place in a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counter {
    /// The run's seed.
    pub seed: u64,
    /// The optimizer step.
    pub step: u64,
}

/// Rows that are too few for the products that training uses.
const FEW: usize = 4;

/// One micro-batch as one adapter sees it.
pub struct Step<'a> {
    pub(crate) params: &'a Params,
    pub(crate) tape: Option<Tape>,
    pub(crate) dropout: Option<Counter>,
    pub(crate) prepared: Vec<Tensor>,
    pub(crate) layout: Layout,
    /// Whether it continues sequences, usually by a row each.
    pub(crate) continues: bool,
}

impl<'a> Step<'a> {
    /// A step outside any batch, for evaluating a method's own networks (saving, merging).
    pub fn detached(params: &'a Params) -> Self {
        Self {
            params,
            tape: None,
            dropout: None,
            prepared: Vec::new(),
            layout: Layout::empty(),
            continues: false,
        }
    }

    /// A training step outside any batch, without dropout: what it hands out is tracked on `tape`.
    pub fn tracked(params: &'a Params, tape: &Tape) -> Self {
        Self { tape: Some(tape.clone()), ..Self::detached(params) }
    }

    /// The value of a parameter, tracked when training.
    pub fn param(&self, id: ParamId) -> Tensor {
        self.params.tensor(id, self.tape.as_ref())
    }

    /// The value of a weight, tracked when it is trained. A quantised one is unpacked whole: see
    /// [`product`](Self::product) and [`rows_of`](Self::rows_of).
    pub fn weight(&self, weight: &Weight) -> Tensor {
        match weight.param() {
            Some(id) => self.param(id),
            None => weight.value(self.params),
        }
    }

    /// `x Wᵀ` for `x` `[n, in]` and a weight `[out, in]` in any state: `[n, out]`. This is how a head that is
    /// tied to the token table is applied.
    ///
    /// # Errors
    /// If the inner sizes differ.
    pub fn product(&self, x: &Tensor, weight: &Weight) -> Result<Tensor> {
        self.affine(x, weight, None)
    }

    /// As [`product`](Self::product), onto a bias `[out]`.
    ///
    /// # Errors
    /// If the sizes differ.
    pub fn affine(&self, x: &Tensor, weight: &Weight, bias: Option<&Weight>) -> Result<Tensor> {
        let bias = bias.map(|bias| self.weight(bias));
        match weight.blocks() {
            Some(blocks) => self.project(x, OutputHead::Quantized(blocks), bias.as_ref()),
            None => self.project(x, OutputHead::Dense(&self.weight(weight)), bias.as_ref()),
        }
    }

    fn project(&self, x: &Tensor, weight: OutputHead<'_>, bias: Option<&Tensor>) -> Result<Tensor> {
        let few = self.continues && x.len() <= FEW * x.cols();
        match (few, bias) {
            (false, bias) => x.affine(weight, bias),
            (true, None) => x.decode(weight),
            (true, Some(bias)) => x.decode(weight)?.add_row(bias),
        }
    }

    /// The loss of hidden states `x` `[n, d]` through an output head `[vocab, d]` in any state: see
    /// [`linear_cross_entropy`].
    ///
    /// # Errors
    /// As [`linear_cross_entropy`].
    pub fn cross_entropy(&self, x: &Tensor, head: &Weight, labels: &[u32]) -> Result<(Vec<f32>, Tensor)> {
        match head.blocks() {
            Some(blocks) => linear_cross_entropy(x, OutputHead::Quantized(blocks), labels),
            None => linear_cross_entropy(x, OutputHead::Dense(&self.weight(head)), labels),
        }
    }

    /// The rows of a table `[rows, d]` in any state: `[index.len(), d]`.
    ///
    /// # Errors
    /// If an index is outside the table.
    pub fn rows_of(&self, table: &Weight, index: &[u32]) -> Result<Tensor> {
        match table.blocks() {
            Some(blocks) => blocks.gather_rows(index),
            None => self.weight(table).gather_rows(index),
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

    /// Dropout in training; `x` `[rows or sequences, d]` itself in evaluation. `site` tells one use in a pass
    /// from another.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Batch, Device};
    use std::collections::BTreeSet;

    const COUNTER: Counter = Counter { seed: 1, step: 2 };

    /// Sequences of the given data rows and lengths, without virtual tokens.
    fn layout(rows: &[(u64, usize)]) -> Layout {
        let mut batch = Batch::new();
        rows.iter().for_each(|&(id, tokens)| batch.push(&vec![0; tokens], None, id).unwrap());
        Layout::new(&batch, vec![0; rows.len()])
    }

    #[test]
    fn keys_belong_to_data_rows_not_to_places() {
        let keys = layout(&[(7, 2), (8, 3)]).keys(COUNTER, 0, 5);
        let turned = layout(&[(8, 3), (7, 2)]).keys(COUNTER, 0, 5);
        assert_eq!(keys[..2], turned[3..]);
        assert_eq!(keys[2..], turned[..3]);
    }

    #[test]
    fn keys_differ_by_token_row_site_step_and_seed() {
        let layout = layout(&[(7, 2), (8, 3)]);
        let mut keys = layout.keys(COUNTER, 0, 5);
        keys.extend(layout.keys(COUNTER, 1, 5));
        keys.extend(layout.keys(Counter { step: 3, ..COUNTER }, 0, 5));
        keys.extend(layout.keys(Counter { seed: 3, ..COUNTER }, 0, 5));
        assert_eq!(keys.iter().collect::<BTreeSet<_>>().len(), 20);
    }

    #[test]
    fn an_activation_of_one_row_per_sequence_has_the_first_tokens_keys() {
        let layout = layout(&[(7, 2), (8, 3)]);
        let all = layout.keys(COUNTER, 4, 5);
        assert_eq!(layout.keys(COUNTER, 4, 2), [all[0], all[2]]);
    }

    #[test]
    fn dropout_acts_in_training_only() {
        let params = Params::new();
        let x = Tensor::full(&Device::cpu(), &[5, 64], 1.0);
        let mut step = Step { layout: layout(&[(7, 2), (8, 3)]), ..Step::detached(&params) };
        assert_eq!(step.dropout(&x, 0.5, 0).unwrap().to_vec(), x.to_vec());
        step.dropout = Some(COUNTER);
        assert_eq!(step.dropout(&x, 0.0, 0).unwrap().to_vec(), x.to_vec());
        let dropped = step.dropout(&x, 0.5, 0).unwrap().to_vec();
        assert!(dropped.iter().all(|&v| v == 0.0 || v == 2.0));
        // Six standard deviations of 320 fair coins.
        let kept = dropped.iter().filter(|&&v| v > 0.0).count();
        assert!((106..=214).contains(&kept), "{kept}");
        assert!(step.dropout(&x.row_range(0..3).unwrap(), 0.5, 0).is_err(), "neither tokens nor sequences");
    }
}
