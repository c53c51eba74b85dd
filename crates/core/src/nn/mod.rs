//! The layers that transformers are built of.

mod embedding;
mod linear;
mod norm;

pub use embedding::Embedding;
pub use linear::{Base, Linear};
pub use norm::{LayerNorm, Norm};
