//! The nearest neighbours of a text, by the frozen model's embedding, vote on its class.
//!
//! Cover and Hart 1967, <https://doi.org/10.1109/TIT.1967.1053964>. Two embeddings are as near as the cosine of
//! the angle between them is large. Of `k` neighbours `n_c` are of class `c`; its probability is
//! `(n_c + 1 / C) / (k + 1)` for `C` classes, so that a class that no neighbour has is unlikely and not impossible.
//! Nothing is learned: the training rows are the classifier, and each answer can be traced to rows.

use crate::{Info, Merging, Method, Saves, Target, setting};
use offshoot_core::{Adapter, NoAdapter, Result};
use serde::{Deserialize, Serialize};

/// How `features-knn` presents itself.
pub const INFO: Info = Info {
    name: "features-knn",
    summary: "the vote of the training rows whose embeddings are nearest",
    paper: "Cover and Hart 1967, https://doi.org/10.1109/TIT.1967.1053964",
    // Nothing is stepped: the rows are kept.
    learning_rate: 0.0,
    saves: Saves::Fitted,
    starts_as_identity: true,
    merging: Merging::Never(
        "it is the training rows beside the frozen model, and nothing in the model changes",
    ),
};

/// Settings of `features-knn`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How many neighbours vote. Default: the number, of a few up to 51, by which the training rows are best told
    /// from each other, each by its own neighbours.
    pub k: Option<usize>,
}

impl Method for Config {
    fn build(&self, _target: &mut Target<'_>) -> Result<Box<dyn Adapter>> {
        if self.k == Some(0) {
            return Err(setting(INFO.name, "k", "is 0; it must be 1 or more"));
        }
        Ok(Box::new(NoAdapter))
    }
}
