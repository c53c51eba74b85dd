//! Rows for a language model as they are put to it, with what a prompt in words puts around them.

use crate::data::instruct::LmExample;
use crate::instruct::{Head, LmEncoder, LmRow, LmSettings};
use crate::prompting::{Demonstration, Prompt, nearest};
use crate::trainer::Learner;
use crate::{LanguageModel, Result, Score, TextTools};
use serde::{Deserialize, Serialize};

/// Rows, and how they are tokenised.
#[derive(Clone, Copy)]
pub struct TextRows<'a> {
    /// The model's tokenizer and chat template.
    pub tools: &'a TextTools,
    /// Whether rows go through the chat template, if there is one.
    pub chat: bool,
    /// The file that the rows come from, for messages.
    pub file: &'a str,
    /// The rows.
    pub examples: &'a [LmExample],
    /// How long they may be, and what of them is predicted.
    pub settings: LmSettings,
}

/// How many examples rows were shown, where a prompt has some.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Shots {
    /// Examples that each row was to be shown.
    pub asked: usize,
    /// The rows.
    pub rows: usize,
    /// Rows that had room for fewer.
    pub fewer: usize,
    /// Examples that a row was shown in the mean.
    pub mean: f64,
}

impl Shots {
    fn of(prompt: &Prompt, counts: &[usize]) -> Option<Self> {
        let (asked, rows) = (prompt.shots(), counts.len());
        let fewer = counts.iter().filter(|count| **count < asked).count();
        let mean = counts.iter().sum::<usize>() as f64 / rows.max(1) as f64;
        (asked > 0).then_some(Self { asked, rows, fewer, mean })
    }
}

impl TextRows<'_> {
    /// The loss of a model on the rows, in its prompt if it has one, and how many examples they were shown.
    /// `tokens` bounds the micro-batches.
    ///
    /// # Errors
    /// Rows that cannot be tokenised; as the model fails on one.
    pub fn score(&self, grown: &LanguageModel, tokens: usize) -> Result<(Score, Option<Shots>)> {
        match &grown.prompt {
            Some(prompt) => self.framed_score(grown, prompt, tokens),
            None => Ok((grown.score(&self.rows()?, tokens)?, None)),
        }
    }

    /// The rows without a prompt.
    ///
    /// # Errors
    /// Rows that cannot be tokenised.
    pub fn rows(&self) -> Result<Vec<LmRow>> {
        self.encoder()?.rows(self.file, self.examples)
    }

    /// The tokens to generate from, in the prompt of a model that has one: with as many examples as leave a row no
    /// longer than `most`. Nothing is cut. `tokens` bounds the micro-batches.
    ///
    /// # Errors
    /// Rows that cannot be tokenised; as the model fails to find examples for one.
    pub fn prompts(
        &self,
        grown: Option<&LanguageModel>,
        most: usize,
        tokens: usize,
    ) -> Result<Vec<Vec<u32>>> {
        let encoder = self.encoder()?;
        let Some((grown, prompt)) = grown.and_then(|grown| Some((grown, grown.prompt.as_ref()?))) else {
            return encoder.prompts(self.file, self.examples, usize::MAX);
        };
        let shown = self.shown(grown, prompt, tokens)?;
        encoder.framed_prompts((self.file, self.examples), prompt, &shown, most)
    }

    /// The loss in a prompt.
    pub(crate) fn framed_score(
        &self,
        grown: &LanguageModel,
        prompt: &Prompt,
        tokens: usize,
    ) -> Result<(Score, Option<Shots>)> {
        let (rows, shots) = self.framed_rows(grown, prompt, tokens)?;
        Ok((grown.score(&rows, tokens)?, shots))
    }

    /// The rows in a prompt.
    pub(crate) fn framed_rows(
        &self,
        grown: &LanguageModel,
        prompt: &Prompt,
        tokens: usize,
    ) -> Result<(Vec<LmRow>, Option<Shots>)> {
        let shown = self.shown(grown, prompt, tokens)?;
        let rows = self.encoder()?.framed_rows(self.file, self.examples, prompt, &shown)?;
        let (rows, counts): (Vec<LmRow>, Vec<usize>) = rows.into_iter().unzip();
        let shots = Shots::of(prompt, &counts);
        Ok((rows, shots))
    }

    /// Where a prompt's trigger stands in each row.
    pub(crate) fn heads(&self, prompt: &Prompt) -> Result<Vec<Option<Head>>> {
        let encoder = self.encoder()?;
        let head = |row: &LmExample| encoder.head(row, prompt).map_err(crate::Error::Invalid);
        self.examples.iter().map(head).collect()
    }

    fn shown(
        &self,
        grown: &LanguageModel,
        prompt: &Prompt,
        tokens: usize,
    ) -> Result<Vec<Vec<Demonstration>>> {
        let encoder = self.encoder()?;
        let questions: Vec<String> = self.examples.iter().map(|row| encoder.question(row, prompt)).collect();
        nearest(grown.backbone.as_ref(), &self.tools.tokenizer, prompt, &questions, tokens)
    }

    fn encoder(&self) -> Result<LmEncoder<'_>> {
        let template = self.tools.template.as_ref().filter(|_| self.chat);
        LmEncoder::new(&self.tools.tokenizer, template, &self.tools.special, self.settings)
    }
}
