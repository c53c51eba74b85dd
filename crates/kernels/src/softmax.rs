//! Softmax over the columns of each row.

use crate::math::exp;
use crate::parallel::for_rows;
use crate::profile::{Kind, time};
use crate::reduce::{max, sum, sum_of2};

/// `out[i, j] = exp(x[i, j]) / sum_j exp(x[i, j])`; `out` and `x` `[n, cols]`. A row of -inf alone becomes
/// zeros.
pub fn softmax(out: &mut [f32], x: &[f32], cols: usize) {
    let _timed = time(Kind::Loss);
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

/// `out = exp(x - peak)`; returns the row's peak (its largest element, by which nothing overflows) and the
/// sum of `out`. Where everything is -inf, `out` and the sum are zero.
#[inline(always)]
pub(crate) fn exponentials(out: &mut [f32], x: &[f32]) -> (f32, f32) {
    let peak = max(x);
    let shift = if peak == f32::NEG_INFINITY { 0.0 } else { peak };
    out.iter_mut().zip(x).for_each(|(o, x)| *o = exp(x - shift));
    (peak, sum(out))
}

/// `dx = y (dy - sum_j dy y)`; `dx`, `dy` and `y` (the output of [`softmax`]) `[n, cols]`.
pub fn softmax_backward(dx: &mut [f32], dy: &[f32], y: &[f32], cols: usize) {
    let _timed = time(Kind::Loss);
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

#[cfg(test)]
mod tests {
    use super::{softmax, softmax_backward};
    use crate::testing::{assert_close, assert_same_on_threads, differences, noise, weigh, wide};

    /// Some roundings of numbers up to 1.
    const TOLERANCE: f64 = 2e-6;

    fn reference(x: &[f64], cols: usize) -> Vec<f64> {
        let row = |x: &[f64]| {
            let total: f64 = x.iter().map(|x| x.exp()).sum();
            x.iter().map(|x| x.exp() / total).collect::<Vec<_>>()
        };
        x.chunks_exact(cols).flat_map(row).collect()
    }

    #[test]
    fn values_and_gradient() {
        for (n, cols) in [(1, 1), (7, 17), (3, 33), (2, 130), (50, 2)] {
            let x: Vec<f32> = noise(1, n * cols).iter().map(|x| 5.0 * x).collect();
            let (mut y, dy, mut dx) = (noise(2, n * cols), noise(3, n * cols), noise(4, n * cols));
            softmax(&mut y, &x, cols);
            assert_close(&y, &reference(&wide(&x), cols), TOLERANCE);
            softmax_backward(&mut dx, &dy, &y, cols);
            let expected = differences(&x, |x| weigh(&dy, &reference(x, cols)));
            assert_close(&dx, &expected, TOLERANCE);
        }
    }

    #[test]
    fn extremes() {
        let (low, mut y) = (f32::NEG_INFINITY, [9.0; 8]);
        softmax(&mut y, &[1e30, 0.0, low, 1e30, low, low, low, low], 4);
        assert_eq!(y, [0.5, 0.0, 0.0, 0.5, 0.0, 0.0, 0.0, 0.0]);
        let mut y = [0.0; 2];
        softmax(&mut y, &[f32::NAN, 1.0], 2);
        assert!(y.iter().all(|y| y.is_nan()));
    }

    #[test]
    fn same_bits_on_any_number_of_threads() {
        let (x, dy) = (noise(1, 700 * 130), noise(2, 700 * 130));
        assert_same_on_threads(|| {
            let (mut y, mut dx) = (vec![0.0; x.len()], vec![0.0; x.len()]);
            softmax(&mut y, &x, 130);
            softmax_backward(&mut dx, &dy, &y, 130);
            [y, dx].concat()
        });
    }
}
