//! One run: a method grown on a prepared model and measured.

use crate::classifier::Classifier;
use crate::data::{Example, Split};
use crate::features::{Labelled, fit_features};
use crate::frozen::States;
use crate::memory::{peak_rss, reset_peak_rss};
use crate::naive_bayes::naive_bayes;
use crate::prompting;
use crate::report::{Answers, RunReport};
use crate::rows::Row;
use crate::snapshot::fingerprint;
use crate::trainer::{Event, Given, Outcome, TrainSettings, check_lengths, train};
use crate::{Metrics, NumberMetrics, Objective, Result, Score, Snapshots};
use offshoot_methods::{MethodConfig, Saves};
use offshoot_models::{Model, Tokenizer};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// What every run of a comparison shares.
pub struct Prepared {
    /// The frozen model.
    pub model: Model,
    /// The model as the user named it.
    pub model_name: String,
    /// What the rows' labels are for.
    pub objective: Objective,
    /// Class names, in the order of the head's rows; none where there are no classes.
    pub labels: Vec<String>,
    /// What the loss of a row of each class is multiplied by; none for 1.
    pub class_weights: Vec<f32>,
    /// Rows to train on.
    pub train: Vec<Row>,
    /// Rows that choose the epoch.
    pub validation: Vec<Row>,
    /// Rows that are only measured on.
    pub test: Vec<Row>,
    /// All these rows before they were tokenised, for methods that write around their texts.
    pub examples: Split,
    /// The model's tokenizer.
    pub tokenizer: Tokenizer,
    /// Outputs of frozen blocks that runs may share.
    pub states: States,
    /// The states of unfinished runs, if they are kept.
    pub snapshots: Option<Snapshots>,
    /// Files in which the XGBoost library may be, for the method that needs it.
    pub xgboost: Vec<PathBuf>,
    /// When the process started.
    pub started: Instant,
    /// What it took to prepare all this.
    pub startup: Duration,
}

impl Prepared {
    /// Trains a method and measures it.
    ///
    /// # Errors
    /// If a setting does not fit, or training meets a value that is not finite.
    pub fn run(
        &self,
        method: &MethodConfig,
        settings: &TrainSettings,
        watch: &mut dyn FnMut(Event),
    ) -> Result<(Classifier, RunReport)> {
        let begun = Instant::now();
        self.model.device().release_unused();
        reset_peak_rss();
        let mut classifier = Classifier::new(&self.model, method, self.objective, settings.seed)?;
        // The runs before this one are no part of its start.
        let startup_seconds = (self.startup + begun.elapsed()).as_secs_f64();
        let report = self.train(&mut classifier, settings, watch)?;
        Ok((classifier, RunReport { startup_seconds, ..report }))
    }

    /// Trains a classifier that is there already, and measures it.
    ///
    /// # Errors
    /// If training meets a value that is not finite.
    pub fn train(
        &self,
        classifier: &mut Classifier,
        settings: &TrainSettings,
        watch: &mut dyn FnMut(Event),
    ) -> Result<RunReport> {
        check_lengths(classifier, [&self.train, &self.validation, &self.test])?;
        classifier.class_weights.clone_from(&self.class_weights);
        let startup_seconds = self.started.elapsed().as_secs_f64();
        let outcome = self.fit(classifier, settings, watch)?;
        let start = Instant::now();
        let test = self.measure(classifier, (&self.test, &self.examples.test), settings)?;
        let (test, answers) = test.unzip();
        let evaluate_seconds = start.elapsed().as_secs_f64();
        let (trainable_parameters, total_parameters) = classifier.sizes();
        let report = RunReport {
            model: self.model_name.clone(),
            task: self.objective.task(),
            dtype: self.model.arithmetic().to_string(),
            rows_hash: self.fingerprint(),
            labels: self.labels.clone(),
            trainable_parameters,
            total_parameters,
            train_rows: settings.part(&self.train).len(),
            test_rows: self.test.len(),
            startup_seconds,
            evaluate_seconds,
            peak_rss_bytes: peak_rss(),
            test,
            answers,
            ..RunReport::of(&classifier.method, settings)
        };
        Ok(report.with(outcome))
    }

    /// A hash of all rows.
    pub(crate) fn fingerprint(&self) -> String {
        fingerprint(&[&self.train, &self.validation, &self.test])
    }

