//! Layer norm and root-mean-square norm. The forward leaves a few numbers per row; the backward recomputes
//! the normalised row from them.

use crate::parallel::{for_rows, for_rows_with, sum_over_rows};
use crate::profile::{Kind, time};
use crate::reduce::{sum, sum_of, sum_of2};

/// `out = (x - mean) r weight + bias` per row, with `r = 1 / sqrt(variance + eps)`, the variance over d.
///
/// `out` and `x` `[n, d]`; `weight` and `bias` `[d]`; `stats` `[n, 2]` receives each row's mean and `r`.
pub fn layer_norm(out: &mut [f32], stats: &mut [f32], x: &[f32], weight: &[f32], bias: &[f32], eps: f32) {
    let _timed = time(Kind::Norm);
    let d = weight.len();
    check_rows(x, d, stats.len(), 2);
    assert!(out.len() == x.len() && bias.len() == d, "output is not [n, d] or bias not [d]");
    for_rows_with(
        (out, d),
        (stats, 2),
        #[inline(always)]
        |first, out, stats| {
            let rows = out.chunks_exact_mut(d).zip(x[first * d..].chunks_exact(d));
            for ((out, x), stats) in rows.zip(stats.chunks_exact_mut(2)) {
                let (mean, r) = moments(x, eps);
                stats.copy_from_slice(&[mean, r]);
                let affine = weight.iter().zip(bias);
                out.iter_mut().zip(x.iter().zip(affine)).for_each(|(o, (x, (w, b)))| {
                    *o = ((x - mean) * r).mul_add(*w, *b);
                });
            }
        },
    );
}

/// Mean and reciprocal deviation of a row.
#[inline(always)]
fn moments(x: &[f32], eps: f32) -> (f32, f32) {
    let n = x.len() as f32;
    let mean = sum(x) / n;
    // A second pass, because the mean of squares minus the squared mean cancels.
    let variance = sum_of(
        x,
        #[inline(always)]
        |x| (x - mean) * (x - mean),
    ) / n;
    (mean, 1.0 / (variance + eps).sqrt())
}

/// Gradients of [`layer_norm`]; each is computed only if asked for.
///
/// With `h = (x - mean) r` and `g = dy weight`: `dx = r (g - mean(g) - h mean(g h))`, `dweight = sum_n dy h`,
/// `dbias = sum_n dy`. `dx`, `dy`, `x` `[n, d]`; `dweight`, `dbias`, `weight` `[d]`; `stats` `[n, 2]` from
/// the forward.
pub fn layer_norm_backward(
    dx: Option<&mut [f32]>,
    dweight: Option<&mut [f32]>,
    dbias: Option<&mut [f32]>,
    dy: &[f32],
    x: &[f32],
    weight: &[f32],
    stats: &[f32],
) {
    let _timed = time(Kind::Norm);
    let d = weight.len();
    check_rows(x, d, stats.len(), 2);
    assert_eq!(dy.len(), x.len(), "dy is not [n, d]");
    if let Some(dx) = dx {
        assert_eq!(dx.len(), x.len(), "dx is not [n, d]");
        layer_norm_dx(dx, dy, x, weight, stats);
    }
    if let Some(dweight) = dweight {
        assert_eq!(dweight.len(), d, "dweight is not [d]");
        let row = |i: usize| (stats[2 * i], stats[2 * i + 1]);
        weight_gradient(dweight, dy, x, row);
    }
    if let Some(dbias) = dbias {
        assert_eq!(dbias.len(), d, "dbias is not [d]");
        crate::elementwise::sum_columns(dbias, dy);
    }
}

fn layer_norm_dx(dx: &mut [f32], dy: &[f32], x: &[f32], weight: &[f32], stats: &[f32]) {
    let d = weight.len();
    for_rows(
        dx,
        d,
        #[inline(always)]
        |first, dx| {
            let inputs = dy[first * d..].chunks_exact(d).zip(x[first * d..].chunks_exact(d));
            let rows = dx.chunks_exact_mut(d).zip(inputs).zip(stats[2 * first..].chunks_exact(2));
            for ((dx, (dy, x)), stats) in rows {
                let (mean, r) = (stats[0], stats[1]);
                dx.iter_mut().zip(dy.iter().zip(weight)).for_each(|(g, (dy, w))| *g = dy * w);
                let mean_g = sum(dx) / d as f32;
                let mean_gh = sum_of2(
                    dx,
                    x,
                    #[inline(always)]
                    |g, x| g * (x - mean),
                ) * r
                    / d as f32;
                dx.iter_mut().zip(x).for_each(|(g, x)| {
                    let h = (x - mean) * r;
                    *g = r * (*g - mean_g - h * mean_gh);
                });
            }
        },
    );
}

