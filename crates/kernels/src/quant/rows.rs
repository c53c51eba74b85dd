//! Single rows of a quantised matrix: looked up, measured.

use super::Matrix;
use crate::parallel::{for_row_results, for_rows};
use crate::profile::{Kind, time};
use crate::reduce::sum_of;

/// `out[i]` = row `index[i]` of `w`: `out` `[index.len(), w.cols]`, each index below `w.rows`.
pub fn gather_rows(out: &mut [f32], w: Matrix<'_>, index: &[u32]) {
    let _timed = time(Kind::Move);
    let cols = w.cols();
    assert_eq!(out.len(), index.len() * cols, "output is not [index.len(), cols]");
    assert!(index.iter().all(|&i| (i as usize) < w.rows()), "index outside the rows");
    for_rows(
        out,
        cols,
        #[inline(always)]
        |first, out| {
            for (out, &i) in out.chunks_exact_mut(cols).zip(&index[first..]) {
                w.unpack_row(out, i as usize, 0);
            }
        },
    );
}

/// Columns that are unpacked at a time where a row is only read once: a multiple of every block.
const PIECE: usize = 1024;

/// `out[i] = sum_j w[i, j]^2`: `out` `[w.rows]`.
pub fn row_squares(out: &mut [f32], w: Matrix<'_>) {
    let _timed = time(Kind::Move);
    assert_eq!(out.len(), w.rows(), "output is not [w.rows]");
    let cols = w.cols();
    for_row_results(
        out,
        cols,
        #[inline(always)]
        |i| {
            let mut piece = [0.0; PIECE];
            let mut total = 0.0;
            for at in (0..cols).step_by(PIECE) {
                let piece = &mut piece[..PIECE.min(cols - at)];
                w.unpack_row(piece, i, at);
                total += sum_of(
                    piece,
                    #[inline(always)]
                    |x| x * x,
                );
            }
            total
        },
    );
}
