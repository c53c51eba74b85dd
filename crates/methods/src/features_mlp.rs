//! A small network on frozen features: one hidden layer between the embedding and the classes.
//!
//! Rosenblatt's perceptron with a layer between, trained by back-propagation: Rumelhart, Hinton and Williams 1986,
//! <https://doi.org/10.1038/323533a0>. With features `f`, standardised, the logits are
//! `W₂ relu(W₁ f + b₁) + b₂`. It sees what a linear classifier on the same features cannot, such as that two of
//! them matter only together, and it needs more rows to see it.

use crate::{Info, MOST, Merging, Method, Saves, Target, check_size, setting};
use offshoot_core::{Adapter, NoAdapter, Result};
use serde::{Deserialize, Serialize};

/// How `features-mlp` presents itself.
pub const INFO: Info = Info {
    name: "features-mlp",
    summary: "a network of one hidden layer on embeddings computed once",
    paper: "Rumelhart et al. 1986, https://doi.org/10.1038/323533a0",
    // It has one of its own, in its settings: it is fitted to features, not trained through the model.
    learning_rate: 0.0,
    saves: Saves::Features,
    starts_as_identity: true,
    merging: Merging::Never(
        "its classifier stands behind the frozen model, and nothing in the model changes",
    ),
};

/// Settings of `features-mlp`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Units of the hidden layer. Default 128.
    pub width: usize,
    /// Passes over the rows at most; how many of them are made is chosen on a fifth of the rows. Default 100.
    pub epochs: usize,
    /// The step size of AdamW. Default 1e-3.
    pub rate: f32,
    /// The decay of AdamW. Default 0.01.
    pub weight_decay: f32,
}

impl Default for Config {
    fn default() -> Self {
        Self { width: 128, epochs: 100, rate: 1e-3, weight_decay: 0.01 }
    }
}

impl Method for Config {
    fn build(&self, _target: &mut Target<'_>) -> Result<Box<dyn Adapter>> {
        let wrong = |name: &str, reason: String| Err(setting(INFO.name, name, reason));
        check_size(INFO.name, "width", self.width, 1..=MOST)?;
        check_size(INFO.name, "epochs", self.epochs, 1..=MOST)?;
        if !(self.rate.is_finite() && self.rate > 0.0) {
            return wrong("rate", format!("is {}; it must be above 0", self.rate));
        }
        if !(self.weight_decay.is_finite() && self.weight_decay >= 0.0) {
            return wrong("weight_decay", format!("is {}; it must be 0 or more", self.weight_decay));
        }
        Ok(Box::new(NoAdapter))
    }
}
