//! Elementary functions as branch-free polynomials: plain arithmetic that the compiler can turn into vectors,
//! unlike the calls of the standard library. NaN propagates. The coefficients are minimax fits of our own.

use std::f32::consts::FRAC_2_SQRT_PI;

/// `1.5 x 2^23`: adding it rounds a small float to an integer, which is then the low bits of the sum.
const ROUND: f32 = 12_582_912.0;

/// ln 2 in two parts; the first is short, so that multiplying it by a small integer is exact.
const LN_2_HIGH: f32 = 0.693_359_4;
const LN_2_LOW: f32 = -2.121_944_4e-4;

/// `x = n ln 2 + r` with |r| <= ln(2)/2: (n, as the low bits of [`ROUND`] + n; n; r).
#[inline(always)]
fn reduce(x: f32) -> (u32, f32, f32) {
    let shifted = x.mul_add(std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = n.mul_add(-LN_2_LOW, n.mul_add(-LN_2_HIGH, x));
    (shifted.to_bits(), n, r)
}

/// `e^r - 1` for |r| <= ln(2)/2, to a rounding of the result.
#[inline(always)]
fn expm1_small(r: f32) -> f32 {
    let q = 0.000_199_141_59_f32
        .mul_add(r, 0.001_394_1)
        .mul_add(r, 0.008_333_273)
        .mul_add(r, 0.041_666_355)
        .mul_add(r, 0.166_666_67)
        .mul_add(r, 0.5);
    q.mul_add(r * r, r)
}

/// `2^(n - 1)` from the shifted bits of [`reduce`], for -126 <= n <= 128; 2^-127 comes out as 0.
#[inline(always)]
fn half_power(shifted: u32) -> f32 {
    f32::from_bits(shifted.wrapping_add(126) << 23)
}

/// `x` held between `low` and `high`, NaN kept.
#[inline(always)]
fn clamp(x: f32, low: f32, high: f32) -> f32 {
    let x = if x < low { low } else { x };
    if x > high { high } else { x }
}

/// `e^x`: relative error below 2e-7, infinity from 88.73 on, 0 below -87 (where f32 would go denormal).
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    let (shifted, _, r) = reduce(clamp(x, -87.3, 89.0));
    // In two steps because 2^128 is not an f32 though e^x may still be one.
    (expm1_small(r) + 1.0) * half_power(shifted) * 2.0
}

/// `e^y - 1` for -40 <= y <= 0, precise also near 0.
#[inline(always)]
fn expm1_negative(y: f32) -> f32 {
    let (shifted, _, r) = reduce(y);
    let power = half_power(shifted) * 2.0;
    expm1_small(r).mul_add(power, power - 1.0)
}

/// `tanh x`: relative error below 4e-7, so that tiny arguments keep their precision.
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    // tanh |x| = -e / (e + 2) with e = exp(-2 |x|) - 1; from 10 on it is 1 in f32.
    let magnitude = if x.abs() > 10.0 { 10.0 } else { x.abs() };
    let e = expm1_negative(-2.0 * magnitude);
    (-e / (e + 2.0)).copysign(x)
}

/// The logistic function `1 / (1 + e^-x)`: relative error below 3e-7 above -87, 0 further down.
#[inline(always)]
pub fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// The error function: relative error below 4e-7, 1 from 4 on.
#[inline(always)]
pub fn erf(x: f32) -> f32 {
    // erf |x| = 1 - exp(-|x| p(|x|)) with a smooth p = -ln(erfc)/x, fitted on `[0, 4]`.
    let t = if x.abs() > 4.0 { 4.0 } else { x.abs() };
    let p = (-9.256_271e-6_f32)
        .mul_add(t, 1.176_413_3e-4)
        .mul_add(t, -6.328_371e-4)
        .mul_add(t, 1.667_027_3e-3)
        .mul_add(t, -1.603_963_8e-4)
        .mul_add(t, -1.915_306_4e-2)
        .mul_add(t, 1.027_778_3e-1)
        .mul_add(t, 6.366_194e-1)
        .mul_add(t, FRAC_2_SQRT_PI);
    (-expm1_negative(-t * p)).copysign(x)
}

