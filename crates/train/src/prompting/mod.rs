//! Without training: a frozen decoder is asked in words, with examples before what it is asked or with the best words
//! around it.
//!
//! A classifier is asked how likely the classes' words are (`classes`), a language model writes (`texts`). What is
//! asked is a [`Prompt`]; both tasks find one by the same search, each with a [`trial`] of its own.

mod ask;
pub(crate) mod classes;
mod examples;
mod gradient;
mod hard_prompt;
mod likelihood;
mod prompt;
mod saved;
mod search;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod text_tests;
pub(crate) mod texts;
mod tracked;
mod trial;

pub(crate) use examples::nearest;
pub(crate) use likelihood::Likelihood;
pub(crate) use prompt::{BETWEEN, PLACE};
pub use prompt::{Demonstration, Prompt};
pub(crate) use saved::LARGEST;
