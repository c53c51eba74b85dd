//! The scores of classes: likelihoods of their words, with and without the text.

use super::likelihood::Likelihood;
use super::prompt::{Demonstration, Prompt, text_of};
use crate::data::Example;
use crate::{Metrics, Result};
use offshoot_core::Backbone;
use offshoot_models::Tokenizer;
use std::collections::BTreeMap;

/// The most tokens of a prompt, where the model has positions for more: what is longer is cut, see
/// [`Prompt`].
const MOST_TOKENS: usize = 2048;

/// A prompt on a model.
pub(crate) struct Asker<'a> {
    pub(super) likelihood: Likelihood<'a>,
    pub(super) tokenizer: &'a Tokenizer,
    pub(super) prompt: &'a Prompt,
    /// The tokens of each class's word.
    pub(super) answers: Vec<Vec<u32>>,
    most: usize,
}

impl<'a> Asker<'a> {
    /// Asks a frozen model.
    ///
    /// # Errors
    /// If the model has no output head, or the words cannot be told apart.
    pub(crate) fn new(
        backbone: &'a dyn Backbone,
        tokenizer: &'a Tokenizer,
        prompt: &'a Prompt,
    ) -> Result<Self> {
        let likelihood = Likelihood::new(backbone)?;
        let answers = prompt.answers(tokenizer)?;
        let longest = answers.iter().map(Vec::len).max().unwrap_or(0);
        let most = backbone.shape().positions.min(MOST_TOKENS).saturating_sub(longest);
        Ok(Self { likelihood, tokenizer, prompt, answers, most })
    }

    /// The tokens of what is asked about a text after some examples.
    pub(super) fn tokens(&self, examples: &[Demonstration], text: &str) -> Result<Vec<u32>> {
        self.prompt.tokens(self.tokenizer, examples, text, self.most)
    }

    /// The scores of the classes for every text, one list per text. `shown` has the examples of each; where it
    /// is empty all have the prompt's.
    ///
    /// # Errors
    /// As the model fails on a text.
    pub(crate) fn scores(&self, texts: &[String], shown: &[Vec<Demonstration>]) -> Result<Vec<Vec<f64>>> {
        let examples = |row: usize| shown.get(row).map_or(self.prompt.fixed(), Vec::as_slice);
        let mut prompts = Vec::with_capacity(texts.len());
        // Texts with the same examples share an empty one.
        let (mut empty, mut empty_of) = (BTreeMap::new(), Vec::new());
        for (row, text) in texts.iter().enumerate() {
            prompts.push(self.tokens(examples(row), text)?);
            if self.prompt.calibrate && (row == 0 || !shown.is_empty()) {
                let next = empty.len();
                empty_of.push(*empty.entry(self.tokens(examples(row), "")?).or_insert(next));
            }
        }
        let mut all: Vec<&[u32]> = prompts.iter().map(Vec::as_slice).collect();
        let mut empties: Vec<_> = empty.iter().collect();
        empties.sort_by_key(|(_, place)| **place);
        all.extend(empties.iter().map(|(ids, _)| ids.as_slice()));
        let mut scores = self.likelihood.of(&all, &self.answers)?;
        let base = scores.split_off(prompts.len());
        for (row, scores) in scores.iter_mut().enumerate() {
            let base = empty_of.get(row).or(empty_of.first()).and_then(|&place| base.get(place));
            scores.iter_mut().zip(base.into_iter().flatten()).for_each(|(score, empty)| *score -= empty);
        }
        Ok(scores)
    }

    /// The scores as logits.
    ///
    /// # Errors
    /// As the model fails on a text.
    pub(crate) fn logits(&self, texts: &[String], shown: &[Vec<Demonstration>]) -> Result<Vec<Vec<f32>>> {
        let scores = self.scores(texts, shown)?;
        Ok(scores.iter().map(|row| row.iter().map(|&score| score as f32).collect()).collect())
    }

    /// Metrics on labelled texts.
    ///
    /// # Errors
    /// As the model fails on a text.
    pub(crate) fn metrics(&self, examples: &[Example], shown: &[Vec<Demonstration>]) -> Result<Metrics> {
        let texts: Vec<String> = examples.iter().map(text_of).collect();
        let logits = self.logits(&texts, shown)?;
        let labels: Vec<u32> = examples.iter().filter_map(|example| example.label.class()).collect();
        Ok(Metrics::of(&logits, &labels))
    }
}
