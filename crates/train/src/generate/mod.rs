//! Text from a language model: many prompts at once, each with an adapter of its own or with none.
//!
//! [`Generator`] takes [`Request`]s and gives back [`Generated`] in the same order; [`Conversation`] keeps
//! what a dialogue has computed from one turn to the next.

mod active;
mod check;
mod conversation;
mod engine;
mod sampler;
mod text;

pub use conversation::Conversation;
pub use engine::{Generator, Limits, Output};
pub use sampler::{Sampler, Sampling};
pub use text::Decode;

use serde::{Deserialize, Serialize};

/// What is to be continued.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// What identifies the row, such as its line in a file: messages name it, and its random numbers depend
    /// on it and the seed alone.
    pub row: u64,
    /// The tokens to continue, special ones among them. At least one.
    pub prompt: Vec<u32>,
    /// Which of the generator's adapters, from 0; none for the model as it is.
    pub adapter: Option<usize>,
    /// When to stop.
    pub stop: Stop,
}

/// What ends a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Stop {
    /// Tokens that end a text; none of them belongs to it.
    pub eos: Vec<u32>,
    /// The most tokens to generate. 256 by default.
    pub max_tokens: usize,
    /// Texts that end a text where they first occur, across the borders of tokens; they do not belong to it.
    pub strings: Vec<String>,
}

impl Default for Stop {
    fn default() -> Self {
        Self { eos: Vec::new(), max_tokens: 256, strings: Vec::new() }
    }
}

/// Why a row ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Finish {
    /// The model wrote a token that ends the text.
    Eos,
    /// A stop string occurred.
    Stop,
    /// There are as many tokens as were asked for, or as the model has positions.
    Length,
}

/// What was written for a [`Request`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generated {
    /// The new tokens, without the one that ended the text. Where a stop string ended it, those that hold the
    /// string are among them.
    pub ids: Vec<u32>,
    /// Their text, up to the stop string.
    pub text: String,
    /// Why it ends there.
    pub finish: Finish,
}
