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

/// Root-mean-square normalisation (Zhang and Sennrich 2019).
#[derive(Clone)]
pub struct RmsNorm {
    /// `[d]`
    pub weight: Weight,
    /// Added to the mean square.
    pub eps: f32,
    /// Added to the weight: 1 in Gemma, whose files hold the difference from one, else 0.
    pub offset: f32,
}

impl RmsNorm {
    /// `x` `[n, k d]` with each part of `d` columns normalised on its own: one norm for all heads of a row.
    ///
    /// # Errors
    /// If the columns of `x` are not a multiple of d.
    pub fn forward_heads(&self, x: &Tensor, step: &Step<'_>) -> Result<Tensor> {
        let weight = self.scale(step);
        let heads = x.reshape(&[x.len() / weight.len().max(1), weight.len()])?;
        heads.rms_norm(&weight, self.eps)?.reshape(x.shape())
    }

    fn scale(&self, step: &Step<'_>) -> Tensor {
        let weight = step.weight(&self.weight);
        if self.offset == 0.0 { weight } else { weight.add_scalar(self.offset) }
    }
}

impl Norm for RmsNorm {
    fn forward(&self, x: &Tensor, step: &Step<'_>) -> Result<Tensor> {
        x.rms_norm(&self.scale(step), self.eps)
    }
}
