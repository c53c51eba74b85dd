//! Prompt tuning, Lester et al. 2021, <https://arxiv.org/abs/2104.08691>, section 2.
//!
//! The input `[w_1 ... w_n]` of word embeddings becomes `[P; w_1 ... w_n]`, with `P` `[tokens, hidden]`
//! trained. The virtual rows pass through position, type and norm like words, as in peft.

use crate::virtual_tokens::{EMBEDDING, check_tokens, draw_words};
use crate::{Info, Merging, Method, Saves, Target};
use offshoot_core::{Adapter, ParamId, Result, Step, Tensor};
use serde::{Deserialize, Serialize};

/// How `prompt` presents itself.
pub const INFO: Info = Info {
    name: "prompt",
    summary: "learned word embeddings before the text",
    paper: "Lester et al. 2021, https://arxiv.org/abs/2104.08691",
    // The gradient has come through every layer to a few rows: only large steps arrive (the authors use 0.3
    // with Adafactor).
    learning_rate: 1e-2,
    saves: Saves::Peft,
    starts_as_identity: false,
    merging: Merging::Never("its virtual tokens are a part of the input, not of a weight"),
};

/// Settings of `prompt`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Virtual tokens. Default 20.
    pub tokens: usize,
    /// Where they start. Default `vocabulary`.
    pub init: Init,
}

/// Where the virtual tokens start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Init {
    /// At the embeddings of words drawn from the vocabulary: at the scale the model expects, which trains far
    /// better.
    #[default]
    Vocabulary,
    /// At standard normal numbers, as peft does unless told otherwise.
    Normal,
}

impl Default for Config {
    fn default() -> Self {
        Self { tokens: 20, init: Init::default() }
    }
}

impl Method for Config {
    fn build(&self, target: &mut Target<'_>) -> Result<Box<dyn Adapter>> {
        let shape = target.shape();
        check_tokens(INFO.name, self.tokens, &shape)?;
        let rows = match self.init {
            Init::Vocabulary => {
                let words = draw_words(target, self.tokens);
                Step::detached(target.params).rows_of(target.backbone.token_table(), &words)?
            }
            Init::Normal => target.normal(&[self.tokens, shape.hidden], 1.0),
        };
        let rows = target.params.insert(EMBEDDING, rows)?;
        Ok(Box::new(Prompt { tokens: self.tokens, rows }))
    }
}

struct Prompt {
    tokens: usize,
    /// `[p, d]`
    rows: ParamId,
}

impl Adapter for Prompt {
    fn prompt_tokens(&self) -> usize {
        self.tokens
    }

    fn prompt(&self, step: &Step<'_>) -> Result<Option<Tensor>> {
        Ok(Some(step.param(self.rows)))
    }
}
