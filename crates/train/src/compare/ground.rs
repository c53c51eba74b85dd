//! What methods are compared on: a model and rows, of either task.

use crate::frozen::States;
use crate::instruct::LmRow;
use crate::lm_run::LmPrepared;
use crate::report::{Judged, RunReport};
use crate::rows::Row;
use crate::run::Prepared;
use crate::trainer::{Event, Learner, TrainSettings};
use crate::{Classifier, LanguageModel, Result, Snapshots};
use offshoot_methods::MethodConfig;
use offshoot_models::Model;

/// A model and rows on which methods are compared, of either task.
pub trait Ground {
    /// What a method becomes on it.
    type Grown: Learner;

    /// A method before its training.
    ///
    /// # Errors
    /// If a setting does not fit the model.
    fn grow(&self, method: &MethodConfig, seed: u64) -> Result<Self::Grown>;

    /// Trains a method and measures it.
    ///
    /// # Errors
    /// If a setting does not fit, or training meets a value that is not finite.
    fn run(
        &self,
        method: &MethodConfig,
        settings: &TrainSettings,
        watch: &mut dyn FnMut(Event),
    ) -> Result<(Self::Grown, RunReport)>;

    /// The model as the user named it.
    fn model_name(&self) -> &str;

    /// How many values the model has.
    fn model_values(&self) -> usize;

    /// What a comparison on it is judged by.
    fn judged(&self) -> Judged<'_>;

    /// The rows to train on.
    fn train_rows(&self) -> &[<Self::Grown as Learner>::Row];

    /// How many rows are measured on after each epoch, and how many at the end.
    fn measured_rows(&self) -> [usize; 2];

    /// A hash of all rows.
    fn rows(&self) -> String;

    /// The states of unfinished runs, if they are kept.
    fn snapshots(&self) -> Option<&Snapshots>;

    /// What is kept of frozen blocks.
    fn states(&self) -> &States;
}

impl Ground for Prepared {
    type Grown = Classifier;

    fn grow(&self, method: &MethodConfig, seed: u64) -> Result<Classifier> {
        let mut classifier = Classifier::new(&self.model, method, self.objective, seed)?;
        classifier.class_weights.clone_from(&self.class_weights);
        Ok(classifier)
    }

    fn train_rows(&self) -> &[Row] {
        &self.train
    }

    fn measured_rows(&self) -> [usize; 2] {
        [self.validation.len(), self.test.len()]
    }

    fn run(
        &self,
        method: &MethodConfig,
        settings: &TrainSettings,
        watch: &mut dyn FnMut(Event),
    ) -> Result<(Classifier, RunReport)> {
        Prepared::run(self, method, settings, watch)
    }

    fn model_name(&self) -> &str {
        &self.model_name
    }

    fn model_values(&self) -> usize {
        values(&self.model)
    }

    fn judged(&self) -> Judged<'_> {
        Judged {
            rows: judged_rows(&self.validation, &self.test),
            labels: &self.labels,
            test: &self.examples.test,
            majority: self.majority_baseline(),
            naive_bayes: self.naive_bayes(),
            mean: self.mean_baseline(),
        }
    }

    fn rows(&self) -> String {
        self.fingerprint()
    }

    fn snapshots(&self) -> Option<&Snapshots> {
        self.snapshots.as_ref()
    }

    fn states(&self) -> &States {
        &self.states
    }
}

impl Ground for LmPrepared {
    type Grown = LanguageModel;

    fn grow(&self, method: &MethodConfig, seed: u64) -> Result<LanguageModel> {
        LanguageModel::new(&self.model, method, seed)
    }

    fn train_rows(&self) -> &[LmRow] {
        &self.train
    }

    fn measured_rows(&self) -> [usize; 2] {
        [self.validation.len(), self.test.len()]
    }

    fn run(
        &self,
        method: &MethodConfig,
        settings: &TrainSettings,
        watch: &mut dyn FnMut(Event),
    ) -> Result<(LanguageModel, RunReport)> {
        LmPrepared::run(self, method, settings, watch)
    }

    fn model_name(&self) -> &str {
        &self.model_name
    }

    fn model_values(&self) -> usize {
        values(&self.model)
    }

    fn judged(&self) -> Judged<'_> {
        Judged { rows: judged_rows(&self.validation, &self.test), ..Judged::default() }
    }

    fn rows(&self) -> String {
        self.fingerprint()
    }

    fn snapshots(&self) -> Option<&Snapshots> {
        self.snapshots.as_ref()
    }

    fn states(&self) -> &States {
        &self.states
    }
}

/// A choice rests on the rows that chose the epoch, or else on those that are only measured on.
fn judged_rows<R>(validation: &[R], test: &[R]) -> usize {
    if validation.is_empty() { test.len() } else { validation.len() }
}

fn values(model: &Model) -> usize {
    model.backbone.weights().iter().map(|weight| weight.len()).sum()
}
