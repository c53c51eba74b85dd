//! A linear layer of a method's own network.

use crate::Target;
use offshoot_core::{ParamId, Result, Step, Tensor};

/// `x Wᵀ + b`, both trained.
pub(crate) struct Dense {
    /// `[out, in]`
    weight: ParamId,
    /// `[out]`
    bias: ParamId,
}

impl Dense {
    /// Random weights, drawn as torch draws a linear layer's (uniform in `±1 / sqrt(in)`), and a bias of
    /// zero.
    pub(crate) fn random(target: &mut Target<'_>, module: &str, size: (usize, usize)) -> Result<Self> {
        let (inputs, outputs) = size;
        let weight = target.uniform(&[outputs, inputs], (1.0 / inputs as f64).sqrt());
        Self::insert(target, [format!("{module}.weight"), format!("{module}.bias")], weight)
    }

    /// All zeros: the network around it starts silent.
    pub(crate) fn zero(target: &mut Target<'_>, module: &str, size: (usize, usize)) -> Result<Self> {
        let weight = target.zeros(&[size.1, size.0]);
        Self::insert(target, [format!("{module}.weight"), format!("{module}.bias")], weight)
    }

    /// A layer of the given weights `[out, in]` and a bias of zero, under two names.
    pub(crate) fn insert(target: &mut Target<'_>, names: [String; 2], weight: Tensor) -> Result<Self> {
        let [weight_name, bias_name] = names;
        let bias = target.zeros(&[weight.rows()]);
        Ok(Self {
            weight: target.params.insert(weight_name, weight)?,
            bias: target.params.insert(bias_name, bias)?,
        })
    }

    /// `x` `[n, in]` to `[n, out]`.
    pub(crate) fn forward(&self, step: &Step<'_>, x: &Tensor) -> Result<Tensor> {
        x.linear(&step.param(self.weight))?.add_row(&step.param(self.bias))
    }
}
