//! The folder that a run writes to.

use anyhow::{Context, Result};
use offshoot::train::files::atomic_write;
use serde::Serialize;
use std::fs;
use std::path::{Path, PathBuf};

/// A folder that can be written to. It is gone again if it was made here and nothing came of the run.
pub(crate) struct OutputFolder {
    path: PathBuf,
    made: bool,
}

impl OutputFolder {
    /// Makes the folder and tries it, before any work is done for it.
    ///
    /// # Errors
    /// If it cannot be made or written to.
    pub(crate) fn ready(path: &Path) -> Result<Self> {
        let advice = || format!("cannot write to the folder {}; name another with --output", path.display());
        let made = !path.exists();
        fs::create_dir_all(path).with_context(advice)?;
        let folder = Self { path: path.to_owned(), made };
        let probe = path.join(".offshoot-probe");
        fs::write(&probe, "").and_then(|()| fs::remove_file(&probe)).with_context(advice)?;
        Ok(folder)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a text file.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(crate) fn write(&self, name: &str, text: &str) -> Result<()> {
        Ok(atomic_write(&self.path.join(name), |file| file.write_all(text.as_bytes()))?)
    }

    /// Writes a JSON file for people.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(crate) fn write_json(&self, name: &str, object: &impl Serialize) -> Result<()> {
        self.write(name, &format!("{}\n", serde_json::to_string_pretty(object)?))
    }
}

impl Drop for OutputFolder {
    fn drop(&mut self) {
        if self.made {
            // Refused where there is something in it, which is the point.
            drop(fs::remove_dir(&self.path));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unused_folder_goes_and_a_used_one_stays() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("a/b");
        drop(OutputFolder::ready(&path).unwrap());
        assert!(!path.exists());
        OutputFolder::ready(&path).unwrap().write("x", "y").unwrap();
        assert_eq!(fs::read_to_string(path.join("x")).unwrap(), "y");
        assert!(OutputFolder::ready(&path.join("x/below")).is_err());
    }
}
