//! BitFit, Ben Zaken et al. 2021, <https://arxiv.org/abs/2106.10199>, section 3: only the biases are trained.
//!
//! Every `b` of `W x + b`, and the shift of every norm, the embeddings' too, as in the authors' code.

use crate::{Info, Merging, Method, Saves, Target};
use offshoot_core::{Adapter, Error, Kind, NoAdapter, Result};
use serde::{Deserialize, Serialize};

/// How `bitfit` presents itself.
pub const INFO: Info = Info {
    name: "bitfit",
    summary: "the biases alone",
    paper: "Ben Zaken et al. 2021, https://arxiv.org/abs/2106.10199",
    // The upper end of the authors' grid (1e-4 to 1e-3): a bias has no other way to matter than to move far.
    learning_rate: 1e-3,
    saves: Saves::Weights,
    starts_as_identity: true,
    merging: Merging::Weights,
};

/// Settings of `bitfit`: none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {}

impl Method for Config {
    fn build(&self, target: &mut Target<'_>) -> Result<Box<dyn Adapter>> {
        let is_bias = |kind| matches!(kind, Kind::Bias | Kind::NormBias);
        if !target.backbone.weights().iter().any(|weight| is_bias(weight.place().kind)) {
            return Err(Error::invalid("bitfit: this model has no biases, so there is nothing to train"));
        }
        target.train(|place| is_bias(place.kind))?;
        Ok(Box::new(NoAdapter))
    }
}
