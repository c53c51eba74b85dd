//! Which queries are worked on at a time, and which keys they see.

use super::pack::{PAD, padded};
use super::product::Product;
use super::{Mask, Span};
use crate::gemm::Arithmetic;
use std::ops::Range;

/// Query rows whose scores are worked on at a time.
const ROWS: usize = 64;

/// Some query rows of a span with the keys that any of them sees; rows and keys count from the span's first.
pub(super) struct Tile {
    pub(super) rows: Range<usize>,
    /// From a multiple of [`PAD`] to another: beyond the last key there is padding.
    pub(super) cols: Range<usize>,
    mask: Mask,
    nq: usize,
    nk: usize,
    arithmetic: Arithmetic,
}

impl Tile {
    /// The tiles of a span.
    pub(super) fn of(span: &Span, mask: Mask, arithmetic: Arithmetic) -> impl Iterator<Item = Tile> {
        let (nq, nk) = (span.queries.len(), span.keys.len());
        (0..nq).step_by(ROWS).map(move |start| {
            let rows = start..(start + ROWS).min(nq);
            // Neither end of what a query sees moves back from one query to the next.
            let (first, last) = (mask.visible(start, nq, nk), mask.visible(rows.end - 1, nq, nk));
            let cols = first.start / PAD * PAD..padded(last.end);
            Tile { rows, cols, mask, nq, nk, arithmetic }
        })
    }

    /// Number of the tile's keys that are not padding.
    pub(super) fn keys(&self) -> usize {
        self.cols.end.min(self.nk) - self.cols.start
    }

    /// What the tile's row `i` sees, counted from the tile's first column.
    pub(super) fn visible(&self, i: usize) -> Range<usize> {
        let keys = self.mask.visible(self.rows.start + i, self.nq, self.nk);
        keys.start - self.cols.start..keys.end - self.cols.start
    }

    /// `out` `[rows, cols]` = the tile's rows of `left` `[nq, w]` times its columns of `right`
    /// `[dim, padded(nk)]`.
    pub(super) fn across(&self, out: &mut [f32], left: &[f32], right: &[f32]) {
        let (width, b_stride) = (left.len() / self.nq, padded(self.nk));
        let size = (self.rows.len(), right.len().checked_div(b_stride).unwrap_or(0), self.cols.len());
        let (a, b) = (&left[self.rows.start * width..], &right[self.cols.start..]);
        Product { out, a, a_strides: (width, 1), b, b_stride, size, accumulate: false }.run(self.arithmetic);
    }

    /// `out` `[rows, w]` = `weights` `[rows, cols]` times the tile's keys of `right` `[nk, w]`.
    pub(super) fn over_keys(&self, out: &mut [f32], weights: &[f32], right: &[f32]) {
        let width = out.len() / self.rows.len();
        let size = (self.rows.len(), self.keys(), width);
        let b = &right[self.cols.start * width..];
        let a_strides = (self.cols.len(), 1);
        Product { out, a: weights, a_strides, b, b_stride: width, size, accumulate: false }
            .run(self.arithmetic);
    }

    /// The tile's keys of `out` `[nk, w]` += `weights`^T `[cols, rows]` times its rows of `right` `[nq, w]`.
    pub(super) fn onto_keys(&self, out: &mut [f32], weights: &[f32], right: &[f32]) {
        let width = right.len() / self.nq;
        let size = (self.keys(), self.rows.len(), width);
        let out = &mut out[self.cols.start * width..][..self.keys() * width];
        let (a_strides, b) = ((1, self.cols.len()), &right[self.rows.start * width..]);
        Product { out, a: weights, a_strides, b, b_stride: width, size, accumulate: true }
            .run(self.arithmetic);
    }
}

impl Mask {
    /// The keys that query `i` of `nq` sees among `nk`.
    fn visible(self, i: usize, nq: usize, nk: usize) -> Range<usize> {
        match self {
            Mask::Full => 0..nk,
            Mask::Causal { window } => {
                let end = (i + nk + 1).saturating_sub(nq);
                window.map_or(0, |w| end.saturating_sub(w))..end
            }
        }
    }
}
