//! The layers that transformers are built of.

mod embedding;
mod head;
mod linear;
mod norm;

pub use embedding::Embedding;
pub use head::{Head, HeadLayer};
pub use linear::{Base, Linear};
pub use norm::{LayerNorm, Norm, RmsNorm};
