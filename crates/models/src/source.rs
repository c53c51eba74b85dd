//! Where a model's config, weights and tokenizer come from: a folder in the Hugging Face layout, or a GGUF
//! file. Whatever is done with them afterwards is the same.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::files::read_json;
use crate::gguf::{self, Gguf, GgufModel};
use crate::weights::{Checkpoint, Pickles};
use crate::{Error, Pooling, Result, Tokenizer, sentence_pooling};

/// What a folder in the Hugging Face layout has.
const CONFIG: &str = "config.json";

/// Where a model came from.
#[derive(Debug)]
pub enum Source {
    /// A folder in the Hugging Face layout.
    Folder(PathBuf),
    /// A GGUF file, which holds everything.
    Gguf(Gguf),
}

impl Source {
    /// The folder or the file.
    pub fn path(&self) -> &Path {
        match self {
            Self::Folder(folder) => folder,
            Self::Gguf(file) => file.path(),
        }
    }

    /// The file, if it is one.
    pub fn gguf(&self) -> Option<&Gguf> {
        match self {
            Self::Folder(_) => None,
            Self::Gguf(file) => Some(file),
        }
    }

    /// Opens the tokenizer: a folder's ([`Tokenizer::open`]), or the one in the file ([`Gguf::tokenizer`]).
    ///
    /// # Errors
    /// If there is none, or if it is damaged.
    pub fn tokenizer(&self) -> Result<Tokenizer> {
        match self {
            Self::Folder(folder) => Tokenizer::open(folder),
            Self::Gguf(file) => file.tokenizer(),
        }
    }

    /// For messages about the config: where it stands.
    pub(crate) fn config_path(&self) -> PathBuf {
        match self {
            Self::Folder(folder) => folder.join(CONFIG),
            Self::Gguf(file) => file.path().to_path_buf(),
        }
    }

    /// How the checkpoint says that it is pooled.
    pub(crate) fn pooling(&self) -> Result<Option<Pooling>> {
        match self {
            Self::Folder(folder) => sentence_pooling(folder),
            Self::Gguf(_) => Ok(None),
        }
    }
}

/// A source that is open: its config is read, its weights are not.
#[derive(Debug)]
pub struct Opened {
    /// Where it is.
    pub source: Source,
    /// config.json; for a GGUF file what it would be.
    pub config: Map<String, Value>,
    checkpoint: Option<Checkpoint>,
}

impl Opened {
    /// Opens a folder with a config.json, a `.gguf` file, or a folder that holds one such file and no
    /// config.json.
    ///
    /// # Errors
    /// If it is none of these, or if what is read of it is damaged or not supported.
    pub fn open(path: &Path) -> Result<Self> {
        if let Some(file) = gguf_file(path)? {
            let GgufModel { config, checkpoint, file, .. } = gguf::open(&file)?;
            return Ok(Self { source: Source::Gguf(file), config, checkpoint: Some(checkpoint) });
        }
        let config = read_json(&path.join(CONFIG))?;
        Ok(Self { source: Source::Folder(path.to_path_buf()), config, checkpoint: None })
    }

    /// Opens the weights; torch's own files only where `pickles` allows that.
    ///
    /// # Errors
    /// If there are none, or if they are damaged.
    pub fn checkpoint(&mut self, pickles: Pickles) -> Result<Checkpoint> {
        match self.checkpoint.take() {
            Some(checkpoint) => Ok(checkpoint),
            None => Checkpoint::open_with(self.source.path(), pickles),
        }
    }
}

/// Whether a path names a GGUF file; its content is another matter.
pub(crate) fn is_gguf(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("gguf")) && path.is_file()
}

/// The GGUF file that a path stands for, if it is not a folder in the Hugging Face layout.
fn gguf_file(path: &Path) -> Result<Option<PathBuf>> {
    if is_gguf(path) {
        return Ok(Some(path.to_path_buf()));
    }
    if path.is_file() {
        let reason = "is neither a folder nor a .gguf file; name the folder that holds config.json";
        return Err(Error::checkpoint(path, reason));
    }
    if !path.is_dir() || path.join(CONFIG).exists() {
        return Ok(None);
    }
    let entries = fs::read_dir(path).map_err(Error::io("read", path))?;
    let mut files: Vec<PathBuf> =
        entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|file| is_gguf(file)).collect();
    if files.len() > 1 {
        let reason = format!("has no {CONFIG} and {} GGUF files; name one of them", files.len());
        return Err(Error::checkpoint(path, reason));
    }
    Ok(files.pop())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        files.iter().for_each(|file| fs::write(folder.path().join(file), "{}").unwrap());
        folder
    }

    fn found(files: &[&str]) -> Option<String> {
        let file = gguf_file(folder(files).path()).unwrap()?;
        Some(file.file_name()?.to_str()?.to_owned())
    }

    #[test]
    fn a_folder_with_one_gguf_file_and_no_config_stands_for_the_file() {
        assert_eq!(found(&["a.GGUF", "b.txt"]), Some("a.GGUF".into()));
        assert_eq!(found(&["a.gguf", "config.json"]), None);
        assert_eq!(found(&["b.txt"]), None);
        let two = folder(&["a.gguf", "b.gguf"]);
        let message = gguf_file(two.path()).unwrap_err().to_string();
        assert!(message.contains("2 GGUF files; name one"), "{message}");
        let message = Opened::open(&two.path().join("a.gguf")).unwrap_err().to_string();
        assert!(message.contains("a.gguf") && message.contains("byte 0 needs 4 bytes"), "{message}");
    }

    #[test]
    fn other_files_are_refused() {
        let folder = folder(&["model.safetensors"]);
        let message = Opened::open(&folder.path().join("model.safetensors")).unwrap_err().to_string();
        assert!(message.contains("neither a folder nor a .gguf file"), "{message}");
    }
}
