//! A part of the right side in cells, small enough for the second cache.

use super::super::{Side, Source};
use super::cells::{Cell, DEPTH, Fill, SIDE, cells};
use super::{Filling, Unit};
use std::ops::Range;

/// Pairs of inner indices of a cell.
const PAIRS: usize = DEPTH / 2;

/// `[columns of cells, cells along the inner index]`, the former a multiple of two.
#[derive(Default)]
pub(crate) struct Panels {
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
        unit.fill(Part { panels: self, w, side, outputs, depth });
    }

    /// Columns of cells.
    pub(super) fn columns(&mut self) -> impl Iterator<Item = &mut [Cell]> {
        self.cells.chunks_exact_mut(self.length)
    }

    /// A cell by its column and its place along the inner index.
    #[inline(always)]
    pub(super) fn cell(&mut self, column: usize, at: usize) -> &mut Cell {
        &mut self.cells[column * self.length + at]
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
        self.w.fill_panels::<F>(self.panels, self.side, self.outputs, self.depth);
    }
}

/// Fills panels from rows of a matrix, where that has no better way.
#[inline(always)]
pub(in crate::gemm) fn fill_from_rows<F: Fill>(
    panels: &mut Panels,
    w: &(impl Source + ?Sized),
    side: Side,
    (outputs, depth): (&Range<usize>, &Range<usize>),
) {
    let width = if side == Side::Transposed { panels.length * DEPTH } else { outputs.len() };
    panels.rows.clear();
    panels.rows.resize(2 * width.next_multiple_of(SIDE), 0);
    match side {
        Side::Transposed => turned::<F>(panels, w, outputs, depth),
        Side::Straight => woven::<F>(panels, w, outputs, depth),
    }
}

/// An output is a row of the matrix: a column of cells is some of its rows, turned.
#[inline(always)]
fn turned<F: Fill>(
    panels: &mut Panels,
    w: &(impl Source + ?Sized),
    outputs: &Range<usize>,
    depth: &Range<usize>,
) {
    let Panels { cells, length, rows } = panels;
    let row = &mut rows[..*length * DEPTH];
    for (first, cells) in outputs.clone().step_by(SIDE).zip(cells.chunks_exact_mut(*length)) {
        for (i, output) in (first..outputs.end.min(first + SIDE)).enumerate() {
            w.read_rounded::<F>(&mut row[..depth.len()], output, depth.start);
            for (cell, values) in cells.iter_mut().zip(row.as_chunks().0) {
                cell.0[i] = *values;
            }
        }
        for cell in cells {
            F::turn(cell);
        }
    }
}

/// An inner index is a row of the matrix: two of them are woven into each other.
#[inline(always)]
fn woven<F: Fill>(
    panels: &mut Panels,
    w: &(impl Source + ?Sized),
    outputs: &Range<usize>,
    depth: &Range<usize>,
) {
    let Panels { cells, length, rows } = panels;
    let half = rows.len() / 2;
    let (first, second) = rows.split_at_mut(half);
    for pair in 0..*length * PAIRS {
        for (row, p) in [&mut *first, &mut *second].into_iter().zip(depth.start + 2 * pair..) {
            match p < depth.end {
                true => w.read_rounded::<F>(&mut row[..outputs.len()], p, outputs.start),
                false => row.fill(0),
            }
        }
        let parts = first.as_chunks().0.iter().zip(second.as_chunks().0);
        for ((first, second), cells) in parts.zip(cells.chunks_exact_mut(*length)) {
            F::pair(&mut cells[pair / PAIRS].0[pair % PAIRS], first, second);
        }
    }
}

/// Fills panels whose inner indices are rows that lie in memory in f32: `row` gives the part of one.
#[inline(always)]
pub(in crate::gemm) fn weave_rows<'a, F: Fill>(
    panels: &mut Panels,
    row: impl Fn(usize) -> &'a [f32],
    (outputs, depth): (&Range<usize>, &Range<usize>),
) {
    let Panels { cells, length, .. } = panels;
    for pair in 0..*length * PAIRS {
        let p = depth.start + 2 * pair;
        let first = if p < depth.end { row(p) } else { &[] };
        let second = if p + 1 < depth.end { row(p + 1) } else { &[] };
        let columns = cells.chunks_exact_mut(*length).take(outputs.len().div_ceil(SIDE));
        for (column, cells) in columns.enumerate() {
            let to = &mut cells[pair / PAIRS].0[pair % PAIRS];
            F::weave(to, &sixteen(first, column), &sixteen(second, column));
        }
    }
}

/// Sixteen columns of a row, filled up with zeros.
#[inline(always)]
fn sixteen(row: &[f32], column: usize) -> [f32; SIDE] {
    let (whole, rest) = row.as_chunks::<SIDE>();
    if let Some(whole) = whole.get(column) {
        return *whole;
    }
    let mut values = [0.0; SIDE];
    if column == whole.len() {
        values[..rest.len()].copy_from_slice(rest);
    }
    values
}
