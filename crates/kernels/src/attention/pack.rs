//! Copies of a head's rows and columns in the order in which the products read them, and the outputs that
//! tasks share.

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
        for (j, x) in self.iter().enumerate() {
            packed[j..].iter_mut().step_by(width).zip(x).for_each(|(o, x)| *o = factor * x);
        }
        packed.chunks_exact_mut(width.max(PAD)).for_each(|row| row[self.rows.len()..].fill(0.0));
        packed
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
