//! Activation functions and their derivatives, element by element.

use crate::math::{erf, exp, sigmoid, tanh};
use crate::parallel::{map, map2};
use crate::profile::{Kind, time};
use std::f32::consts::FRAC_1_SQRT_2;

/// An activation function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// `max(x, 0)`; slope 0 at 0.
    Relu,
    /// `x (1 + erf(x / sqrt 2)) / 2`.
    Gelu,
    /// `x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2`.
    GeluTanh,
    /// `x sigmoid(x)`.
    Silu,
    /// `tanh x`.
    Tanh,
    /// `1 / (1 + e^-x)`.
    Sigmoid,
}

/// `out = f(x)`, of one length.
pub fn activation(kind: Activation, out: &mut [f32], x: &[f32]) {
    let _timed = time(Kind::Activation);
    match kind {
        Activation::Relu => map(out, x, relu),
        Activation::Gelu => map(out, x, gelu),
        Activation::GeluTanh => map(out, x, gelu_tanh),
        Activation::Silu => map(out, x, silu),
        Activation::Tanh => map(out, x, tanh),
        Activation::Sigmoid => map(out, x, sigmoid),
    }
}

/// `dx = dy f'(x)`, of one length; `x` is what [`activation`] was given.
pub fn activation_backward(kind: Activation, dx: &mut [f32], dy: &[f32], x: &[f32]) {
    let _timed = time(Kind::Activation);
    match kind {
        Activation::Relu => chain(dx, dy, x, relu_slope),
        Activation::Gelu => chain(dx, dy, x, gelu_slope),
        Activation::GeluTanh => chain(dx, dy, x, gelu_tanh_slope),
        Activation::Silu => chain(dx, dy, x, silu_slope),
        Activation::Tanh => chain(dx, dy, x, tanh_slope),
        Activation::Sigmoid => chain(dx, dy, x, sigmoid_slope),
    }
}

/// `dx = dy slope(x)`.
#[inline(always)]
fn chain(dx: &mut [f32], dy: &[f32], x: &[f32], slope: impl Fn(f32) -> f32 + Sync) {
    map2(
        dx,
        dy,
        x,
        #[inline(always)]
        |dy, x| dy * slope(x),
    );
}

/// `sqrt(2 / pi)`.
const TANH_SCALE: f32 = 0.797_884_6;
const TANH_CUBE: f32 = 0.044_715;

#[inline(always)]
fn relu(x: f32) -> f32 {
    // NaN is not below zero, and stays.
    if x < 0.0 { 0.0 } else { x }
}

#[inline(always)]
fn relu_slope(x: f32) -> f32 {
    if x > 0.0 { 1.0 } else { 0.0 }
}

#[inline(always)]
fn gelu(x: f32) -> f32 {
    0.5 * x * (1.0 + erf(x * FRAC_1_SQRT_2))
}

#[inline(always)]
fn gelu_slope(x: f32) -> f32 {
    /// `1 / sqrt(2 pi)`.
    const DENSITY: f32 = 0.398_942_3;
    let below = 0.5 * (1.0 + erf(x * FRAC_1_SQRT_2));
    x.mul_add(DENSITY * exp(-0.5 * x * x), below)
}

/// The argument of the hyperbolic tangent in [`Activation::GeluTanh`].
#[inline(always)]
fn tanh_argument(x: f32) -> f32 {
    TANH_SCALE * (TANH_CUBE * x * x).mul_add(x, x)
}

#[inline(always)]
fn gelu_tanh(x: f32) -> f32 {
    0.5 * x * (1.0 + tanh(tanh_argument(x)))
}

#[inline(always)]
fn gelu_tanh_slope(x: f32) -> f32 {
    let t = tanh(tanh_argument(x));
    let inner = TANH_SCALE * (3.0 * TANH_CUBE * x).mul_add(x, 1.0);
    0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * inner
}

#[inline(always)]
fn silu(x: f32) -> f32 {
    x * sigmoid(x)
}