#[cfg(test)]
mod tests {
    use super::{erf, exp, sigmoid, tanh};

    /// Largest relative and absolute error of `f` over a dense grid on `[-to, to]`.
    fn errors(to: f64, f: fn(f32) -> f32, exact: impl Fn(f64) -> f64) -> (f64, f64) {
        const STEPS: i32 = 400_000;
        let error = |i: i32| {
            let x = (to * f64::from(i) / f64::from(STEPS)) as f32;
            let (y, e) = (f64::from(f(x)), exact(f64::from(x)));
            let difference = (y - e).abs();
            (if e == 0.0 { difference } else { difference / e.abs() }, difference)
        };
        (-STEPS..=STEPS).map(error).fold((0.0, 0.0), |m, e| (e.0.max(m.0), e.1.max(m.1)))
    }

    /// By its Taylor series below 3 and the continued fraction of its complement from there, both to 1e-14.
    fn exact_erf(x: f64) -> f64 {
        let scale = std::f64::consts::FRAC_2_SQRT_PI;
        if x.abs() < 3.0 {
            let mut term = x;
            let mut sum = x;
            for n in 1..100 {
                term *= -x * x / f64::from(n);
                sum += term / f64::from(2 * n + 1);
            }
            return scale * sum;
        }
        let tail = (1..200).rev().fold(x.abs(), |f, n| x.abs() + f64::from(n) / 2.0 / f);
        (1.0 - (-x * x).exp() / tail * scale / 2.0).copysign(x)
    }

    #[test]
    fn exponential() {
        assert!(errors(86.0, exp, f64::exp).0 < 2e-7);
        assert!(errors(1e-3, exp, f64::exp).0 < 1e-7);
        assert_eq!(exp(0.0), 1.0);
        for x in [-88.0, -104.0, -1e10, f32::NEG_INFINITY] {
            assert!(exp(x) < 1.2e-38, "exp({x})");
        }
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        for x in [88.0_f32, 88.5, 88.7, 88.72] {
            assert!((exp(x) / x.exp() - 1.0).abs() < 3e-7, "exp({x})");
        }
        for x in [88.8, 89.5, 200.0, f32::MAX, f32::INFINITY] {
            assert_eq!(exp(x), f32::INFINITY, "exp({x})");
        }
        assert!(exp(f32::NAN).is_nan());
    }

    #[test]
    fn hyperbolic_tangent() {
        for to in [1e-6, 1e-2, 1.0, 12.0] {
            let (relative, absolute) = errors(to, tanh, f64::tanh);
            assert!(relative < 4e-7 && absolute < 2e-7, "to {to}: {relative:e} {absolute:e}");
        }
        assert_eq!([0.0, -0.0, 1e30, f32::INFINITY, f32::NEG_INFINITY].map(tanh), [0.0, 0.0, 1.0, 1.0, -1.0]);
        assert!(tanh(f32::NAN).is_nan());
    }

    #[test]
    fn logistic() {
        let exact = |x: f64| 1.0 / (1.0 + (-x).exp());
        let (relative, absolute) = errors(86.0, sigmoid, exact);
        assert!(relative < 3e-7 && absolute < 2e-7, "{relative:e} {absolute:e}");
        assert_eq!(
            [0.0, 1e30, -1e30, f32::INFINITY, f32::NEG_INFINITY].map(sigmoid),
            [0.5, 1.0, 0.0, 1.0, 0.0]
        );
        assert!(sigmoid(f32::NAN).is_nan());
    }

    #[test]
    fn error_function() {
        for to in [1e-6, 1e-2, 1.0, 6.0] {
            let (relative, absolute) = errors(to, erf, exact_erf);
            assert!(relative < 4e-7 && absolute < 2e-7, "to {to}: {relative:e} {absolute:e}");
        }
        assert_eq!([0.0, -0.0, 1e30, f32::INFINITY, f32::NEG_INFINITY].map(erf), [0.0, 0.0, 1.0, 1.0, -1.0]);
        assert!(erf(f32::NAN).is_nan());
    }
}
