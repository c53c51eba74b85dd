//! One bottleneck a block, Pfeiffer et al. 2020, <https://arxiv.org/abs/2005.00247>, section 3.2.1 and
//! appendix A.
//!
//! `y + up(relu(down(norm(x + y))))` after the feed-forward network: the bottleneck reads what the block
//! would have given, and its output joins before the norm, which so runs twice in post-norm families.
//! Families without a norm there read `x + y`.

use crate::bottleneck::{Bottlenecks, Form, NonLinearity, Settings};
use crate::{Info, Merging, Method, Saves, Target};
use offshoot_core::nn::Norm;
use offshoot_core::{Adapter, Result, Shape, Step, Sublayer, Tensor};
use serde::{Deserialize, Serialize};

/// How `pfeiffer` presents itself.
pub const INFO: Info = Info {
    name: "pfeiffer",
    summary: "one bottleneck a block, after the feed-forward network",
    paper: "Pfeiffer et al. 2020, https://arxiv.org/abs/2005.00247",
    // Half of Houlsby's places, so each has to do more; the authors use 1e-4 for runs of many epochs.
    learning_rate: 1e-3,
    saves: Saves::AdapterHub,
    starts_as_identity: true,
    merging: Merging::Never("its bottlenecks have a non-linearity, which no matrix expresses"),
};

const FORM: Form = Form {
    name: INFO.name,
    parts: &[Sublayer::FeedForward],
    non_linearity: NonLinearity::Relu,
    scaling: 1.0,
};

/// Settings of `pfeiffer`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Config(pub Settings);

impl Method for Config {
    fn resolve(&mut self, shape: &Shape) {
        FORM.resolve(&mut self.0, shape);
    }

    fn build(&self, target: &mut Target<'_>) -> Result<Box<dyn Adapter>> {
        Ok(Box::new(Pfeiffer(FORM.build(&self.0, target)?)))
    }
}

struct Pfeiffer(Bottlenecks);

impl Adapter for Pfeiffer {
    fn sublayer(
        &self,
        step: &Step<'_>,
        at: (usize, Sublayer),
        x: &Tensor,
        y: Tensor,
        norm: Option<&dyn Norm>,
    ) -> Result<Tensor> {
        if !self.0.has(at) {
            return Ok(y);
        }
        let joined = x.add(&y)?;
        let joined = match norm {
            Some(norm) => norm.forward(&joined, step)?,
            None => joined,
        };
        self.0.add(step, at, &joined, y)
    }
}
