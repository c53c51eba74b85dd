//! A random forest on frozen features.
//!
//! Breiman 2001, <https://doi.org/10.1023/A:1010933404324>. Each tree is grown on as many rows as there are, drawn
//! with replacement; at each node the best threshold, by Gini impurity, among the square root of all features,
//! drawn anew, splits the rows, until a leaf is of one class. A leaf's answer is its share of each class, the
//! forest's the mean over its trees.

use crate::{Info, MOST, Merging, Method, Saves, Target, check_size};
use offshoot_core::{Adapter, NoAdapter, Result};
use serde::{Deserialize, Serialize};

/// How `features-forest` presents itself.
pub const INFO: Info = Info {
    name: "features-forest",
    summary: "a random forest on embeddings computed once",
    paper: "Breiman 2001, https://doi.org/10.1023/A:1010933404324",
    // Nothing is stepped: trees are grown.
    learning_rate: 0.0,
    saves: Saves::Fitted,
    starts_as_identity: true,
    merging: Merging::Never("its trees stand behind the frozen model, and nothing in the model changes"),
};

/// Settings of `features-forest`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How many trees. Default 200: more cost time and hardly change the mean.
    pub trees: usize,
    /// Rows that a leaf has at least. Default 1: trees are grown in full, as in the paper.
    pub min_leaf: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { trees: 200, min_leaf: 1 }
    }
}

impl Method for Config {
    fn build(&self, _target: &mut Target<'_>) -> Result<Box<dyn Adapter>> {
        check_size(INFO.name, "trees", self.trees, 1..=MOST)?;
        check_size(INFO.name, "min_leaf", self.min_leaf, 1..=MOST)?;
        Ok(Box::new(NoAdapter))
    }
}
