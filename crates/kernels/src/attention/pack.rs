//! Copies of a head's rows and columns in the order in which the products read them, and the outputs that
//! tasks share.

use crate::parallel::vectorized;
use std::marker::PhantomData;
use std::ops::Range;

/// Every packed row has a multiple of this many columns, zeros at its end: whole vectors on every machine.
pub(super) const PAD: usize = 32;

/// `n` rounded up to a multiple of [`PAD`].
pub(super) fn padded(n: usize) -> usize {
    n.next_multiple_of(PAD)
}

/// The first `len` elements of a buffer that only ever grows. Their content is whatever was there.
pub(super) fn space(buffer: &mut Vec<f32>, len: usize) -> &mut [f32] {
    if buffer.len() < len {
        buffer.resize(len, 0.0);
    }
    &mut buffer[..len]
}

/// Some rows and columns of a row-major matrix: one head of one span.
#[derive(Clone)]
pub(super) struct Block<'a> {
    pub(super) data: &'a [f32],
    /// Columns of the whole matrix.
    pub(super) stride: usize,
    pub(super) rows: Range<usize>,
    pub(super) cols: Range<usize>,
}

impl<'a> Block<'a> {
    fn iter(&self) -> impl Iterator<Item = &'a [f32]> {
        let Block { data, stride, rows, cols } = self.clone();
        rows.map(move |i| &data[i * stride + cols.start..i * stride + cols.end])
    }

    /// The block as rows of padded(cols) in `buffer`.
    #[inline(always)]
    pub(super) fn pack_rows<'b>(&self, buffer: &'b mut Vec<f32>) -> &'b [f32] {
        let width = padded(self.cols.len());
        let packed = space(buffer, self.rows.len() * width);
        for (out, x) in packed.chunks_exact_mut(width).zip(self.iter()) {
            let (values, rest) = out.split_at_mut(x.len());
            values.copy_from_slice(x);
            rest.fill(0.0);
        }
        packed
    }

    /// The transpose times `factor`, `[cols, padded(rows)]`, in `buffer`.
    #[inline(always)]
    pub(super) fn pack_columns<'b>(&self, buffer: &'b mut Vec<f32>, factor: f32) -> &'b [f32] {
        let width = padded(self.rows.len());
        let packed = space(buffer, self.cols.len() * width);
        vectorized(
            #[inline(always)]
            || self.turn(packed, width, factor),
        );
        packed.chunks_exact_mut(width.max(PAD)).for_each(|row| row[self.rows.len()..].fill(0.0));
        packed
    }

    /// `out[j, i] = factor block[i, j]`, rows of `out` `width` apart: in squares, and one by one at the edges.
    #[inline(always)]
    fn turn(&self, out: &mut [f32], width: usize, factor: f32) {
        let (rows, cols) = (self.rows.len(), self.cols.len());
        let from = &self.data[(self.rows.start * self.stride + self.cols.start).min(self.data.len())..];
        let (whole_rows, whole_cols) = (rows - rows % SQUARE, cols - cols % SQUARE);
        for i in (0..whole_rows).step_by(SQUARE) {
            for j in (0..whole_cols).step_by(SQUARE) {
                turn_square(
                    &mut out[j * width + i..],
                    width,
                    &from[i * self.stride + j..],
                    self.stride,
                    factor,
                );
            }
        }
        for i in 0..rows {
            let first = if i < whole_rows { whole_cols } else { 0 };
            for j in first..cols {
                out[j * width + i] = factor * from[i * self.stride + j];
            }
        }
    }
}

/// Rows and columns that are turned at a time.
const SQUARE: usize = 8;

/// `out[j, i] = factor from[i, j]` for i and j below [`SQUARE`].
#[inline(always)]
fn turn_square(out: &mut [f32], width: usize, from: &[f32], stride: usize, factor: f32) {
    let mut square = [[0.0f32; SQUARE]; SQUARE];
    for (i, held) in square.iter_mut().enumerate() {
        held.copy_from_slice(&from[i * stride..][..SQUARE]);
    }
    for j in 0..SQUARE {
        let column: [f32; SQUARE] = std::array::from_fn(|i| factor * square[i][j]);
        out[j * width..][..SQUARE].copy_from_slice(&column);
    }
}

/// A row-major matrix into which parallel tasks write, each at places of its own.
pub(super) struct Shared<'a> {
    start: *mut f32,
    len: usize,
    cols: usize,
    borrow: PhantomData<&'a mut [f32]>,
}

// SAFETY: the pointer comes from an exclusive borrow that lives as long as this value, and whoever writes
// through it promises, in `part`, that nobody else touches the same elements.
unsafe impl Sync for Shared<'_> {}

impl<'a> Shared<'a> {
    /// `data` `[n, cols]`.
    pub(super) fn new(data: &'a mut [f32], cols: usize) -> Self {
        Self { start: data.as_mut_ptr(), len: data.len(), cols, borrow: PhantomData }
    }

    /// Some columns of a row.
    ///
    /// # Safety
    /// While the result lives, no other part with one of these elements may be asked for.
    #[expect(clippy::mut_from_ref, reason = "exclusive by the caller's promise")]
    pub(super) unsafe fn part(&self, row: usize, cols: Range<usize>) -> &mut [f32] {
        let first = row * self.cols + cols.start;
        assert!(cols.end <= self.cols && first + cols.len() <= self.len, "part outside the matrix");
        // SAFETY: inside the slice, asserted above; exclusive by the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(first), cols.len()) }
    }
}
