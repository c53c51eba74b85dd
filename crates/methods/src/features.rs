//! Feature-based transfer: the frozen backbone embeds every text once, then logistic regression is solved on the embeddings.
//!
//! Peters et al. 2019, <https://arxiv.org/abs/1903.05987>, section 2. With features `f` and classes `c` the solution minimises
//! `sum_i -log softmax(W f_i + b)[c_i] + l2 / 2 ||W||²`, which is convex: there is one answer, no rate and no epoch.
//! The method itself only says "frozen, with these settings"; whoever has the data solves it.

use crate::{Info, Method, Saves, Target, setting};
use offshoot_core::{Adapter, NoAdapter, Result};
use serde::{Deserialize, Serialize};

/// How `features` presents itself.
pub const INFO: Info = Info {
    name: "features",
    summary: "logistic regression on embeddings computed once",
    paper: "Peters et al. 2019, https://arxiv.org/abs/1903.05987",
    // Nothing is stepped: the regression is solved.
    learning_rate: 0.0,
    saves: Saves::Features,
    starts_as_identity: true,
};

/// Settings of `features`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Weight of the penalty on the squared weights, against a loss summed over the rows. Default 1, which is what
    /// scikit-learn's `C = 1` means.
    pub l2: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { l2: 1.0 }
    }
}

impl Method for Config {
    fn build(&self, _target: &mut Target<'_>) -> Result<Box<dyn Adapter>> {
        if !(self.l2.is_finite() && self.l2 >= 0.0) {
            return Err(setting(INFO.name, "l2", format!("is {}; it must be 0 or more", self.l2)));
        }
        Ok(Box::new(NoAdapter))
    }
}
