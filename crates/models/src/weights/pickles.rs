//! Permission to read torch's own files.

use std::path::Path;

use crate::error::{Error, Result};

/// Whether files in torch's own format (`.bin`, `.pth`, `.pt`) are read.
///
/// They hold a program for Python's pickle machine. The reader here runs none of it, so allowing them is much
/// less than what it is in Python; they are refused by default all the same, because a file in a format
/// without programs is the better one to have, and almost every model has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pickles {
    /// Refused, with a message that says how to allow or convert them.
    #[default]
    Refuse,
    /// Read where there is nothing better.
    Allow,
}

impl Pickles {
    /// Whether a file in torch's own format may be read.
    ///
    /// # Errors
    /// Where it is refused: the message names the file and says how to allow or convert it.
    pub fn check(self, file: &Path) -> Result<()> {
        match self {
            Self::Allow => Ok(()),
            Self::Refuse => Err(Error::checkpoint(
                file,
                format!("a Python pickle, which is not read unless {HINT}; or save it as safetensors"),
            )),
        }
    }
}

/// How a person allows them, for messages.
pub(crate) const HINT: &str = "--allow-pickle is given (nothing in it is run then)";
