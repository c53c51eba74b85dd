//! What a run and a comparison report, as one JSON object each.

use crate::trainer::{Outcome, TrainSettings};
use crate::{MemoryPlan, Score, Shots, TextMetrics};
use offshoot_methods::MethodConfig;
use offshoot_models::Task;
use serde::{Deserialize, Serialize};

/// What [`RunReport::tool`] says.
const TOOL: &str = "offshoot";

/// One training run, or the means of one method over several seeds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunReport {
    /// Always `offshoot`.
    pub tool: String,
    /// The method.
    pub method: String,
    /// The model as it was named.
    pub model: String,
    /// `classification` or `language-model`.
    pub task: Task,
    /// The type of frozen weights.
    pub dtype: String,
    /// Peak learning rate.
    pub learning_rate: f32,
    /// Trained values.
    pub trainable_parameters: usize,
    /// Values of the model with its adapter and head.
    pub total_parameters: usize,
    /// A hash of the rows, as they were tokenised and split: runs with the same one can be compared.
    pub rows: String,
    /// Rows trained on.
    pub train_rows: usize,
    /// Rows tested on.
    pub test_rows: usize,
    /// Passes over the training rows.
    pub epochs: usize,
    /// Optimizer steps.
    pub steps: u64,
    /// Real tokens that went through training.
    pub tokens: u64,
    /// Positions with a loss that went through training.
    pub labelled: u64,
    /// The sum of the squared lengths of the rows that went through training: what attention's cost grows with.
    pub squared_lengths: u64,
    /// Seconds of training, with all that was computed in advance.
    pub train_seconds: f64,
    /// Seconds of each epoch.
    pub epoch_seconds: Vec<f64>,
    /// `tokens / train_seconds`
    pub tokens_per_second: f64,
    /// From the start of the process to the first step.
    pub startup_seconds: f64,
    /// Seconds of the test.
    pub evaluate_seconds: f64,
    /// Largest resident set, where the system tells.
    pub peak_rss_bytes: Option<u64>,
    /// What it was to be, part by part, in a run that trains.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub planned: Option<MemoryPlan>,
    /// Mean training loss of the last ten steps.
    pub final_loss: f64,
    /// The epoch that was kept.
    pub best_epoch: usize,
    /// Bytes of the saved adapter, head included.
    pub adapter_bytes: u64,
    /// Metrics on the validation rows.
    pub validation: Option<Score>,
    /// Metrics on the test rows.
    pub test: Option<Score>,
    /// Of what a language model writes for test rows, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generated: Option<TextMetrics>,
    /// How many examples the test rows were shown, where a prompt has some.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shots: Option<Shots>,
    /// The seed, in a single run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// The runs behind the means, one per seed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub seeds: Vec<RunReport>,
    /// Why there are no numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A comparison.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Comparison {
    /// One row per method, in the order they were asked for.
    pub rows: Vec<RunReport>,
    /// Share of the most frequent class among the test rows: the floor, where there are classes.
    pub majority_baseline: Option<f64>,
    /// The method to use, if any run succeeded.
    pub recommended: Option<String>,
    /// Why.
    pub reason: String,
    /// The methods that were not run to their end, because the comparison was stopped.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unfinished: Vec<String>,
}

impl RunReport {
    /// The part of a report that hangs on the run's settings alone.
    pub(crate) fn of(method: &MethodConfig, settings: &TrainSettings) -> Self {
        Self {
            tool: TOOL.to_owned(),
            method: method.info().name.to_owned(),
            dtype: "f32".to_owned(),
            learning_rate: settings.lr.unwrap_or(method.info().learning_rate),
            seed: Some(settings.seed),
            ..Self::default()
        }
    }

