//! The backward of one span and one key head, with all query heads that read it.

use super::pack::{Block, Shared, padded, space};
use super::scores::{dot, gradients};
use super::task::Task;
use super::tile::Tile;
use super::{Attention, Heads, Span};
use crate::parallel::vectorized;
use std::cell::RefCell;

/// What the tasks of [`super::backward()`] read; shapes as there.
pub(super) struct Input<'a> {
    pub(super) dout: &'a [f32],
    pub(super) out: &'a [f32],
    pub(super) q: &'a [f32],
    pub(super) k: &'a [f32],
    pub(super) v: &'a [f32],
    pub(super) log_sum: &'a [f32],
}

/// What they write.
pub(super) struct Output<'a> {
    pub(super) dq: Option<Shared<'a>>,
    pub(super) dk: Option<Shared<'a>>,
    pub(super) dv: Option<Shared<'a>>,
}

/// Buffers that a thread keeps from task to task: packed inputs, sums over queries, and a tile's rows.
#[derive(Default)]
struct Scratch {
    keys: Keys,
    sums: Sums,
    rows: Rows,
}

/// Packed for all query heads that share a key head.
#[derive(Default)]
struct Keys {
    /// Keys, `[nk, padded(dim)]`.
    k: Vec<f32>,
    /// Keys times scale, `[dim, padded(nk)]`.
    k_columns: Vec<f32>,
    /// Values, `[dim, padded(nk)]`.
    v_columns: Vec<f32>,
}

/// Gradients of keys and values, `[nk, padded(dim)]`.
#[derive(Default)]
struct Sums {
    dk: Vec<f32>,
    dv: Vec<f32>,
}

/// Of one query head: its packed rows, `[nq, padded(dim)]`, and a tile's results.
#[derive(Default)]
struct Rows {
    q: Vec<f32>,
    dout: Vec<f32>,
    /// `[tile, columns]`.
    probs: Vec<f32>,
    dscores: Vec<f32>,
    /// `[tile, padded(dim)]`.
    dq: Vec<f32>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// Computes the gradients of a span and a key head.
pub(super) fn run(a: &Attention<'_>, span: &Span, head: usize, input: &Input<'_>, output: &Output<'_>) {
    SCRATCH.with_borrow_mut(|Scratch { keys, sums, rows }| {
        let Heads { query, key_value, dim, scale } = a.heads;
        let group = query / key_value;
        let heads = head * group..(head + 1) * group;
        let first = Task::new(a, span, heads.start);
        let (k, v) = (first.keys(input.k), first.keys(input.v));
        let packed = Packed {
            k: k.pack_rows(&mut keys.k),
            k_columns: k.pack_columns(&mut keys.k_columns, scale),
            v_columns: v.pack_columns(&mut keys.v_columns, 1.0),
        };
        let len = span.keys.len() * padded(dim);
        let (dk, dv) = (space(&mut sums.dk, len), space(&mut sums.dv, len));
        dk.fill(0.0);
        dv.fill(0.0);
        for head in heads {
            packed.head(&Task::new(a, span, head), input, output, (dk, dv), rows);
        }
        store(output.dk.as_ref(), &k, dk);
        store(output.dv.as_ref(), &v, dv);
    });
}

/// The packed keys of [`Keys`].
struct Packed<'a> {
    k: &'a [f32],
    k_columns: &'a [f32],
    v_columns: &'a [f32],
}

impl Packed<'_> {
    /// Adds one query head's part to `dk` and `dv` and writes its `dq`.
    fn head(
        &self,
        task: &Task<'_>,
        input: &Input<'_>,
        output: &Output<'_>,
        (dk, dv): (&mut [f32], &mut [f32]),
        Rows { q, dout, probs, dscores, dq }: &mut Rows,
    ) {
        let q = task.queries(input.q).pack_rows(q);
        let dout = task.queries(input.dout).pack_rows(dout);
        for tile in task.tiles() {
            let len = tile.rows.len() * tile.cols.len();
            let (probs, dscores) = (space(probs, len), space(dscores, len));
            tile.across(probs, q, self.k_columns);
            tile.across(dscores, dout, self.v_columns);
            vectorized(
                #[inline(always)]
                || through_softmax(probs, dscores, task, &tile, input),
            );
            if output.dv.is_some() {
                tile.onto_keys(dv, probs, dout);
            }
            if output.dk.is_some() {
                tile.onto_keys(dk, dscores, q);
            }
            if let Some(to) = &output.dq {
                let dq = space(dq, tile.rows.len() * padded(task.attention.heads.dim));
                tile.over_keys(dq, dscores, self.k);
                task.store_queries(to, &tile, dq);
            }
        }
    }
}

/// Turns a tile's scores into probabilities after dropout, and the gradients of those into gradients of the
/// scores.
#[inline(always)]
fn through_softmax(probs: &mut [f32], dscores: &mut [f32], task: &Task<'_>, tile: &Tile, input: &Input<'_>) {
    let (width, dim) = (tile.cols.len(), task.attention.heads.dim);
    if width == 0 {
        return;
    }
    let rows = probs.chunks_exact_mut(width).zip(dscores.chunks_exact_mut(width));
    for (i, (probs, dscores)) in rows.enumerate() {
        let place = task.place(tile, i);
        let at = place * dim..(place + 1) * dim;
        let delta = dot(&input.dout[at.clone()], &input.out[at]);
        let row = (input.log_sum[place], delta, task.attention.heads.scale);
        gradients(probs, dscores, tile.visible(i), row, task.dropout(tile, i));
    }
}

/// Copies `from` `[nk, padded(dim)]` to the place of `block` in a key-shaped gradient.
fn store(to: Option<&Shared<'_>>, block: &Block<'_>, from: &[f32]) {
    let Some(to) = to else { return };
    let width = padded(block.cols.len());
    for (row, from) in block.rows.clone().zip(from.chunks_exact(width)) {
        // SAFETY: spans share no key row and every key head of a span is one task.
        let to = unsafe { to.part(row, block.cols.clone()) };
        to.copy_from_slice(&from[..to.len()]);
    }
}
