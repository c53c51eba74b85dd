//! What a classifier said of the test rows, one by one.

use crate::metrics::{argmax, softmax};
use serde::{Deserialize, Serialize};

/// Answers to rows, in their order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Answers {
    /// A hash of the rows' texts and classes: only answers to the same rows are compared one by one.
    pub rows: String,
    /// The class of each row.
    pub labels: Vec<u32>,
    /// The class that was chosen.
    pub classes: Vec<u32>,
    /// The probability that the row's own class was given, to four digits.
    pub right: Vec<f32>,
}

impl Answers {
    /// The answers that logits are, one list a row, to rows of these labels.
    pub fn of(logits: &[Vec<f32>], labels: &[u32], rows: String) -> Self {
        let own = |(row, &label): (&Vec<f32>, &u32)| {
            softmax(row).get(label as usize).map_or(0.0, |p| (p * 1e4).round() as f32 / 1e4)
        };
        Self {
            rows,
            labels: labels.to_vec(),
            classes: logits.iter().map(|row| argmax(row) as u32).collect(),
            right: logits.iter().zip(labels).map(own).collect(),
        }
    }

    /// How often rows of a class (first index) were taken for a class (second index).
    pub fn confusion(&self, classes: usize) -> Vec<Vec<usize>> {
        let mut counts = vec![vec![0; classes]; classes];
        for (&label, &answer) in self.labels.iter().zip(&self.classes) {
            if let Some(count) = counts.get_mut(label as usize).and_then(|row| row.get_mut(answer as usize)) {
                *count += 1;
            }
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_counted_by_class() {
        let answers =
            Answers::of(&[vec![0.0, 2.0], vec![1.0, 0.0], vec![0.0, 3.0]], &[1, 1, 0], String::new());
        assert_eq!(answers.classes, [1, 0, 1]);
        assert_eq!(answers.right, [0.8808, 0.2689, 0.0474]);
        assert_eq!(answers.confusion(2), [[0, 1], [1, 1]]);
    }
}