    /// The report with what training did.
    pub(crate) fn with(self, outcome: Outcome) -> Self {
        Self {
            epochs: outcome.epoch_seconds.len(),
            steps: outcome.steps,
            tokens: outcome.tokens,
            labelled: outcome.labelled,
            squared_lengths: outcome.squared_lengths,
            train_seconds: outcome.train_seconds,
            tokens_per_second: outcome.tokens as f64 / outcome.train_seconds.max(1e-9),
            epoch_seconds: outcome.epoch_seconds,
            planned: Some(outcome.plan).filter(|plan| plan.total() > 0),
            final_loss: outcome.final_loss,
            best_epoch: outcome.best_epoch,
            validation: outcome.validation,
            ..self
        }
    }

    /// A row that only says why there are no numbers.
    pub fn failed(method: &str, model: &str, error: String) -> Self {
        let (method, model) = (method.to_owned(), model.to_owned());
        Self { tool: TOOL.to_owned(), method, model, error: Some(error), ..Self::default() }
    }

    /// The means of one method's runs over seeds.
    pub fn mean(runs: Vec<RunReport>) -> Self {
        let Some(first) = runs.first().cloned() else { return Self::default() };
        if runs.len() == 1 {
            return first;
        }
        let mean = |value: fn(&RunReport) -> f64| runs.iter().map(value).sum::<f64>() / runs.len() as f64;
        let epochs = (0..first.epoch_seconds.len())
            .map(|e| runs.iter().filter_map(|r| r.epoch_seconds.get(e)).sum::<f64>() / runs.len() as f64);
        Self {
            train_seconds: mean(|r| r.train_seconds),
            epoch_seconds: epochs.collect(),
            tokens_per_second: mean(|r| r.tokens_per_second),
            evaluate_seconds: mean(|r| r.evaluate_seconds),
            peak_rss_bytes: runs.iter().filter_map(|r| r.peak_rss_bytes).max(),
            final_loss: mean(|r| r.final_loss),
            validation: Score::mean(&runs.iter().filter_map(|r| r.validation).collect::<Vec<_>>()),
            test: Score::mean(&runs.iter().filter_map(|r| r.test).collect::<Vec<_>>()),
            generated: TextMetrics::mean(&runs.iter().filter_map(|r| r.generated).collect::<Vec<_>>()),
            seed: None,
            seeds: runs,
            ..first
        }
    }

    /// Half the distance between the best and the worst test accuracy over the seeds.
    pub fn spread(&self) -> Option<f64> {
        let accuracies: Vec<f64> = self.seeds.iter().filter_map(|r| r.test?.accuracy()).collect();
        let largest = accuracies.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let smallest = accuracies.iter().copied().fold(f64::INFINITY, f64::min);
        (accuracies.len() > 1).then_some((largest - smallest) / 2.0)
    }

    /// The metrics that a choice rests on: those of the validation rows, else those of the test rows.
    fn judged(&self) -> Option<(Score, &'static str)> {
        let validation = self.validation.map(|m| (m, "validation"));
        validation.or(self.test.map(|m| (m, "test")))
    }
}

impl Comparison {
    /// Puts rows together and recommends a method: of those whose accuracy is within one standard error of
    /// the best, the one with the fewest trained values, and of these the fastest. `judged_rows` is the
    /// number of rows that the accuracy was measured on.
    pub fn new(rows: Vec<RunReport>, majority_baseline: Option<f64>, judged_rows: usize) -> Self {
        let (recommended, reason) = recommend(&rows, majority_baseline.unwrap_or(0.0), judged_rows);
        Self { rows, majority_baseline, recommended, reason, unfinished: Vec::new() }
    }
}

/// Language models have no accuracy: the lowest loss is recommended.
fn lowest_loss(rows: &[RunReport]) -> (Option<String>, String) {
    let judged = rows.iter().filter_map(|row| row.judged().map(|(score, on)| (row, score.loss(), on)));
    match judged.min_by(|a, b| a.1.total_cmp(&b.1)) {
        Some((row, loss, on)) => {
            (Some(row.method.clone()), format!("a loss of {loss:.4} on the {on} rows, the lowest"))
        }
        None => (None, "no method could be run".into()),
    }
}

