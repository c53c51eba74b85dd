//! Bottleneck adapters after both sublayers, Houlsby et al. 2019, <https://arxiv.org/abs/1902.00751>, section
//! 2.1.
//!
//! `y + up(silu(down(y)))`, with `y` the output of attention or of the feed-forward network, before it joins
//! the residual stream. As in AdapterHub (`double_seq_bn`), the norms stay frozen and the non-linearity is
//! SiLU; the authors also train the norms (`norms = true`) and use GELU.

use crate::bottleneck::{Bottlenecks, Form, NonLinearity, Settings};
use crate::{Info, Merging, Method, Saves, Target};
use offshoot_core::nn::Norm;
use offshoot_core::{Adapter, Result, Shape, Step, Sublayer, Tensor};
use serde::{Deserialize, Serialize};

/// How `houlsby` presents itself.
pub const INFO: Info = Info {
    name: "houlsby",
    summary: "bottlenecks after attention and after the feed-forward network",
    paper: "Houlsby et al. 2019, https://arxiv.org/abs/1902.00751",
    // The upper end of the authors' grid (3e-5 to 3e-3 over long runs); `up` starts at zero and has few
    // steps.
    learning_rate: 1e-3,
    saves: Saves::AdapterHub,
    starts_as_identity: true,
    merging: Merging::Never("its bottlenecks have a non-linearity, which no matrix expresses"),
};

const FORM: Form = Form {
    name: INFO.name,
    parts: &[Sublayer::Attention, Sublayer::FeedForward],
    non_linearity: NonLinearity::Silu,
    scaling: 1.0,
};

/// Settings of `houlsby`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Config(pub Settings);

impl Method for Config {
    fn resolve(&mut self, shape: &Shape) {
        FORM.resolve(&mut self.0, shape);
    }

    fn build(&self, target: &mut Target<'_>) -> Result<Box<dyn Adapter>> {
        Ok(Box::new(Houlsby(FORM.build(&self.0, target)?)))
    }
}

struct Houlsby(Bottlenecks);

impl Adapter for Houlsby {
    fn sublayer(
        &self,
        step: &Step<'_>,
        at: (usize, Sublayer),
        _x: &Tensor,
        y: Tensor,
        _norm: Option<&dyn Norm>,
    ) -> Result<Tensor> {
        self.0.add(step, at, &y.clone(), y)
    }
}
