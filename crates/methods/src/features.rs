//! Feature-based transfer: the frozen backbone embeds every text once, then logistic regression is solved on
//! the embeddings.
//!
//! Peters et al. 2019, <https://arxiv.org/abs/1903.05987>, section 2. With features `f` and classes `c` the
//! solution minimises `sum_i -log softmax(W f_i + b)[c_i] + l2 / 2 ||W||²`, which is convex: there is one
//! answer, no rate and no epoch. For numbers it is ridge regression: half of the squared error takes the
//! place of the logarithm. The method itself only says "frozen, with these settings"; whoever has the
//! data solves it.

use crate::{Info, Merging, Method, Saves, Target, setting};
use offshoot_core::{Adapter, NoAdapter, Result};
use serde::{Deserialize, Serialize};

/// How `features` presents itself.
pub const INFO: Info = Info {
    name: "features",
    summary: "logistic or ridge regression on embeddings computed once",
    paper: "Peters et al. 2019, https://arxiv.org/abs/1903.05987",
    // Nothing is stepped: the regression is solved.
    learning_rate: 0.0,
    saves: Saves::Features,
    starts_as_identity: true,
    merging: Merging::Never(
        "its classifier stands behind the frozen model, and nothing in the model changes",
    ),
};

/// Settings of `features`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Weight of the penalty on the squared weights of standardised features, against a loss summed over the
    /// rows (1 is scikit-learn's `C = 1`, and for numbers `alpha = 1`). Default: the power of ten that does
    /// best on a fifth of the training rows held out, since the right value grows with the number of columns
    /// per row and a wrong one costs several points.
    pub l2: Option<f64>,
}

impl Method for Config {
    fn build(&self, _target: &mut Target<'_>) -> Result<Box<dyn Adapter>> {
        if let Some(l2) = self.l2.filter(|l2| !(l2.is_finite() && *l2 >= 0.0)) {
            return Err(setting(INFO.name, "l2", format!("is {l2}; it must be 0 or more")));
        }
        Ok(Box::new(NoAdapter))
    }
}
