//! What can go wrong between a model's name and its weights in memory.

use std::io;
use std::path::{Path, PathBuf};

/// The result of a call into this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of this crate. Every message says what, where, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused a file.
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        /// The verb: "read", "write", ...
        what: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A JSON file that does not say what it should.
    #[error("{}: {reason}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        reason: String,
    },
    /// Weights that are damaged, absent, or of another model.
    #[error("{}: {reason}", path.display())]
    Checkpoint {
        /// The file, or the folder that should hold one.
        path: PathBuf,
        /// What is wrong and what to do.
        reason: String,
    },
    /// Everything in a config.json that this crate cannot honour.
    #[error("config.json of this {family} model:{}", list(problems))]
    Config {
        /// The model family, as `model_type` names it.
        family: String,
        /// One sentence for each field.
        problems: Vec<String>,
    },
    /// A model that cannot be found or downloaded.
    #[error("model `{name}`: {reason}")]
    Hub {
        /// As the user named it.
        name: String,
        /// What was tried and what to do.
        reason: String,
    },
    /// A tokenizer that cannot be read, or a text that it cannot encode.
    #[error("{}: {reason}", path.display())]
    Tokenizer {
        /// The file, or the folder that should hold one.
        path: PathBuf,
        /// What is wrong and what to do.
        reason: String,
    },
    /// A setting that does not fit; the text says which and what would fit.
    #[error("{0}")]
    Invalid(String),
    /// An error of the engine.
    #[error(transparent)]
    Core(#[from] offshoot_core::Error),
}

impl Error {
    /// For `map_err`: an [`Error::Io`] about `path`; `what` is a verb.
    pub fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { what, path, source }
    }

    /// An [`Error::Json`].
    pub fn json(path: &Path, reason: impl Into<String>) -> Self {
        Self::Json { path: path.to_path_buf(), reason: reason.into() }
    }

    /// An [`Error::Checkpoint`].
    pub fn checkpoint(path: &Path, reason: impl Into<String>) -> Self {
        Self::Checkpoint { path: path.to_path_buf(), reason: reason.into() }
    }

    /// An [`Error::Tokenizer`].
    pub fn tokenizer(path: &Path, reason: impl Into<String>) -> Self {
        Self::Tokenizer { path: path.to_path_buf(), reason: reason.into() }
    }

    /// An [`Error::Hub`].
    pub fn hub(name: &str, reason: impl Into<String>) -> Self {
        Self::Hub { name: name.to_owned(), reason: reason.into() }
    }
}

/// The problems, one a line.
fn list(problems: &[String]) -> String {
    problems.iter().map(|problem| format!("\n  - {problem}")).collect()
}
