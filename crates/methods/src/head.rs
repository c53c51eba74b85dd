//! Head only ("finetuning I" of feature-based transfer): the backbone is frozen, the task's head is trained.
//!
//! The head is the whole classification head of the family: `classifier` for BERT, `pre_classifier` +
//! `classifier` for DistilBERT, `dense` + `out_proj` for RoBERTa.

use crate::{Info, Merging, Method, Saves, Target};
use offshoot_core::{Adapter, NoAdapter, Result};
use serde::{Deserialize, Serialize};

/// How `head` presents itself.
pub const INFO: Info = Info {
    name: "head",
    summary: "the classification head alone, on a frozen backbone",
    paper: "Devlin et al. 2019, https://arxiv.org/abs/1810.04805, section 5.3",
    // A linear model on features of unit scale: large steps are safe, small ones do not arrive in three
    // epochs.
    learning_rate: 1e-2,
    saves: Saves::Weights,
    starts_as_identity: true,
    merging: Merging::Never("its head stands behind the frozen model, and nothing in the model changes"),
};

/// Settings of `head`: none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {}

impl Method for Config {
    fn build(&self, _target: &mut Target<'_>) -> Result<Box<dyn Adapter>> {
        Ok(Box::new(NoAdapter))
    }
}
