//! Cells of bf16 values, and how rows of f32 become cells.

use super::round::round_pairs;

/// Rows or columns of a cell: the lanes of a vector of f32, the rows of a tile of AMX.
pub(super) const SIDE: usize = 16;

/// Pairs of inner indices of a cell.
pub(super) const PAIRS: usize = 16;

/// Inner indices of a cell.
pub(super) const DEPTH: usize = 2 * PAIRS;

/// 16 x 16 pairs of bf16 values: of the left side `[row, pair]`, of the right side `[pair, column]`. The first of
/// a pair is its lower half.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Cell(pub(super) [[u32; SIDE]; PAIRS]);

impl Cell {
    pub(super) const ZERO: Self = Self([[0; SIDE]; PAIRS]);

    /// The other way round.
    #[inline(always)]
    pub(super) fn turned(&self) -> Self {
        let mut turned = Self::ZERO;
        for (i, row) in turned.0.iter_mut().enumerate() {
            for (value, from) in row.iter_mut().zip(&self.0) {
                *value = from[i];
            }
        }
        turned
    }
}

/// Cells along the inner index for a row of `depth` values.
pub(super) fn cells(depth: usize) -> usize {
    depth.div_ceil(DEPTH)
}

/// Row `at` of cells along the inner index: `row` in pairs, filled up with zeros.
#[inline(always)]
pub(super) fn set_row(cells: &mut [Cell], at: usize, row: &[f32]) {
    let (whole, rest) = row.as_chunks::<DEPTH>();
    for (cell, values) in cells.iter_mut().zip(whole) {
        cell.0[at] = along(values);
    }
    if let Some(cell) = cells.get_mut(whole.len()) {
        let mut values = [0.0; DEPTH];
        values[..rest.len()].copy_from_slice(rest);
        cell.0[at] = along(&values);
    }
}

/// Neighbours become pairs.
#[inline(always)]
fn along(values: &[f32; DEPTH]) -> [u32; PAIRS] {
    let pairs = values.as_chunks::<2>().0;
    round_pairs(std::array::from_fn(|p| pairs[p][0]), std::array::from_fn(|p| pairs[p][1]))
}

/// Two rows of 16 columns become pairs of inner indices, one for each column.
#[inline(always)]
pub(super) fn across(first: &[f32], second: &[f32]) -> [u32; SIDE] {
    let whole = |row: &[f32]| {
        let mut values = [0.0; SIDE];
        values[..row.len()].copy_from_slice(row);
        values
    };
    round_pairs(whole(first), whole(second))
}
