//! Normalisation layers.

use crate::{Result, Step, Tensor, Weight};

/// A norm that a sublayer hook may be lent.
pub trait Norm {
    /// `x` `[n, d]` normalised, `[n, d]`.
    ///
    /// # Errors
    /// If `x` has another number of columns.
    fn forward(&self, x: &Tensor, step: &Step<'_>) -> Result<Tensor>;
}

/// Layer normalisation (Ba et al. 2016).
#[derive(Clone)]
pub struct LayerNorm {
    /// `[d]`
    pub weight: Weight,
    /// `[d]`
    pub bias: Weight,
    /// Added to the variance.
    pub eps: f32,
}

impl LayerNorm {
    /// Its weights, in file order.
    pub fn weights_mut(&mut self) -> Vec<&mut Weight> {
        vec![&mut self.weight, &mut self.bias]
    }

    /// Its weights, in file order.
    pub fn weights(&self) -> Vec<&Weight> {
        vec![&self.weight, &self.bias]
    }
}

impl Norm for LayerNorm {
    fn forward(&self, x: &Tensor, step: &Step<'_>) -> Result<Tensor> {
        x.layer_norm(&step.weight(&self.weight), &step.weight(&self.bias), self.eps)
    }
}
