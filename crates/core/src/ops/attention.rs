//! Attention over packed sequences.

use super::{dropout_fits, matrix_rows, shapes};
use crate::{Arithmetic, Error, Heads, Mask, Result, Span, Tensor};
use offshoot_kernels::attention as kernel;
use std::ops::Range;

/// Dropout on attention probabilities: its rate and one key per query row.
#[derive(Clone)]
pub struct AttentionDropout {
    /// Probability of dropping.
    pub p: f32,
    /// One key per query row.
    pub row_keys: Vec<u64>,
}

impl Tensor {
    /// `softmax(q kᵀ scale) v` within each span, for queries `[nq, h e]`, keys and values `[nk, g e]`: `[nq,
    /// h e]`.
    ///
    /// No matrix of probabilities is kept: the backward pass computes them again.
    ///
    /// # Errors
    /// [`Error::Shapes`] if a size does not fit the heads; [`Error::Index`] if a span ends outside;
    /// [`Error::Invalid`] if two spans share a row.
    pub fn attention(
        &self,
        key: &Tensor,
        value: &Tensor,
        heads: Heads,
        spans: &[Span],
        mask: Mask,
        dropout: Option<AttentionDropout>,
    ) -> Result<Tensor> {
        check(self, key, value, heads, spans)?;
        if let Some(dropout) = &dropout {
            dropout_fits("attention", self, dropout.p, &dropout.row_keys)?;
        }
        let device = self.device();
        let queries = matrix_rows(self);
        let (mut y, mut log_sum) = (device.take(self.len()), device.take(queries * heads.query));
        let arithmetic = device.arithmetic();
        let call = Call { heads, spans: spans.to_vec(), mask, dropout, arithmetic };
        kernel::forward(
            y.host_mut(),
            log_sum.host_mut(),
            self.host(),
            key.host(),
            value.host(),
            &call.arguments(),
        );
        let y = Tensor::from_buffer(device, self.shape(), y);
        let links = [self.link(), key.link(), value.link()];
        if links.iter().all(Option::is_none) {
            return Ok(y);
        }
        let saved = [self, key, value, &y].map(Tensor::detach);
        Ok(y.recorded(&[self, key, value], move |dy| {
            let [q, k, v, out] = saved.each_ref().map(Tensor::host);
            let mut buffers = links.each_ref().map(|l| l.as_ref().map(|l| l.empty()));
            let [dq, dk, dv] = buffers.each_mut().map(|b| b.as_mut().map(|b| b.host_mut()));
            let grads = kernel::Grads { dq, dk, dv };
            kernel::backward(grads, dy.host(), out, q, k, v, log_sum.host(), &call.arguments());
            for (link, buffer) in links.iter().zip(buffers) {
                if let (Some(link), Some(buffer)) = (link, buffer) {
                    link.give(buffer);
                }
            }
            Ok(())
        }))
    }
}

/// The settings of one call, owned, for the backward pass.
struct Call {
    heads: Heads,
    spans: Vec<Span>,
    mask: Mask,
    dropout: Option<AttentionDropout>,
    arithmetic: Arithmetic,
}

impl Call {
    fn arguments(&self) -> kernel::Attention<'_> {
        let dropout = self.dropout.as_ref().map(|d| kernel::Dropout { p: d.p, row_keys: &d.row_keys });
        kernel::Attention {
            heads: self.heads,
            spans: &self.spans,
            mask: self.mask,
            dropout,
            arithmetic: self.arithmetic,
        }
    }
}

fn check(q: &Tensor, k: &Tensor, v: &Tensor, heads: Heads, spans: &[Span]) -> Result<()> {
    let (query, key_value) = (heads.query * heads.dim, heads.key_value * heads.dim);
    if q.cols() != query || query == 0 || heads.key_value == 0 || !heads.query.is_multiple_of(heads.key_value)
    {
        return Err(shapes("attention", q, &[heads.query, heads.key_value, heads.dim]));
    }
    if k.cols() != key_value || v.shape() != k.shape() {
        return Err(shapes("attention", k, v.shape()));
    }
    check_ranges(spans.iter().map(|s| s.queries.clone()), matrix_rows(q))?;
    check_ranges(spans.iter().map(|s| s.keys.clone()), matrix_rows(k))
}

/// Checks that no two ranges share a row and none ends beyond `rows`: parallel tasks write to them.
fn check_ranges(ranges: impl Iterator<Item = Range<usize>>, rows: usize) -> Result<()> {
    let mut ranges: Vec<_> = ranges.collect();
    if let Some(bad) = ranges.iter().find(|r| r.start > r.end || r.end > rows) {
        return Err(Error::Index { op: "attention", index: bad.end, rows });
    }
    ranges.sort_unstable_by_key(|r| (r.start, r.end));
    match ranges.windows(2).find(|pair| pair[0].end > pair[1].start) {
        Some(pair) => Err(Error::invalid(format!("attention: the spans' rows {pair:?} overlap"))),
        None => Ok(()),
    }
}
