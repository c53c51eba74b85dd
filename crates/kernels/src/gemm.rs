//! Matrix products in f32, through the `gemm` crate.

use std::ops::Range;

/// A view of a matrix in a slice: any rectangle, transposed or not, without copying.
#[derive(Clone, Copy)]
pub struct Mat<'a> {
    data: &'a [f32],
    rows: usize,
    cols: usize,
    row_stride: usize,
    col_stride: usize,
}

impl<'a> Mat<'a> {
    /// The whole of `data` [rows, cols], row-major and contiguous.
    pub fn new(data: &'a [f32], rows: usize, cols: usize) -> Self {
        assert_eq!(data.len(), rows * cols, "matrix data does not have rows x cols elements");
        Self { data, rows, cols, row_stride: cols, col_stride: 1 }
    }

    /// The transpose [cols, rows].
    pub fn t(self) -> Self {
        let Self { data, rows, cols, row_stride, col_stride } = self;
        Self { data, rows: cols, cols: rows, row_stride: col_stride, col_stride: row_stride }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// The columns in `range` of every row: [rows, range.len()].
    pub fn columns(self, range: Range<usize>) -> Self {
        self.t().row_range(range).t()
    }

    /// The rows in `range`: [range.len(), cols].
    pub fn row_range(self, range: Range<usize>) -> Self {
        assert!(range.start <= range.end && range.end <= self.rows, "range outside the matrix");
        let first = (range.start * self.row_stride).min(self.data.len());
        Self { data: &self.data[first..], rows: range.len(), ..self }
    }

    /// Whether every element of the view lies in its slice: what the product's raw pointers rely on.
    fn fits(&self) -> bool {
        let empty = self.rows == 0 || self.cols == 0;
        let last = || (self.rows - 1) * self.row_stride + (self.cols - 1) * self.col_stride;
        empty || last() < self.data.len()
    }
}

/// `out = alpha a b`, or `out += alpha a b` with `accumulate`. `out` is [a.rows, b.cols], row-major, and is all zero
/// (or unchanged) when the inner dimension is 0.
pub fn matmul(out: &mut [f32], a: Mat<'_>, b: Mat<'_>, alpha: f32, accumulate: bool) {
    let (m, k, n) = (a.rows, a.cols, b.cols);
    assert_eq!(k, b.rows, "inner dimensions differ");
    assert_eq!(out.len(), m * n, "output is not [a.rows, b.cols]");
    assert!(a.fits() && b.fits(), "view reaches outside its slice");
    if !accumulate && k == 0 {
        out.fill(0.0);
    }
    if m == 0 || n == 0 || k == 0 {
        return;
    }
    let parallelism =
        if m * n * k <= SERIAL { ::gemm::Parallelism::None } else { ::gemm::Parallelism::Rayon(0) };
    let stride = |s: usize| s as isize;
    // SAFETY: `out` is exactly m x n and exclusively borrowed; every index of both views is inside its slice, asserted
    // above. Without `accumulate` the old content of `out` is not read.
    unsafe {
        ::gemm::gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            1,
            stride(n),
            accumulate,
            a.data.as_ptr(),
            stride(a.col_stride),
            stride(a.row_stride),
            b.data.as_ptr(),
            stride(b.col_stride),
            stride(b.row_stride),
            1.0,
            alpha,
            false,
            false,
            false,
            parallelism,
        );
    }
}

/// Multiplications below which waking other threads costs more than it saves.
const SERIAL: usize = 64 * 64 * 64;
