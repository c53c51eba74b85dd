//! What is reached without a model, which a method has to beat.

use super::Comparison;
use crate::Measure;

/// What something simple reaches on the same rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Floor {
    /// Its name, short.
    pub name: &'static str,
    /// What it is.
    pub what: &'static str,
    /// What it reaches, as far as that is known.
    pub measures: Vec<(Measure, f64)>,
}

impl Comparison {
    /// The floors that are known, the highest first.
    pub fn floors(&self) -> Vec<Floor> {
        let counted = self.naive_bayes.map(|metrics| Floor {
            name: "naive Bayes",
            what: "counting words (naive Bayes)",
            measures: vec![(Measure::Accuracy, metrics.accuracy), (Measure::MacroF1, metrics.macro_f1)],
        });
        let majority = self.majority_baseline.map(|share| Floor {
            name: "majority class",
            what: "the most frequent class",
            measures: vec![(Measure::Accuracy, share)],
        });
        let mean = self.mean_baseline.map(|mse| Floor {
            name: "mean label",
            what: "the mean of the training labels",
            measures: vec![(Measure::Mse, mse)],
        });
        [counted, majority, mean].into_iter().flatten().collect()
    }
}
