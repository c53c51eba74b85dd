//! What is saved of a trained model, whatever its task.

use crate::{Classifier, Fitted, LanguageModel, Objective, Prompt};
use offshoot_core::{Adapter, Backbone, Params};
use offshoot_methods::MethodConfig;
use offshoot_models::{Pooling, Task};

/// A method on a backbone, on its way to disk.
#[derive(Clone, Copy)]
pub struct Grown<'a> {
    /// The method's settings, complete.
    pub method: &'a MethodConfig,
    /// The method's adapter.
    pub adapter: &'a dyn Adapter,
    /// The backbone, with what the method trains of it.
    pub backbone: &'a dyn Backbone,
    /// Everything that was trained.
    pub params: &'a Params,
    /// What its head is for; none of a language model.
    pub objective: Option<Objective>,
    /// What the model is asked, where nothing was trained.
    pub prompt: Option<&'a Prompt>,
    /// What stands in a head's place, where it is no network.
    pub fitted: Option<&'a Fitted>,
    /// What a classifier's head reads.
    pub pooling: Option<Pooling>,
}

impl Grown<'_> {
    /// What it was trained for.
    pub(super) fn task(&self) -> Task {
        self.objective.map_or(Task::LanguageModel, Objective::task)
    }
}

impl<'a> From<&'a Classifier> for Grown<'a> {
    fn from(classifier: &'a Classifier) -> Self {
        Self {
            method: &classifier.method,
            adapter: classifier.adapter.as_ref(),
            backbone: classifier.backbone.as_ref(),
            params: &classifier.params,
            objective: Some(classifier.objective),
            prompt: classifier.prompt.as_ref(),
            fitted: classifier.fitted.as_ref(),
            pooling: Some(classifier.pooling),
        }
    }
}

impl<'a> From<&'a LanguageModel> for Grown<'a> {
    fn from(model: &'a LanguageModel) -> Self {
        Self {
            method: &model.method,
            adapter: model.adapter.as_ref(),
            backbone: model.backbone.as_ref(),
            params: &model.params,
            objective: None,
            prompt: model.prompt.as_ref(),
            fitted: None,
            pooling: None,
        }
    }
}
