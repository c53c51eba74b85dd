//! The learning rate over a run.

use serde::{Deserialize, Serialize};

/// How the learning rate falls after its warm-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Schedule {
    /// Straight to zero.
    #[default]
    Linear,
    /// Along half a cosine to zero.
    Cosine,
    /// Not at all.
    Constant,
}

impl Schedule {
    /// The factor on the learning rate at `step` (from 0) of `steps`, after `warmup` steps of linear rise.
    pub fn factor(self, step: u64, steps: u64, warmup: u64) -> f64 {
        if step < warmup {
            return (step + 1) as f64 / warmup as f64;
        }
        let done = (step - warmup) as f64 / steps.saturating_sub(warmup).max(1) as f64;
        match self {
            Self::Linear => (1.0 - done).max(0.0),
            Self::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * done.min(1.0)).cos()),
            Self::Constant => 1.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rises_then_falls_to_zero() {
        let linear: Vec<f64> = (0..6).map(|s| Schedule::Linear.factor(s, 6, 2)).collect();
        assert_eq!(linear, [0.5, 1.0, 1.0, 0.75, 0.5, 0.25]);
        assert_eq!(Schedule::Cosine.factor(2, 6, 2), 1.0);
        assert!((Schedule::Cosine.factor(4, 6, 2) - 0.5).abs() < 1e-12);
        assert_eq!(Schedule::Constant.factor(5, 6, 0), 1.0);
    }
}
