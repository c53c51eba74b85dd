//! How well numbers are told: the mean squared error and two correlations.

use serde::{Deserialize, Serialize};

/// How well answers fit numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NumberMetrics {
    /// The mean squared error, in squares of the numbers' unit.
    pub mse: f64,
    /// Pearson's correlation; 0 where the answers or the numbers are all the same.
    pub pearson: f64,
    /// Spearman's correlation, with the mean of their ranks for equals; 0 as Pearson's.
    pub spearman: f64,
}

impl NumberMetrics {
    /// Compares answers with numbers, row by row.
    pub fn of(answers: &[f64], numbers: &[f64]) -> Self {
        let rows = answers.len().min(numbers.len()).max(1) as f64;
        let squares = answers.iter().zip(numbers).map(|(answer, number)| (answer - number).powi(2));
        Self {
            mse: squares.sum::<f64>() / rows,
            pearson: correlation(answers, numbers),
            spearman: correlation(&ranks(answers), &ranks(numbers)),
        }
    }
}

/// Pearson's correlation.
fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
    let (mean_a, mean_b) = (mean(a), mean(b));
    let sum = |term: &dyn Fn(f64, f64) -> f64| {
        a.iter().zip(b).map(|(a, b)| term(a - mean_a, b - mean_b)).sum::<f64>()
    };
    let (shared, own, other) = (sum(&|a, b| a * b), sum(&|a, _| a * a), sum(&|_, b| b * b));
    // Of each alone: their product may be smaller than any number.
    let found = shared / (own.sqrt() * other.sqrt());
    if found.is_finite() { found.clamp(-1.0, 1.0) } else { 0.0 }
}

/// The rank of each value, from 1; equals have the mean of the ranks that they take together.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut before = 0;
    for equals in order.chunk_by(|&a, &b| values[a] == values[b]) {
        let rank = before as f64 + (equals.len() + 1) as f64 / 2.0;
        equals.iter().for_each(|&at| ranks[at] = rank);
        before += equals.len();
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_of_a_small_example() {
        // By hand: errors 0, 2, 1, 5; deviations of the answers -2.5, -1.5, 0.5, 3.5 and of the numbers
        // -2, 1, 2, -1 around 3; products 5, -1.5, 1, -3.5 with the sum 1; squares 21 and 10.
        let (answers, numbers) = ([1.0, 2.0, 4.0, 7.0], [1.0, 4.0, 5.0, 2.0]);
        let metrics = NumberMetrics::of(&answers, &numbers);
        assert!((metrics.mse - (0.0 + 4.0 + 1.0 + 25.0) / 4.0).abs() < 1e-12);
        assert!((metrics.pearson - 1.0 / 210.0_f64.sqrt()).abs() < 1e-12, "{metrics:?}");
        // Ranks 1, 2, 3, 4 against 1, 3, 4, 2: 1 - 6 (0 + 1 + 1 + 4) / (4 * 15).
        assert!((metrics.spearman - 0.4).abs() < 1e-12, "{metrics:?}");
    }

    #[test]
    fn equals_share_the_mean_of_their_ranks() {
        assert_eq!(ranks(&[3.0, 1.0, 3.0, 2.0, 3.0]), [4.0, 1.0, 4.0, 2.0, 4.0]);
        // Ranks 1.5, 1.5, 3 against 1, 2, 3: deviations -0.5, -0.5, 1 and -1, 0, 1, so 1.5 / sqrt(1.5 * 2).
        let found = NumberMetrics::of(&[5.0, 5.0, 9.0], &[0.1, 0.2, 0.3]).spearman;
        assert!((found - 1.5 / 3.0_f64.sqrt()).abs() < 1e-12, "{found}");
    }

    #[test]
    fn what_does_not_vary_is_not_correlated() {
        for (answers, numbers) in
            [(vec![2.0; 3], vec![1.0, 2.0, 3.0]), (vec![], vec![]), (vec![1.0], vec![5.0])]
        {
            let metrics = NumberMetrics::of(&answers, &numbers);
            assert_eq!((metrics.pearson, metrics.spearman), (0.0, 0.0));
            assert!(metrics.mse.is_finite());
        }
        let tiny = NumberMetrics::of(&[1e-200, 2e-200, 3e-200], &[1.0, 2.0, 3.0]);
        assert!((tiny.spearman - 1.0).abs() < 1e-12 && tiny.pearson.is_finite());
    }
}
