//! The top blocks, and what follows them, as they are: partial fine-tuning.
//!
//! Lee et al. 2019, <https://arxiv.org/abs/1911.03090>: a fourth of the layers reaches 90 % of the quality of
//! all. What is trained: blocks `layers - n` and up, the final norm where the family has one, the pooler
//! where the task reads it.

use crate::{Info, Merging, Method, Saves, Target, check_size};
use offshoot_core::{Adapter, NoAdapter, Part, Result};
use serde::{Deserialize, Serialize};

/// How `last-layers` presents itself.
pub const INFO: Info = Info {
    name: "last-layers",
    summary: "the top blocks themselves, the rest frozen",
    paper: "Lee et al. 2019, https://arxiv.org/abs/1911.03090",
    // One block has to do what full fine-tuning spreads over all: a few times the rate of `full`.
    learning_rate: 2e-4,
    saves: Saves::Weights,
    starts_as_identity: true,
    merging: Merging::Weights,
};

/// Settings of `last-layers`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How many of the top blocks are trained. Default 1.
    pub layers: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { layers: 1 }
    }
}

impl Method for Config {
    fn build(&self, target: &mut Target<'_>) -> Result<Box<dyn Adapter>> {
        let layers = target.shape().layers;
        check_size(INFO.name, "layers", self.layers, 1..=layers)?;
        let first = layers - self.layers;
        target.train(|place| match place.part {
            Part::Block(layer) => layer >= first,
            Part::FinalNorm | Part::Pooler => true,
            Part::Embeddings | Part::Head => false,
        })?;
        Ok(Box::new(NoAdapter))
    }
}