/// `dweight[j] = sum_i dy[i, j] (x[i, j] - mean_i) r_i`, where `row(i)` is (mean, r).
#[inline(always)]
fn weight_gradient(dweight: &mut [f32], dy: &[f32], x: &[f32], row: impl Fn(usize) -> (f32, f32) + Sync) {
    let d = dweight.len();
    sum_over_rows(
        dweight,
        x.len() / d.max(1),
        #[inline(always)]
        |rows, sum| {
            for i in rows {
                let (mean, r) = row(i);
                let inputs = dy[i * d..(i + 1) * d].iter().zip(&x[i * d..(i + 1) * d]);
                sum.iter_mut().zip(inputs).for_each(|(s, (dy, x))| *s = dy.mul_add((x - mean) * r, *s));
            }
        },
    );
}

/// `out = x r weight` per row, with `r = 1 / sqrt(mean(x^2) + eps)`.
///
/// `out` and `x` `[n, d]`; `weight` `[d]`; `stats` `[n]` receives each row's `r`.
pub fn rms_norm(out: &mut [f32], stats: &mut [f32], x: &[f32], weight: &[f32], eps: f32) {
    let _timed = time(Kind::Norm);
    let d = weight.len();
    check_rows(x, d, stats.len(), 1);
    assert_eq!(out.len(), x.len(), "output is not [n, d]");
    for_rows_with(
        (out, d),
        (stats, 1),
        #[inline(always)]
        |first, out, stats| {
            let rows = out.chunks_exact_mut(d).zip(x[first * d..].chunks_exact(d));
            for ((out, x), r) in rows.zip(stats) {
                let squares = sum_of(
                    x,
                    #[inline(always)]
                    |x| x * x,
                );
                *r = 1.0 / (squares / d as f32 + eps).sqrt();
                out.iter_mut().zip(x.iter().zip(weight)).for_each(|(o, (x, w))| *o = x * *r * w);
            }
        },
    );
}

/// Gradients of [`rms_norm`]; each is computed only if asked for.
///
/// With `h = x r` and `g = dy weight`: `dx = r (g - h mean(g h))`, `dweight = sum_n dy h`. `dx`, `dy`, `x`
/// `[n, d]`; `dweight`, `weight` `[d]`; `stats` `[n]` from the forward.
pub fn rms_norm_backward(
    dx: Option<&mut [f32]>,
    dweight: Option<&mut [f32]>,
    dy: &[f32],
    x: &[f32],
    weight: &[f32],
    stats: &[f32],
) {
    let _timed = time(Kind::Norm);
    let d = weight.len();
    check_rows(x, d, stats.len(), 1);
    assert_eq!(dy.len(), x.len(), "dy is not [n, d]");
    if let Some(dx) = dx {
        assert_eq!(dx.len(), x.len(), "dx is not [n, d]");
        rms_norm_dx(dx, dy, x, weight, stats);
    }
    if let Some(dweight) = dweight {
        assert_eq!(dweight.len(), d, "dweight is not [d]");
        weight_gradient(dweight, dy, x, |i| (0.0, stats[i]));
    }
}

fn rms_norm_dx(dx: &mut [f32], dy: &[f32], x: &[f32], weight: &[f32], stats: &[f32]) {
    let d = weight.len();
    for_rows(
        dx,
        d,
        #[inline(always)]
        |first, dx| {
            let inputs = dy[first * d..].chunks_exact(d).zip(x[first * d..].chunks_exact(d));
            for ((dx, (dy, x)), r) in dx.chunks_exact_mut(d).zip(inputs).zip(&stats[first..]) {
                dx.iter_mut().zip(dy.iter().zip(weight)).for_each(|(g, (dy, w))| *g = dy * w);
                let mean_gh = sum_of2(
                    dx,
                    x,
                    #[inline(always)]
                    |g, x| g * x,
                ) * r
                    / d as f32;
                dx.iter_mut().zip(x).for_each(|(g, x)| *g = r * (*g - x * r * mean_gh));
            }
        },
    );
}

