//! Reductions of a whole slice to one number, and the row sums that other kernels share.

use crate::parallel::vectorized;
use rayon::prelude::*;

/// Independent partial sums in one row: enough to keep the widest vector units busy, fixed so that every
/// instruction set adds in the same order.
const LANES: usize = 64;

/// Elements whose sum is taken by one task.
const CHUNK: usize = 64 * 1024;

/// `sum_j f(x[j])` in [`LANES`] running sums.
#[inline(always)]
pub(crate) fn sum_of(x: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    let mut lanes = [0.0_f32; LANES];
    let mut blocks = x.chunks_exact(LANES);
    for block in blocks.by_ref() {
        lanes.iter_mut().zip(block).for_each(|(l, &x)| *l += f(x));
    }
    lanes.iter_mut().zip(blocks.remainder()).for_each(|(l, &x)| *l += f(x));
    fold(lanes)
}

/// `sum_j f(a[j], b[j])` in [`LANES`] running sums.
#[inline(always)]
pub(crate) fn sum_of2(a: &[f32], b: &[f32], f: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = [0.0_f32; LANES];
    let (mut left, mut right) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    for (a, b) in left.by_ref().zip(right.by_ref()) {
        lanes.iter_mut().zip(a.iter().zip(b)).for_each(|(l, (&a, &b))| *l += f(a, b));
    }
    let rest = left.remainder().iter().zip(right.remainder());
    lanes.iter_mut().zip(rest).for_each(|(l, (&a, &b))| *l += f(a, b));
    fold(lanes)
}

/// Adds the lanes pairwise: half onto half.
#[inline(always)]
fn fold(mut lanes: [f32; LANES]) -> f32 {
    let mut half = LANES / 2;
    while half > 0 {
        for i in 0..half {
            lanes[i] += lanes[i + half];
        }
        half /= 2;
    }
    lanes[0]
}

/// `sum_j x[j]`.
#[inline(always)]
pub(crate) fn sum(x: &[f32]) -> f32 {
    sum_of(
        x,
        #[inline(always)]
        |x| x,
    )
}

/// The largest element, -inf of nothing. NaN elements are passed over.
#[inline(always)]
pub(crate) fn max(x: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let mut blocks = x.chunks_exact(LANES);
    for block in blocks.by_ref() {
        lanes.iter_mut().zip(block).for_each(|(l, &x)| *l = if x > *l { x } else { *l });
    }
    lanes.iter_mut().zip(blocks.remainder()).for_each(|(l, &x)| *l = if x > *l { x } else { *l });
    lanes.iter().fold(f32::NEG_INFINITY, |m, &l| if l > m { l } else { m })
}

/// `sum_i x[i]^2`, accumulated in f64. NaN and infinity come through.
pub fn sum_of_squares(x: &[f32]) -> f64 {
    let partial = |x: &[f32]| {
        vectorized(
            #[inline(always)]
            || squares(x),
        )
    };
    if x.len() <= CHUNK {
        return partial(x);
    }
    let partials: Vec<f64> = x.par_chunks(CHUNK).map(partial).collect();
    partials.iter().sum()
}

/// The sum of squares of one chunk, each square exact in f64.
#[inline(always)]
fn squares(x: &[f32]) -> f64 {
    let mut lanes = [0.0_f64; 32];
    let mut blocks = x.chunks_exact(32);
    for block in blocks.by_ref() {
        lanes.iter_mut().zip(block).for_each(|(l, &x)| *l += f64::from(x) * f64::from(x));
    }
    lanes.iter_mut().zip(blocks.remainder()).for_each(|(l, &x)| *l += f64::from(x) * f64::from(x));
    lanes.iter().sum()
}

/// Whether no element is NaN or infinite; true of nothing.
pub fn all_finite(x: &[f32]) -> bool {
    let check = |x: &[f32]| {
        vectorized(
            #[inline(always)]
            || x.iter().fold(true, |all, x| all & x.is_finite()),
        )
    };
    if x.len() <= CHUNK { check(x) } else { x.par_chunks(CHUNK).all(check) }
}

/// The largest `|x[i]|`, 0 of nothing; NaN if an element is NaN.
pub fn max_abs(x: &[f32]) -> f32 {
    let largest = |x: &[f32]| {
        vectorized(
            #[inline(always)]
            || f32::from_bits(x.iter().fold(0, |m, x| m.max(x.abs().to_bits()))),
        )
    };
    // Without their sign, floats are ordered as their bits are, NaN above infinity.
    let larger = |a: f32, b: f32| f32::from_bits(a.to_bits().max(b.to_bits()));
    if x.len() <= CHUNK { largest(x) } else { x.par_chunks(CHUNK).map(largest).reduce(|| 0.0, larger) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{SIZES, assert_same_on_threads, noise, wide};

    #[test]
    fn against_plain_sums() {
        for n in SIZES.into_iter().chain([0, 200_001]) {
            let x = noise(1, n);
            let exact: f64 = wide(&x).iter().map(|x| x * x).sum();
            assert!((sum_of_squares(&x) - exact).abs() <= 1e-12 * exact);
            assert!(all_finite(&x));
            assert_eq!(max_abs(&x), x.iter().fold(0.0, |m: f32, x| m.max(x.abs())));
            let exact: f64 = wide(&x).iter().sum();
            assert!((f64::from(sum(&x)) - exact).abs() < 1e-3);
            assert_eq!(max(&x), x.iter().copied().fold(f32::NEG_INFINITY, f32::max));
        }
    }

    #[test]
    fn a_bad_element_anywhere_is_seen() {
        for at in [0, 63, 64, 70_000, 200_000] {
            for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                let mut x = noise(1, 200_001);
                x[at] = bad;
                assert!(!all_finite(&x));
                assert!(!sum_of_squares(&x).is_finite());
                assert!(!max_abs(&x).is_finite());
                assert_eq!(max_abs(&x).is_nan(), bad.is_nan());
            }
        }
    }

    #[test]
    fn large_squares_do_not_overflow() {
        assert!((sum_of_squares(&[1e30, 1e30]) / 2e60 - 1.0).abs() < 1e-6);
    }

    #[test]
    fn same_bits_on_any_number_of_threads() {
        let x = noise(1, 300_001);
        assert_same_on_threads(|| {
            let bits = sum_of_squares(&x).to_bits();
            vec![f32::from_bits(bits as u32), f32::from_bits((bits >> 32) as u32), max_abs(&x)]
        });
    }
}
