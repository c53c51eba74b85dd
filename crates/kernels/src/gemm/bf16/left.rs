//! The left side in cells.

use super::super::Left;
use super::cells::{Cell, DEPTH, PAIRS, SIDE, across, cells, set_row};
use crate::parallel::vectorized;
use rayon::prelude::*;
use std::cell;
use std::ops::Range;

/// `[rows, depth]` as `[rows of cells, cells along the inner index]`, the former a multiple of two. Rows that are
/// there only to fill cells up have any values.
#[derive(Default)]
pub(super) struct Cells {
    cells: Vec<Cell>,
    /// Along the inner index.
    length: usize,
}

thread_local! {
    static KEPT: cell::Cell<Vec<Cell>> = const { cell::Cell::new(Vec::new()) };
}

/// Rows of cells that one piece of parallel work lays out, at least.
const STRIPS: usize = 4;

impl Cells {
    /// With the memory that the thread keeps for its next product.
    pub(super) fn kept() -> Self {
        Self { cells: KEPT.take(), length: 0 }
    }

    /// Rounds a matrix `[rows, depth]`.
    pub(super) fn lay_out(&mut self, left: Left<'_>, rows: usize, depth: usize) {
        self.length = cells(depth);
        let strips = rows.div_ceil(2 * SIDE) * 2;
        let needed = strips * self.length;
        if self.cells.len() < needed {
            self.cells.resize(needed, Cell::ZERO);
        }
        let strips = self.cells[..needed].par_chunks_mut(self.length).enumerate().with_min_len(STRIPS);
        strips.for_each(|(strip, out)| {
            let rows = (strip * SIDE).min(rows)..((strip + 1) * SIDE).min(rows);
            vectorized(
                #[inline(always)]
                || lay_out(out, left, rows, depth),
            );
        });
    }

    /// Two rows of cells, from row `row` of the matrix on, for `depth` inner indices from `from` on.
    pub(super) fn pair(&self, row: usize, from: usize, depth: usize) -> [&[Cell]; 2] {
        let first = row / SIDE * self.length + from / DEPTH;
        [first, first + self.length].map(|first| &self.cells[first..first + cells(depth)])
    }
}

impl Drop for Cells {
    fn drop(&mut self) {
        KEPT.set(std::mem::take(&mut self.cells));
    }
}

/// A row of cells.
#[inline(always)]
fn lay_out(out: &mut [Cell], left: Left<'_>, rows: Range<usize>, depth: usize) {
    if left.step == 1 {
        for (r, row) in rows.enumerate() {
            set_row(out, r, &left.data[row * left.row_stride..][..depth]);
        }
        return;
    }
    for (c, cell) in out.iter_mut().enumerate() {
        let mut turned = Cell::ZERO;
        let row = |p: usize| match p < depth {
            true => &left.data[p * left.step + rows.start..][..rows.len()],
            false => &[],
        };
        for (pair, values) in turned.0.iter_mut().enumerate() {
            let p = 2 * (c * PAIRS + pair);
            *values = across(row(p), row(p + 1));
        }
        *cell = turned.turned();
    }
}
