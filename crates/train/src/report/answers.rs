//! What a model said of the test rows, one by one.

use crate::Measure;
use crate::data::Label;
use crate::metrics::{argmax, softmax};
use serde::{Deserialize, Serialize};

/// Answers to rows, in their order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Answers {
    /// A hash of the rows' texts and labels: only answers to the same rows are compared one by one.
    pub rows: String,
    /// What was asked, and what was said.
    #[serde(flatten)]
    pub said: Answered,
}

/// Answers by their kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Answered {
    /// Where there are classes.
    Classes {
        /// The class of each row.
        labels: Vec<u32>,
        /// The class that was chosen.
        classes: Vec<u32>,
        /// The probability that the row's own class was given, to four digits.
        right: Vec<f32>,
    },
    /// Where there are numbers.
    Numbers {
        /// The number of each row.
        wanted: Vec<f64>,
        /// The number that was said.
        numbers: Vec<f64>,
    },
}

impl Default for Answered {
    fn default() -> Self {
        Self::Classes { labels: Vec::new(), classes: Vec::new(), right: Vec::new() }
    }
}

impl Answers {
    /// The answers that logits are, one list a row, to rows of these labels.
    pub fn of(logits: &[Vec<f32>], labels: &[u32], rows: String) -> Self {
        let own = |(row, &label): (&Vec<f32>, &u32)| {
            softmax(row).get(label as usize).map_or(0.0, |p| (p * 1e4).round() as f32 / 1e4)
        };
        let said = Answered::Classes {
            labels: labels.to_vec(),
            classes: logits.iter().map(|row| argmax(row) as u32).collect(),
            right: logits.iter().zip(labels).map(own).collect(),
        };
        Self { rows, said }
    }

    /// The answers that numbers are to rows of which these were `wanted`.
    pub fn of_numbers(numbers: &[f64], wanted: &[f64], rows: String) -> Self {
        Self { rows, said: Answered::Numbers { wanted: wanted.to_vec(), numbers: numbers.to_vec() } }
    }

    /// How many rows were answered; nothing where that contradicts itself.
    pub fn count(&self) -> Option<usize> {
        let (count, others) = match &self.said {
            Answered::Classes { labels, classes, right } => (labels.len(), [classes.len(), right.len()]),
            Answered::Numbers { wanted, numbers } => (wanted.len(), [numbers.len(); 2]),
        };
        others.iter().all(|other| *other == count).then_some(count)
    }

    /// What each row is labelled with.
    pub(super) fn labels(&self) -> Vec<Label> {
        match &self.said {
            Answered::Classes { labels, .. } => labels.iter().copied().map(Label::Class).collect(),
            Answered::Numbers { wanted, .. } => wanted.iter().copied().map(Label::Number).collect(),
        }
    }

    /// What was said of each row.
    pub(super) fn said(&self) -> Vec<Label> {
        match &self.said {
            Answered::Classes { classes, .. } => classes.iter().copied().map(Label::Class).collect(),
            Answered::Numbers { numbers, .. } => numbers.iter().copied().map(Label::Number).collect(),
        }
    }

    /// What methods are ranked by, of each row: its mean over the rows is the score. 1 for a class that is right, the
    /// squared error of a number.
    pub fn ranked(&self) -> (Measure, Vec<f64>) {
        match &self.said {
            Answered::Classes { labels, classes, .. } => {
                let right =
                    labels.iter().zip(classes).map(|(label, class)| f64::from(u8::from(label == class)));
                (Measure::Accuracy, right.collect())
            }
            Answered::Numbers { .. } => (Measure::Mse, self.errors()),
        }
    }

    /// How far each row was from right, for a person who looks for wrong labels: what was not given to the row's own
    /// class, or the squared error.
    pub(super) fn errors(&self) -> Vec<f64> {
        match &self.said {
            Answered::Classes { right, .. } => right.iter().map(|right| 1.0 - f64::from(*right)).collect(),
            Answered::Numbers { wanted, numbers } => {
                wanted.iter().zip(numbers).map(|(wanted, number)| (wanted - number).powi(2)).collect()
            }
        }
    }

    /// How often rows of a class (first index) were taken for a class (second index); nothing where there are none.
    pub fn confusion(&self, names: usize) -> Option<Vec<Vec<usize>>> {
        let Answered::Classes { labels, classes, .. } = &self.said else { return None };
        let mut counts = vec![vec![0; names]; names];
        for (&label, &answer) in labels.iter().zip(classes) {
            if let Some(count) = counts.get_mut(label as usize).and_then(|row| row.get_mut(answer as usize)) {
                *count += 1;
            }
        }
        Some(counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_counted_by_class() {
        let answers =
            Answers::of(&[vec![0.0, 2.0], vec![1.0, 0.0], vec![0.0, 3.0]], &[1, 1, 0], String::new());
        let Answered::Classes { classes, right, .. } = &answers.said else { panic!("these are classes") };
        assert_eq!(
            (classes.as_slice(), right.as_slice()),
            ([1, 0, 1].as_slice(), [0.8808, 0.2689, 0.0474].as_slice())
        );
        assert_eq!(answers.confusion(2).unwrap(), [[0, 1], [1, 1]]);
        assert_eq!(answers.ranked(), (Measure::Accuracy, vec![1.0, 0.0, 0.0]));
    }

    #[test]
    fn numbers_are_judged_by_their_squared_errors() {
        let answers = Answers::of_numbers(&[1.0, 2.5], &[3.0, 2.0], "rows".into());
        assert_eq!(answers.ranked(), (Measure::Mse, vec![4.0, 0.25]));
        assert_eq!((answers.confusion(2), answers.count()), (None, Some(2)));
        assert_eq!(Answers::of_numbers(&[1.0], &[], String::new()).count(), None);
    }

    #[test]
    fn both_kinds_are_read_back() {
        let classes = Answers::of(&[vec![0.0, 2.0]], &[1], "a".into());
        for answers in [classes, Answers::of_numbers(&[1.0, -2.5], &[3.0, 2.0], "b".into())] {
            let text = serde_json::to_string(&answers).unwrap();
            assert_eq!(serde_json::from_str::<Answers>(&text).unwrap(), answers, "{text}");
        }
        // As reports have had it all along.
        let text = r#"{"rows":"a","labels":[1],"classes":[1],"right":[0.8808]}"#;
        assert_eq!(
            serde_json::from_str::<Answers>(text).unwrap(),
            Answers::of(&[vec![0.0, 2.0]], &[1], "a".into())
        );
    }
}
