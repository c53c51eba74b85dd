//! One span and one query head: where their parts of the matrices are.

use super::pack::{Block, Shared};
use super::scores::RowDropout;
use super::tile::Tile;
use super::{Attention, BF16_LEAST, Heads, Span};
use crate::gemm::Arithmetic;
use std::ops::Range;

/// One span and one query head.
pub(super) struct Task<'a> {
    pub(super) attention: &'a Attention<'a>,
    pub(super) span: &'a Span,
    head: usize,
}

impl<'a> Task<'a> {
    /// Query head `head` of `span`.
    pub(super) fn new(attention: &'a Attention<'a>, span: &'a Span, head: usize) -> Self {
        Self { attention, span, head }
    }

    /// What the span's products are computed in.
    fn arithmetic(&self) -> Arithmetic {
        if self.span.queries.len() < BF16_LEAST { Arithmetic::F32 } else { self.attention.arithmetic }
    }

    /// The tiles of the span.
    pub(super) fn tiles(&self) -> impl Iterator<Item = Tile> {
        Tile::of(self.span, self.attention.mask, self.arithmetic())
    }

    /// The columns of the query head in a query-shaped matrix.
    fn cols(&self) -> Range<usize> {
        let dim = self.attention.heads.dim;
        self.head * dim..(self.head + 1) * dim
    }

    /// This task's part of a query-shaped matrix, `[nq, query * dim]`.
    pub(super) fn queries<'b>(&self, data: &'b [f32]) -> Block<'b> {
        let Heads { query, dim, .. } = self.attention.heads;
        Block { data, stride: query * dim, rows: self.span.queries.clone(), cols: self.cols() }
    }

    /// This task's part of a key-shaped matrix, `[nk, key_value * dim]`.
    pub(super) fn keys<'b>(&self, data: &'b [f32]) -> Block<'b> {
        let Heads { query, key_value, dim, .. } = self.attention.heads;
        let head = self.head * key_value / query;
        let cols = head * dim..(head + 1) * dim;
        Block { data, stride: key_value * dim, rows: self.span.keys.clone(), cols }
    }

    /// The dropout of row `i` of a tile, if there is any.
    pub(super) fn dropout(&self, tile: &Tile, i: usize) -> Option<RowDropout> {
        let row = self.span.queries.start + tile.rows.start + i;
        self.attention.dropout.map(|d| RowDropout::new(d, row, self.head, tile.cols.start))
    }

    /// Place of row `i` of a tile in a `[nq, query]` matrix.
    pub(super) fn place(&self, tile: &Tile, i: usize) -> usize {
        (self.span.queries.start + tile.rows.start + i) * self.attention.heads.query + self.head
    }

    /// Copies a tile's rows, `[tile, padded(dim)]`, to their place in a query-shaped matrix.
    pub(super) fn store_queries(&self, to: &Shared<'_>, tile: &Tile, from: &[f32]) {
        let width = from.len() / tile.rows.len();
        for (i, from) in from.chunks_exact(width).enumerate() {
            let row = self.span.queries.start + tile.rows.start + i;
            // SAFETY: spans share no query row and every query head of a span is one task.
            let to = unsafe { to.part(row, self.cols()) };
            to.copy_from_slice(&from[..to.len()]);
        }
    }
}
