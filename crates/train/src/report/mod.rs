//! What a run and a comparison report, as one JSON object each.

mod answers;
mod bootstrap;
mod comparison;
mod floors;
mod gain;
mod look;
mod recommend;
mod rounds;

pub use answers::{Answered, Answers};
pub use bootstrap::Difference;
pub use comparison::{Comparison, Judged};
pub use floors::Floor;
pub use gain::Gain;
pub use look::Shown;

use crate::trainer::{Outcome, TrainSettings};
use crate::{Measure, MemoryPlan, Score, Shots, TextMetrics, Tuned};
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
    /// `classification`, `regression` or `language-model`.
    pub task: Task,
    /// What products were computed in.
    pub dtype: String,
    /// Peak learning rate.
    pub learning_rate: f32,
    /// Trained values.
    pub trainable_parameters: usize,
    /// How many values it was to train, where it was sized to that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sized_to: Option<usize>,
    /// Values of the model with its adapter and head.
    pub total_parameters: usize,
    /// A hash of the rows, as they were tokenised and split: runs with the same one can be compared.
    pub rows_hash: String,
    /// Rows trained on.
    pub train_rows: usize,
    /// Rows tested on.
    pub test_rows: usize,
    /// How its learning rate was found, if it was searched for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tuned: Option<Tuned>,
    /// Seconds that all of it took: the search, and training and test of every seed.
    pub spent_seconds: f64,
    /// The names of the classes, where there are classes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// What repeats the run.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub command: String,
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
    /// The training loss, averaged over spans of steps of one length: its curve.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub curve: Vec<Point>,
    /// Metrics on the validation rows after every epoch.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub validations: Vec<Score>,
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
    /// What it said of each test row, where there is one answer for each.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answers: Option<Answers>,
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

/// A point of a curve.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// The last step of the span.
    pub step: u64,
    /// The mean loss in it.
    pub loss: f64,
}

/// Points of a curve at most: more than are seen on a screen tell nothing.
const POINTS: usize = 200;

fn deviation(values: &[f64]) -> f64 {
    let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
    (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len().max(1) as f64).sqrt()
}

fn curve(losses: &[f64]) -> Vec<Point> {
    let span = losses.len().div_ceil(POINTS).max(1);
    let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
    let last = |index: usize| (index * span + span).min(losses.len()) as u64;
    losses
        .chunks(span)
        .enumerate()
        .map(|(index, span)| Point { step: last(index), loss: mean(span) })
        .collect()
}

impl RunReport {
    /// The part of a report that hangs on the run's settings alone.
    pub(crate) fn of(method: &MethodConfig, settings: &TrainSettings) -> Self {
        Self {
            tool: TOOL.to_owned(),
            method: method.info().name.to_owned(),
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
            curve: curve(&outcome.losses),
            validations: outcome.epochs,
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
            // These are of one run each.
            curve: Vec::new(),
            validations: Vec::new(),
            answers: None,
            seed: None,
            seeds: runs,
            ..first
        }
    }

    /// The report without what it said of each row.
    pub(super) fn without_answers(self) -> Self {
        let seeds = self.seeds.into_iter().map(Self::without_answers).collect();
        Self { answers: None, seeds, ..self }
    }

    /// The runs behind a row: its own, or one a seed.
    pub fn runs(&self) -> &[RunReport] {
        if self.seeds.is_empty() { std::slice::from_ref(self) } else { &self.seeds }
    }

    /// Half the distance between the best and the worst of the seeds on the test rows, in what methods are ranked by;
    /// not of a language model.
    pub fn spread(&self) -> Option<f64> {
        let ranked = |run: &RunReport| {
            let (measure, value) = run.test?.ranked();
            (measure != Measure::Loss).then_some(value)
        };
        let values: Vec<f64> = self.seeds.iter().filter_map(ranked).collect();
        let largest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let smallest = values.iter().copied().fold(f64::INFINITY, f64::min);
        (values.len() > 1).then_some((largest - smallest) / 2.0)
    }

    /// What the table shows: the measures of the test rows, or of those for validation where nothing was tested.
    pub fn score(&self) -> Option<Score> {
        self.test.or(self.validation)
    }

    /// Half of the interval that holds the true value of what methods are ranked by 95 times in 100, as far as the test
    /// rows leave it open; 0 where that is not known.
    pub fn left_open(&self) -> f64 {
        let deviation = match self.score().map(|score| score.ranked()) {
            Some((Measure::Accuracy, share)) => (share * (1.0 - share)).sqrt(),
            Some(_) => self.runs()[0].answers.as_ref().map_or(0.0, |answers| deviation(&answers.ranked().1)),
            None => 0.0,
        };
        1.96 * deviation / (self.test_rows.max(1) as f64).sqrt()
    }

    /// The metrics that a choice rests on: those of the validation rows, else those of the test rows.
    fn judged(&self) -> Option<(Score, &'static str)> {
        let validation = self.validation.map(|m| (m, "validation"));
        validation.or(self.test.map(|m| (m, "test")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(accuracy: f64, seconds: f64) -> RunReport {
        let test = Some(Score::Classes(crate::Metrics { accuracy, ..Default::default() }));
        RunReport { test, train_seconds: seconds, ..RunReport::default() }
    }

    #[test]
    fn means_and_spread_over_seeds() {
        let mean = RunReport::mean(vec![row(0.8, 1.0), row(0.9, 3.0)]);
        assert!((mean.test.unwrap().accuracy().unwrap() - 0.85).abs() < 1e-12 && mean.train_seconds == 2.0);
        assert!((mean.spread().unwrap() - 0.05).abs() < 1e-12);
        assert_eq!((mean.seeds.len(), mean.runs().len(), row(0.1, 1.0).runs().len()), (2, 2, 1));
    }

    #[test]
    fn a_curve_has_few_points_and_every_step() {
        let losses: Vec<f64> = (1..=451).map(f64::from).collect();
        let curve = curve(&losses);
        assert_eq!((curve.len(), curve[0], curve[150].step), (151, Point { step: 3, loss: 2.0 }, 451));
        assert_eq!(curve[150].loss, 451.0);
        assert_eq!(super::curve(&[5.0]), [Point { step: 1, loss: 5.0 }]);
        assert!(super::curve(&[]).is_empty());
    }
}
