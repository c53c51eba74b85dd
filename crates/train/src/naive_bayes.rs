//! What no model at all gives: words counted by class (multinomial naive Bayes with add-one smoothing; Manning,
//! Raghavan and Schütze 2008, section 13.2).

use crate::Metrics;
use crate::data::Example;
use std::collections::BTreeMap;

/// Metrics of naive Bayes, trained on some rows and tested on others.
pub(crate) fn naive_bayes(train: &[Example], test: &[Example], classes: usize) -> Metrics {
    let counts = Counts::of(train, classes);
    let logits: Vec<Vec<f32>> = test.iter().map(|row| counts.logits(row)).collect();
    let labels: Vec<u32> = test.iter().filter_map(|row| row.label.class()).collect();
    Metrics::of(&logits, &labels)
}

/// How often words stand in the texts of each class.
struct Counts {
    /// Only of the classes that a word stands in: there may be many.
    words: BTreeMap<String, BTreeMap<usize, f64>>,
    /// All words of a class.
    totals: Vec<f64>,
    /// Texts of a class.
    texts: Vec<f64>,
}

impl Counts {
    fn of(rows: &[Example], classes: usize) -> Self {
        let mut counts =
            Self { words: BTreeMap::new(), totals: vec![0.0; classes], texts: vec![0.0; classes] };
        for (row, class) in rows.iter().filter_map(|row| Some((row, row.label.class()?))) {
            let class = class as usize;
            counts.texts[class] += 1.0;
            for word in words(row) {
                counts.totals[class] += 1.0;
                *counts.words.entry(word).or_default().entry(class).or_default() += 1.0;
            }
        }
        counts
    }

    /// Logarithms of the classes' probabilities, up to a constant. Words that were never seen tell nothing; a class
    /// that was never seen counts as half a text.
    fn logits(&self, row: &Example) -> Vec<f32> {
        let mut logits: Vec<f64> = self.texts.iter().map(|texts| texts.max(0.5).ln()).collect();
        let mut known = 0.0;
        for counts in words(row).filter_map(|word| self.words.get(&word)) {
            known += 1.0;
            counts.iter().for_each(|(&class, count)| logits[class] += (count + 1.0).ln());
        }
        let vocabulary = self.words.len() as f64;
        let weighed = |(logit, total): (f64, &f64)| (logit - known * (total + vocabulary).ln()) as f32;
        logits.into_iter().zip(&self.totals).map(weighed).collect()
    }
}

/// Runs of letters and digits, in small letters.
fn words(row: &Example) -> impl Iterator<Item = String> {
    let texts = [Some(row.text.as_str()), row.pair.as_deref()];
    texts.into_iter().flatten().flat_map(|text| {
        text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(text: &str, label: u32) -> Example {
        Example { text: text.into(), pair: None, label: label.into(), line: 1 }
    }

    /// The worked example of the book, table 13.1: the test document is of class China (0).
    #[test]
    fn the_example_of_the_book() {
        let train = [
            row("Chinese Beijing Chinese", 0),
            row("Chinese Chinese Shanghai", 0),
            row("Chinese Macao", 0),
            row("Tokyo Japan Chinese", 1),
        ];
        let test = row("Chinese, Chinese. chinese Tokyo; JAPAN", 0);
        let logits = Counts::of(&train, 2).logits(&test);
        let likelihood = |words: [f64; 5]| words.map(f64::ln).iter().sum::<f64>();
        let [c, j] =
            [[3.0 / 7.0, 3.0 / 7.0, 3.0 / 7.0, 1.0 / 14.0, 1.0 / 14.0], [2.0 / 9.0; 5]].map(likelihood);
        let expected = 3_f64.ln() + c - j;
        assert!((f64::from(logits[0] - logits[1]) - expected).abs() < 1e-5, "{logits:?} {expected}");
        assert_eq!(naive_bayes(&train, &[test], 2).accuracy, 1.0);
    }
}
