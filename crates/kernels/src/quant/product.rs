//! Products with a quantised matrix, which is unpacked a tile at a time.
//!
//! Tiles have a fixed size and each output element is summed in one order, so bits do not depend on the
//! number of threads.

use super::Matrix;
use super::rows::PIECE;
use crate::gemm::{Mat, matmul_at};
use crate::parallel::vectorized;
use crate::reduce::sum_of2;
use rayon::prelude::*;
use std::ops::Range;

/// Rows of x up to which a row of the matrix is multiplied as soon as it is unpacked: when decoding, packing
/// the matrix for a matrix kernel would cost more than the product.
const FEW: usize = 4;

/// Elements of a tile, about: 256 KiB of f32, half of a usual second cache.
const TILE: usize = 64 * 1024;

/// A tile has a multiple of this many rows: the widest vector of f32.
const LANES: usize = 16;

/// Columns of a tile in the backward product: a multiple of every format's block.
const COLUMNS: usize = 256;

/// Elements of the matrix that one task reads where x has few rows.
const CHUNK: usize = 32 * 1024;

/// `out = x wᵀ`: `out` `[n, w.rows]`, `x` `[n, w.cols]`.
pub fn product(out: &mut [f32], x: &[f32], n: usize, w: Matrix<'_>) {
    assert_eq!(x.len(), n * w.cols(), "input is not [n, w.cols]");
    assert_eq!(out.len(), n * w.rows(), "output is not [n, w.rows]");
    if out.is_empty() || w.cols() == 0 {
        out.fill(0.0);
    } else if n <= FEW {
        few_rows(out, x, n, w);
    } else {
        many_rows(out, Mat::new(x, n, w.cols()), w);
    }
}

/// `dx = dy w`: `dx` `[n, w.cols]`, `dy` `[n, w.rows]`. The backward of [`product`].
pub fn product_backward(dx: &mut [f32], dy: &[f32], n: usize, w: Matrix<'_>) {
    assert_eq!(dy.len(), n * w.rows(), "output gradient is not [n, w.rows]");
    assert_eq!(dx.len(), n * w.cols(), "input gradient is not [n, w.cols]");
    if dx.is_empty() || w.rows() == 0 {
        return dx.fill(0.0);
    }
    let (cols, dy) = (w.cols(), Mat::new(dy, n, w.rows()));
    let out = Columns::of(dx, cols);
    pieces(cols, COLUMNS).into_par_iter().for_each(|columns| {
        for rows in pieces(w.rows(), TILE / COLUMNS) {
            let mut tile = vec![0.0; rows.len() * columns.len()];
            w.unpack_tile(&mut tile, rows.start, columns.start, columns.len());
            let (dy, tile) = (dy.columns(rows.clone()), Mat::new(&tile, rows.len(), columns.len()));
            // SAFETY: each task has columns of its own, and all rows of `dx` have them.
            unsafe { matmul_at(out.at(columns.start), cols, dy, tile, rows.start > 0) };
        }
    });
}

/// A tile of rows of `w` makes as many columns of `out`.
fn many_rows(out: &mut [f32], x: Mat<'_>, w: Matrix<'_>) {
    let (stride, cols) = (w.rows(), w.cols());
    let tile_rows = (TILE / cols).max(1).next_multiple_of(LANES);
    let out = Columns::of(out, stride);
    pieces(w.rows(), tile_rows).into_par_iter().for_each(|rows| {
        let mut tile = vec![0.0; rows.len() * cols];
        w.unpack_tile(&mut tile, rows.start, 0, cols);
        let tile = Mat::new(&tile, rows.len(), cols).t();
        // SAFETY: each task has columns of its own, and all rows of `out` have them.
        unsafe { matmul_at(out.at(rows.start), stride, x, tile, false) };
    });
}

/// Row by row of `w`; its products with the rows of x come out transposed, `[w.rows, n]`.
fn few_rows(out: &mut [f32], x: &[f32], n: usize, w: Matrix<'_>) {
    let rows = (CHUNK / w.cols()).max(1);
    let run = |(chunk, out): (usize, &mut [f32])| {
        vectorized(
            #[inline(always)]
            || out.chunks_exact_mut(n).enumerate().for_each(|(r, out)| dots(out, x, w, chunk * rows + r)),
        );
    };
    if n == 1 {
        return out.par_chunks_mut(rows).enumerate().for_each(run);
    }
    let mut transposed = vec![0.0; out.len()];
    transposed.par_chunks_mut(rows * n).enumerate().for_each(run);
    for (i, out) in out.chunks_exact_mut(w.rows()).enumerate() {
        out.iter_mut().zip(transposed.chunks_exact(n)).for_each(|(o, t)| *o = t[i]);
    }
}

/// `out[i] = x[i] · w[row]`: `out` `[n]`, `x` `[n, w.cols]`.
#[inline(always)]
fn dots(out: &mut [f32], x: &[f32], w: Matrix<'_>, row: usize) {
    let cols = w.cols();
    let mut piece = [0.0; PIECE];
    out.fill(0.0);
    for at in (0..cols).step_by(PIECE) {
        let piece = &mut piece[..PIECE.min(cols - at)];
        w.unpack_row(piece, row, at);
        for (o, x) in out.iter_mut().zip(x.chunks_exact(cols)) {
            *o += sum_of2(
                piece,
                &x[at..at + piece.len()],
                #[inline(always)]
                |w, x| w * x,
            );
        }
    }
}

/// `0..len` in pieces of `size`, the last one shorter.
fn pieces(len: usize, size: usize) -> Vec<Range<usize>> {
    (0..len).step_by(size).map(|first| first..(first + size).min(len)).collect()
}

/// An output whose columns are shared out among tasks.
struct Columns {
    data: *mut f32,
    count: usize,
}

// SAFETY: the pointer is only used through `at`, whose callers keep to columns of their own.
unsafe impl Send for Columns {}
// SAFETY: as above.
unsafe impl Sync for Columns {}

impl Columns {
    fn of(out: &mut [f32], count: usize) -> Self {
        Self { data: out.as_mut_ptr(), count }
    }

    /// The first row's element in a column.
    fn at(&self, column: usize) -> *mut f32 {
        assert!(column < self.count, "column outside the output");
        // SAFETY: the first row has that many elements.
        unsafe { self.data.add(column) }
    }
}
