//! Writing a GGUF file: version 3, little-endian, the data aligned to 32 bytes.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::Path;

use offshoot_core::Format;

use super::file::{ALIGNMENT, number};
use super::value::{Value, text_bytes};
use crate::error::{Error, Result};
use crate::weights::write_file;

/// A tensor to write.
#[derive(Clone, Debug)]
pub struct NamedTensor<'a> {
    /// As the file will name it.
    pub name: String,
    /// Row-major.
    pub shape: Vec<usize>,
    /// How its elements are stored.
    pub format: Format,
    /// Its elements as stored, row after row: for F32 the values' little-endian bytes.
    pub bytes: &'a [u8],
}

/// Writes a file, whole or not at all. The metadata comes in the order given; `general.alignment` is not
/// needed.
///
/// # Errors
/// If a name is there twice, a shape does not fit its bytes, or the file cannot be written.
pub fn write(path: &Path, metadata: &[(&str, Value<'_>)], tensors: &[NamedTensor<'_>]) -> Result<()> {
    let header = header(metadata, tensors).map_err(|reason| Error::checkpoint(path, reason))?;
    write_file(path, |out| {
        out.write_all(&header)?;
        tensors.iter().try_for_each(|tensor| {
            out.write_all(tensor.bytes)?;
            pad(out, tensor.bytes.len())
        })
    })
}

/// Everything before the data, padded to where it starts.
fn header(metadata: &[(&str, Value<'_>)], tensors: &[NamedTensor<'_>]) -> Result<Vec<u8>, String> {
    let mut out = b"GGUF".to_vec();
    out.extend(3_u32.to_le_bytes());
    out.extend((tensors.len() as u64).to_le_bytes());
    out.extend((metadata.len() as u64).to_le_bytes());
    distinct(metadata.iter().map(|(key, _)| *key))?;
    for (key, value) in metadata {
        out.extend(text_bytes(key));
        out.extend(value.kind().tag().to_le_bytes());
        value.write(&mut out);
    }
    distinct(tensors.iter().map(|tensor| tensor.name.as_str()))?;
    let mut offset = 0;
    for tensor in tensors {
        table_entry(&mut out, tensor, offset)?;
        offset += (tensor.bytes.len() as u64).next_multiple_of(ALIGNMENT);
    }
    let size = out.len();
    pad(&mut out, size).map_err(|cause| cause.to_string())?;
    Ok(out)
}

fn table_entry(out: &mut Vec<u8>, tensor: &NamedTensor<'_>, offset: u64) -> Result<(), String> {
    let NamedTensor { name, shape, format, bytes } = tensor;
    let row = shape.last().and_then(|&cols| format.bytes(cols));
    let rows = shape.iter().rev().skip(1).try_fold(1_usize, |product, &dim| product.checked_mul(dim));
    if row.zip(rows).and_then(|(row, rows)| row.checked_mul(rows)) != Some(bytes.len()) || bytes.is_empty() {
        return Err(format!("tensor `{name}`: {} bytes are not {shape:?} of {format}", bytes.len()));
    }
    out.extend(text_bytes(name));
    out.extend((shape.len() as u32).to_le_bytes());
    shape.iter().rev().for_each(|&dim| out.extend((dim as u64).to_le_bytes()));
    out.extend(number(*format).to_le_bytes());
    out.extend(offset.to_le_bytes());
    Ok(())
}

fn distinct<'a>(names: impl Iterator<Item = &'a str>) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    let mut names = names;
    match names.find(|name| !seen.insert(*name)) {
        Some(name) => Err(format!("`{name}` is there twice")),
        None => Ok(()),
    }
}

/// Zeros up to the next multiple of the alignment after `size` bytes.
fn pad(out: &mut (impl Write + ?Sized), size: usize) -> io::Result<()> {
    let zeros = [0; ALIGNMENT as usize];
    let missing = (size as u64).next_multiple_of(ALIGNMENT) - size as u64;
    out.write_all(&zeros[..missing as usize])
}
