//! Sums, products and their like, element by element or row by row.

use crate::parallel::{for_rows, map, map2, sum_over_rows, update};

/// `out = a + b`; all of one length.
pub fn add(out: &mut [f32], a: &[f32], b: &[f32]) {
    map2(
        out,
        a,
        b,
        #[inline(always)]
        |a, b| a + b,
    );
}

/// `out = a - b`; all of one length.
pub fn sub(out: &mut [f32], a: &[f32], b: &[f32]) {
    map2(
        out,
        a,
        b,
        #[inline(always)]
        |a, b| a - b,
    );
}

/// `out = a b`, element by element; all of one length.
pub fn mul(out: &mut [f32], a: &[f32], b: &[f32]) {
    map2(
        out,
        a,
        b,
        #[inline(always)]
        |a, b| a * b,
    );
}

/// `out = a / b`, element by element; all of one length.
pub fn div(out: &mut [f32], a: &[f32], b: &[f32]) {
    map2(
        out,
        a,
        b,
        #[inline(always)]
        |a, b| a / b,
    );
}

/// `out += x`.
pub fn add_assign(out: &mut [f32], x: &[f32]) {
    update(
        out,
        x,
        #[inline(always)]
        |o, x| o + x,
    );
}

/// `out += alpha x`.
pub fn axpy(out: &mut [f32], alpha: f32, x: &[f32]) {
    update(
        out,
        x,
        #[inline(always)]
        |o, x| x.mul_add(alpha, o),
    );
}

/// `out *= x`, element by element.
pub fn mul_assign(out: &mut [f32], x: &[f32]) {
    update(
        out,
        x,
        #[inline(always)]
        |o, x| o * x,
    );
}

/// `out = alpha x`.
pub fn scale(out: &mut [f32], x: &[f32], alpha: f32) {
    map(
        out,
        x,
        #[inline(always)]
        |x| alpha * x,
    );
}

/// `out = x + c`.
pub fn add_scalar(out: &mut [f32], x: &[f32], c: f32) {
    map(
        out,
        x,
        #[inline(always)]
        |x| x + c,
    );
}

/// `out = x^2`.
pub fn square(out: &mut [f32], x: &[f32]) {
    map(
        out,
        x,
        #[inline(always)]
        |x| x * x,
    );
}

/// `out = sqrt(x)`; NaN below zero.
pub fn sqrt(out: &mut [f32], x: &[f32]) {
    map(
        out,
        x,
        #[inline(always)]
        |x| x.sqrt(),
    );
}

/// `out = 1 / x`.
pub fn recip(out: &mut [f32], x: &[f32]) {
    map(
        out,
        x,
        #[inline(always)]
        |x| 1.0 / x,
    );
}

/// `out[i, j] = x[i, j] + row[j]`: `out` and `x` [n, d], `row` [d].
pub fn add_row(out: &mut [f32], x: &[f32], row: &[f32]) {
    with_row(
        out,
        x,
        row,
        #[inline(always)]
        |x, r| x + r,
    );
}

/// `out[i, j] = x[i, j] row[j]`: `out` and `x` [n, d], `row` [d].
pub fn mul_row(out: &mut [f32], x: &[f32], row: &[f32]) {
    with_row(
        out,
        x,
        row,
        #[inline(always)]
        |x, r| x * r,
    );
}

#[inline(always)]
fn with_row(out: &mut [f32], x: &[f32], row: &[f32], f: impl Fn(f32, f32) -> f32 + Sync) {
    let d = row.len();
    assert_eq!(out.len(), x.len(), "input and output differ in length");
    assert!(d > 0 && x.len().is_multiple_of(d) || x.is_empty(), "input is not [n, row.len()]");
    for_rows(
        out,
        d,
        #[inline(always)]
        |first, out| {
            for (out, x) in out.chunks_exact_mut(d).zip(x[first * d..].chunks_exact(d)) {
                out.iter_mut().zip(x.iter().zip(row)).for_each(|(o, (&x, &r))| *o = f(x, r));
            }
        },
    );
}

/// `out[j] = sum_i x[i, j]`: `out` [d], `x` [n, d].
pub fn sum_columns(out: &mut [f32], x: &[f32]) {
    let d = out.len();
    assert!(d > 0 && x.len().is_multiple_of(d) || x.is_empty(), "input is not [n, out.len()]");
    sum_over_rows(
        out,
        x.len() / d.max(1),
        #[inline(always)]
        |rows, sum| {
            for x in x[rows.start * d..rows.end * d].chunks_exact(d) {
                sum.iter_mut().zip(x).for_each(|(s, x)| *s += x);
            }
        },
    );
}

/// `out[j] = sum_i a[i, j] b[i, j]`: `out` [d], `a` and `b` [n, d].
pub fn dot_columns(out: &mut [f32], a: &[f32], b: &[f32]) {
    let d = out.len();
    assert_eq!(a.len(), b.len(), "inputs differ in length");
    assert!(d > 0 && a.len().is_multiple_of(d) || a.is_empty(), "input is not [n, out.len()]");
    sum_over_rows(
        out,
        a.len() / d.max(1),
        #[inline(always)]
        |rows, sum| {
            let part = rows.start * d..rows.end * d;
            for (a, b) in a[part.clone()].chunks_exact(d).zip(b[part].chunks_exact(d)) {
                sum.iter_mut().zip(a.iter().zip(b)).for_each(|(s, (a, b))| *s = a.mul_add(*b, *s));
            }
        },
    );
}

/// `out[i] = sum_j x[i, j]`: `out` [n], `x` [n, cols].
pub fn sum_rows(out: &mut [f32], x: &[f32], cols: usize) {
    assert_eq!(x.len(), out.len() * cols, "input is not [out.len(), cols]");
    for_rows(
        out,
        1,
        #[inline(always)]
        |first, out| {
            for (i, o) in out.iter_mut().enumerate() {
                *o = crate::reduce::sum(&x[(first + i) * cols..(first + i + 1) * cols]);
            }
        },
    );
}
