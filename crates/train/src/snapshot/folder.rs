//! One state's folder: written whole or not at all, read only if nothing in it has changed.

use crate::{Error, Result, files};
use offshoot_models::hub::sha256;
use offshoot_models::weights::{Named, Tensors, read_tensors, write_safetensors};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

const STATE: &str = "state.toml";
const TENSORS: &str = "tensors.safetensors";
const SUMS: &str = "sha256";
const PREFIX: &str = "step-";
/// Texts of states have a loss a step; this is far above any.
const LARGEST_TEXT: u64 = 1 << 28;

/// The step that a folder's name stands for.
pub(super) fn step(name: &str) -> Option<u64> {
    name.strip_prefix(PREFIX)?.parse().ok()
}

/// The name of a step's folder.
pub(super) fn name(step: u64) -> String {
    format!("{PREFIX}{step}")
}

/// The names in a folder; none if it is not there.
pub(super) fn names(folder: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(|error| failed(folder, &error))?,
    };
    let name = |entry: io::Result<fs::DirEntry>| Ok(entry?.file_name().to_string_lossy().into_owned());
    entries.map(name).collect::<io::Result<_>>().map_err(|error| failed(folder, &error))
}

/// Writes a step's state into `folder`. When this returns it is there, and stays through a power cut.
pub(super) fn write(folder: &Path, step: u64, state: &str, tensors: &[Named<'_>]) -> Result<()> {
    let (hidden, place) = (folder.join(format!(".{}.tmp", name(step))), folder.join(name(step)));
    remove(&hidden)?;
    make(&hidden)?;
    let written = fill(&hidden, state, tensors).and_then(|()| take(&hidden, &place));
    if written.is_err() {
        // Room for the message and for whatever else the disk is needed for.
        drop(fs::remove_dir_all(&hidden));
    }
    written
}

fn fill(hidden: &Path, state: &str, tensors: &[Named<'_>]) -> Result<()> {
    write_safetensors(&hidden.join(TENSORS), tensors)?;
    files::atomic_write(&hidden.join(STATE), |file| file.write_all(state.as_bytes()))?;
    let sums = sums(hidden)?;
    Ok(files::atomic_write(&hidden.join(SUMS), |file| file.write_all(sums.as_bytes()))?)
}

/// Gives a whole folder its name.
fn take(hidden: &Path, place: &Path) -> Result<()> {
    sync(hidden)?;
    // One that is there already was damaged: it would have been gone on from.
    remove(place)?;
    fs::rename(hidden, place).map_err(|error| failed(place, &error))?;
    place.parent().map_or(Ok(()), sync)
}

fn sync(folder: &Path) -> Result<()> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| failed(folder, &error))
}

/// The lines of `sha256sum`.
fn sums(folder: &Path) -> Result<String> {
    let line = |name: &&str| {
        let path = folder.join(name);
        Ok(format!("{}  {name}\n", sha256(&path).map_err(|error| failed(&path, &error))?))
    };
    [STATE, TENSORS].iter().map(line).collect()
}

/// Reads a state: its text and its tensors.
///
/// # Errors
/// If anything in it is not as it was written: the message says what.
pub(super) fn read(place: &Path) -> Result<(String, Tensors)> {
    if text(&place.join(SUMS))? != sums(place)? {
        return Err(Error::invalid(format!(
            "{}: its files are not those that were written",
            place.display()
        )));
    }
    Ok((text(&place.join(STATE))?, read_tensors(&place.join(TENSORS))?))
}

fn text(path: &Path) -> Result<String> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(LARGEST_TEXT).read_to_string(&mut text));
    read.map_err(|error| failed(path, &error))?;
    Ok(text)
}

/// Makes a folder and those above it.
pub(super) fn make(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).map_err(|error| failed(folder, &error))
}

/// Removes a folder with all that is in it, if it is there. It loses its name first: whoever is killed here leaves
/// no folder that looks like a state and is half of one.
pub(super) fn remove(folder: &Path) -> Result<()> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let hidden = folder.with_file_name(format!(".{name}.gone.tmp"));
    let gone = |path: &Path| unless_missing(fs::remove_dir_all(path));
    gone(&hidden)
        .and_then(|()| unless_missing(fs::rename(folder, &hidden)))
        .and_then(|()| gone(&hidden))
        .map_err(|error| failed(folder, &error))
}

fn unless_missing(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

fn failed(path: &Path, error: &io::Error) -> Error {
    Error::invalid(format!("{}: {error}", path.display()))
}
