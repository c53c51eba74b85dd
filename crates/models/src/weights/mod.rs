//! Weights on disk: the safetensors format, read with every claim checked and written whole or not at all;
//! torch's own files, read where that is allowed.
//!
//! [`Checkpoint`] maps and checks the files, [`Take`] collects a family's tensors out of one,
//! [`write_safetensors`], [`read_tensors`] and [`read_torch`] are for the small files of adapters and heads.

mod checkpoint;
mod computed;
mod dtype;
mod header;
mod map;
mod pickles;
mod stored;
mod take;
#[cfg(test)]
mod tests;
mod torch;
mod write;

pub use checkpoint::{Checkpoint, INDEX, SINGLE};
pub(crate) use checkpoint::{TORCH_INDEX, TORCH_SINGLE, weight_map};
pub use computed::{Precision, write_computed};
pub use dtype::Dtype;
pub use header::TensorInfo;
pub(crate) use map::Map;
pub(crate) use pickles::HINT;
pub use pickles::Pickles;
pub(crate) use stored::{GgufEntry, Stored};
pub use take::{Notes, Take};
pub use write::{Named, Tensors, read_tensors, read_torch, write_file, write_safetensors};
