//! Scaled dot-product attention over packed sequences, forward and backward: one kernel for encoders, causal
//! and windowed decoders, grouped heads, prefix keys and adaption prompts.
//!
//! A task is one span and one head. It packs the keys and values it needs, then walks over its queries in
//! tiles of a few rows, so that a tile's scores stay in the cache; no `[queries, keys]` matrix outlives a
//! tile. The backward computes the probabilities again from the scores and `log_sum`.

mod backward;
mod forward;
mod pack;
mod product;
mod scores;
mod task;
#[cfg(test)]
mod tests;
mod tile;

use crate::gemm::Arithmetic;
use crate::profile::{Kind, time};
use pack::Shared;
use rayon::prelude::*;
use std::ops::Range;
use task::Task;

/// How a row of queries, keys or values divides into heads.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Heads {
    /// Number of query heads; a multiple of `key_value`.
    pub query: usize,
    /// Number of key and value heads; query head h reads key head `h key_value / query`.
    pub key_value: usize,
    /// Columns of one head.
    pub dim: usize,
    /// Factor on the products of queries and keys, usually `1 / sqrt(dim)`.
    pub scale: f32,
}

/// A sequence: its query rows see its key rows and no others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// Rows of `q` and `out`. Spans never share one.
    pub queries: Range<usize>,
    /// Rows of `k` and `v`. Spans never share one.
    pub keys: Range<usize>,
}

/// Which keys of its span a query sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mask {
    /// All of them.
    Full,
    /// The last query is aligned with the last key: query i of nq sees keys `j <= i + nk - nq`.
    Causal {
        /// With a window w, a query sees only the last w of those: also `j > i + nk - nq - w`.
        window: Option<usize>,
    },
}

/// Dropout of attention probabilities.
#[derive(Clone, Copy, Debug)]
pub struct Dropout<'a> {
    /// Probability of dropping one, in `[0, 1]`.
    pub p: f32,
    /// `[nq]`: one key per query row; combined with the head, and with the key's place in its span as the
    /// column.
    pub row_keys: &'a [u64],
}

/// Everything about an attention but its tensors.
#[derive(Clone, Copy, Debug)]
pub struct Attention<'a> {
    /// Numbers of heads and their size.
    pub heads: Heads,
    /// The sequences.
    pub spans: &'a [Span],
    /// Which keys a query sees.
    pub mask: Mask,
    /// None in evaluation.
    pub dropout: Option<Dropout<'a>>,
    /// What its products are computed in. A span of fewer than [`BF16_LEAST`] queries stays in f32.
    pub arithmetic: Arithmetic,
}

/// Queries of a span for which rounding to bf16 pays.
pub const BF16_LEAST: usize = 48;

/// The gradients that [`backward()`] is to compute.
#[derive(Debug, Default)]
pub struct Grads<'a> {
    /// `[nq, query * dim]`.
    pub dq: Option<&'a mut [f32]>,
    /// `[nk, key_value * dim]`.
    pub dk: Option<&'a mut [f32]>,
    /// `[nk, key_value * dim]`.
    pub dv: Option<&'a mut [f32]>,
}

/// Multiplications below which waking other threads costs more than it saves.
const SERIAL: usize = 32 * 1024;

/// `out = dropout(softmax(scale q k^T)) v` per span and head.
///
/// `out` and `q` `[nq, query * dim]`; `k` and `v` `[nk, key_value * dim]`; `log_sum` `[nq, query]` receives
/// the logarithm of the sum of the exponentials of each query's scores, which [`backward()`] needs. A query
/// that sees no key, and a row of no span, gives zeros.
pub fn forward(out: &mut [f32], log_sum: &mut [f32], q: &[f32], k: &[f32], v: &[f32], a: &Attention<'_>) {
    let _timed = time(Kind::Attention);
    let (query_cols, _) = a.columns();
    assert_eq!(out.len(), q.len(), "queries and outputs differ in length");
    let (nq, _) = a.check_rows([q, k, v], log_sum);
    if !a.covers(query_rows, nq) {
        out.fill(0.0);
        log_sum.fill(0.0);
    }
    let input = forward::Input { q, k, v };
    let output = forward::Output { out: Shared::new(out, query_cols), log_sum: Shared::new(log_sum, 1) };
    a.for_each(a.heads.query, |span, head| forward::run(&Task::new(a, span, head), &input, &output));
}

