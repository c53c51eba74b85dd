//! How well generated texts fit their references: exact match, ROUGE-L, perplexity.

use serde::{Deserialize, Serialize};

/// Means over pairs of a generated text and its reference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TextMetrics {
    /// Share of texts that equal their reference; see [`exact_match`].
    pub exact_match: f64,
    /// Mean of [`rouge_l`].
    pub rouge_l: f64,
    /// How many pairs.
    pub rows: usize,
}

impl TextMetrics {
    /// Compares (generated, reference) pairs; all 0 without any.
    pub fn of<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut sums = Self::default();
        for (text, reference) in pairs {
            sums.rows += 1;
            sums.exact_match += f64::from(u8::from(exact_match(text, reference)));
            sums.rouge_l += rouge_l(text, reference);
        }
        let rows = sums.rows.max(1) as f64;
        Self { exact_match: sums.exact_match / rows, rouge_l: sums.rouge_l / rows, rows: sums.rows }
    }

    /// The means of several runs on the same rows; none without any.
    pub fn mean(runs: &[Self]) -> Option<Self> {
        let mean = |value: fn(&Self) -> f64| runs.iter().map(value).sum::<f64>() / runs.len() as f64;
        let first = runs.first()?;
        Some(Self { exact_match: mean(|m| m.exact_match), rouge_l: mean(|m| m.rouge_l), rows: first.rows })
    }
}

/// Whether two texts are the same but for spaces and line breaks around them. Case, punctuation and inner
/// spaces count.
pub fn exact_match(text: &str, reference: &str) -> bool {
    text.trim() == reference.trim()
}

/// ROUGE-L F1 (Lin 2004), from 0 to 1, as Google's `rouge_score` computes it without stemming: words are runs
/// of `a-z0-9` after lower-casing, and the longest common subsequence of the two lists of words gives precision
/// and recall. 0 if either has no word.
pub fn rouge_l(text: &str, reference: &str) -> f64 {
    let (lower, lower_reference) = (text.to_lowercase(), reference.to_lowercase());
    let (words, references) = (words(&lower), words(&lower_reference));
    let common = longest_common(&words, &references) as f64;
    if common == 0.0 {
        return 0.0;
    }
    let (precision, recall) = (common / words.len() as f64, common / references.len() as f64);
    2.0 * precision * recall / (precision + recall)
}

/// Perplexity from a loss summed over tokens, in nats: the exponential of its mean. 1 without tokens.
pub fn perplexity(loss: f64, tokens: u64) -> f64 {
    (loss / tokens.max(1) as f64).exp()
}

fn words(lower: &str) -> Vec<&str> {
    let other = |char: char| !matches!(char, 'a'..='z' | '0'..='9');
    lower.split(other).filter(|word| !word.is_empty()).collect()
}

/// The length of the longest common subsequence, with one row of the table in memory.
fn longest_common(a: &[&str], b: &[&str]) -> usize {
    let (long, short) = if a.len() < b.len() { (b, a) } else { (a, b) };
    let mut row = vec![0_usize; short.len() + 1];
    for word in long {
        // The cell above to the left, before it is written over.
        let mut corner = 0;
        for (at, other) in short.iter().enumerate() {
            let above = row[at + 1];
            row[at + 1] = if word == other { corner + 1 } else { above.max(row[at]) };
            corner = above;
        }
    }
    row[short.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// F1 of PyPI's rouge-score 0.1.2: `RougeScorer(["rougeL"]).score(reference, text)`.
    const ROUGE: [(&str, &str, f64); 14] = [
        ("the cat sat on the mat", "the cat is on the mat", 0.8333333333333334),
        ("The Cat, sat!", "the cat sat", 1.0),
        ("a b c d e f g", "g f e d c b a", 0.14285714285714285),
        ("", "a", 0.0),
        ("...", "a", 0.0),
        ("Straße in Köln kostet 3.50", "strasse in koeln kostet 3,50 €", 0.5714285714285715),
        ("one two three four five", "two five", 0.5714285714285715),
        ("don't stop me now", "dont stop me now", 0.6666666666666665),
        ("x", "x", 1.0),
        ("İstanbul is big", "istanbul is big", 0.5714285714285715),
        ("to be or not to be that is the question", "that is the question to be or not to be", 0.6),
        ("1 2 3 2 1 2 3", "3 2 1 2 3 2 1", 0.7142857142857143),
        ("日本 語", "日本 語", 0.0),
        ("run_fast ran", "running fast ran", 0.6666666666666666),
    ];

    #[test]
    fn rouge_l_is_rouge_score_s() {
        for (text, reference, expected) in ROUGE {
            let found = rouge_l(text, reference);
            assert!((found - expected).abs() < 1e-12, "{text:?} {reference:?}: {found}, expected {expected}");
            assert!((rouge_l(reference, text) - expected).abs() < 1e-12, "F1 has no direction");
        }
    }

    #[test]
    fn a_common_subsequence_is_the_longest() {
        // Against every subsequence of the shorter list.
        let mut state = 5_u64;
        for _ in 0..200 {
            let mut draw = |length: usize| -> Vec<&str> {
                let mut next = || {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    ["a", "b", "c"][(state >> 40) as usize % 3]
                };
                (0..length).map(|_| next()).collect()
            };
            let (a, b) = (draw(8), draw(11));
            let chosen = |mask: u32| {
                a.iter().enumerate().filter(move |(at, _)| mask >> at & 1 == 1).map(|(_, word)| *word)
            };
            let within = |mask: &u32| {
                let mut rest = b.iter();
                chosen(*mask).all(|word| rest.any(|other| *other == word))
            };
            let longest = (0..1_u32 << a.len()).filter(within).map(u32::count_ones).max().unwrap();
            assert_eq!(longest_common(&a, &b), longest as usize);
        }
    }

    #[test]
    fn means_and_perplexity() {
        let metrics = TextMetrics::of([(" a b\n", "a b"), ("A b", "a b"), ("c", "a b")]);
        assert_eq!((metrics.rows, metrics.exact_match), (3, 1.0 / 3.0));
        assert!((metrics.rouge_l - 2.0 / 3.0).abs() < 1e-12);
        assert_eq!(TextMetrics::of([]), TextMetrics::default());
        assert!((perplexity(8.0_f64.ln() * 5.0, 5) - 8.0).abs() < 1e-12);
        assert_eq!(perplexity(0.0, 0), 1.0);
    }
}
