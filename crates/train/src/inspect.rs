//! What each method would train on a model, before anything is trained.

use crate::Result;
use crate::classifier::Classifier;
use crate::features::empty_head;
use offshoot_core::Rng;
use offshoot_methods::{MethodConfig, Saves};
use offshoot_models::Model;

/// A method's share of a model.
#[derive(Clone, Debug)]
pub struct Share {
    /// The method's name.
    pub method: &'static str,
    /// Trained values, the head's among them.
    pub trainable: usize,
    /// All values of the model with adapter and head.
    pub total: usize,
    /// Why the method cannot be built on this model.
    pub error: Option<String>,
}

/// Builds every method on the model and counts.
///
/// # Errors
/// Never on a loaded model: a method that does not fit is a row that says why.
pub fn shares(model: &Model, classes: usize) -> Result<Vec<Share>> {
    let share = |info: &offshoot_methods::Info| {
        let method = MethodConfig::named(info.name)?;
        Ok(match build(model, &method, classes) {
            Ok(classifier) => {
                let (trainable, total) = classifier.sizes();
                Share { method: info.name, trainable, total, error: None }
            }
            Err(error) => Share { method: info.name, trainable: 0, total: 0, error: Some(error.to_string()) },
        })
    };
    MethodConfig::ALL.iter().map(share).collect()
}

fn build(model: &Model, method: &MethodConfig, classes: usize) -> Result<Classifier> {
    if method.info().saves == Saves::Features {
        return Classifier::with_head(model, method, empty_head(model, classes), &mut Rng::new(0));
    }
    Classifier::new(model, method, classes, 0)
}
