//! Which differences between methods are real: a paired bootstrap over the test rows (Efron and Tibshirani 1993,
//! chapter 16; Koehn 2004 for systems on one test set).

use crate::Measure;
use offshoot_core::Rng;
use serde::{Deserialize, Serialize};

/// Draws of test rows. The ends of an interval are then good to about a tenth of its width.
const DRAWS: usize = 2000;
/// The share of draws outside the interval, at each end.
const TAIL: f64 = 0.025;

/// How far a method is from the best, on the same rows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// The method.
    pub method: String,
    /// What it is compared with.
    pub best: String,
    /// What they are ranked by.
    #[serde(default)]
    pub measure: Measure,
    /// How much the method has of it, less how much the best has.
    #[serde(alias = "accuracy")]
    pub difference: f64,
    /// The interval that holds 95 % of the draws.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
}

impl Difference {
    /// Whether the method is really worse: hardly any draw of rows has it as good.
    pub fn is_real(&self) -> bool {
        if self.measure.falls() { self.low > 0.0 } else { self.high < 0.0 }
    }
}

/// The difference between two methods in a measure that is a mean over rows, given the rows' parts of it.
pub(super) fn difference(measure: Measure, ours: (&str, &[f64]), best: (&str, &[f64])) -> Difference {
    let rows = ours.1.len().min(best.1.len());
    let apart: Vec<f64> = ours.1.iter().zip(best.1).map(|(a, b)| a - b).collect();
    let mut rng = Rng::new(0).fork("bootstrap");
    let mut draw = || (0..rows).map(|_| apart[rng.below(rows)]).sum::<f64>() / rows.max(1) as f64;
    let mut draws: Vec<f64> = (0..DRAWS).map(|_| draw()).collect();
    draws.sort_unstable_by(f64::total_cmp);
    let at = |share: f64| draws[((DRAWS - 1) as f64 * share).round() as usize];
    Difference {
        method: ours.0.to_owned(),
        best: best.0.to_owned(),
        measure,
        difference: apart.iter().sum::<f64>() / rows.max(1) as f64,
        low: at(TAIL),
        high: at(1.0 - TAIL),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of which every `n`th is right.
    fn every(n: usize) -> Vec<f64> {
        (0..1000).map(|row| f64::from(u8::from(row % n == 0))).collect()
    }

    #[test]
    fn the_interval_is_that_of_normal_theory() {
        let (half, third) = (every(2), every(3));
        let found = difference(Measure::Accuracy, ("third", &third), ("half", &half));
        // The deviation of a row's difference: right in one and not in the other for 1/3 + 1/6 of the rows.
        let (mean, square) = (334.0 / 1000.0 - 0.5, 0.5);
        let half_width = 1.96 * ((square - mean * mean) / 1000.0_f64).sqrt();
        assert!((found.difference - mean).abs() < 1e-12);
        assert!((found.low - (mean - half_width)).abs() < 0.1 * half_width, "{found:?}");
        assert!((found.high - (mean + half_width)).abs() < 0.1 * half_width, "{found:?}");
        assert!(found.is_real());
    }

    #[test]
    fn more_of_an_error_is_worse() {
        let (small, large) = (vec![1.0; 50], vec![2.0; 50]);
        let found = difference(Measure::Mse, ("large", &large), ("small", &small));
        assert_eq!((found.difference, found.low, found.high, found.is_real()), (1.0, 1.0, 1.0, true));
        assert!(!difference(Measure::Mse, ("small", &small), ("large", &large)).is_real());
    }

    #[test]
    fn methods_that_answer_alike_do_not_differ() {
        let rows = every(2);
        let mut other = rows.clone();
        other[4] = 0.0;
        assert_eq!(
            difference(Measure::Accuracy, ("a", &rows), ("b", &rows)),
            difference(Measure::Accuracy, ("a", &rows), ("b", &rows))
        );
        let found = difference(Measure::Accuracy, ("a", &other), ("b", &rows));
        assert!(!found.is_real() && found.difference < 0.0 && found.high == 0.0, "{found:?}");
    }
}
