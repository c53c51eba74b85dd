//! GGUF files: a whole model in one file, usually quantised, as llama.cpp reads them. Layout:
//! <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>.
//!
//! [`open`] gives what a model needs: a config.json, weights under the names that Hugging Face files have,
//! the tokenizer and the chat template. [`Gguf`] is the file itself, [`write()`] makes one.

mod architecture;
mod bytes;
mod file;
mod lora;
mod metadata;
mod model;
mod names;
mod rope;
mod tokenizer;
mod value;
mod write;

/// Byte-level pairs as a tokenizer.json, shared with folders that have them in two files.
pub(crate) mod byte_pairs {
    pub(crate) use super::tokenizer::{Added, Bpe, File, checked, pair, write};
}

#[cfg(test)]
mod tests;

pub use file::{Gguf, GgufTensor};
pub use lora::{LoraFactors, write_lora};
pub use model::{GgufModel, open};
pub use value::{Array, Kind, Value};
pub use write::{NamedTensor, write};
