//! The header of a safetensors file, checked in full before a tensor is read.
//!
//! The file is: the header's length (8 bytes, little-endian), the header (JSON: name to dtype, shape and
//! offsets), the data. The format asks that the tensors tile the data: no overlap and no hole, which also
//! finds a file that was cut off. Errors here are sentences; the caller adds the file.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

use super::dtype::Dtype;

/// The format's own limit for the header, in bytes.
const LARGEST: u64 = 100_000_000;

/// What a checkpoint says about one tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorInfo {
    /// Element type in the file.
    pub dtype: Dtype,
    /// Empty for a scalar.
    pub shape: Vec<usize>,
    /// Size in the file.
    pub bytes: usize,
}

/// One tensor and its place, in bytes from the start of the file.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) info: TensorInfo,
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// Elements from one index of an axis to the next, where they do not lie in the order of their indices;
    /// the bytes are then those from the first to the last element.
    pub(crate) strides: Option<Vec<usize>>,
}

/// The tensors of a file, in the order of their data.
pub(crate) fn parse(file: &[u8]) -> Result<Vec<Entry>, String> {
    let json = split(file)?;
    let data = 8 + json.len();
    let raw: Raw = serde_json::from_slice(json).map_err(|cause| format!("damaged header: {cause}"))?;
    let placed = raw.0.into_iter().map(|(name, raw)| raw.place(name, data, file.len()));
    let mut entries: Vec<Entry> = placed.collect::<Result<_, _>>()?;
    distinct(&mut entries)?;
    tile(&mut entries, data, file.len())?;
    Ok(entries)
}

/// The header's bytes.
fn split(file: &[u8]) -> Result<&[u8], String> {
    if file.starts_with(b"version https://git-lfs") {
        return Err("a Git LFS pointer, not the weights: run `git lfs pull` in its folder".into());
    }
    let Some((length, rest)) = file.split_first_chunk::<8>() else {
        return Err(format!("only {} bytes, no safetensors file: download it again", file.len()));
    };
    let length = u64::from_le_bytes(*length);
    let fits =
        usize::try_from(length).ok().filter(|_| length <= LARGEST).and_then(|length| rest.get(..length));
    fits.ok_or_else(|| {
        let size = file.len();
        format!(
            "the header claims {length} bytes, the file has {size}: cut off, or no safetensors; get it anew"
        )
    })
}

/// Name and claim of each tensor, in the header's order; a name may still be there twice.
struct Raw(Vec<(String, Claim)>);

/// What the header says of one tensor.
#[derive(Deserialize)]
struct Claim {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: [usize; 2],
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Claims)
    }
}

struct Claims;

impl<'de> Visitor<'de> for Claims {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map from tensor names to dtype, shape and data_offsets")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw, A::Error> {
        let mut claims = Vec::new();
        while let Some(name) = map.next_key::<String>()? {
            if name == "__metadata__" {
                map.next_value::<IgnoredAny>()?;
            } else {
                claims.push((name, map.next_value()?));
            }
        }
        Ok(Raw(claims))
    }
}

impl Claim {
    /// Checks one tensor on its own.
    fn place(self, name: String, data: usize, size: usize) -> Result<Entry, String> {
        let Some(dtype) = Dtype::parse(&self.dtype) else {
            return Err(format!(
                "tensor `{name}` has the unknown dtype `{}`; read are F32, F16, BF16, F64",
                self.dtype
            ));
        };
        let shape = self.shape;
        let Some(bytes) = bytes(&shape, dtype) else {
            return Err(format!(
                "tensor `{name}`: the shape {shape:?} of {dtype} has no size in bytes; damaged header"
            ));
        };
        let [begin, end] = self.data_offsets;
        if end.checked_sub(begin) != Some(bytes) {
            return Err(format!(
                "tensor `{name}`: {shape:?} of {dtype} is {bytes} bytes, not {begin}..{end}"
            ));
        }
        let Some(end) = end.checked_add(data).filter(|&end| end <= size) else {
            return Err(format!(
                "tensor `{name}` ends after the file: the file is cut off, download it again"
            ));
        };
        Ok(Entry { name, info: TensorInfo { dtype, shape, bytes }, start: end - bytes, end, strides: None })
    }
}

/// Size of a tensor, if it is a whole number of bytes that can be counted.
fn bytes(shape: &[usize], dtype: Dtype) -> Option<usize> {
    let elements = shape.iter().try_fold(1_usize, |product, &dim| product.checked_mul(dim))?;
    let bits = elements.checked_mul(dtype.bits())?;
    (bits % 8 == 0).then_some(bits / 8)
}

fn distinct(entries: &mut [Entry]) -> Result<(), String> {
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    match entries.windows(2).find(|pair| pair[0].name == pair[1].name) {
        Some(pair) => Err(format!("tensor `{}` is there twice; save the file again", pair[0].name)),
        None => Ok(()),
    }
}

/// Checks that the tensors cover the data from its first to its last byte, each byte once.
fn tile(entries: &mut [Entry], data: usize, size: usize) -> Result<(), String> {
    entries.sort_by_key(|entry| (entry.start, entry.end));
    let mut at = data;
    for entry in &*entries {
        if entry.start != at {
            let fault =
                if entry.start < at { "overlaps the one before it" } else { "leaves a hole before it" };
            return Err(format!("tensor `{}` {fault}: damaged header, download the file again", entry.name));
        }
        at = entry.end;
    }
    match size - at {
        0 => Ok(()),
        extra => {
            Err(format!("{extra} bytes after the last tensor: damaged or joined file, download it again"))
        }
    }
}
