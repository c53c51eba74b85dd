//! Tokenising rows for a language model, with a mask that says which tokens it is to predict.
//!
//! | layout | with a chat template | without |
//! | --- | --- | --- |
//! | alpaca | one user turn `instruction` + newline + `input`, the generation prompt; the output, end of sequence | the prompt of Stanford's Alpaca (2023); the output, end of sequence |
//! | completion | one user turn, the generation prompt; the completion, end of sequence | the prompt as it is; the completion, end of sequence |
//! | messages | the template's conversation; every assistant turn with its end-of-turn token is predicted | refused |
//! | text | the text as it is, end of sequence, in pieces of the maximum length; all but the first token is predicted | the same |
//!
//! Prompt and completion are tokenised apart, as generation has to do it. What goes through a template gets
//! no special tokens but the template's; what does not begins with those the tokenizer puts first (`<s>`).

mod cut;
mod encoder;
mod frame;
mod framed;
mod pieces;
mod render;

pub(crate) use cut::cut_prompt;
pub use encoder::{LmEncoder, LmSettings};
pub(crate) use frame::{Frame, demonstration};
pub(crate) use framed::Head;

use crate::rows::Tokens;

/// One row, ready for the model.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LmRow {
    /// Token ids, special tokens included.
    pub ids: Vec<u32>,
    /// For each token, whether it is predicted from those before it: whether it counts in the loss. Never the
    /// first. At least one is.
    pub predicted: Vec<bool>,
    /// The line in the data file.
    pub line: u64,
    /// Which piece of the line's text it is, from 0; only plain text has several.
    pub piece: u32,
    /// Whether tokens were cut off.
    pub truncated: bool,
}

impl LmRow {
    /// How many tokens are predicted: the number of terms of the row's loss.
    pub fn targets(&self) -> usize {
        self.predicted.iter().filter(|&&predicted| predicted).count()
    }
}

impl Tokens for LmRow {
    fn ids(&self) -> &[u32] {
        &self.ids
    }

    fn line(&self) -> u64 {
        self.line
    }

    /// The pieces of a text have dropout masks of their own.
    fn row_id(&self) -> u64 {
        self.line ^ (u64::from(self.piece) << 32)
    }

    fn truncated(&self) -> bool {
        self.truncated
    }

    fn sample(&self, tokens: usize) -> Self {
        let ids: Vec<u32> = self.ids.iter().copied().cycle().take(tokens).collect();
        let predicted = (1..=tokens).map(|place| place == tokens).collect();
        Self { ids, predicted, ..self.clone() }
    }
}

#[cfg(test)]
mod tests;
