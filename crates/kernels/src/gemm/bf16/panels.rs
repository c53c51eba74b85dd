//! A part of the right side in cells, small enough for the second cache.

use super::super::{Side, Source};
use super::cells::{Cell, DEPTH, Fill, SIDE, cells};
use super::{Filling, Unit};
use std::ops::Range;

/// Pairs of inner indices of a cell.
const PAIRS: usize = DEPTH / 2;

/// `[columns of cells, cells along the inner index]`, the former a multiple of two.
#[derive(Default)]
pub(super) struct Panels {
    cells: Vec<Cell>,
    /// Along the inner index.
    length: usize,
    /// Two rows in bf16.
    rows: Vec<u16>,
}

impl Panels {
    /// Reads the part of `w` that makes the outputs in `outputs`, for the inner indices in `depth`. What is left of
    /// the last cells along the inner index is zero.
    pub(super) fn fill(
        &mut self,
        w: &impl Source,
        side: Side,
        (outputs, depth): (&Range<usize>, &Range<usize>),
        unit: Unit,
    ) {
        self.length = cells(depth.len());
        let needed = outputs.len().div_ceil(2 * SIDE) * 2 * self.length;
        if self.cells.len() < needed {
            self.cells.resize(needed, Cell::ZERO);
        }
        let width = if side == Side::Transposed { self.length * DEPTH } else { outputs.len() };
        self.rows.clear();
        self.rows.resize(2 * width.next_multiple_of(SIDE), 0);
        unit.fill(Part { panels: self, w, side, outputs, depth });
    }

    /// Two columns of cells, from output `at` of this part on.
    pub(super) fn pair(&self, at: usize) -> [&[Cell]; 2] {
        let first = at / SIDE * self.length;
        [first, first + self.length].map(|first| &self.cells[first..first + self.length])
    }
}

/// Panels and what they are to hold.
struct Part<'a, W> {
    panels: &'a mut Panels,
    w: &'a W,
    side: Side,
    outputs: &'a Range<usize>,
    depth: &'a Range<usize>,
}

impl<W: Source> Filling for Part<'_, W> {
    #[inline(always)]
    fn fill<F: Fill>(self) {
        match self.side {
            Side::Transposed => self.transposed::<F>(),
            Side::Straight => self.straight::<F>(),
        }
    }
}

impl<W: Source> Part<'_, W> {
    /// An output is a row of the matrix: a column of cells is some of its rows, turned.
    #[inline(always)]
    fn transposed<F: Fill>(self) {
        let Panels { cells, length, rows } = self.panels;
        let row = &mut rows[..*length * DEPTH];
        for (first, cells) in self.outputs.clone().step_by(SIDE).zip(cells.chunks_exact_mut(*length)) {
            for (i, output) in (first..self.outputs.end.min(first + SIDE)).enumerate() {
                self.w.read_rounded::<F>(&mut row[..self.depth.len()], output, self.depth.start);
                for (cell, values) in cells.iter_mut().zip(row.as_chunks().0) {
                    cell.0[i] = *values;
                }
            }
            for cell in cells {
                F::turn(cell);
            }
        }
    }

    /// An inner index is a row of the matrix: two of them are paired.
    #[inline(always)]
    fn straight<F: Fill>(self) {
        let Panels { cells, length, rows } = self.panels;
        let width = self.outputs.len();
        let half = rows.len() / 2;
        let (first, second) = rows.split_at_mut(half);
        for pair in 0..*length * PAIRS {
            for (row, p) in [&mut *first, &mut *second].into_iter().zip(self.depth.start + 2 * pair..) {
                match p < self.depth.end {
                    true => self.w.read_rounded::<F>(&mut row[..width], p, self.outputs.start),
                    false => row.fill(0),
                }
            }
            let parts = first.as_chunks().0.iter().zip(second.as_chunks().0);
            for ((first, second), cells) in parts.zip(cells.chunks_exact_mut(*length)) {
                F::pair(&mut cells[pair / PAIRS].0[pair % PAIRS], first, second);
            }
        }
    }
}
