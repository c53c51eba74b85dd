//! Full fine-tuning ("finetuning II"): every weight of the backbone is trained. The measure of all other
//! methods.
//!
//! Devlin et al. 2019, <https://arxiv.org/abs/1810.04805>, section 4.

use crate::{Info, Merging, Method, Saves, Target};
use offshoot_core::{Adapter, NoAdapter, Result};
use serde::{Deserialize, Serialize};

/// How `full` presents itself.
pub const INFO: Info = Info {
    name: "full",
    summary: "every weight of the model",
    paper: "Devlin et al. 2019, https://arxiv.org/abs/1810.04805, section 4",
    // The upper end of the authors' grid (2e-5 to 5e-5): small encoders and short runs want the larger rate.
    learning_rate: 5e-5,
    saves: Saves::Checkpoint,
    starts_as_identity: true,
    merging: Merging::Weights,
};

/// Settings of `full`: none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {}

impl Method for Config {
    fn build(&self, target: &mut Target<'_>) -> Result<Box<dyn Adapter>> {
        target.train(|_| true)?;
        Ok(Box::new(NoAdapter))
    }
}
