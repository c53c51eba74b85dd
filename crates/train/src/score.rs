//! How good a run is, whatever its task.

use crate::{Measure, Metrics, NumberMetrics};
use serde::{Deserialize, Serialize};

/// How well a language model predicts text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LmMetrics {
    /// Mean cross-entropy of the predicted tokens, in nats.
    pub loss: f64,
    /// `exp(loss)`
    pub perplexity: f64,
    /// The tokens that were predicted.
    pub predicted: u64,
}

impl LmMetrics {
    /// The metrics of a summed loss.
    pub fn of(total: f64, predicted: u64) -> Self {
        let loss = total / predicted.max(1) as f64;
        Self { loss, perplexity: loss.exp(), predicted }
    }
}

/// The metrics of a run, by its task. What differs between tasks in telling how good a run is, is here.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Score {
    /// Of classes.
    Classes(Metrics),
    /// Of numbers.
    Numbers(NumberMetrics),
    /// Of a language model.
    Text(LmMetrics),
}

impl Score {
    /// The mean loss: cross-entropy in nats, or the squared error.
    pub fn loss(&self) -> f64 {
        match self {
            Self::Classes(metrics) => metrics.loss,
            Self::Numbers(metrics) => metrics.mse,
            Self::Text(metrics) => metrics.loss,
        }
    }

    /// What it measured. Methods are ranked by the first of it, and tables show the first two.
    pub fn measures(&self) -> Vec<(Measure, f64)> {
        use Measure::{Accuracy, Loss, MacroF1, Mse, Pearson, Perplexity, Spearman};
        match self {
            Self::Classes(m) => vec![(Accuracy, m.accuracy), (MacroF1, m.macro_f1), (Loss, m.loss)],
            Self::Numbers(m) => vec![(Mse, m.mse), (Pearson, m.pearson), (Spearman, m.spearman)],
            Self::Text(m) => vec![(Loss, m.loss), (Perplexity, m.perplexity)],
        }
    }

    /// What methods are ranked by, and how much of it.
    pub fn ranked(&self) -> (Measure, f64) {
        match self {
            Self::Classes(metrics) => (Measure::Accuracy, metrics.accuracy),
            Self::Numbers(metrics) => (Measure::Mse, metrics.mse),
            Self::Text(metrics) => (Measure::Loss, metrics.loss),
        }
    }

    /// The share of rows that were classified right, where there are classes.
    pub fn accuracy(&self) -> Option<f64> {
        let (measure, value) = self.ranked();
        (measure == Measure::Accuracy).then_some(value)
    }

    /// Whether it is better: by what methods are ranked by or, of equals, of lower loss.
    pub fn better_than(&self, other: &Self) -> bool {
        let rank = |score: &Self| {
            let (measure, value) = score.ranked();
            (measure.upwards(value), -score.loss())
        };
        rank(self) > rank(other)
    }

    /// The means of several scores of one task.
    pub fn mean(scores: &[Score]) -> Option<Self> {
        let first = scores.first()?;
        let mean = |measure: Measure| {
            let value = |score: &Score| {
                score.measures().into_iter().find(|(own, _)| *own == measure).map_or(0.0, |(_, value)| value)
            };
            scores.iter().map(value).sum::<f64>() / scores.len() as f64
        };
        Some(match first {
            Self::Classes(_) => Self::Classes(Metrics {
                accuracy: mean(Measure::Accuracy),
                macro_f1: mean(Measure::MacroF1),
                loss: mean(Measure::Loss),
            }),
            Self::Numbers(_) => Self::Numbers(NumberMetrics {
                mse: mean(Measure::Mse),
                pearson: mean(Measure::Pearson),
                spearman: mean(Measure::Spearman),
            }),
            Self::Text(first) => {
                let loss = mean(Measure::Loss);
                Self::Text(LmMetrics { loss, perplexity: loss.exp(), ..*first })
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accuracy_counts_before_loss() {
        let classes = |accuracy, loss| Score::Classes(Metrics { accuracy, macro_f1: 0.0, loss });
        assert!(classes(0.9, 2.0).better_than(&classes(0.8, 1.0)));
        assert!(classes(0.9, 1.0).better_than(&classes(0.9, 2.0)));
        assert!(Score::Text(LmMetrics::of(10.0, 10)).better_than(&Score::Text(LmMetrics::of(20.0, 10))));
    }

    #[test]
    fn numbers_are_better_with_less_error() {
        let numbers = |mse, pearson| Score::Numbers(NumberMetrics { mse, pearson, spearman: 0.0 });
        assert!(numbers(1.0, 0.2).better_than(&numbers(1.5, 0.9)));
        assert!(!numbers(1.0, 0.2).better_than(&numbers(1.0, 0.1)), "of equals the first is kept");
        assert_eq!(Score::mean(&[numbers(1.0, 0.2), numbers(2.0, 0.6)]), Some(numbers(1.5, 0.4)));
    }

    #[test]
    fn what_methods_are_ranked_by_is_measured_first() {
        for score in [
            Score::Classes(Metrics { accuracy: 0.5, macro_f1: 0.25, loss: 2.0 }),
            Score::Numbers(NumberMetrics { mse: 3.0, pearson: 0.5, spearman: -0.25 }),
            Score::Text(LmMetrics::of(3.0, 2)),
        ] {
            assert_eq!(score.measures()[0], score.ranked());
            assert!(score.measures().len() > 1);
        }
    }

    #[test]
    fn perplexity_is_of_the_mean_loss() {
        let scores = [LmMetrics::of(10.0, 10), LmMetrics::of(30.0, 10)].map(Score::Text);
        let Some(Score::Text(mean)) = Score::mean(&scores) else { panic!("a mean of texts is one") };
        assert_eq!((mean.loss, mean.perplexity), (2.0, 2.0_f64.exp()));
    }

    #[test]
    fn each_task_reads_back_as_itself() {
        let numbers = Score::Numbers(NumberMetrics { mse: 2.0, pearson: 0.5, spearman: -0.25 });
        for score in [Score::Classes(Metrics::default()), numbers, Score::Text(LmMetrics::of(3.0, 2))] {
            let text = serde_json::to_string(&score).unwrap();
            assert_eq!(serde_json::from_str::<Score>(&text).unwrap(), score);
        }
    }
}
