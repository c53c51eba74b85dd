//! The AdamW optimizer.

use crate::parallel::vectorized;
use rayon::prelude::*;

/// Settings of [`adamw`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamW {
    /// Learning rate of this step.
    pub lr: f32,
    /// Decay of the mean of the gradients, in [0, 1).
    pub beta1: f32,
    /// Decay of the mean of their squares, in [0, 1).
    pub beta2: f32,
    /// Added to the root of the mean square.
    pub eps: f32,
    /// Decoupled weight decay: each step first shrinks a weight by `lr weight_decay`.
    pub weight_decay: f32,
}

/// Elements updated by one task.
const CHUNK: usize = 16 * 1024;

/// One step on one parameter; equal to `torch.optim.AdamW`.
///
/// With `g = grad_scale grad`: `m = beta1 m + (1 - beta1) g`, `v = beta2 v + (1 - beta2) g^2`, then
/// `param = (1 - lr weight_decay) param - lr m' / (sqrt(v') + eps)`, where `m' = m / (1 - beta1^step)` and
/// `v' = v / (1 - beta2^step)`. `step` counts from 1. All slices have one length.
pub fn adamw(
    param: &mut [f32],
    grad: &[f32],
    m: &mut [f32],
    v: &mut [f32],
    step: u64,
    grad_scale: f32,
    config: &AdamW,
) {
    let n = param.len();
    assert!(grad.len() == n && m.len() == n && v.len() == n, "slices differ in length");
    assert!(step > 0, "steps count from 1");
    let rates = Rates::new(step, grad_scale, config);
    let state = m.par_chunks_mut(CHUNK).zip(v.par_chunks_mut(CHUNK));
    param.par_chunks_mut(CHUNK).zip(grad.par_chunks(CHUNK)).zip(state).for_each(|((param, grad), (m, v))| {
        vectorized(
            #[inline(always)]
            || rates.apply(param, grad, m, v),
        );
    });
}

/// What is the same for every element of a step.
#[derive(Clone, Copy)]
struct Rates {
    grad_scale: f32,
    beta1: f32,
    rest1: f32,
    beta2: f32,
    rest2: f32,
    /// `1 - lr weight_decay`.
    shrink: f32,
    /// `lr / (1 - beta1^step)`.
    rate: f32,
    /// `1 / sqrt(1 - beta2^step)`.
    root: f32,
    eps: f32,
}

impl Rates {
    /// Powers and differences in f64: near 1 they cancel.
    fn new(step: u64, grad_scale: f32, config: &AdamW) -> Self {
        let (beta1, beta2, lr) = (f64::from(config.beta1), f64::from(config.beta2), f64::from(config.lr));
        let correction = |beta: f64| 1.0 - beta.powf(step as f64);
        Self {
            grad_scale,
            beta1: config.beta1,
            rest1: (1.0 - beta1) as f32,
            beta2: config.beta2,
            rest2: (1.0 - beta2) as f32,
            shrink: (1.0 - lr * f64::from(config.weight_decay)) as f32,
            rate: (lr / correction(beta1)) as f32,
            root: (1.0 / correction(beta2).sqrt()) as f32,
            eps: config.eps,
        }
    }

    #[inline(always)]
    fn apply(self, param: &mut [f32], grad: &[f32], m: &mut [f32], v: &mut [f32]) {
        for ((param, grad), (m, v)) in param.iter_mut().zip(grad).zip(m.iter_mut().zip(v)) {
            let g = self.grad_scale * grad;
            *m = self.beta1.mul_add(*m, self.rest1 * g);
            *v = self.beta2.mul_add(*v, self.rest2 * g * g);
            let step = self.rate * *m / v.sqrt().mul_add(self.root, self.eps);
            *param = self.shrink.mul_add(*param, -step);
        }
    }
}
