//! How good a run is, whatever its task.

use crate::Metrics;
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

/// The metrics of either task.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Score {
    /// Of a classifier.
    Classes(Metrics),
    /// Of a language model.
    Text(LmMetrics),
}

impl Score {
    /// Mean cross-entropy, in nats.
    pub fn loss(&self) -> f64 {
        match self {
            Self::Classes(metrics) => metrics.loss,
            Self::Text(metrics) => metrics.loss,
        }
    }

    /// The share of rows that were classified right, where there are classes.
    pub fn accuracy(&self) -> Option<f64> {
        match self {
            Self::Classes(metrics) => Some(metrics.accuracy),
            Self::Text(_) => None,
        }
    }

    /// Whether it is better: more accurate or, of equals, of lower loss.
    pub fn better_than(&self, other: &Self) -> bool {
        let rank = |score: &Self| (score.accuracy().unwrap_or(0.0), -score.loss());
        rank(self) > rank(other)
    }

    /// The means of several scores of one task.
    pub fn mean(scores: &[Score]) -> Option<Self> {
        let mean =
            |value: &dyn Fn(&Score) -> f64| scores.iter().map(value).sum::<f64>() / scores.len() as f64;
        let loss = mean(&Score::loss);
        match scores.first()? {
            Self::Classes(_) => Some(Self::Classes(Metrics {
                accuracy: mean(&|s| s.accuracy().unwrap_or(0.0)),
                macro_f1: mean(&|s| if let Self::Classes(m) = s { m.macro_f1 } else { 0.0 }),
                loss,
            })),
            Self::Text(first) => Some(Self::Text(LmMetrics { loss, perplexity: loss.exp(), ..*first })),
        }
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
    fn perplexity_is_of_the_mean_loss() {
        let scores = [LmMetrics::of(10.0, 10), LmMetrics::of(30.0, 10)].map(Score::Text);
        let Some(Score::Text(mean)) = Score::mean(&scores) else { panic!("a mean of texts is one") };
        assert_eq!((mean.loss, mean.perplexity), (2.0, 2.0_f64.exp()));
    }

    #[test]
    fn each_task_reads_back_as_itself() {
        for score in [Score::Classes(Metrics::default()), Score::Text(LmMetrics::of(3.0, 2))] {
            let text = serde_json::to_string(&score).unwrap();
            assert_eq!(serde_json::from_str::<Score>(&text).unwrap(), score);
        }
    }
}
