//! Which columns a row for a language model has.

use super::super::error::{Error, Result};
use super::super::table::Table;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// How rows for a language model are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// Columns `instruction`, `input` (may be absent) and `output`.
    Alpaca,
    /// Columns `prompt` and `completion`.
    Completion,
    /// A column `messages` with a list of `{"role", "content"}`, or `conversations` with one of
    /// `{"from", "value"}`.
    Messages,
    /// A column `text`.
    Text,
}

impl Layout {
    /// Every layout. A file that could be several is the first of them.
    pub const ALL: [Self; 4] = [Self::Messages, Self::Alpaca, Self::Completion, Self::Text];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Alpaca => "alpaca",
            Self::Completion => "completion",
            Self::Messages => "messages",
            Self::Text => "text",
        }
    }

    /// What such a row has.
    pub fn about(self) -> &'static str {
        match self {
            Self::Alpaca => "columns instruction, input, output",
            Self::Completion => "columns prompt, completion",
            Self::Messages => "a column messages (or conversations)",
            Self::Text => "a column text",
        }
    }

    /// The columns that are read.
    pub(super) fn columns(self) -> &'static [&'static str] {
        match self {
            Self::Alpaca => &["instruction", "input", "output"],
            Self::Completion => &["prompt", "completion"],
            Self::Messages => &["messages", "conversations"],
            Self::Text => &["text"],
        }
    }

    /// Whether a table has the columns; a completion is not needed to generate one.
    pub(super) fn fits(self, table: &Table, prompts: bool) -> bool {
        let has = |name: &str| table.columns.iter().any(|column| column == name);
        match self {
            Self::Alpaca => has("instruction") && (prompts || has("output")),
            Self::Completion => has("prompt") && (prompts || has("completion")),
            Self::Messages => has("messages") || has("conversations"),
            Self::Text => has("text"),
        }
    }

    /// The layout of a table: the one asked for, or the first that fits.
    pub(super) fn of(table: &Table, asked: Option<Self>, prompts: bool) -> Result<Self> {
        let fits = |layout: &Self| layout.fits(table, prompts);
        let found = match asked {
            Some(layout) => Some(layout).filter(fits),
            None => Self::ALL.into_iter().find(fits),
        };
        found.ok_or_else(|| {
            let about = |layout: &Self| format!("{} ({})", layout.name(), layout.about());
            let wanted: Vec<String> =
                asked.map_or_else(|| Self::ALL.iter().map(about).collect(), |one| vec![about(&one)]);
            let (file, columns) = (&table.file, table.listed_columns());
            Error::Setting(format!(
                "{file}: its columns are {columns}; rows must be {}",
                wanted.join(", or ")
            ))
        })
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Layout {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|layout| layout.name() == name).ok_or_else(|| {
            let known = Self::ALL.map(Self::name).join(", ");
            Error::Setting(format!("there is no layout `{}`; choose one of {known}", name.escape_debug()))
        })
    }
}
