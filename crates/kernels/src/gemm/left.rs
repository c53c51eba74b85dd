//! The left-hand matrix: where it lies, or laid out anew in strips.

use super::micro::{Strips, strip_rows};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;
use std::cell::Cell;
use std::ops::Range;

/// The left-hand matrix `[rows, depth]`.
#[derive(Clone, Copy)]
pub(super) struct Left<'a> {
    pub(super) data: &'a [f32],
    /// From one row to the next; in strips, from one row of a strip to the next.
    pub(super) row_stride: usize,
    /// From one inner index to the next.
    pub(super) step: usize,
    /// From one strip to the next, if it is laid out in strips.
    strip_stride: Option<usize>,
}

impl<'a> Left<'a> {
    /// `data` `[rows, depth]`.
    pub(super) fn rows(data: &'a [f32], depth: usize) -> Self {
        Self { data, row_stride: depth, step: 1, strip_stride: None }
    }

    /// The transpose of `data` `[depth, rows]`.
    pub(super) fn columns(data: &'a [f32], rows: usize) -> Self {
        Self { data, row_stride: 1, step: rows, strip_stride: None }
    }

    /// `data` `[rows, depth]` with these distances from one row to the next and from one inner index to the next, one of
    /// which is 1.
    pub(super) fn strided(data: &'a [f32], (row_stride, step): (usize, usize)) -> Self {
        Self { data, row_stride, step, strip_stride: None }
    }

    /// Without its first inner indices.
    pub(super) fn from(self, depth: usize) -> Self {
        Self { data: self.data.get(depth * self.step..).unwrap_or_default(), ..self }
    }

    /// Some rows, from a multiple of a strip's on, and some inner indices.
    #[inline(always)]
    pub(super) fn strips<S: Simd>(&self, rows: &Range<usize>, depth: &Range<usize>) -> Strips {
        let most = strip_rows::<S>();
        let strip_stride = self.strip_stride.unwrap_or(most * self.row_stride);
        let at =
            |row: usize, p: usize| row / most * strip_stride + row % most * self.row_stride + p * self.step;
        let first = at(rows.start, depth.start);
        // The first element, and a check that the last one is there.
        let data = &self.data[first..=at(rows.end - 1, depth.end - 1)];
        Strips { data: data.as_ptr(), row_stride: self.row_stride, step: self.step, strip_stride }
    }
}

/// Memory for a matrix in strips: lent by the thread, which keeps it for its next product.
pub(super) struct LaidOut {
    data: Vec<f32>,
}

thread_local! {
    static KEPT: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
}

/// Values that this thread keeps room for.
#[cfg(test)]
pub(super) fn kept() -> usize {
    LaidOut::new().data.len()
}

impl LaidOut {
    /// What the thread keeps, or nothing yet.
    pub(super) fn new() -> Self {
        Self { data: KEPT.take() }
    }

    /// Lays a matrix out in strips `[strips, depth, rows of a strip]`, as the innermost loop reads it: one
    /// after the other.
    pub(super) fn lay_out<'a>(&'a mut self, left: Left<'a>, rows: usize, depth: usize) -> Left<'a> {
        pulp::Arch::new().dispatch(Pack { data: &mut self.data, left, rows, depth })
    }
}

impl Drop for LaidOut {
    fn drop(&mut self) {
        KEPT.set(std::mem::take(&mut self.data));
    }
}

struct Pack<'a> {
    data: &'a mut Vec<f32>,
    left: Left<'a>,
    rows: usize,
    depth: usize,
}

impl<'a> WithSimd for Pack<'a> {
    type Output = Left<'a>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Left<'a> {
        let Self { data, left, rows, depth } = self;
        let most = strip_rows::<S>();
        let needed = rows.div_ceil(most) * most * depth;
        if data.len() < needed {
            data.resize(needed, 0.0);
        }
        let data = &mut data[..needed];
        data.par_chunks_mut(most * depth).enumerate().with_min_len(8).for_each(|(strip, out)| {
            fill(out, left, (strip * most, rows.min((strip + 1) * most)), most);
        });
        Left { data, row_stride: 1, step: most, strip_stride: Some(most * depth) }
    }
}

/// `out[p, r] = left[first + r, p]`: `out` `[depth, most]`; what no row is left for stays as it was.
#[inline(always)]
fn fill(out: &mut [f32], left: Left<'_>, (first, end): (usize, usize), most: usize) {
    for (r, row) in (first..end).enumerate() {
        let values = left.data[row * left.row_stride..].iter().step_by(left.step);
        out[r..].iter_mut().step_by(most).zip(values).for_each(|(out, &value)| *out = value);
    }
}
