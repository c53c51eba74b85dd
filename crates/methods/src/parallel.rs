//! Parallel adapters, He et al. 2021, <https://arxiv.org/abs/2110.04366>, section 3.3.
//!
//! `y + 4 up(relu(down(x)))` beside the feed-forward network: the bottleneck reads the residual stream `x`
//! that the network read (before any norm), not its output. AdapterHub's `par_bn` halves the hidden size;
//! here the width is that of the other two.

use crate::bottleneck::{Bottlenecks, Form, NonLinearity, Settings};
use crate::{Info, Merging, Method, Saves, Target};
use offshoot_core::nn::Norm;
use offshoot_core::{Adapter, Result, Shape, Step, Sublayer, Tensor};
use serde::{Deserialize, Serialize};

/// How `parallel` presents itself.
pub const INFO: Info = Info {
    name: "parallel",
    summary: "bottlenecks beside the feed-forward network",
    paper: "He et al. 2021, https://arxiv.org/abs/2110.04366",
    // The factor 4 on the output already multiplies a step's effect: hardly more than LoRA's rate.
    learning_rate: 1e-3,
    saves: Saves::AdapterHub,
    starts_as_identity: true,
    merging: Merging::Never("its bottlenecks have a non-linearity, which no matrix expresses"),
};

const FORM: Form = Form {
    name: INFO.name,
    parts: &[Sublayer::FeedForward],
    non_linearity: NonLinearity::Relu,
    scaling: 4.0,
};

/// Settings of `parallel`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Config(pub Settings);

impl Method for Config {
    fn resolve(&mut self, shape: &Shape) {
        FORM.resolve(&mut self.0, shape);
    }

    fn build(&self, target: &mut Target<'_>) -> Result<Box<dyn Adapter>> {
        Ok(Box::new(Parallel(FORM.build(&self.0, target)?)))
    }
}

struct Parallel(Bottlenecks);

impl Adapter for Parallel {
    fn sublayer(
        &self,
        step: &Step<'_>,
        at: (usize, Sublayer),
        x: &Tensor,
        y: Tensor,
        _norm: Option<&dyn Norm>,
    ) -> Result<Tensor> {
        self.0.add(step, at, x, y)
    }
}
