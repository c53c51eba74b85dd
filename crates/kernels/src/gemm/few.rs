//! Products of very few rows, where turning the matrix into panels would cost more than the product: each row
//! of the matrix is multiplied as soon as it is read.

use super::Source;
use crate::parallel::vectorized;
use crate::profile::{Kind, time_product};
use rayon::prelude::*;

/// Elements of the matrix that one task reads.
const CHUNK: usize = 32 * 1024;

/// `out = x wᵀ`, row by row of `w`; with several rows of x they come out transposed, `[w.rows, n]`.
pub(super) fn product(out: &mut [f32], x: &[f32], n: usize, w: &impl Source) {
    assert_eq!(x.len(), n * w.cols(), "left side is not [n, w.cols]");
    assert_eq!(out.len(), n * w.rows(), "output is not [n, w.rows]");
    if out.is_empty() || w.cols() == 0 {
        return out.fill(0.0);
    }
    let _timed = time_product(Kind::Product, n * w.cols() * w.rows());
    let rows = (CHUNK / w.cols()).max(1);
    let run = |(chunk, out): (usize, &mut [f32])| {
        vectorized(
            #[inline(always)]
            || {
                // Loops, not closures in closures: those may be compiled for lesser processors.
                for (r, out) in out.chunks_exact_mut(n).enumerate() {
                    dots(out, x, w, chunk * rows + r);
                }
            },
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
fn dots(out: &mut [f32], x: &[f32], w: &impl Source, row: usize) {
    for (o, x) in out.iter_mut().zip(x.chunks_exact(w.cols())) {
        *o = w.dot(row, x);
    }
}
