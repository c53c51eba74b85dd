//! Weights on disk: the safetensors format, read with every claim checked and written whole or not at all.
//!
//! [`Checkpoint`] maps and checks the files, [`Take`] collects a family's tensors out of one,
//! [`write_safetensors`] and [`read_tensors`] are for the small files of adapters and heads.

mod checkpoint;
mod computed;
mod dtype;
mod header;
mod map;
mod stored;
mod take;
#[cfg(test)]
mod tests;
mod write;

pub(crate) use checkpoint::weight_map;
pub use checkpoint::{Checkpoint, INDEX, SINGLE};
pub use computed::{Precision, write_computed};
pub use dtype::Dtype;
pub use header::TensorInfo;
pub(crate) use map::Map;
pub(crate) use stored::{GgufEntry, Stored};
pub use take::{Notes, Take};
pub use write::{Named, Tensors, read_tensors, write_file, write_safetensors};
