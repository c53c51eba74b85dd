//! Sums, products and their like, element by element or row by row.

use crate::parallel::{for_row_results, for_rows, map, map2, sum_over_rows, update};
use crate::profile::{Kind, time};
use crate::reduce::sum;

/// `out = a + b`; all of one length.
pub fn add(out: &mut [f32], a: &[f32], b: &[f32]) {
    let _timed = time(Kind::Elementwise);
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
    let _timed = time(Kind::Elementwise);
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
    let _timed = time(Kind::Elementwise);
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
    let _timed = time(Kind::Elementwise);
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
    let _timed = time(Kind::Elementwise);
    update(
        out,
        x,
        #[inline(always)]
        |o, x| o + x,
    );
}

/// `out += alpha x`.
pub fn axpy(out: &mut [f32], alpha: f32, x: &[f32]) {
    let _timed = time(Kind::Elementwise);
    update(
        out,
        x,
        #[inline(always)]
        |o, x| x.mul_add(alpha, o),
    );
}

/// `out *= x`, element by element.
pub fn mul_assign(out: &mut [f32], x: &[f32]) {
    let _timed = time(Kind::Elementwise);
    update(
        out,
        x,
        #[inline(always)]
        |o, x| o * x,
    );
}

/// `out = alpha x`.
pub fn scale(out: &mut [f32], x: &[f32], alpha: f32) {
    let _timed = time(Kind::Elementwise);
    map(
        out,
        x,
        #[inline(always)]
        |x| alpha * x,
    );
}

/// `out = x + c`.
pub fn add_scalar(out: &mut [f32], x: &[f32], c: f32) {
    let _timed = time(Kind::Elementwise);
    map(
        out,
        x,
        #[inline(always)]
        |x| x + c,
    );
}

/// `out = x^2`.
pub fn square(out: &mut [f32], x: &[f32]) {
    let _timed = time(Kind::Elementwise);
    map(
        out,
        x,
        #[inline(always)]
        |x| x * x,
    );
}

/// `out = sqrt(x)`; NaN below zero.
pub fn sqrt(out: &mut [f32], x: &[f32]) {
    let _timed = time(Kind::Elementwise);
    map(
        out,
        x,
        #[inline(always)]
        |x| x.sqrt(),
    );
}

/// `out = 1 / x`.
pub fn recip(out: &mut [f32], x: &[f32]) {
    let _timed = time(Kind::Elementwise);
    map(
        out,
        x,
        #[inline(always)]
        |x| 1.0 / x,
    );
}

/// `out[i, j] = x[i, j] + row[j]`: `out` and `x` `[n, d]`, `row` `[d]`.
pub fn add_row(out: &mut [f32], x: &[f32], row: &[f32]) {
    let _timed = time(Kind::Elementwise);
    with_row(
        out,
        x,
        row,
        #[inline(always)]
        |x, r| x + r,
    );
}

