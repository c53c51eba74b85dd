//! Accuracy, macro F1 and loss of a classifier.

use serde::{Deserialize, Serialize};

/// How well logits fit labels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// Share of rows whose largest logit is the label's.
    pub accuracy: f64,
    /// Mean over the classes of the harmonic mean of precision and recall. A class that neither occurs nor is
    /// predicted does not count.
    pub macro_f1: f64,
    /// Mean cross-entropy, in nats.
    pub loss: f64,
}

impl Metrics {
    /// Compares logits, one list per row, with labels.
    pub fn of(logits: &[Vec<f32>], labels: &[u32]) -> Self {
        let rows = logits.len().max(1) as f64;
        let predicted: Vec<usize> = logits.iter().map(|row| argmax(row)).collect();
        let hits = predicted.iter().zip(labels).filter(|(p, l)| **p == **l as usize).count();
        let loss: f64 = logits.iter().zip(labels).map(|(row, label)| cross_entropy(row, *label)).sum();
        let classes = logits.first().map_or(0, Vec::len);
        Self {
            accuracy: hits as f64 / rows,
            macro_f1: macro_f1(&predicted, labels, classes),
            loss: loss / rows,
        }
    }
}

/// The index of the largest value; the first of equals.
pub fn argmax(values: &[f32]) -> usize {
    let better = |best: usize, i: usize| if values[i] > values[best] { i } else { best };
    (1..values.len()).fold(0, better)
}

/// Probabilities of one row of logits.
pub fn softmax(logits: &[f32]) -> Vec<f64> {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f64> = logits.iter().map(|&x| f64::from(x - largest).exp()).collect();
    let total: f64 = powers.iter().sum();
    powers.into_iter().map(|p| p / total).collect()
}

fn cross_entropy(logits: &[f32], label: u32) -> f64 {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let total: f64 = logits.iter().map(|&x| f64::from(x - largest).exp()).sum();
    let own = logits.get(label as usize).copied().unwrap_or(f32::NAN);
    total.ln() - f64::from(own - largest)
}

fn macro_f1(predicted: &[usize], labels: &[u32], classes: usize) -> f64 {
    let f1 = |class: usize| {
        let count = |hit: fn(bool, bool) -> bool| {
            let pairs = predicted.iter().zip(labels);
            pairs.filter(|(p, l)| hit(**p == class, **l as usize == class)).count() as f64
        };
        let wrong = count(|p, l| p != l);
        let right = count(|p, l| p && l);
        (right + wrong > 0.0).then(|| 2.0 * right / (2.0 * right + wrong))
    };
    let scores: Vec<f64> = (0..classes).filter_map(f1).collect();
    scores.iter().sum::<f64>() / scores.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_of_a_small_example() {
        let logits =
            vec![vec![2.0, 0.0, -9.0], vec![0.0, 1.0, -9.0], vec![3.0, 0.0, -9.0], vec![0.0, 5.0, -9.0]];
        let metrics = Metrics::of(&logits, &[0, 1, 1, 1]);
        assert_eq!(metrics.accuracy, 0.75);
        // Class 0: 2/3, class 1: 4/5; class 2 neither occurs nor is predicted.
        assert!((metrics.macro_f1 - (2.0 / 3.0 + 0.8) / 2.0).abs() < 1e-12);
        let expected =
            [2.0_f64, 1.0, -3.0, 5.0].map(|margin| (1.0 + (-margin).exp()).ln()).iter().sum::<f64>() / 4.0;
        assert!((metrics.loss - expected).abs() < 1e-3, "{} {expected}", metrics.loss);
    }

    #[test]
    fn probabilities_sum_to_one_at_extremes() {
        let probabilities = softmax(&[1e4, -1e4, 1e4]);
        assert!((probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        assert_eq!(argmax(&[1.0, 3.0, 3.0]), 1);
    }
}
