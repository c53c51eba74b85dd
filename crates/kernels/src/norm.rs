//! Layer norm and root-mean-square norm. The forward leaves a few numbers per row; the backward recomputes the
//! normalised row from them.

use crate::parallel::{for_rows, for_rows_with, sum_over_rows};
use crate::reduce::{sum, sum_of, sum_of2};

/// `out = (x - mean) r weight + bias` per row, with `r = 1 / sqrt(variance + eps)`, the variance over d.
///
/// `out` and `x` [n, d]; `weight` and `bias` [d]; `stats` [n, 2] receives each row's mean and `r`.
pub fn layer_norm(out: &mut [f32], stats: &mut [f32], x: &[f32], weight: &[f32], bias: &[f32], eps: f32) {
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
/// `dbias = sum_n dy`. `dx`, `dy`, `x` [n, d]; `dweight`, `dbias`, `weight` [d]; `stats` [n, 2] from the forward.
pub fn layer_norm_backward(
    dx: Option<&mut [f32]>,
    dweight: Option<&mut [f32]>,
    dbias: Option<&mut [f32]>,
    dy: &[f32],
    x: &[f32],
    weight: &[f32],
    stats: &[f32],
) {
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
/// `out` and `x` [n, d]; `weight` [d]; `stats` [n] receives each row's `r`.
pub fn rms_norm(out: &mut [f32], stats: &mut [f32], x: &[f32], weight: &[f32], eps: f32) {
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
/// With `h = x r` and `g = dy weight`: `dx = r (g - h mean(g h))`, `dweight = sum_n dy h`. `dx`, `dy`, `x` [n, d];
/// `dweight`, `weight` [d]; `stats` [n] from the forward.
pub fn rms_norm_backward(
    dx: Option<&mut [f32]>,
    dweight: Option<&mut [f32]>,
    dy: &[f32],
    x: &[f32],
    weight: &[f32],
    stats: &[f32],
) {
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

/// `x` is [n, d] and a slice of `len` elements [n, per_row].
fn check_rows(x: &[f32], d: usize, len: usize, per_row: usize) {
    assert!(d > 0 && x.len().is_multiple_of(d), "input is not [n, weight.len()]");
    assert_eq!(x.len() / d * per_row, len, "statistics do not fit the number of rows");
}