/// Gradients of [`forward()`], each only if asked for, from its inputs, its output and `log_sum`.
///
/// `dout` and `out` `[nq, query * dim]`; the rest as in [`forward()`]. Rows that no span covers get zeros.
#[expect(clippy::too_many_arguments, reason = "the gradients, and what the forward took and gave")]
pub fn backward(
    grads: Grads<'_>,
    dout: &[f32],
    out: &[f32],
    q: &[f32],
    k: &[f32],
    v: &[f32],
    log_sum: &[f32],
    a: &Attention<'_>,
) {
    let _timed = time(Kind::Attention);
    let (query_cols, key_cols) = a.columns();
    assert!(out.len() == q.len() && dout.len() == q.len(), "queries and outputs differ in length");
    let (nq, nk) = a.check_rows([q, k, v], log_sum);
    let keys_covered = a.covers(key_rows, nk);
    let output = backward::Output {
        dq: share(grads.dq, q.len(), query_cols, a.covers(query_rows, nq)),
        dk: share(grads.dk, k.len(), key_cols, keys_covered),
        dv: share(grads.dv, v.len(), key_cols, keys_covered),
    };
    let input = backward::Input { dout, out, q, k, v, log_sum };
    a.for_each(a.heads.key_value, |span, head| backward::run(a, span, head, &input, &output));
}

/// A gradient of `len` elements for the tasks to write to, zeroed first where they will not write all of it.
fn share(grad: Option<&mut [f32]>, len: usize, cols: usize, covered: bool) -> Option<Shared<'_>> {
    let grad = grad?;
    assert_eq!(grad.len(), len, "gradient is not shaped like its input");
    if !covered {
        grad.fill(0.0);
    }
    Some(Shared::new(grad, cols))
}

fn query_rows(span: &Span) -> Range<usize> {
    span.queries.clone()
}

fn key_rows(span: &Span) -> Range<usize> {
    span.keys.clone()
}

impl Attention<'_> {
    /// Checks the heads; returns the columns of a query row and of a key row.
    fn columns(&self) -> (usize, usize) {
        let Heads { query, key_value, dim, .. } = self.heads;
        assert!(
            key_value > 0 && query.is_multiple_of(key_value) && dim > 0,
            "heads do not divide into groups"
        );
        (query * dim, key_value * dim)
    }

    /// Checks the inputs; returns the numbers of query and of key rows. No two spans may share a row:
    /// parallel tasks write to their rows.
    fn check_rows(&self, [q, k, v]: [&[f32]; 3], log_sum: &[f32]) -> (usize, usize) {
        let (query_cols, key_cols) = self.columns();
        let (nq, nk) = (q.len() / query_cols, k.len() / key_cols);
        assert!(q.len() == nq * query_cols && k.len() == nk * key_cols, "rows do not divide into heads");
        assert_eq!(k.len(), v.len(), "keys and values differ in length");
        assert_eq!(log_sum.len(), nq * self.heads.query, "sums are not [nq, query]");
        assert!(
            disjoint(self.spans.iter().map(query_rows), nq),
            "query rows of spans overlap or lie outside"
        );
        assert!(disjoint(self.spans.iter().map(key_rows), nk), "key rows of spans overlap or lie outside");
        assert!(self.dropout.is_none_or(|d| d.row_keys.len() == nq), "dropout needs one key per query row");
        (nq, nk)
    }

    /// Whether the spans, which are disjoint, leave none of `n` rows out.
    fn covers(&self, rows: fn(&Span) -> Range<usize>, n: usize) -> bool {
        self.spans.iter().map(|s| rows(s).len()).sum::<usize>() == n
    }

    /// Calls `work(span, head)` for every span and every one of `heads`, in parallel unless all of it is
    /// tiny.
    fn for_each(&self, heads: usize, work: impl Fn(&Span, usize) + Sync) {
        let run = |task: usize| work(&self.spans[task / heads], task % heads);
        let tasks = 0..self.spans.len() * heads;
        let products: usize = self.spans.iter().map(|s| s.queries.len() * s.keys.len()).sum();
        if products * self.heads.query * self.heads.dim <= SERIAL {
            tasks.for_each(run);
        } else {
            tasks.into_par_iter().for_each(run);
        }
    }
}

/// Whether no two ranges overlap and all end by `n`; empty ones overlap nothing.
fn disjoint(ranges: impl Iterator<Item = Range<usize>>, n: usize) -> bool {
    let ranges: Vec<_> = ranges.collect();
    let inside = ranges.iter().all(|r| r.start <= r.end && r.end <= n);
    let mut taken: Vec<_> = ranges.into_iter().filter(|r| !r.is_empty()).collect();
    taken.sort_unstable_by_key(|r| r.start);
    inside && taken.windows(2).all(|pair| pair[0].end <= pair[1].start)
}