/// `out[i, j] = x[i, j] row[j]`: `out` and `x` `[n, d]`, `row` `[d]`.
pub fn mul_row(out: &mut [f32], x: &[f32], row: &[f32]) {
    let _timed = time(Kind::Elementwise);
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

/// `out[j] = sum_i x[i, j]`: `out` `[d]`, `x` `[n, d]`.
pub fn sum_columns(out: &mut [f32], x: &[f32]) {
    let _timed = time(Kind::Elementwise);
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

/// `out[j] = sum_i a[i, j] b[i, j]`: `out` `[d]`, `a` and `b` `[n, d]`.
pub fn dot_columns(out: &mut [f32], a: &[f32], b: &[f32]) {
    let _timed = time(Kind::Elementwise);
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

/// `out[i] = sum_j x[i, j]`: `out` `[n]`, `x` `[n, cols]`.
pub fn sum_rows(out: &mut [f32], x: &[f32], cols: usize) {
    let _timed = time(Kind::Elementwise);
    assert_eq!(x.len(), out.len() * cols, "input is not [out.len(), cols]");
    for_row_results(
        out,
        cols,
        #[inline(always)]
        |i| sum(&x[i * cols..(i + 1) * cols]),
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{SIZES, assert_close, assert_same_on_threads, noise, wide};

    /// A rounding or two.
    const TOLERANCE: f64 = 2e-7;
    /// For sums of some hundred terms of size 1.
    const SUM_TOLERANCE: f64 = 1e-5;

    fn zipped(a: &[f32], b: &[f32], f: impl Fn(f64, f64) -> f64) -> Vec<f64> {
        a.iter().zip(b).map(|(&a, &b)| f(f64::from(a), f64::from(b))).collect()
    }

    #[test]
    fn two_inputs() {
        type Case = (fn(&mut [f32], &[f32], &[f32]), fn(f64, f64) -> f64);
        let cases: [Case; 4] =
            [(add, |a, b| a + b), (sub, |a, b| a - b), (mul, |a, b| a * b), (div, |a, b| a / b)];
        for (kernel, exact) in cases {
            for n in SIZES.into_iter().chain([0, 50_001]) {
                let (a, b) = (noise(1, n), noise(2, n));
                let mut out = noise(3, n);
                kernel(&mut out, &a, &b);
                assert_close(&out, &zipped(&a, &b, exact), TOLERANCE);
            }
        }
    }

    #[test]
    fn in_place() {
        for n in SIZES.into_iter().chain([0, 50_001]) {
            let (start, x) = (noise(1, n), noise(2, n));
            let check = |kernel: &dyn Fn(&mut [f32]), exact: &dyn Fn(f64, f64) -> f64| {
                let mut out = start.clone();
                kernel(&mut out);
                assert_close(&out, &zipped(&start, &x, exact), TOLERANCE);
            };
            check(&|out| add_assign(out, &x), &|o, x| o + x);
            check(&|out| mul_assign(out, &x), &|o, x| o * x);
            check(&|out| axpy(out, 0.75, &x), &|o, x| o + 0.75 * x);
        }
    }

    #[test]
    fn one_input() {
        let x: Vec<f32> = noise(1, 50_001).iter().map(|x| x.abs() + 0.1).collect();
        let check = |kernel: &dyn Fn(&mut [f32], &[f32]), exact: &dyn Fn(f64) -> f64| {
            let mut out = vec![0.0; x.len()];
            kernel(&mut out, &x);
            assert_close(&out, &zipped(&x, &x, |x, _| exact(x)), TOLERANCE);
        };
        check(&|out, x| scale(out, x, -1.5), &|x| -1.5 * x);
        check(&|out, x| add_scalar(out, x, 3.0), &|x| x + 3.0);
        check(&square, &|x| x * x);
        check(&sqrt, &f64::sqrt);
        check(&recip, &|x| 1.0 / x);
    }

    #[test]
    fn rows_and_columns() {
        for (n, d) in [(1, 1), (7, 17), (33, 7), (0, 5), (300, 130), (5000, 7)] {
            let (a, b, row) = (noise(1, n * d), noise(2, n * d), noise(3, d));
            let mut out = vec![0.0; n * d];
            add_row(&mut out, &a, &row);
            let expected: Vec<f64> = (0..n * d).map(|i| f64::from(a[i]) + f64::from(row[i % d])).collect();
            assert_close(&out, &expected, TOLERANCE);
            mul_row(&mut out, &a, &row);
            let expected: Vec<f64> = (0..n * d).map(|i| f64::from(a[i]) * f64::from(row[i % d])).collect();
            assert_close(&out, &expected, TOLERANCE);

            let (wide_a, product) = (wide(&a), zipped(&a, &b, |a, b| a * b));
            let columns = |x: &[f64]| (0..d).map(|j| x.iter().skip(j).step_by(d).sum()).collect::<Vec<f64>>();
            let mut sums = noise(4, d);
            sum_columns(&mut sums, &a);
            assert_close(&sums, &columns(&wide_a), SUM_TOLERANCE);
            dot_columns(&mut sums, &a, &b);
            assert_close(&sums, &columns(&product), SUM_TOLERANCE);

            let mut sums = noise(5, n);
            sum_rows(&mut sums, &a, d);
            let expected: Vec<f64> = wide_a.chunks_exact(d).map(|row| row.iter().sum()).collect();
            assert_close(&sums, &expected, SUM_TOLERANCE);
        }
    }

    #[test]
    fn same_bits_on_any_number_of_threads() {
        let (a, b) = (noise(1, 5000 * 33), noise(2, 5000 * 33));
        assert_same_on_threads(|| {
            let (mut columns, mut dots, mut rows) = (vec![0.0; 33], vec![0.0; 33], vec![0.0; 5000]);
            sum_columns(&mut columns, &a);
            dot_columns(&mut dots, &a, &b);
            sum_rows(&mut rows, &a, 33);
            [columns, dots, rows].concat()
        });
    }

    #[test]
    #[should_panic(expected = "differ in length")]
    fn lengths_are_checked() {
        add(&mut [0.0; 2], &[0.0; 2], &[0.0; 3]);
    }
}
