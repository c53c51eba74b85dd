//! The forward of one span and one query head.

use super::Heads;
use super::pack::{Shared, padded, space};
use super::scores::softmax;
use super::task::Task;
use super::tile::Tile;
use crate::parallel::vectorized;
use std::cell::RefCell;

/// What the tasks of [`super::forward()`] read: `[nq, query * dim]` and twice `[nk, key_value * dim]`.
pub(super) struct Input<'a> {
    pub(super) q: &'a [f32],
    pub(super) k: &'a [f32],
    pub(super) v: &'a [f32],
}

/// What they write: `[nq, query * dim]`, and `[nq, query]` as one column.
pub(super) struct Output<'a> {
    pub(super) out: Shared<'a>,
    pub(super) log_sum: Shared<'a>,
}

/// Buffers that a thread keeps from task to task.
#[derive(Default)]
struct Scratch {
    q: Vec<f32>,
    k: Vec<f32>,
    v: Vec<f32>,
    scores: Vec<f32>,
    out: Vec<f32>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// Computes the output of a span and a query head.
pub(super) fn run(task: &Task<'_>, input: &Input<'_>, output: &Output<'_>) {
    SCRATCH.with_borrow_mut(|Scratch { q, k, v, scores, out }| {
        let Heads { dim, scale, .. } = task.attention.heads;
        let q = task.queries(input.q).pack_rows(q);
        let k = task.keys(input.k).pack_columns(k, scale);
        let v = task.keys(input.v).pack_rows(v);
        for tile in task.tiles() {
            let scores = space(scores, tile.rows.len() * tile.cols.len());
            let out = space(out, tile.rows.len() * padded(dim));
            tile.across(scores, q, k);
            vectorized(
                #[inline(always)]
                || probabilities(scores, task, &tile, &output.log_sum),
            );
            tile.over_keys(out, scores, v);
            task.store_queries(&output.out, &tile, out);
        }
    });
}

/// Turns a tile's scores into probabilities after dropout, and keeps the logarithms of their sums.
#[inline(always)]
fn probabilities(scores: &mut [f32], task: &Task<'_>, tile: &Tile, log_sum: &Shared<'_>) {
    if tile.cols.is_empty() {
        return;
    }
    for (i, row) in scores.chunks_exact_mut(tile.cols.len()).enumerate() {
        let sum = softmax(row, tile.visible(i));
        if let Some(dropout) = task.dropout(tile, i) {
            dropout.apply(row);
        }
        // SAFETY: spans share no query row and every query head of a span is one task.
        let kept = unsafe { log_sum.part(task.place(tile, i), 0..1) };
        kept.fill(sum);
    }
}
