//! From a model's name to a folder: a local folder, the hub's cache on this machine, or a download into that
//! cache.
//!
//! The cache has the layout of Hugging Face's own tools, so what they have downloaded is found here and the
//! other way round. Once a model is complete in the cache, nothing is asked of the network.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::source::is_gguf;
use crate::weights::{INDEX, SINGLE, weight_map};

mod cache;
mod download;
mod id;
mod options;
#[cfg(test)]
mod tests;

use cache::{Repo, Snapshot};
use download::Remote;
pub use id::ModelId;
pub use options::HubOptions;

/// What a model must have.
const CONFIG: &str = "config.json";

/// What a model may have; taken if it is there.
const OPTIONAL: [&str; 8] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "modules.json",
    "1_Pooling/config.json",
];

/// Told how a download goes; every method does nothing by default.
pub trait Progress {
    /// A file of `bytes` starts, or starts again after a broken connection.
    fn start(&mut self, file: &str, bytes: u64) {
        let _ = (file, bytes);
    }

    /// `bytes` more of it are here (found from an earlier attempt, or downloaded).
    fn advance(&mut self, bytes: u64) {
        let _ = bytes;
    }

    /// The file is complete.
    fn finish(&mut self) {}
}

impl Progress for () {}

/// The folder of a model: `name` is a folder, a GGUF file (which stays one), or a hub id such as `org/name` or `org/name@revision`.
///
/// # Errors
/// If it is neither, if it is not in the cache while offline, or if the hub does not give it; the message
/// says where it looked and what to do.
pub fn resolve(name: &str, options: &HubOptions, progress: &mut dyn Progress) -> Result<PathBuf> {
    let path = Path::new(name);
    if path.is_dir() || is_gguf(path) {
        return Ok(path.to_path_buf());
    }
    if path.is_file() && path.extension().is_some_and(|end| end.eq_ignore_ascii_case("gguf")) {
        return Ok(path.to_path_buf());
    }
    if path.is_file() {
        let reason =
            "is a file, and none that ends in .gguf; name the folder that holds config.json and the weights";
        return Err(Error::hub(name, reason));
    }
    let id = ModelId::parse(name)
        .map_err(|why| Error::hub(name, format!("no such folder, and no hub id: {why}")))?;
    let repo = Repo::new(&options.cache, &id);
    match repo.snapshot() {
        Some(snapshot) if snapshot.is_complete() => Ok(snapshot.folder),
        Some(snapshot) if options.offline && snapshot.is_usable() => Ok(snapshot.folder),
        _ if options.offline => Err(Error::hub(name, offline(name, &repo))),
        Some(snapshot) if snapshot.is_usable() => Ok(filled_up(snapshot, &id, options, progress)),
        snapshot => fetch(snapshot, &repo, options, progress).map_err(|error| no_folder_either(name, error)),
    }
}

/// A misspelt folder looks like a hub id: the message says both.
fn no_folder_either(name: &str, error: Error) -> Error {
    match error {
        Error::Hub { reason, .. } => {
            Error::hub(name, format!("there is no such folder, and from the hub: {reason}"))
        }
        other => other,
    }
}

/// A model that will do as it is, with the files that another tool did not ask for, if the hub can be
/// reached.
fn filled_up(snapshot: Snapshot, id: &ModelId, options: &HubOptions, progress: &mut dyn Progress) -> PathBuf {
    if let Err(error) = fill(&snapshot, id, options, progress) {
        tracing::warn!("using the cached files of {id} alone: {error}");
    }
    snapshot.folder
}

fn fetch(
    known: Option<Snapshot>,
    repo: &Repo,
    options: &HubOptions,
    progress: &mut dyn Progress,
) -> Result<PathBuf> {
    let snapshot = match known {
        Some(snapshot) => snapshot,
        None => {
            let remote = Remote::new(options, &repo.id, &repo.id.revision)?;
            let commit = remote.require(CONFIG, progress)?;
            repo.at(&commit)
        }
    };
    fill(&snapshot, &repo.id, options, progress)?;
    Ok(snapshot.folder)
}

/// Downloads what is not known of a snapshot, at its commit, so that files of two revisions never mix.
fn fill(snapshot: &Snapshot, id: &ModelId, options: &HubOptions, progress: &mut dyn Progress) -> Result<()> {
    let remote = Remote::new(options, id, &snapshot.commit)?;
    if !snapshot.has(CONFIG) {
        remote.require(CONFIG, progress)?;
    }
    for file in OPTIONAL {
        if !snapshot.knows(file) && remote.get(file, progress)?.is_none() {
            snapshot.note_absent(file);
        }
    }
    fetch_weights(snapshot, &remote, progress)
}

fn fetch_weights(snapshot: &Snapshot, remote: &Remote<'_>, progress: &mut dyn Progress) -> Result<()> {
    if snapshot.has(SINGLE) || (!snapshot.has(INDEX) && remote.get(SINGLE, progress)?.is_some()) {
        return Ok(());
    }
    if !snapshot.has(INDEX) && remote.get(INDEX, progress)?.is_none() {
        return Err(
            remote.error(&format!("it has neither {SINGLE} nor {INDEX}; other formats are not downloaded"))
        );
    }
    let mut shards: Vec<String> = weight_map(&snapshot.folder.join(INDEX))?.into_values().collect();
    shards.sort();
    shards.dedup();
    for shard in shards.iter().filter(|shard| !snapshot.has(shard)) {
        remote.require(shard, progress)?;
    }
    Ok(())
}

fn offline(name: &str, repo: &Repo) -> String {
    let state = if repo.snapshot().is_some() { "only a part of it is" } else { "it is not" };
    format!(
        "no folder of that name, {state} in the hub cache ({}), and the hub is switched off \
         (HF_HUB_OFFLINE). Go online once, copy the model's files into a folder and name that, or set \
         HF_HUB_CACHE to the cache that holds {name}",
        repo.root.display()
    )
}
