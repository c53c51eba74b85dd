//! The element types of files.

use std::fmt;

use half::{bf16, f16};
use offshoot_core::{Format, dequantize};

/// The type of a tensor's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dtype {
    /// 64-bit float, narrowed when read.
    F64,
    /// 32-bit float.
    F32,
    /// IEEE half.
    F16,
    /// The upper half of an f32.
    Bf16,
    /// Blocks of a GGUF file.
    Blocks(Format),
    /// One that the format knows and this crate does not read.
    Other {
        /// As the file names it.
        name: &'static str,
        /// Of one element.
        bits: usize,
    },
}

/// Name and bits of the types that are known but not read.
const OTHERS: [(&str, usize); 17] = [
    ("BOOL", 8),
    ("U8", 8),
    ("I8", 8),
    ("U16", 16),
    ("I16", 16),
    ("U32", 32),
    ("I32", 32),
    ("U64", 64),
    ("I64", 64),
    ("C64", 64),
    ("F8_E4M3", 8),
    ("F8_E5M2", 8),
    ("F8_E8M0", 8),
    ("F8_E4M3FNUZ", 8),
    ("F6_E2M3", 6),
    ("F6_E3M2", 6),
    ("F4", 4),
];

impl Dtype {
    /// The type that a file calls `name`.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let other = || OTHERS.iter().find(|known| known.0 == name);
        match name {
            "F64" => Some(Self::F64),
            "F32" => Some(Self::F32),
            "F16" => Some(Self::F16),
            "BF16" => Some(Self::Bf16),
            _ => other().map(|&(name, bits)| Self::Other { name, bits }),
        }
    }

    /// Bits of one element; of blocks, on average and rounded down.
    pub(crate) fn bits(self) -> usize {
        match self {
            Self::F64 => 64,
            Self::F32 => 32,
            Self::F16 | Self::Bf16 => 16,
            Self::Blocks(format) => 8 * format.block_bytes() / format.block_elements(),
            Self::Other { bits, .. } => bits,
        }
    }

    /// Little-endian bytes, at any alignment, as f32; none for a type that is not read.
    pub(crate) fn decode(self, bytes: &[u8]) -> Option<Vec<f32>> {
        match self {
            Self::F64 => Some(each(bytes, |b| f64::from_le_bytes(b) as f32)),
            Self::F32 => Some(each(bytes, f32::from_le_bytes)),
            Self::F16 => Some(each(bytes, |b| f16::from_le_bytes(b).to_f32())),
            Self::Bf16 => Some(each(bytes, |b| bf16::from_le_bytes(b).to_f32())),
            Self::Blocks(format) => dequantize(format, bytes).ok(),
            Self::Other { .. } => None,
        }
    }

    /// The format of a GGUF file as an element type.
    pub(crate) fn of(format: Format) -> Self {
        match format {
            Format::F32 => Self::F32,
            Format::F16 => Self::F16,
            Format::Bf16 => Self::Bf16,
            blocks => Self::Blocks(blocks),
        }
    }
}

fn each<const N: usize>(bytes: &[u8], convert: impl Fn([u8; N]) -> f32) -> Vec<f32> {
    let (chunks, _) = bytes.as_chunks::<N>();
    chunks.iter().map(|&chunk| convert(chunk)).collect()
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F64 => "F64",
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::Bf16 => "BF16",
            Self::Blocks(format) => format.name(),
            Self::Other { name, .. } => name,
        })
    }
}
