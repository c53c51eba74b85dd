//! Softmax over the columns of each row.

use crate::math::exp;
use crate::parallel::for_rows;
use crate::reduce::{max, sum, sum_of2};

/// `out[i, j] = exp(x[i, j]) / sum_j exp(x[i, j])`; `out` and `x` [n, cols]. A row of -inf alone becomes zeros.
pub fn softmax(out: &mut [f32], x: &[f32], cols: usize) {
    assert_eq!(out.len(), x.len(), "input and output differ in length");
    assert!(cols > 0 && x.len().is_multiple_of(cols) || x.is_empty(), "input is not [n, cols]");
    for_rows(
        out,
        cols,
        #[inline(always)]
        |first, out| {
            for (out, x) in out.chunks_exact_mut(cols).zip(x[first * cols..].chunks_exact(cols)) {
                let (peak, total) = exponentials(out, x);
                let r = if peak == f32::NEG_INFINITY { 0.0 } else { 1.0 / total };
                out.iter_mut().for_each(|o| *o *= r);
            }
        },
    );
}

/// `out = exp(x - peak)`; returns the row's peak (its largest element, by which nothing overflows) and the sum of `out`.
/// Where everything is -inf, `out` and the sum are zero.
#[inline(always)]
pub(crate) fn exponentials(out: &mut [f32], x: &[f32]) -> (f32, f32) {
    let peak = max(x);
    let shift = if peak == f32::NEG_INFINITY { 0.0 } else { peak };
    out.iter_mut().zip(x).for_each(|(o, x)| *o = exp(x - shift));
    (peak, sum(out))
}

/// `dx = y (dy - sum_j dy y)`; `dx`, `dy` and `y` (the output of [`softmax`]) [n, cols].
pub fn softmax_backward(dx: &mut [f32], dy: &[f32], y: &[f32], cols: usize) {
    assert!(dx.len() == y.len() && dy.len() == y.len(), "inputs and output differ in length");
    assert!(cols > 0 && y.len().is_multiple_of(cols) || y.is_empty(), "input is not [n, cols]");
    for_rows(
        dx,
        cols,
        #[inline(always)]
        |first, dx| {
            let inputs = dy[first * cols..].chunks_exact(cols).zip(y[first * cols..].chunks_exact(cols));
            for (dx, (dy, y)) in dx.chunks_exact_mut(cols).zip(inputs) {
                let dot = sum_of2(
                    dy,
                    y,
                    #[inline(always)]
                    |dy, y| dy * y,
                );
                dx.iter_mut().zip(dy.iter().zip(y)).for_each(|(dx, (dy, y))| *dx = y * (dy - dot));
            }
        },
    );
}
