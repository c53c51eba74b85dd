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
    /// The whole of `data` `[rows, cols]`, row-major and contiguous.
    pub fn new(data: &'a [f32], rows: usize, cols: usize) -> Self {
        assert_eq!(data.len(), rows * cols, "matrix data does not have rows x cols elements");
        Self { data, rows, cols, row_stride: cols, col_stride: 1 }
    }

    /// The transpose `[cols, rows]`.
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

    /// The columns in `range` of every row: `[rows, range.len()]`.
    pub fn columns(self, range: Range<usize>) -> Self {
        self.t().row_range(range).t()
    }

    /// The rows in `range`: `[range.len(), cols]`.
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

/// `out = alpha a b`, or `out += alpha a b` with `accumulate`. `out` is `[a.rows, b.cols]`, row-major, and is
/// all zero (or unchanged) when the inner dimension is 0.
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
    // SAFETY: `out` is exactly m x n and exclusively borrowed; every index of both views is inside its slice,
    // asserted above.
    unsafe { into(out.as_mut_ptr(), n, (a, b), (alpha, accumulate), parallelism) };
}

/// The product of `a` and `b` into (or, with `accumulate`, onto) a rectangle of a larger matrix whose rows
/// are `stride` apart, on the calling thread only. Nothing to sum leaves the rectangle as it is.
///
/// # Safety
/// The rectangle `[a.rows, b.cols]` at `out` must be valid for reads and writes, and nobody else may touch
/// it meanwhile.
pub(crate) unsafe fn matmul_at(out: *mut f32, stride: usize, a: Mat<'_>, b: Mat<'_>, accumulate: bool) {
    assert_eq!(a.cols, b.rows, "inner dimensions differ");
    assert!(a.fits() && b.fits(), "view reaches outside its slice");
    if a.rows > 0 && a.cols > 0 && b.cols > 0 {
        // SAFETY: the caller's promise, and the assertions above.
        unsafe { into(out, stride, (a, b), (1.0, accumulate), ::gemm::Parallelism::None) };
    }
}

/// # Safety
/// As [`matmul_at`]; the inner dimensions must agree and both views lie inside their slices. Without
/// `accumulate` the old content of `out` is not read.
unsafe fn into(
    out: *mut f32,
    out_stride: usize,
    (a, b): (Mat<'_>, Mat<'_>),
    (alpha, accumulate): (f32, bool),
    parallelism: ::gemm::Parallelism,
) {
    let stride = |s: usize| s as isize;
    // SAFETY: the caller's promise.
    unsafe {
        ::gemm::gemm(
            a.rows,
            b.cols,
            a.cols,
            out,
            1,
            stride(out_stride),
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

#[cfg(test)]
mod tests {
    use super::{Mat, matmul};
    use crate::testing::{assert_close, assert_same_on_threads, noise, wide};

    /// Relative to 1 + |expected|: sums of at most 300 products of size 1.
    const TOLERANCE: f64 = 1e-5;

    /// `alpha a b + c` by the definition; `a` `[m, k]` and `b` `[k, n]`.
    fn reference(alpha: f64, a: &[f64], b: &[f64], c: &[f64], (m, k, n): (usize, usize, usize)) -> Vec<f64> {
        let element = |i: usize, j: usize| (0..k).map(|p| a[i * k + p] * b[p * n + j]).sum::<f64>();
        (0..m * n).map(|at| alpha * element(at / n, at % n) + c[at]).collect()
    }

    fn transposed(x: &[f32], cols: usize) -> Vec<f32> {
        (0..cols).flat_map(|j| x.iter().skip(j).step_by(cols).copied()).collect()
    }

    #[test]
    fn every_order_and_odd_sizes() {
        for (m, k, n) in [(1, 1, 1), (1, 33, 7), (7, 1, 17), (33, 17, 1), (17, 33, 7), (65, 300, 129)] {
            let (a, b, c) = (noise(1, m * k), noise(2, k * n), noise(3, m * n));
            let (at, bt) = (transposed(&a, k), transposed(&b, n));
            let zero = vec![0.0; m * n];
            for left in [Mat::new(&a, m, k), Mat::new(&at, k, m).t()] {
                for right in [Mat::new(&b, k, n), Mat::new(&bt, n, k).t()] {
                    let mut out = vec![f32::NAN; m * n];
                    matmul(&mut out, left, right, 0.5, false);
                    assert_close(&out, &reference(0.5, &wide(&a), &wide(&b), &zero, (m, k, n)), TOLERANCE);
                    let mut out = c.clone();
                    matmul(&mut out, left, right, -2.0, true);
                    assert_close(
                        &out,
                        &reference(-2.0, &wide(&a), &wide(&b), &wide(&c), (m, k, n)),
                        TOLERANCE,
                    );
                }
            }
        }
    }

    #[test]
    fn views_of_rows_and_columns() {
        let (a, b) = (noise(1, 9 * 11), noise(2, 5 * 4));
        let view = Mat::new(&a, 9, 11).row_range(2..8).columns(3..8);
        assert_eq!((view.rows(), view.cols()), (6, 5));
        let mut out = vec![0.0; 6 * 4];
        matmul(&mut out, view, Mat::new(&b, 5, 4), 1.0, false);
        let copy: Vec<f32> = (2..8).flat_map(|i| a[i * 11 + 3..i * 11 + 8].to_vec()).collect();
        let expected = reference(1.0, &wide(&copy), &wide(&b), &[0.0; 24], (6, 5, 4));
        assert_close(&out, &expected, TOLERANCE);
        let last = Mat::new(&a, 9, 11).t().row_range(11..11).columns(9..9);
        assert_eq!((last.rows(), last.cols()), (0, 0));
    }

    #[test]
    fn nothing_to_sum() {
        let (mut out, none) = (vec![3.0; 6], Vec::new());
        matmul(&mut out, Mat::new(&none, 2, 0), Mat::new(&none, 0, 3), 1.0, true);
        assert_eq!(out, [3.0; 6]);
        matmul(&mut out, Mat::new(&none, 2, 0), Mat::new(&none, 0, 3), 1.0, false);
        assert_eq!(out, [0.0; 6]);
        matmul(&mut [], Mat::new(&none, 0, 2), Mat::new(&out, 2, 3), 1.0, false);
    }

    #[test]
    fn same_bits_on_any_number_of_threads() {
        for (m, k, n) in [(130, 384, 200), (3, 2000, 70), (500, 8, 384), (700, 384, 2)] {
            let (a, b) = (noise(1, m * k), noise(2, k * n));
            assert_same_on_threads(|| {
                let mut out = vec![0.0; m * n];
                matmul(&mut out, Mat::new(&a, m, k), Mat::new(&b, k, n), 1.0, false);
                out
            });
            let bt = transposed(&b, n);
            assert_same_on_threads(|| {
                let mut out = vec![0.0; m * n];
                matmul(&mut out, Mat::new(&a, m, k), Mat::new(&bt, n, k).t(), 1.0, false);
                out
            });
        }
    }

    #[test]
    #[should_panic(expected = "inner dimensions")]
    fn shapes_are_checked() {
        matmul(&mut [0.0; 4], Mat::new(&[0.0; 6], 2, 3), Mat::new(&[0.0; 4], 2, 2), 1.0, false);
    }
}
