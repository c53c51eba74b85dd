//! A part of the right side in cells, small enough for the second cache.

use super::super::{Side, Source};
use super::cells::{Cell, PAIRS, SIDE, across, cells, set_row};
use crate::parallel::vectorized;
use std::ops::Range;

/// `[columns of cells, cells along the inner index]`, the former a multiple of two, and room to unpack rows.
#[derive(Default)]
pub(super) struct Panels {
    cells: Vec<Cell>,
    /// Along the inner index.
    length: usize,
    rows: Vec<f32>,
}

impl Panels {
    /// Reads the part of `w` that makes the outputs in `outputs`, for the inner indices in `depth`. What is left of
    /// the last cells along the inner index is zero.
    pub(super) fn fill(&mut self, w: &impl Source, side: Side, outputs: &Range<usize>, depth: &Range<usize>) {
        self.length = cells(depth.len());
        let needed = outputs.len().div_ceil(2 * SIDE) * 2 * self.length;
        if self.cells.len() < needed {
            self.cells.resize(needed, Cell::ZERO);
        }
        vectorized(
            #[inline(always)]
            || match side {
                Side::Transposed => self.fill_transposed(w, outputs, depth),
                Side::Straight => self.fill_straight(w, outputs, depth),
            },
        );
    }

    /// Two columns of cells, from output `at` of this part on.
    pub(super) fn pair(&self, at: usize) -> [&[Cell]; 2] {
        let first = at / SIDE * self.length;
        [first, first + self.length].map(|first| &self.cells[first..first + self.length])
    }

    /// An output is a row of the matrix: a column of cells is some of its rows, turned.
    #[inline(always)]
    fn fill_transposed(&mut self, w: &impl Source, outputs: &Range<usize>, depth: &Range<usize>) {
        self.rows.resize(depth.len(), 0.0);
        for (first, cells) in outputs.clone().step_by(SIDE).zip(self.cells.chunks_exact_mut(self.length)) {
            for (i, output) in (first..outputs.end.min(first + SIDE)).enumerate() {
                w.read(&mut self.rows, output, depth.start);
                set_row(cells, i, &self.rows);
            }
            cells.iter_mut().for_each(|cell| *cell = cell.turned());
        }
    }

    /// An inner index is a row of the matrix.
    #[inline(always)]
    fn fill_straight(&mut self, w: &impl Source, outputs: &Range<usize>, depth: &Range<usize>) {
        let width = outputs.len();
        self.rows.resize(2 * width, 0.0);
        let (first, second) = self.rows.split_at_mut(width);
        for pair in 0..self.length * PAIRS {
            read(w, first, depth, 2 * pair, outputs.start);
            read(w, second, depth, 2 * pair + 1, outputs.start);
            let parts = first.chunks(SIDE).zip(second.chunks(SIDE));
            for ((first, second), cells) in parts.zip(self.cells.chunks_exact_mut(self.length)) {
                cells[pair / PAIRS].0[pair % PAIRS] = across(first, second);
            }
        }
    }
}

/// Columns of a row of the matrix; zeros after the last row.
#[inline(always)]
fn read(w: &impl Source, out: &mut [f32], depth: &Range<usize>, at: usize, column: usize) {
    match depth.start + at < depth.end {
        true => w.read(out, depth.start + at, column),
        false => out.fill(0.0),
    }
}
