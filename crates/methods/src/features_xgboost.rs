//! Boosted trees on frozen features, grown by the XGBoost library.
//!
//! Chen and Guestrin 2016, <https://arxiv.org/abs/1603.02754>, section 2. Round by round a tree for each class is
//! added to a sum, the one that most lowers the loss by its first two derivatives, with a penalty on leaves
//! (equations 2 to 7). How many rounds are made is chosen on a fifth of the rows, held out. The library is loaded
//! when trees are grown and not needed after: they are kept in a file of our own, and read by us.

use crate::{Info, MOST, Merging, Method, Saves, Target, check_size, setting};
use offshoot_core::{Adapter, NoAdapter, Result};
use serde::{Deserialize, Serialize};

/// How `features-xgboost` presents itself.
pub const INFO: Info = Info {
    name: "features-xgboost",
    summary: "XGBoost's boosted trees on embeddings computed once",
    paper: "Chen and Guestrin 2016, https://arxiv.org/abs/1603.02754",
    // It has one of its own, in its settings.
    learning_rate: 0.0,
    saves: Saves::Fitted,
    starts_as_identity: true,
    merging: Merging::Never("its trees stand behind the frozen model, and nothing in the model changes"),
};

/// Settings of `features-xgboost`, those that are not said as the library has them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Rounds at most. Default 200.
    pub rounds: usize,
    /// Depth of a tree at most. Default 6, the library's.
    pub depth: usize,
    /// How much of a tree is added to the sum. Default 0.1.
    pub eta: f32,
    /// The share of features that a tree looks at. Default 0.2: there are hundreds, and each tells a little.
    pub features: f32,
    /// The penalty on the squared values of leaves. Default 1, the library's.
    pub lambda: f32,
}

impl Default for Config {
    fn default() -> Self {
        Self { rounds: 200, depth: 6, eta: 0.1, features: 0.2, lambda: 1.0 }
    }
}

impl Method for Config {
    fn build(&self, _target: &mut Target<'_>) -> Result<Box<dyn Adapter>> {
        let wrong = |name: &str, reason: String| Err(setting(INFO.name, name, reason));
        check_size(INFO.name, "rounds", self.rounds, 1..=MOST)?;
        // 2^16 leaves are more than there are rows for.
        check_size(INFO.name, "depth", self.depth, 1..=16)?;
        for (name, share) in [("eta", self.eta), ("features", self.features)] {
            if !(share > 0.0 && share <= 1.0) {
                return wrong(name, format!("is {share}; it must be above 0 and up to 1"));
            }
        }
        if !(self.lambda.is_finite() && self.lambda >= 0.0) {
            return wrong("lambda", format!("is {}; it must be 0 or more", self.lambda));
        }
        Ok(Box::new(NoAdapter))
    }
}
