//! How a file's tensor differs from the one that Hugging Face files have: what GGUF converters changed, changed
//! back.

use std::borrow::Cow;
use std::ops::Range;

use offshoot_core::Format;

use super::dtype::Dtype;
use super::header::TensorInfo;

/// What a converter did to a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stored {
    /// As it is.
    Same,
    /// The rows of each head of queries or keys alternate between its two halves, because llama.cpp rotates
    /// neighbours where transformers rotates halves.
    Interleaved {
        /// How many heads there are.
        heads: usize,
    },
    /// GPT-2's projections: `[out, in]` in the file, `[in, out]` for transformers.
    Transposed,
    /// Gemma's norms: 1 more than the weight.
    PlusOne,
}

/// A tensor of a GGUF file under the name that Hugging Face files have.
#[derive(Debug)]
pub(crate) struct GgufEntry {
    pub(crate) name: String,
    pub(crate) format: Format,
    /// As Hugging Face files have it.
    pub(crate) shape: Vec<usize>,
    pub(crate) range: Range<usize>,
    pub(crate) stored: Stored,
}

impl Stored {
    /// The format of a matrix that may stay in the file.
    pub(super) fn format(self, info: &TensorInfo) -> Option<Format> {
        match (self, info.dtype) {
            (Self::PlusOne, _) => None,
            (_, Dtype::Blocks(format)) => Some(format),
            (_, Dtype::F32) => Some(Format::F32),
            (_, Dtype::F16) => Some(Format::F16),
            (_, Dtype::Bf16) => Some(Format::Bf16),
            (_, Dtype::F64 | Dtype::Other { .. }) => None,
        }
    }

    /// The tensor's bytes with its rows in the order that transformers has them.
    pub(crate) fn rows<'a>(self, info: &TensorInfo, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        let (Self::Interleaved { heads }, Some(&rows)) = (self, info.shape.first()) else {
            return bytes.into();
        };
        if rows == 0 || heads == 0 || rows % (2 * heads) != 0 || bytes.is_empty() {
            return bytes.into();
        }
        let (row, half) = (bytes.len() / rows, rows / heads / 2);
        let mut ordered = Vec::with_capacity(bytes.len());
        for head in bytes.chunks_exact(2 * half * row) {
            for parity in 0..2 {
                (0..half).for_each(|i| ordered.extend_from_slice(&head[(2 * i + parity) * row..][..row]));
            }
        }
        ordered.into()
    }

    /// The tensor's values as transformers has them.
    pub(super) fn values(self, info: &TensorInfo, mut values: Vec<f32>) -> Vec<f32> {
        match (self, info.shape.as_slice()) {
            (Self::PlusOne, _) => {
                values.iter_mut().for_each(|value| *value -= 1.0);
                values
            }
            (Self::Transposed, &[inputs, _]) => transposed(&values, inputs),
            _ => values,
        }
    }
}

/// The transpose of a matrix with so many columns.
pub(super) fn transposed(values: &[f32], cols: usize) -> Vec<f32> {
    (0..cols).flat_map(|j| values.iter().skip(j).step_by(cols).copied()).collect()
}
