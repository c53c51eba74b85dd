//! Where an adapter's tensors are: in safetensors, in torch's own format, or in a lone file of tensors.

use super::{CARD_FILE, Pickles};
use crate::{Error, Result};
use offshoot_methods::formats::{CONFIG_FILE, Tensors, torch_file};
use offshoot_models::weights::{read_tensors, read_torch};
use std::path::{Path, PathBuf};

/// How litgpt's files of adapters begin; behind it stands which adapter it is.
const LITGPT: &str = "lit_model.pth.";
/// The ending of the original LLaMA-Adapter's file.
const ORIGINAL: &str = ".pth";
/// Other endings of files of tensors, which are an adapter only where somebody names them.
const TENSORS: [&str; 3] = [".pt", ".bin", ".safetensors"];
/// A folder with this file is a model's, and so are files of tensors in it.
const MODEL_CONFIG: &str = "config.json";

/// Whether a path is an adapter, ours or another program's: a folder with one, or a lone file of tensors.
pub fn is_adapter(path: &Path) -> bool {
    let has = |name: &str| path.join(name).exists();
    match path.is_file() {
        true => is_lone(path, &[&[ORIGINAL], &TENSORS[..]].concat()),
        false => has(CARD_FILE) || has(CONFIG_FILE) || !lone_files(path).is_empty(),
    }
}

/// Whether a file's name is that of litgpt's adapters, or has one of these endings and it is not a model's.
fn is_lone(file: &Path, endings: &[&str]) -> bool {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let of_model = file.with_file_name(MODEL_CONFIG).exists();
    name.starts_with(LITGPT) || (!of_model && endings.iter().any(|end| name.ends_with(end)))
}

/// The file that is an adapter by itself: the path, or the only such file in a folder without a configuration.
///
/// # Errors
/// If there are several.
pub(super) fn lone_file(path: &Path) -> Result<Option<PathBuf>> {
    if path.is_file() {
        return Ok(Some(path.to_path_buf()));
    }
    if path.join(CONFIG_FILE).exists() {
        return Ok(None);
    }
    let mut files = lone_files(path);
    match files.len() {
        0 | 1 => Ok(files.pop()),
        count => Err(Error::invalid(format!(
            "{}: {count} files there could be the adapter, {} among them; name one of them instead of the folder",
            path.display(),
            files[0].display()
        ))),
    }
}

/// litgpt's files in a folder; if there are none, those that end like the original's.
fn lone_files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|file| file.is_file() && is_lone(file, &[ORIGINAL]));
    files.sort();
    let litgpt: Vec<_> = files.iter().filter(|file| is_lone(file, &[])).cloned().collect();
    if litgpt.is_empty() { files } else { litgpt }
}

/// The tensors of one of an adapter's files, or of its twin in torch's own format; none if neither is there.
pub(super) fn of_file(folder: &Path, name: &str, pickles: Pickles) -> Result<Option<Tensors>> {
    let there = |name: &str| Some(folder.join(name)).filter(|path| path.exists());
    if let Some(path) = there(name) {
        return Ok(Some(read_tensors(&path)?));
    }
    match torch_file(name).and_then(there) {
        Some(path) => Ok(Some(read_torch(&path, pickles)?)),
        None => Ok(None),
    }
}

/// The tensors of a file that is an adapter by itself.
pub(super) fn of_lone_file(file: &Path, pickles: Pickles) -> Result<Tensors> {
    match file.extension().is_some_and(|end| end == "safetensors") {
        true => Ok(read_tensors(file)?),
        false => Ok(read_torch(file, pickles)?),
    }
}