/// `x` is `[n, d]` and a slice of `len` elements `[n, per_row]`.
fn check_rows(x: &[f32], d: usize, len: usize, per_row: usize) {
    assert!(d > 0 && x.len().is_multiple_of(d), "input is not [n, weight.len()]");
    assert_eq!(x.len() / d * per_row, len, "statistics do not fit the number of rows");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, assert_same_on_threads, differences, noise, weigh, wide};

    /// Relative to 1 + |expected|; a reciprocal deviation of up to 300 multiplies roundings.
    const TOLERANCE: f64 = 2e-5;
    const EPS: f32 = 1e-5;
    const SHAPES: [(usize, usize); 6] = [(1, 7), (5, 17), (3, 33), (2, 64), (70, 3), (3, 130)];

    fn reference(x: &[f64], weight: &[f64], bias: Option<&[f64]>) -> Vec<f64> {
        let d = weight.len();
        let row = |x: &[f64]| -> Vec<f64> {
            // With a bias the layer norm, else the root mean square.
            let mean = if bias.is_some() { x.iter().sum::<f64>() / d as f64 } else { 0.0 };
            let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / d as f64;
            let r = 1.0 / (variance + f64::from(EPS)).sqrt();
            (0..d).map(|j| (x[j] - mean) * r * weight[j] + bias.map_or(0.0, |b| b[j])).collect()
        };
        x.chunks_exact(d).flat_map(row).collect()
    }

    fn inputs(n: usize, d: usize) -> [Vec<f32>; 4] {
        let x = noise(1, n * d).iter().map(|x| 2.0 * x + 0.5).collect();
        [x, noise(2, n * d), noise(3, d), noise(4, d)]
    }

    #[test]
    fn layer_norm_and_its_gradients() {
        for (n, d) in SHAPES {
            let [x, dy, weight, bias] = inputs(n, d);
            let (wx, ww, wb) = (wide(&x), wide(&weight), wide(&bias));
            let (mut out, mut stats) = (noise(5, n * d), noise(6, 2 * n));
            layer_norm(&mut out, &mut stats, &x, &weight, &bias, EPS);
            assert_close(&out, &reference(&wx, &ww, Some(&wb)), TOLERANCE);
            let (mut dx, mut dw, mut db) = (noise(7, n * d), noise(8, d), noise(9, d));
            let grads = (Some(&mut dx[..]), Some(&mut dw[..]), Some(&mut db[..]));
            layer_norm_backward(grads.0, grads.1, grads.2, &dy, &x, &weight, &stats);
            let expected = differences(&x, |x| weigh(&dy, &reference(x, &ww, Some(&wb))));
            assert_close(&dx, &expected, TOLERANCE);
            let expected = differences(&weight, |w| weigh(&dy, &reference(&wx, w, Some(&wb))));
            assert_close(&dw, &expected, TOLERANCE);
            let expected = differences(&bias, |b| weigh(&dy, &reference(&wx, &ww, Some(b))));
            assert_close(&db, &expected, TOLERANCE);
        }
    }

    #[test]
    fn rms_norm_and_its_gradients() {
        for (n, d) in SHAPES {
            let [x, dy, weight, _] = inputs(n, d);
            let (wx, ww) = (wide(&x), wide(&weight));
            let (mut out, mut stats) = (noise(5, n * d), noise(6, n));
            rms_norm(&mut out, &mut stats, &x, &weight, EPS);
            assert_close(&out, &reference(&wx, &ww, None), TOLERANCE);
            let (mut dx, mut dw) = (noise(7, n * d), noise(8, d));
            rms_norm_backward(Some(&mut dx), Some(&mut dw), &dy, &x, &weight, &stats);
            let expected = differences(&x, |x| weigh(&dy, &reference(x, &ww, None)));
            assert_close(&dx, &expected, TOLERANCE);
            let expected = differences(&weight, |w| weigh(&dy, &reference(&wx, w, None)));
            assert_close(&dw, &expected, TOLERANCE);
        }
    }

    #[test]
    fn no_rows_give_zero_gradients() {
        let (mut dw, mut db) = (vec![1.0; 3], vec![1.0; 3]);
        layer_norm_backward(None, Some(&mut dw), Some(&mut db), &[], &[], &[1.0; 3], &[]);
        assert_eq!([dw, db], [[0.0; 3], [0.0; 3]]);
    }

    #[test]
    fn a_large_mean_does_not_swallow_the_deviation() {
        let x: Vec<f32> = noise(1, 64).iter().map(|x| x + 1000.0).collect();
        let (mut out, mut stats) = (vec![0.0; 64], vec![0.0; 2]);
        layer_norm(&mut out, &mut stats, &x, &[1.0; 64], &[0.0; 64], EPS);
        // 1000 in f32 has steps of 6e-5, and its mean an error of a few of them.
        assert_close(&out, &reference(&wide(&x), &[1.0; 64], Some(&[0.0; 64])), 5e-4);
    }

    #[test]
    fn same_bits_on_any_number_of_threads() {
        let [x, dy, weight, bias] = inputs(700, 130);
        assert_same_on_threads(|| {
            let (mut out, mut stats) = (vec![0.0; x.len()], vec![0.0; 1400]);
            layer_norm(&mut out, &mut stats, &x, &weight, &bias, EPS);
            let (mut dx, mut dw, mut db) = (vec![0.0; x.len()], vec![0.0; 130], vec![0.0; 130]);
            layer_norm_backward(Some(&mut dx), Some(&mut dw), Some(&mut db), &dy, &x, &weight, &stats);
            [out, stats, dx, dw, db].concat()
        });
    }
}
