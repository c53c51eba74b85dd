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
