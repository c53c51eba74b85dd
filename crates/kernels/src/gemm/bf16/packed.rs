//! A whole matrix in bf16, laid out so that products in either direction read it from front to back.

use super::super::{Side, Source};
use super::Filling;
use super::cells::{Cell, DEPTH, Fill, SIDE, cells, single};
use super::panels::Panels;
use super::{BEST, BLOCK};
use rayon::prelude::*;
use std::ops::Range;

/// A matrix `[rows, cols]` in bf16: cells of 16 rows with 32 columns, row after row of them. What is left of cells at
/// the ends is zero.
///
/// One order serves both directions: going forward a cell is turned, going back its rows are woven in pairs, and
/// either costs a few instructions for hundreds of multiplications.
pub struct Packed {
    cells: Vec<Cell>,
    rows: usize,
    cols: usize,
}

impl Packed {
    /// Rounds a matrix.
    pub(in crate::gemm) fn new(w: &impl Source) -> Self {
        let (rows, cols) = (w.rows(), w.cols());
        let length = cells(cols);
        let mut packed = vec![Cell::ZERO; rows.div_ceil(BLOCK) * BLOCK / SIDE * length];
        if length > 0 {
            packed.par_chunks_mut(length).enumerate().for_each(|(strip, cells)| {
                let rows = (strip * SIDE).min(rows)..((strip + 1) * SIDE).min(rows);
                BEST.fill(Strip { cells, w, rows });
            });
        }
        Self { cells: packed, rows, cols }
    }

    /// Bytes that it takes.
    pub fn bytes(&self) -> usize {
        size_of_val(self.cells.as_slice())
    }

    /// Row `row` from column `at` on, a multiple of 32: 32 columns each time.
    #[inline(always)]
    fn row(&self, row: usize, at: usize) -> impl Iterator<Item = &[u16; DEPTH]> {
        let first = row / SIDE * cells(self.cols) + at / DEPTH;
        self.cells[first..].iter().map(move |cell| &cell.0[row % SIDE])
    }
}

/// Some rows of a matrix and the cells that they become.
struct Strip<'a, W> {
    cells: &'a mut [Cell],
    w: &'a W,
    rows: Range<usize>,
}

impl<W: Source> Filling for Strip<'_, W> {
    #[inline(always)]
    fn fill<F: Fill>(self) {
        let mut row = vec![0; self.cells.len() * DEPTH];
        for (i, at) in self.rows.enumerate() {
            self.w.read_rounded::<F>(&mut row[..self.w.cols()], at, 0);
            for (cell, values) in self.cells.iter_mut().zip(row.as_chunks().0) {
                cell.0[i] = *values;
            }
        }
    }
}

impl Source for Packed {
    fn rows(&self) -> usize {
        self.rows
    }

    fn cols(&self) -> usize {
        self.cols
    }

    fn grain(&self) -> usize {
        DEPTH
    }

    #[inline(always)]
    fn read(&self, out: &mut [f32], row: usize, at: usize) {
        for (out, piece) in out.chunks_mut(DEPTH).zip(self.row(row, at)) {
            for (out, &value) in out.iter_mut().zip(piece) {
                *out = single(value);
            }
        }
    }

    #[inline(always)]
    fn dot(&self, row: usize, x: &[f32]) -> f32 {
        let pieces = x.chunks(DEPTH).zip(self.row(row, 0));
        pieces.map(|(x, w)| x.iter().zip(w).map(|(x, &w)| x * single(w)).sum::<f32>()).sum()
    }

    #[inline(always)]
    fn fill_panels<F: Fill>(
        &self,
        panels: &mut Panels,
        side: Side,
        outputs: &Range<usize>,
        depth: &Range<usize>,
    ) {
        match side {
            Side::Transposed => self.turned::<F>(panels, outputs, depth),
            Side::Straight => self.woven::<F>(panels, outputs, depth),
        }
    }
}

impl Packed {
    /// An output is a row: cells are turned.
    #[inline(always)]
    fn turned<F: Fill>(&self, panels: &mut Panels, outputs: &Range<usize>, depth: &Range<usize>) {
        let length = cells(self.cols);
        for (strip, to) in (outputs.start / SIDE..outputs.end.div_ceil(SIDE)).zip(panels.columns()) {
            let from = &self.cells[strip * length + depth.start / DEPTH..];
            for (to, from) in to.iter_mut().zip(from) {
                *to = *from;
                F::turn(to);
            }
        }
    }

    /// An output is a column: of two cells below each other, pairs of rows are woven into each other.
    #[inline(always)]
    fn woven<F: Fill>(&self, panels: &mut Panels, outputs: &Range<usize>, depth: &Range<usize>) {
        let length = cells(self.cols);
        let columns = outputs.start / DEPTH..outputs.end.div_ceil(DEPTH);
        for (at, strip) in (depth.start / SIDE..depth.end.div_ceil(BLOCK) * BLOCK / SIDE).enumerate() {
            for (column, from) in self.cells[strip * length..][columns.clone()].iter().enumerate() {
                for half in 0..2 {
                    let to = panels.cell(2 * column + half, at / 2);
                    for (pair, to) in from.0.as_chunks::<2>().0.iter().zip(&mut to.0[at % 2 * SIDE / 2..]) {
                        F::pair(to, part(&pair[0], half), part(&pair[1], half));
                    }
                }
            }
        }
    }
}

/// One half of a row of a cell.
#[inline(always)]
fn part(row: &[u16; DEPTH], half: usize) -> &[u16; SIDE] {
    &row.as_chunks().0[half]
}