#[inline(always)]
fn silu_slope(x: f32) -> f32 {
    let s = sigmoid(x);
    s * x.mul_add(1.0 - s, 1.0)
}

#[inline(always)]
fn tanh_slope(x: f32) -> f32 {
    let t = tanh(x);
    1.0 - t * t
}

#[inline(always)]
fn sigmoid_slope(x: f32) -> f32 {
    let s = sigmoid(x);
    s * (1.0 - s)
}

#[cfg(test)]
mod tests {
    use super::{Activation, activation, activation_backward};
    use crate::testing::{SIZES, assert_close, differences, noise, wide};

    /// Some roundings of numbers up to 10.
    const TOLERANCE: f64 = 1e-6;
    /// The slope of the tangent form multiplies the rounding of `1 - tanh^2` by up to 30.
    const SLOPE_TOLERANCE: f64 = 5e-6;
    const KINDS: [Activation; 6] = [
        Activation::Relu,
        Activation::Gelu,
        Activation::GeluTanh,
        Activation::Silu,
        Activation::Tanh,
        Activation::Sigmoid,
    ];

    /// The normal distribution function by integrating the density (Simpson's rule) from 0.
    fn normal(x: f64) -> f64 {
        const STEPS: i32 = 400;
        let density = |t: f64| (-t * t / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
        let h = x / f64::from(STEPS);
        let weight = |i: i32| if i == 0 || i == STEPS { 1.0 } else { f64::from(2 + 2 * (i % 2)) };
        0.5 + (0..=STEPS).map(|i| weight(i) * density(h * f64::from(i))).sum::<f64>() * h / 3.0
    }

    fn exact(kind: Activation, x: f64) -> f64 {
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x);
        match kind {
            Activation::Relu => x.max(0.0),
            Activation::Gelu => x * normal(x),
            Activation::GeluTanh => x * (1.0 + inner.tanh()) / 2.0,
            Activation::Silu => x * sigmoid(x),
            Activation::Tanh => x.tanh(),
            Activation::Sigmoid => sigmoid(x),
        }
    }

    fn inputs(n: usize) -> Vec<f32> {
        noise(1, n).iter().map(|x| 6.0 * x).collect()
    }

    #[test]
    fn values() {
        for kind in KINDS {
            for n in SIZES.into_iter().chain([0, 20_000]) {
                let (x, mut out) = (inputs(n), noise(2, n));
                activation(kind, &mut out, &x);
                let expected: Vec<f64> = wide(&x).iter().map(|&x| exact(kind, x)).collect();
                assert_close(&out, &expected, TOLERANCE);
            }
        }
    }

    #[test]
    fn slopes() {
        for kind in KINDS {
            let (x, dy, mut dx) = (inputs(130), noise(2, 130), noise(3, 130));
            activation_backward(kind, &mut dx, &dy, &x);
            let slope = |x: f32| differences(&[x], |x| exact(kind, x[0]))[0];
            let expected: Vec<f64> = x.iter().zip(&dy).map(|(&x, &dy)| f64::from(dy) * slope(x)).collect();
            assert_close(&dx, &expected, SLOPE_TOLERANCE);
        }
    }

    #[test]
    fn far_out() {
        for kind in KINDS {
            let mut out = [0.0; 3];
            activation(kind, &mut out, &[1e4, -1e4, f32::NAN]);
            let expected = match kind {
                Activation::Tanh => [1.0, -1.0],
                Activation::Sigmoid => [1.0, 0.0],
                _ => [1e4, 0.0],
            };
            assert_eq!(out[..2], expected, "{kind:?}");
            assert!(out[2].is_nan(), "{kind:?}");
            activation_backward(kind, &mut out, &[1.0; 3], &[1e4, -1e4, 0.0]);
            let slope = if matches!(kind, Activation::Tanh | Activation::Sigmoid) { 0.0 } else { 1.0 };
            assert_eq!(out[..2], [slope, 0.0], "{kind:?}");
        }
    }
}
