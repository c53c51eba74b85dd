//! The hub's cache on disk: `models--org--name/{refs,snapshots,blobs,.no_exist}`.

use std::fs;
use std::path::{Path, PathBuf};

use super::id::ModelId;
use super::{CONFIG, OPTIONAL, forms};
use crate::files;
use crate::weights::{Pickles, weight_map};

/// One model's part of the cache.
pub(crate) struct Repo {
    pub(crate) id: ModelId,
    pub(crate) root: PathBuf,
}

/// The files of one commit.
pub(crate) struct Snapshot {
    pub(crate) commit: String,
    pub(crate) folder: PathBuf,
    /// An empty file in here says that the hub has no such file at this commit.
    absent: PathBuf,
}

impl Repo {
    pub(crate) fn new(cache: &Path, id: &ModelId) -> Self {
        Self { id: id.clone(), root: cache.join(format!("models--{}", id.repo.replace('/', "--"))) }
    }

    /// The snapshot that the revision meant when it was last asked for, if it is here.
    pub(crate) fn snapshot(&self) -> Option<Snapshot> {
        let revision = &self.id.revision;
        let named = files::read_text(&self.root.join("refs").join(revision)).ok();
        let commit = named.map_or_else(|| revision.clone(), |text| text.trim().to_owned());
        Some(self.at(&commit)).filter(|snapshot| is_plain(&commit) && snapshot.folder.is_dir())
    }

    /// The snapshot of a commit, here or not.
    pub(crate) fn at(&self, commit: &str) -> Snapshot {
        Snapshot {
            commit: commit.to_owned(),
            folder: self.root.join("snapshots").join(commit),
            absent: self.root.join(".no_exist").join(commit),
        }
    }
}

impl Snapshot {
    /// Whether the file is here (and not a link to a blob that is gone).
    pub(crate) fn has(&self, file: &str) -> bool {
        self.folder.join(file).is_file()
    }

    /// Whether the file is here, or known not to exist.
    pub(crate) fn knows(&self, file: &str) -> bool {
        self.has(file) || self.absent.join(file).exists()
    }

    /// Remembers that the hub has no such file; where that cannot be written it is asked for again next
    /// time.
    pub(crate) fn note_absent(&self, file: &str) {
        let path = self.absent.join(file);
        let noted = fs::create_dir_all(path.parent().unwrap_or(&path)).and_then(|()| fs::write(&path, ""));
        if let Err(cause) = noted {
            tracing::debug!("cannot note the absence of {}: {cause}", path.display());
        }
    }

    /// Whether a model can be made of it.
    pub(crate) fn is_usable(&self, pickles: Pickles) -> bool {
        let sharded = |index: &str| {
            let places = weight_map(&self.folder.join(index));
            places.is_ok_and(|places| places.values().all(|shard| self.has(shard)))
        };
        self.has(CONFIG) && forms(pickles).iter().any(|(single, index)| self.has(single) || sharded(index))
    }

    /// Whether there is nothing left to ask the hub.
    pub(crate) fn is_complete(&self, pickles: Pickles) -> bool {
        self.is_usable(pickles) && OPTIONAL.iter().all(|file| self.knows(file))
    }
}

/// Whether a text from a file or the network is safe as one part of a path: a commit or the name of a blob.
pub(crate) fn is_plain(text: &str) -> bool {
    (1..=128).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
}