    /// The share of the most frequent class among the test rows, or the validation rows where nothing is
    /// tested; none where there are no classes.
    pub fn majority_baseline(&self) -> Option<f64> {
        let Objective::Classes(classes) = self.objective else { return None };
        let rows = self.measured();
        let count = |class: u32| rows.iter().filter(|row| row.label.class() == Some(class)).count();
        let largest = (0..classes as u32).map(count).max().unwrap_or(0);
        Some(largest as f64 / rows.len().max(1) as f64)
    }

    /// The mean squared error of the mean of the training labels on the same rows; none where there are classes.
    pub fn mean_baseline(&self) -> Option<f64> {
        let numbers = |rows: &[Row]| rows.iter().filter_map(|row| row.label.number()).collect::<Vec<f64>>();
        let (train, measured) = (numbers(&self.train), numbers(self.measured()));
        let mean = train.iter().sum::<f64>() / train.len() as f64;
        let known = self.objective == Objective::Number && !train.is_empty() && !measured.is_empty();
        known.then(|| NumberMetrics::of(&vec![mean; measured.len()], &measured).mse)
    }

    /// The rows that tell how good something is: those for validation where nothing is tested.
    fn measured(&self) -> &[Row] {
        if self.test.is_empty() { &self.validation } else { &self.test }
    }

    /// What counting words gives on the test rows, if there are some and there are classes.
    pub(crate) fn naive_bayes(&self) -> Option<Metrics> {
        let (Split { train, test, .. }, Objective::Classes(classes)) = (&self.examples, self.objective)
        else {
            return None;
        };
        (!test.is_empty()).then(|| naive_bayes(train, test, classes))
    }

    fn fit(
        &self,
        classifier: &mut Classifier,
        settings: &TrainSettings,
        watch: &mut dyn FnMut(Event),
    ) -> Result<Outcome> {
        match classifier.method.saves() {
            Saves::Features | Saves::Fitted => self.solve(classifier, settings, watch),
            Saves::Prompt => {
                let outcome = prompting::classes::choose(self, classifier, settings, watch)?;
                let rows = (self.validation.as_slice(), self.examples.validation.as_slice());
                let validation = self.measure(classifier, rows, settings)?.map(|(score, _)| score);
                Ok(Outcome { validation, ..outcome })
            }
            _ => {
                let (train_rows, validation) = (settings.part(&self.train), &self.validation);
                let snapshots = self.snapshots.as_ref().map(|all| all.of(&classifier.method, settings));
                let given = Given {
                    train: train_rows,
                    validation,
                    states: Some(&self.states),
                    snapshots,
                    stop: None,
                };
                train(classifier, given, settings, watch)
            }
        }
    }

    fn solve(
        &self,
        classifier: &mut Classifier,
        settings: &TrainSettings,
        watch: &mut dyn FnMut(Event),
    ) -> Result<Outcome> {
        let (rows, mut done) = (settings.part(&self.train).len() as u64, 0);
        let labelled = Labelled {
            rows: settings.part(&self.train),
            objective: self.objective,
            weights: &self.class_weights,
            states: Some(&self.states),
            tokens: settings.batch_tokens,
            seed: settings.seed,
            xgboost: &self.xgboost,
        };
        let (fitted, mut outcome) = fit_features(&self.model, &classifier.method, &labelled, |n| {
            done += n as u64;
            watch(Event::Step { step: done, steps: rows, loss: f64::NAN, tokens: 0 });
        })?;
        *classifier = fitted;
        let rows = (self.validation.as_slice(), self.examples.validation.as_slice());
        outcome.validation = self.measure(classifier, rows, settings)?.map(|(score, _)| score);
        Ok(outcome)
    }

    fn measure(
        &self,
        classifier: &Classifier,
        (rows, examples): (&[Row], &[Example]),
        settings: &TrainSettings,
    ) -> Result<Option<(Score, Answers)>> {
        if rows.is_empty() {
            return Ok(None);
        }
        let tokens = settings.batch_tokens;
        let logits = match &classifier.prompt {
            Some(_) => classifier.ask(&self.tokenizer, examples, tokens, |_| {})?,
            None => {
                let cache = self.states.open(classifier, rows.first(), 1)?;
                classifier.evaluate_known(rows, tokens, &cache, |_| {})?
            }
        };
        let labels = || rows.iter().map(|row| &row.label);
        let hash = fingerprint(&[examples]);
        Ok(Some((self.objective.score(&logits, labels()), self.objective.answers(&logits, labels(), hash))))
    }
}
