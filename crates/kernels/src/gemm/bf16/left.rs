//! The left side in cells.

use super::super::Left;
use super::cells::{Cell, DEPTH, Fill, SIDE, cells};
use super::{Filling, Unit};
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
    pub(super) fn lay_out(&mut self, left: Left<'_>, rows: usize, depth: usize, unit: Unit) {
        let (cells, length) = self.space(rows, depth);
        let strips = cells.par_chunks_mut(length).enumerate().with_min_len(STRIPS);
        strips.for_each(|(index, out)| unit.fill(Strip::new(index, out, left, (rows, depth))));
    }

    /// As [`lay_out`](Self::lay_out), on this thread.
    pub(super) fn lay_out_here(&mut self, left: Left<'_>, rows: usize, depth: usize, unit: Unit) {
        let (cells, length) = self.space(rows, depth);
        let strips = cells.chunks_mut(length).enumerate();
        strips.for_each(|(index, out)| unit.fill(Strip::new(index, out, left, (rows, depth))));
    }

    /// Cells for a matrix, of unspecified content, and how many lie along the inner index.
    fn space(&mut self, rows: usize, depth: usize) -> (&mut [Cell], usize) {
        self.length = cells(depth);
        let needed = rows.div_ceil(2 * SIDE) * 2 * self.length;
        if self.cells.len() < needed {
            self.cells.resize(needed, Cell::ZERO);
        }
        (&mut self.cells[..needed], self.length)
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

/// A row of cells and the rows that it is to hold.
struct Strip<'a> {
    out: &'a mut [Cell],
    left: Left<'a>,
    rows: Range<usize>,
    depth: usize,
}

impl<'a> Strip<'a> {
    fn new(index: usize, out: &'a mut [Cell], left: Left<'a>, (rows, depth): (usize, usize)) -> Self {
        Self { out, left, rows: (index * SIDE).min(rows)..((index + 1) * SIDE).min(rows), depth }
    }
}

impl Filling for Strip<'_> {
    #[inline(always)]
    fn fill<F: Fill>(self) {
        let Self { out, left, rows, depth } = self;
        match left.step {
            1 => along::<F>(out, left, rows, depth),
            _ => across::<F>(out, left, rows, depth),
        }
    }
}

/// Rows that lie along the inner index. The last cell is filled up with zeros.
#[inline(always)]
fn along<F: Fill>(out: &mut [Cell], left: Left<'_>, rows: Range<usize>, depth: usize) {
    for (r, row) in rows.enumerate() {
        let (whole, rest) = left.data[row * left.row_stride..][..depth].as_chunks::<DEPTH>();
        for (cell, values) in out.iter_mut().zip(whole) {
            F::round(&mut cell.0[r], values);
        }
        if !rest.is_empty() {
            let last = &mut out[whole.len()].0[r];
            F::round(&mut last[..rest.len()], rest);
            last[rest.len()..].fill(0);
        }
    }
}

/// Rows that lie side by side: two inner indices at a time become pairs, and cells are turned.
#[inline(always)]
fn across<F: Fill>(out: &mut [Cell], left: Left<'_>, rows: Range<usize>, depth: usize) {
    let mut inner = [[0; SIDE]; 2];
    for (c, cell) in out.iter_mut().enumerate() {
        for (pair, to) in cell.0.iter_mut().enumerate() {
            for (inner, p) in inner.iter_mut().zip(c * DEPTH + 2 * pair..) {
                match p < depth {
                    true => F::round(
                        &mut inner[..rows.len()],
                        &left.data[p * left.step + rows.start..][..rows.len()],
                    ),
                    false => inner.fill(0),
                }
            }
            F::pair(to, &inner[0], &inner[1]);
        }
        F::turn(cell);
    }
}
