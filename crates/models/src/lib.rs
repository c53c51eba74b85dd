//! Models in the Hugging Face layout: from a name to frozen weights in memory.
//!
//! A family is one file (`bert.rs`) and one line in `family.rs`. Around them: finding or downloading a model
//! ([`hub`]), reading weights ([`weights`]), honouring every field of config.json ([`config`]), tokenizers,
//! pooling.

mod bert;
pub mod chat;
pub mod config;
mod decoder;
mod distilbert;
mod encoder;
pub mod error;
mod family;
mod files;
pub mod gguf;
mod gpt2;
pub mod hub;
mod llama;
mod model;
mod pooling;
mod reader;
mod roberta;
pub mod source;
pub mod tokenizer;
pub mod weights;

pub use chat::{ChatTemplate, Message};
pub use error::{Error, Result};
pub use family::Task;
pub use model::{LoadOptions, Model, families, predicts_tokens};
pub use pooling::{Pooling, sentence_pooling};
pub use source::Source;
pub use tokenizer::{Encoded, SpecialTokens, TextStream, Tokenizer};
