//! Writing safetensors, and writing any file so that it is there whole or not at all.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Map, Value, json};

use super::checkpoint::Checkpoint;
use super::computed::Precision;
use super::pickles::Pickles;
use crate::error::{Error, Result};

/// What [`read_tensors`] gives: name to shape and values, row-major.
pub type Tensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

/// A tensor to write: name, shape and its values, row-major.
pub type Named<'a> = (String, Vec<usize>, &'a [f32]);

/// Writes tensors as F32, sorted by name, with the metadata `{"format": "pt"}`, through [`write_file`].
///
/// # Errors
/// If a name is there twice, a shape does not fit its values, or the file cannot be written.
pub fn write_safetensors(path: &Path, tensors: &[Named<'_>]) -> Result<()> {
    let mut sorted: Vec<&Named<'_>> = tensors.iter().collect();
    sorted.sort_by(|a, b| a.0.cmp(&b.0));
    let listed = sorted.iter().map(|(name, shape, values)| (name, shape, Some(values.len())));
    let header = header(listed, Precision::F32).map_err(|reason| Error::checkpoint(path, reason))?;
    write_file(path, |out| {
        out.write_all(&(header.len() as u64).to_le_bytes())?;
        out.write_all(header.as_bytes())?;
        sorted.iter().try_for_each(|(_, _, values)| write_values(out, Precision::F32, values))
    })
}

/// The header's JSON, padded with spaces so that the data starts at a multiple of 8. Each tensor's values, where
/// there are some already, must fill its shape.
pub(super) fn header<'a>(
    tensors: impl Iterator<Item = (&'a String, &'a Vec<usize>, Option<usize>)>,
    precision: Precision,
) -> Result<String, String> {
    let mut map = Map::new();
    map.insert("__metadata__".into(), json!({"format": "pt"}));
    let mut at = 0;
    for (name, shape, values) in tensors {
        let count = shape.iter().try_fold(1_usize, |product, &dim| product.checked_mul(dim));
        let Some(count) = count.filter(|&count| values.is_none_or(|values| values == count)) else {
            let values = values.unwrap_or(0);
            return Err(format!("tensor `{name}`: {values} values do not fill the shape {shape:?}"));
        };
        let end = at + count * precision.bytes();
        let entry = json!({"dtype": precision.tag(), "shape": shape, "data_offsets": [at, end]});
        if map.insert(name.clone(), entry).is_some() {
            return Err(format!("two tensors are named `{name}`"));
        }
        at = end;
    }
    let mut json = Value::Object(map).to_string();
    // Not by a format's width, which has sixteen bits: many tensors make a longer header.
    json.extend(std::iter::repeat_n(' ', json.len().next_multiple_of(8) - json.len()));
    Ok(json)
}

/// Little-endian, a page at a time.
pub(super) fn write_values(out: &mut dyn Write, precision: Precision, values: &[f32]) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(4096);
    for chunk in values.chunks(1024) {
        bytes.clear();
        precision.encode(chunk, &mut bytes);
        out.write_all(&bytes)?;
    }
    Ok(())
}

/// Writes a file under a temporary name beside it, syncs it and renames it: nobody ever sees half of it, and
/// a failure leaves what was there before.
///
/// # Errors
/// If the folder cannot be written to or the disk is full; nothing is left behind.
pub fn write_file(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
    let temporary = beside(path);
    let written = fill(&temporary, write).and_then(|()| fs::rename(&temporary, path));
    written.and_then(|()| sync_folder(path)).map_err(|source| {
        let _ = fs::remove_file(&temporary);
        Error::Io { what: "write", path: path.to_path_buf(), source }
    })
}

fn fill(temporary: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let file = OpenOptions::new().write(true).create_new(true).open(temporary)?;
    let mut out = BufWriter::with_capacity(1 << 18, file);
    write(&mut out)?;
    out.into_inner()?.sync_all()
}

/// A name of its own for every call, so that two writers of one path do not meet.
fn beside(path: &Path) -> PathBuf {
    static CALLS: AtomicU64 = AtomicU64::new(0);
    let call = CALLS.fetch_add(1, Ordering::Relaxed);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}-{call}.tmp", std::process::id()))
}

/// Makes the rename itself last through a power cut.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

/// Reads every tensor of a small file (an adapter, a head).
///
/// # Errors
/// If the file cannot be read or is damaged, or if a tensor is not F32, F16, BF16 or F64, or has no elements.
pub fn read_tensors(path: &Path) -> Result<Tensors> {
    every_tensor(&Checkpoint::open_file(path)?)
}

/// The same of a small file in torch's own format.
///
/// # Errors
/// As [`read_tensors`]; also if `pickles` does not allow it, or if it asks for anything else than tensors.
pub fn read_torch(path: &Path, pickles: Pickles) -> Result<Tensors> {
    every_tensor(&Checkpoint::open_torch(path, pickles)?)
}

fn every_tensor(checkpoint: &Checkpoint) -> Result<Tensors> {
    let path = checkpoint.path();
    let mut tensors = BTreeMap::new();
    for name in checkpoint.names() {
        let shape = checkpoint.info(name).map(|info| info.shape.clone()).unwrap_or_default();
        // Nothing in the file backs the other axes of such a shape, and readers size what they make by them.
        if shape.contains(&0) {
            let reason = format!("tensor `{name}` of shape {shape:?} has no elements; save the file again");
            return Err(Error::checkpoint(path, reason));
        }
        tensors.insert(name.to_owned(), (shape, checkpoint.read_f32(name)?));
    }
    Ok(tensors)
}
