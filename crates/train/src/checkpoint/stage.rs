//! Files that take their places together, once all of them are written.

use super::CARD_FILE;
use crate::{Result, files};
use offshoot_methods::formats::CONFIG_FILE;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// A model's own configuration.
pub(crate) const MODEL_CONFIG: &str = "config.json";
/// Without these nothing reads a folder: they go first and come last, in this order.
const KEYS: [&str; 3] = [MODEL_CONFIG, CONFIG_FILE, CARD_FILE];

/// A hidden folder inside the one that is written, so that its files can be renamed into it. It is removed
/// when dropped, with what was not moved.
pub(crate) struct Stage {
    folder: PathBuf,
    hidden: PathBuf,
    names: Vec<String>,
}

impl Stage {
    /// Makes `folder` and the hidden one in it.
    pub(crate) fn new(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
        let hidden = (0_u32..).map(|n| folder.join(format!(".saving.{}.{n}.tmp", std::process::id())));
        for hidden in hidden {
            match fs::create_dir(&hidden) {
                // Left by a run that was killed, or another's that is writing now.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(failed(folder, error)),
                Ok(()) => return Ok(Self { folder: folder.to_path_buf(), hidden, names: Vec::new() }),
            }
        }
        Err(failed(folder, io::ErrorKind::AlreadyExists.into()))
    }

    /// Where to write the file that is to have this name, relative to the folder.
    pub(crate) fn file(&mut self, name: &str) -> Result<PathBuf> {
        let path = self.hidden.join(name);
        make_parent(&path)?;
        self.names.push(name.to_owned());
        Ok(path)
    }

    /// Moves the files to their names, removes the `stale` names that are not among them, and returns the
    /// bytes of the files. What can be seen to stand in the way is found before anything is touched.
    pub(crate) fn publish(mut self, stale: &[&str]) -> Result<u64> {
        let stale: Vec<&str> = stale.iter().copied().filter(|old| !self.has(old)).collect();
        for name in self.names.iter().map(String::as_str).chain(stale.iter().copied()) {
            free(&self.folder.join(name))?;
        }
        self.names.sort_by_key(|name| KEYS.iter().position(|key| key == name));
        let bytes = self.names.iter().map(|name| size(&self.hidden.join(name))).sum::<Result<u64>>()?;
        for name in &self.names {
            make_parent(&self.folder.join(name))?;
        }
        self.replace(&stale)?;
        Ok(bytes)
    }

    fn has(&self, name: &str) -> bool {
        self.names.iter().any(|new| new == name)
    }

    /// The order is the point: see the parent module.
    fn replace(&self, stale: &[&str]) -> Result<()> {
        let (keys, others): (Vec<&String>, Vec<_>) =
            self.names.iter().partition(|name| KEYS.contains(&name.as_str()));
        let old_keys = KEYS.iter().rev().filter(|key| self.has(key) || stale.contains(key));
        old_keys.chain(stale).try_for_each(|name| remove(&self.folder.join(name)))?;
        self.sync();
        others.into_iter().try_for_each(|name| self.take(name))?;
        self.sync();
        keys.into_iter().try_for_each(|name| self.take(name))?;
        self.sync();
        Ok(())
    }

    fn take(&self, name: &str) -> Result<()> {
        let path = self.folder.join(name);
        fs::rename(self.hidden.join(name), &path).map_err(|error| failed(&path, error))
    }

    /// Makes the steps so far last through a power cut, where the file system can.
    fn sync(&self) {
        let _ = File::open(&self.folder).and_then(|folder| folder.sync_all());
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.hidden);
    }
}

/// Refuses what is not a file where one is to go.
fn free(path: &Path) -> Result<()> {
    match fs::metadata(path) {
        Ok(found) if !found.is_file() => {
            let reason = "it is not an ordinary file; move it away or choose another folder".to_owned();
            Err(files::Error { path: path.to_path_buf(), reason }.into())
        }
        _ => Ok(()),
    }
}

fn make_parent(path: &Path) -> Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all).map_err(|error| failed(path, error))
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(path, error)),
        _ => Ok(()),
    }
}

fn size(path: &Path) -> Result<u64> {
    Ok(fs::metadata(path).map_err(|error| failed(path, error))?.len())
}

fn failed(path: &Path, error: io::Error) -> crate::Error {
    files::Error { path: path.to_path_buf(), reason: error.to_string() }.into()
}
