//! The one source of randomness: seeded, passed in, the same bits on every machine.

use crate::{Device, Tensor};
use std::f64::consts::TAU;

/// A seeded generator (SplitMix64, Steele et al. 2014).
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// A generator with the given seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A generator of its own for one purpose, so that using one does not shift another.
    pub fn fork(&self, purpose: &str) -> Self {
        let mix = |state: u64, byte: u8| (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        let mut fork = Self(purpose.bytes().fold(self.0 ^ 0xcbf2_9ce4_8422_2325, mix));
        fork.next_u64();
        fork
    }

    /// 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A uniform number in `[0, 1)`.
    pub fn uniform(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A uniform index below `n` (0 if `n` is 0).
    pub fn below(&mut self, n: usize) -> usize {
        ((self.uniform() * n as f64) as usize).min(n.saturating_sub(1))
    }

    /// A standard normal number (Box and Muller 1958).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (TAU * self.uniform()).cos()
    }

    /// A random order of `0..n` (Fisher and Yates).
    pub fn permutation(&mut self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        (1..n).rev().for_each(|i| order.swap(i, self.below(i + 1)));
        order
    }

    /// A tensor of normal numbers with mean 0 and the given standard deviation.
    pub fn normal_tensor(&mut self, device: &Device, shape: &[usize], deviation: f64) -> Tensor {
        self.tensor(device, shape, |rng| rng.normal() * deviation)
    }

    /// A tensor of uniform numbers in `[-bound, bound)`.
    pub fn uniform_tensor(&mut self, device: &Device, shape: &[usize], bound: f64) -> Tensor {
        self.tensor(device, shape, |rng| (2.0 * rng.uniform() - 1.0) * bound)
    }

    fn tensor(&mut self, device: &Device, shape: &[usize], mut draw: impl FnMut(&mut Self) -> f64) -> Tensor {
        let mut buffer = device.take(shape.iter().product());
        buffer.host_mut().iter_mut().for_each(|value| *value = draw(self) as f32);
        Tensor::from_buffer(device, shape, buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normal_numbers_have_mean_zero_and_deviation_one() {
        let mut rng = Rng::new(1);
        let draws: Vec<f64> = (0..20_000).map(|_| rng.normal()).collect();
        let mean = draws.iter().sum::<f64>() / 20_000.0;
        let variance = draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 20_000.0;
        // Five standard errors of the mean and of the variance.
        assert!(mean.abs() < 0.036 && (variance - 1.0).abs() < 0.05, "{mean} {variance}");
    }

    #[test]
    fn a_permutation_holds_every_index_once() {
        let mut order = Rng::new(3).permutation(100);
        assert_ne!(order, (0..100).collect::<Vec<_>>());
        order.sort_unstable();
        assert_eq!(order, (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn forks_differ_and_repeat() {
        let rng = Rng::new(7);
        assert_eq!(rng.fork("head").next_u64(), rng.fork("head").next_u64());
        assert_ne!(rng.fork("head").next_u64(), rng.fork("adapter").next_u64());
    }
}
