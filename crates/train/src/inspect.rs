//! What each method would train on a model, before anything is trained.

use crate::classifier::Classifier;
use crate::language_model::LanguageModel;
use crate::{Error, Result};
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

/// Builds every method on the model, with a head for so many classes, and counts.
///
/// # Errors
/// Never on a loaded model: a method that does not fit is a row that says why.
pub fn shares(model: &Model, classes: usize) -> Result<Vec<Share>> {
    each(|method| classifier_sizes(model, method, classes))
}

/// Builds every method on a model that was loaded as a language model, and counts.
///
/// # Errors
/// Never on a loaded model: a method that does not fit, or trains nothing here, is a row that says why.
pub fn language_model_shares(model: &Model) -> Result<Vec<Share>> {
    each(|method| {
        let sizes = match method {
            MethodConfig::Full(_) => full_sizes(model, 0),
            _ => LanguageModel::new(model, method, 0)?.sizes(),
        };
        match sizes.0 {
            0 if method.saves() == Saves::Prompt => Ok(sizes),
            0 => Err(Error::invalid("it has nothing to train here")),
            _ => Ok(sizes),
        }
    })
}

/// A row for each method, with the values that it trains and all values.
fn each(sizes: impl Fn(&MethodConfig) -> Result<(usize, usize)>) -> Result<Vec<Share>> {
    let share = |info: &offshoot_methods::Info| {
        let method = MethodConfig::named(info.name)?;
        Ok(match sizes(&method) {
            Ok((trainable, total)) => Share { method: info.name, trainable, total, error: None },
            Err(error) => Share { method: info.name, trainable: 0, total: 0, error: Some(error.to_string()) },
        })
    };
    MethodConfig::ALL.iter().map(share).collect()
}

fn classifier_sizes(model: &Model, method: &MethodConfig, classes: usize) -> Result<(usize, usize)> {
    if let MethodConfig::Full(_) = method {
        let (head, _) = model.new_head(classes, &mut Rng::new(0))?;
        return Ok(full_sizes(model, head.weights().iter().map(|weight| weight.len()).sum()));
    }
    let classifier = Classifier::new(model, method, classes, 0)?;
    if method.saves() == Saves::Fitted {
        return Err(Error::invalid("its size depends on the rows that it is fitted to"));
    }
    Ok(classifier.sizes())
}

/// All that can be trained, and all there is. To build it would unpack the whole of a quantised model.
fn full_sizes(model: &Model, head: usize) -> (usize, usize) {
    let trained: usize = model.backbone.fork().weights_mut().iter().map(|weight| weight.len()).sum();
    let total: usize = model.backbone.weights().iter().map(|weight| weight.len()).sum();
    (trained + head, total + head)
}

#[cfg(test)]
mod tests {
    use super::*;
    use offshoot_core::Device;
    use offshoot_models::{LoadOptions, Task};
    use std::path::Path;

    fn model(name: &str, task: Task) -> Model {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testing/golden/models").join(name);
        Model::open(&folder, &LoadOptions { task, ..LoadOptions::default() }, &Device::cpu()).unwrap()
    }

    #[test]
    fn counting_full_is_building_it() {
        let full = MethodConfig::named("full").unwrap();
        for name in ["bert-cls", "distilbert-cls", "roberta-cls", "llama-score", "gpt2-score"] {
            let model = model(name, Task::Classification);
            let built = Classifier::new(&model, &full, 3, 0).unwrap().sizes();
            assert_eq!(classifier_sizes(&model, &full, 3).unwrap(), built, "{name}");
        }
        for name in ["llama-lm", "llama-untied-lm", "gpt2-lm"] {
            let model = model(name, Task::LanguageModel);
            assert_eq!(
                full_sizes(&model, 0),
                LanguageModel::new(&model, &full, 0).unwrap().sizes(),
                "{name}"
            );
        }
    }

    #[test]
    fn what_trains_nothing_says_so() {
        let shares = language_model_shares(&model("llama-lm", Task::LanguageModel)).unwrap();
        let failed = |share: &&Share| share.error.is_some();
        let failed: Vec<_> = shares.iter().filter(failed).map(|share| share.method).collect();
        // These classify, and LLaMA has no biases.
        assert_eq!(failed.iter().filter(|name| name.starts_with("features")).count(), 5);
        assert_eq!(failed[5..], ["head", "bitfit"]);
        let lora = shares.iter().find(|share| share.method == "lora").unwrap();
        // Rank 8 on queries [32, 32] and values [16, 32] of four blocks.
        assert_eq!(lora.trainable, 4 * 8 * (32 + 32 + 32 + 16));
    }
}
