//! An adapter of either task, read onto its base.

use crate::checkpoint::{self, Card, read_json};
use crate::classifier::Classifier;
use crate::language_model::LanguageModel;
use crate::{Error, Result};
use offshoot_core::{Adapter, Backbone, Device, Params};
use offshoot_methods::MethodConfig;
use offshoot_methods::formats::{CONFIG_FILE, Format};
use offshoot_models::weights::Pickles;
use offshoot_models::{LoadOptions, Model, Task, predicts_tokens};
use serde_json::Value;
use std::path::Path;

/// What an adapter makes of a model.
pub enum Trained {
    /// Classes, by the names of the labels, in the order of the head's rows.
    Classifier(Box<Classifier>, Vec<String>),
    /// The next token.
    LanguageModel(Box<LanguageModel>),
}

/// An adapter with its base.
pub struct OnBase {
    /// The adapter, ready for use.
    pub trained: Trained,
    /// The base as it was loaded for it.
    pub model: Model,
    /// What a person should know about how the files were read.
    pub notes: Vec<String>,
}

impl Trained {
    /// Reads the adapter in `folder` onto the base in `base`, a folder or a GGUF file, loaded for the task that
    /// the adapter was trained for.
    ///
    /// # Errors
    /// If one of them cannot be read, or the adapter is for another base.
    pub fn load(folder: &Path, base: &Path, pickles: Pickles, device: &Device) -> Result<OnBase> {
        let card = Card::read(folder)?;
        let task = match &card {
            Some(card) => card.task,
            None => Self::task(folder, base)?,
        };
        let options = LoadOptions { task, pooling: card.map(|card| card.pooling), pickles };
        let model = Model::open(base, &options, device)?;
        if options.task.has_head() {
            let loaded = checkpoint::load(folder, &model, pickles)?;
            let labels =
                loaded.card.map(|card| card.labels).unwrap_or_else(|| loaded.classifier.numbered_labels());
            let trained = Self::Classifier(Box::new(loaded.classifier), labels);
            return Ok(OnBase { trained, model, notes: loaded.notes });
        }
        let loaded = checkpoint::load_language_model(folder, &model, pickles)?;
        Ok(OnBase { trained: Self::LanguageModel(Box::new(loaded.grown)), model, notes: loaded.notes })
    }

    /// What an adapter of another program was trained for, as far as its files say.
    ///
    /// # Errors
    /// If the folder holds no adapter, or a config cannot be read.
    pub fn task(folder: &Path, base: &Path) -> Result<Task> {
        task(folder, base)
    }

    /// The method's settings.
    pub fn method(&self) -> &MethodConfig {
        match self {
            Self::Classifier(classifier, _) => &classifier.method,
            Self::LanguageModel(model) => &model.method,
        }
    }

    /// The model, with the weights that the method trains.
    pub fn backbone(&self) -> &dyn Backbone {
        match self {
            Self::Classifier(classifier, _) => classifier.backbone.as_ref(),
            Self::LanguageModel(model) => model.backbone.as_ref(),
        }
    }

    /// The method's hooks.
    pub fn adapter(&self) -> &dyn Adapter {
        match self {
            Self::Classifier(classifier, _) => classifier.adapter.as_ref(),
            Self::LanguageModel(model) => model.adapter.as_ref(),
        }
    }

    /// Everything that was trained, a classifier's head among it.
    pub fn params(&self) -> &Params {
        match self {
            Self::Classifier(classifier, _) => &classifier.params,
            Self::LanguageModel(model) => &model.params,
        }
    }
}

/// What an adapter of another program was trained for.
fn task(folder: &Path, base: &Path) -> Result<Task> {
    if !predicts_tokens(base)? {
        return Ok(Task::Classification);
    }
    if folder.is_file() {
        return Ok(Task::LanguageModel);
    }
    let path = folder.join(CONFIG_FILE);
    if !path.exists() {
        let reason = "this folder holds no adapter: neither offshoot.json nor adapter_config.json is there";
        return Err(Error::invalid(format!("{}: {reason}", folder.display())));
    }
    let config = read_json(&path)?;
    let classifies = match Format::detect(&config)? {
        Format::Peft => config.get("task_type").and_then(Value::as_str) == Some("SEQ_CLS"),
        Format::AdapterHub => Format::AdapterHub
            .extra_files()
            .iter()
            .any(|name| name.contains("head") && folder.join(name).exists()),
        Format::Native => {
            config.get("head_modules").and_then(Value::as_array).is_some_and(|modules| !modules.is_empty())
        }
    };
    Ok(if classifies { Task::Classification } else { Task::LanguageModel })
}
