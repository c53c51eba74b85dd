//! What is asked of a prompt, whatever the task: how good it is on some rows, and which trigger tokens would make it
//! better.

use super::ask::Asker;
use super::gradient::trigger_gradient;
use super::prompt::Prompt;
use crate::data::Example;
use crate::{Result, Score};
use offshoot_core::{Backbone, Tensor};
use offshoot_models::{Model, Tokenizer};

/// Rows of a task that prompts are tried on.
pub(super) trait Trial {
    /// The frozen model.
    fn backbone(&self) -> &dyn Backbone;

    /// Its tokenizer.
    fn tokenizer(&self) -> &Tokenizer;

    /// How good a prompt is on the rows.
    ///
    /// # Errors
    /// As the model fails on a row.
    fn score(&self, prompt: &Prompt) -> Result<Score>;

    /// The tokens of the prompt's trigger where it stands; others than it was decoded from, where it grows together
    /// with what is beside it.
    ///
    /// # Errors
    /// As the tokenizer fails on it.
    fn trigger(&self, prompt: &Prompt) -> Result<Vec<u32>>;

    /// The gradient `[p, d]` of the mean loss on the rows with respect to the embeddings of the trigger `ids`.
    ///
    /// # Errors
    /// As the model fails on a row; if the trigger is no token of its own in any.
    fn gradient(&self, prompt: &Prompt, ids: &[u32]) -> Result<Tensor>;
}

/// Labelled rows.
pub(super) struct Labelled<'a> {
    pub(super) model: &'a Model,
    pub(super) tokenizer: &'a Tokenizer,
    pub(super) rows: Vec<Example>,
}

impl<'a> Labelled<'a> {
    fn asker(&'a self, prompt: &'a Prompt) -> Result<Asker<'a>> {
        Asker::new(self.model.backbone.as_ref(), self.tokenizer, prompt)
    }
}

impl Trial for Labelled<'_> {
    fn backbone(&self) -> &dyn Backbone {
        self.model.backbone.as_ref()
    }

    fn tokenizer(&self) -> &Tokenizer {
        self.tokenizer
    }

    fn score(&self, prompt: &Prompt) -> Result<Score> {
        Ok(Score::Classes(self.asker(prompt)?.metrics(&self.rows, &[])?))
    }

    fn trigger(&self, prompt: &Prompt) -> Result<Vec<u32>> {
        Ok(self.tokenizer.encode_plain(&prompt.trigger)?)
    }

    fn gradient(&self, prompt: &Prompt, ids: &[u32]) -> Result<Tensor> {
        trigger_gradient(&self.asker(prompt)?, ids, &self.rows)
    }
}