fn recommend(rows: &[RunReport], floor: f64, judged_rows: usize) -> (Option<String>, String) {
    let judged: Vec<(&RunReport, f64, &str)> = rows
        .iter()
        .filter_map(|row| row.judged().and_then(|(m, on)| Some((row, m.accuracy()?, on))))
        .collect();
    if judged.is_empty() {
        return lowest_loss(rows);
    }
    let Some(best) = judged.iter().max_by(|a, b| a.1.total_cmp(&b.1)) else {
        return (None, "no method could be run".into());
    };
    let error = (best.1 * (1.0 - best.1) / judged_rows.max(1) as f64).sqrt();
    let close = judged.iter().filter(|row| row.1 >= best.1 - error);
    let cost = |row: &RunReport| (row.trainable_parameters, row.train_seconds);
    let Some(choice) =
        close.min_by(|a, b| cost(a.0).partial_cmp(&cost(b.0)).unwrap_or(std::cmp::Ordering::Equal))
    else {
        return (None, "no method could be run".into());
    };
    let share = choice.0.trainable_parameters as f64 / choice.0.total_parameters.max(1) as f64;
    let found = format!("{} on the {} rows", percent(choice.1), choice.2);
    let trained = format!("{} of the parameters trained", percent(share));
    let mut reason = match choice.0.method == best.0.method {
        true => format!("{found}, the best, and {trained}"),
        false => format!(
            "{found}, within one standard error ({}) of the best ({}, {}), and {trained}, the fewest of those",
            percent(error),
            best.0.method,
            percent(best.1)
        ),
    };
    if choice.1 <= floor {
        reason.push_str("; but no method is above the majority class: look at the data");
    }
    (Some(choice.0.method.clone()), reason)
}

/// A share for people: with as many digits as tell it from zero.
fn percent(share: f64) -> String {
    let digits = if share == 0.0 || share >= 0.001 { 1 } else { 3 };
    format!("{:.digits$} %", 100.0 * share)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Metrics;

    fn row(method: &str, accuracy: f64, parameters: usize, seconds: f64) -> RunReport {
        RunReport {
            method: method.into(),
            test: Some(Score::Classes(Metrics { accuracy, ..Metrics::default() })),
            trainable_parameters: parameters,
            total_parameters: 1000,
            train_seconds: seconds,
            ..RunReport::default()
        }
    }

    #[test]
    fn recommends_the_smallest_of_those_that_are_as_good_as_the_best() {
        let rows = vec![row("full", 0.82, 1000, 9.0), row("lora", 0.815, 10, 5.0), row("head", 0.7, 1, 1.0)];
        let comparison = Comparison::new(rows, Some(0.5), 1000);
        assert_eq!(comparison.recommended.as_deref(), Some("lora"), "{}", comparison.reason);
        assert!(comparison.reason.contains("within one standard error (1.2 %) of the best (full, 82.0 %)"));
    }

    #[test]
    fn says_when_the_best_is_also_the_smallest() {
        let comparison =
            Comparison::new(vec![row("full", 0.6, 1000, 9.0), row("head", 0.8, 0, 1.0)], Some(0.5), 100);
        assert_eq!(
            comparison.reason,
            "80.0 % on the test rows, the best, and 0.0 % of the parameters trained"
        );
    }

    #[test]
    fn says_when_nothing_beats_the_floor_or_nothing_ran() {
        assert!(Comparison::new(vec![row("head", 0.5, 1, 1.0)], Some(0.5), 100).reason.contains("majority"));
        let failed = RunReport::failed("lora", "m", "no memory".into());
        assert_eq!(Comparison::new(vec![failed], Some(0.5), 100).recommended, None);
    }

    #[test]
    fn means_and_spread_over_seeds() {
        let mean = RunReport::mean(vec![row("lora", 0.8, 10, 1.0), row("lora", 0.9, 10, 3.0)]);
        assert!((mean.test.unwrap().accuracy().unwrap() - 0.85).abs() < 1e-12 && mean.train_seconds == 2.0);
        assert!((mean.spread().unwrap() - 0.05).abs() < 1e-12);
        assert_eq!(mean.seeds.len(), 2);
    }
}
