//! The AdamW optimizer.

use crate::parallel::vectorized;
use crate::profile::{Kind, time};
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
    let _timed = time(Kind::Optimizer);
    let n = param.len();
    assert!(grad.len() == n && m.len() == n && v.len() == n, "slices differ in length");
    assert!(step > 0, "steps count from 1");
    let rates = Rates::new(step, grad_scale, config);
    let run = |param: &mut [f32], grad: &[f32], m: &mut [f32], v: &mut [f32]| {
        vectorized(
            #[inline(always)]
            || rates.apply(param, grad, m, v),
        );
    };
    if n <= CHUNK {
        return run(param, grad, m, v);
    }
    let state = m.par_chunks_mut(CHUNK).zip(v.par_chunks_mut(CHUNK));
    let chunks = param.par_chunks_mut(CHUNK).zip(grad.par_chunks(CHUNK)).zip(state);
    chunks.for_each(|((param, grad), (m, v))| run(param, grad, m, v));
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

#[cfg(test)]
mod tests {
    use super::{AdamW, adamw};
    use crate::testing::{assert_close, assert_same_on_threads, noise, wide};

    /// Some roundings per step of numbers of size 1.
    const TOLERANCE: f64 = 2e-6;
    const CONFIG: AdamW = AdamW { lr: 0.01, beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.1 };

    #[test]
    fn five_steps_as_written_in_its_documentation() {
        for n in [1, 7, 33, 40_000] {
            let start = noise(1, n);
            let (mut p, mut m, mut v) = (start.clone(), vec![0.0; n], vec![0.0; n]);
            let (mut wp, mut wm, mut wv) = (wide(&start), vec![0.0; n], vec![0.0; n]);
            let [lr, b1, b2, eps, decay] =
                [CONFIG.lr, CONFIG.beta1, CONFIG.beta2, CONFIG.eps, CONFIG.weight_decay].map(f64::from);
            for step in 1..=5 {
                let grad = noise(10 + step, n);
                adamw(&mut p, &grad, &mut m, &mut v, step, 0.5, &CONFIG);
                for (i, g) in wide(&grad).iter().map(|g| 0.5 * g).enumerate() {
                    wm[i] = b1 * wm[i] + (1.0 - b1) * g;
                    wv[i] = b2 * wv[i] + (1.0 - b2) * g * g;
                    let (mean, square) =
                        (wm[i] / (1.0 - b1.powf(step as f64)), wv[i] / (1.0 - b2.powf(step as f64)));
                    wp[i] = wp[i] * (1.0 - lr * decay) - lr * mean / (square.sqrt() + eps);
                }
            }
            assert_close(&p, &wp, TOLERANCE);
            assert_close(&m, &wm, TOLERANCE);
            assert_close(&v, &wv, TOLERANCE);
        }
    }

    #[test]
    fn the_first_step_is_the_learning_rate() {
        let (mut p, mut m, mut v) = ([1.0, 1.0, 1.0], [0.0; 3], [0.0; 3]);
        let config = AdamW { weight_decay: 0.0, ..CONFIG };
        adamw(&mut p, &[1e-4, -3.0, 0.0], &mut m, &mut v, 1, 1.0, &config);
        // 1e-8 is added to a root of 1e-4.
        assert_close(&p, &[1.0 - 0.01 / (1.0 + 1e-4), 1.01, 1.0], 1e-6);
    }

    #[test]
    fn same_bits_on_any_number_of_threads() {
        let grad = noise(1, 100_000);
        assert_same_on_threads(|| {
            let (mut p, mut m, mut v) = (noise(2, grad.len()), noise(3, grad.len()), vec![0.1; grad.len()]);
            adamw(&mut p, &grad, &mut m, &mut v, 3, 1.0, &CONFIG);
            [p, m, v].concat()
        });
    }
}
