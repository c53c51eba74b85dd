//! From a model's name to a folder: a local folder, the hub's cache on this machine, or a download into that
//! cache.
//!
//! The cache has the layout of Hugging Face's own tools, so what they have downloaded is found here and the
//! other way round. Once a model is complete in the cache, nothing is asked of the network.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::source::is_gguf;
use crate::weights::{HINT, INDEX, Pickles, SINGLE, TORCH_INDEX, TORCH_SINGLE, weight_map};

mod cache;
mod download;
mod id;
mod options;
#[cfg(test)]
mod pickle_tests;
#[cfg(test)]
mod tests;

use cache::{Repo, Snapshot};
use download::Remote;
pub use download::sha256;
pub use id::ModelId;
pub use options::HubOptions;

/// What a model must have.
const CONFIG: &str = "config.json";

/// What a model may have; taken if it is there.
const OPTIONAL: [&str; 11] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "added_tokens.json",
    "chat_template.jinja",
    "generation_config.json",
    "modules.json",
    "1_Pooling/config.json",
];

/// The forms that weights may have, the better ones first: one file, or an index of several.
fn forms(pickles: Pickles) -> &'static [(&'static str, &'static str)] {
    const FORMS: [(&str, &str); 2] = [(SINGLE, INDEX), (TORCH_SINGLE, TORCH_INDEX)];
    match pickles {
        Pickles::Refuse => &FORMS[..1],
        Pickles::Allow => &FORMS,
    }
}

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
    let pickles = options.pickles;
    match repo.snapshot() {
        Some(snapshot) if snapshot.is_complete(pickles) => Ok(snapshot.folder),
        Some(snapshot) if options.offline && snapshot.is_usable(pickles) => Ok(snapshot.folder),
        _ if options.offline => Err(Error::hub(name, offline(name, &repo))),
        Some(snapshot) if snapshot.is_usable(pickles) => Ok(filled_up(snapshot, &id, options, progress)),
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
    for form in forms(options.pickles) {
        if fetch_weights(snapshot, &remote, form, progress)? {
            return Ok(());
        }
    }
    Err(remote.error(&no_weights(&remote, options.pickles)))
}

/// Why a model cannot be downloaded; where that helps, that pickles could be.
fn no_weights(remote: &Remote<'_>, pickles: Pickles) -> String {
    let pickled = [TORCH_SINGLE, TORCH_INDEX].into_iter().find(|file| remote.has(file));
    match (pickles, pickled) {
        (Pickles::Refuse, Some(file)) => {
            format!(
                "its weights are there as {file} alone, and pickled weights are not downloaded unless {HINT}"
            )
        }
        (Pickles::Refuse, None) => {
            format!("it has neither {SINGLE} nor {INDEX}; other formats are not downloaded")
        }
        (Pickles::Allow, _) => format!(
            "it has neither {SINGLE} nor {INDEX}, and neither {TORCH_SINGLE} nor {TORCH_INDEX}; other formats are \
             not downloaded"
        ),
    }
}

/// Downloads weights in one of the forms; whether the hub has them so.
fn fetch_weights(
    snapshot: &Snapshot,
    remote: &Remote<'_>,
    &(single, index): &(&str, &str),
    progress: &mut dyn Progress,
) -> Result<bool> {
    if snapshot.has(single) || (!snapshot.has(index) && remote.get(single, progress)?.is_some()) {
        return Ok(true);
    }
    if !snapshot.has(index) && remote.get(index, progress)?.is_none() {
        return Ok(false);
    }
    let mut shards: Vec<String> = weight_map(&snapshot.folder.join(index))?.into_values().collect();
    shards.sort();
    shards.dedup();
    for shard in shards.iter().filter(|shard| !snapshot.has(shard)) {
        remote.require(shard, progress)?;
    }
    Ok(true)
}

fn offline(name: &str, repo: &Repo) -> String {
    let state = match repo.snapshot() {
        Some(snapshot) if snapshot.is_usable(Pickles::Allow) => {
            return format!(
                "its weights are in the hub cache ({}) as Python pickles alone, which are not read unless {HINT}, \
                 and the hub is switched off (HF_HUB_OFFLINE)",
                repo.root.display()
            );
        }
        Some(_) => "only a part of it is",
        None => "it is not",
    };
    format!(
        "no folder of that name, {state} in the hub cache ({}), and the hub is switched off \
         (HF_HUB_OFFLINE). Go online once, copy the model's files into a folder and name that, or set \
         HF_HUB_CACHE to the cache that holds {name}",
        repo.root.display()
    )
}
