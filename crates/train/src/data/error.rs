//! What can be wrong with a user's data. Every message says what, where, and the way out.

use super::problems::Problems;
use std::io;

/// The result of reading or splitting data.
pub type Result<T> = std::result::Result<T, Error>;

/// What is wrong with a user's data.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file that cannot be opened or read.
    #[error("cannot read {file}: {source}")]
    Read {
        /// The file.
        file: String,
        /// What the system says.
        source: io::Error,
    },
    /// A folder where files are meant.
    #[error("{0} is a folder; name a file, or several as in '{0}/*.csv'")]
    Folder(String),
    /// A pattern that is none, or that no file fits.
    #[error("{pattern}: {reason}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Files that are to be read as one and are not alike.
    #[error(
        "{file} has the columns {columns}, but {first} has {expected}; files that are read as one must have the \
             same columns"
    )]
    OtherColumns {
        /// The file that differs.
        file: String,
        /// Its columns.
        columns: String,
        /// The first file.
        first: String,
        /// The columns of the first file, sorted.
        expected: String,
    },
    /// A file that cannot be written.
    #[error(transparent)]
    Write(#[from] crate::files::Error),
    /// A format that is not known, by the file's extension or by name.
    #[error("{asked}: the format is not known; known are {known}")]
    Format {
        /// The file or the name that was asked for.
        asked: String,
        /// The known formats with their extensions.
        known: String,
    },
    /// A file that cannot be read on from some line.
    #[error("{file}, line {line}: {reason}")]
    Broken {
        /// The file.
        file: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong, and the way out.
        reason: String,
    },
    /// Rows that cannot be used.
    #[error(
        "{0}\ncorrect them, or leave them out: train with --set data.load.skip_bad_rows=true, a language model with data.instruct.skip_bad_rows=true"
    )]
    Rows(Problems),
    /// A file without a row.
    #[error("{0} holds no rows")]
    Empty(String),
    /// A column that is not there.
    #[error("{file} has no column {asked}; its columns are {columns}")]
    Column {
        /// The file.
        file: String,
        /// The column that was asked for.
        asked: String,
        /// The columns that there are.
        columns: String,
    },
    /// A column that was not named and cannot be guessed.
    #[error(
        "{file}: which column is the {what} is not obvious ({why}); name it with {flag}; \
             the columns are {columns}"
    )]
    NotObvious {
        /// The file.
        file: String,
        /// `text` or `label`.
        what: &'static str,
        /// Why no column stands out.
        why: String,
        /// The option that names it.
        flag: &'static str,
        /// The columns that there are.
        columns: String,
    },
    /// One column in two roles.
    #[error("column {0} cannot be both the {1} and the {2}; name two columns")]
    SameColumn(String, &'static str, &'static str),
    /// A filter that keeps nothing.
    #[error("{file}: no row has {filter}; the column's values are {found}")]
    NoRowLeft {
        /// The file.
        file: String,
        /// The filter.
        filter: String,
        /// The most frequent values, with their counts.
        found: String,
    },
    /// A text that is not a setting; it says what would be.
    #[error("{0}")]
    Setting(String),
    /// One class only, or none.
    #[error(
        "{file}: every row has the label {label} (column {column}), but to tell classes apart takes at \
             least two; check --label and --where"
    )]
    OneClass {
        /// The file.
        file: String,
        /// The label column.
        column: String,
        /// The only label.
        label: String,
    },
    /// One number only.
    #[error(
        "{file}: every row has the label {label} (column {column}), so there is nothing to learn; check --label \
             and --where"
    )]
    OneNumber {
        /// The file.
        file: String,
        /// The label column.
        column: String,
        /// The only number.
        label: String,
    },
    /// More classes than a classification has.
    #[error(
        "{file}: column {column} has {classes} different values, which looks like free text or numbers, \
             not like classes (at most {most}); name another with --label, or for numbers add --task regression; \
             the columns are {columns}"
    )]
    TooManyClasses {
        /// The file.
        file: String,
        /// The label column.
        column: String,
        /// How many values it has.
        classes: usize,
        /// The most that are taken.
        most: usize,
        /// The columns that there are.
        columns: String,
    },
    /// A label that training has not seen.
    #[error(
        "{file}, line {line}: the label {label} was not among the training rows' labels, which are \
             {known} ({rows} such rows in the file)"
    )]
    UnseenLabel {
        /// The file.
        file: String,
        /// The first row's line.
        line: usize,
        /// The first row's label.
        label: String,
        /// The labels of the training rows.
        known: String,
        /// How many rows have an unseen label.
        rows: usize,
    },
    /// Fewer rows than asked for.
    #[error(
        "{file} has {rows} rows once filtered and without duplicates, but asked for were {asked}; \
             ask for fewer"
    )]
    TooFewRows {
        /// The file.
        file: String,
        /// The rows that there are.
        rows: usize,
        /// What was asked for.
        asked: String,
    },
    /// A part of the split that must have rows has none.
    #[error(
        "{file} has {rows} rows once filtered and without duplicates, which leaves none for {part}; {way_out}"
    )]
    NothingLeft {
        /// The file.
        file: String,
        /// The rows that there are.
        rows: usize,
        /// `training` or `testing`.
        part: &'static str,
        /// What to do.
        way_out: &'static str,
    },
}

/// Text from a file as a message shows it: in backticks, without control characters, at most 40 characters.
pub(super) fn shown(text: &str) -> String {
    const MOST: usize = 40;
    let mut shown: String = text.chars().take(MOST).flat_map(char::escape_debug).collect();
    if text.chars().nth(MOST).is_some() {
        shown.push('…');
    }
    format!("`{shown}`")
}

/// Several texts as a message shows them: at most 20.
pub(super) fn listed<'a>(texts: impl ExactSizeIterator<Item = &'a str>) -> String {
    const MOST: usize = 20;
    let more = texts.len().saturating_sub(MOST);
    let mut listed = texts.take(MOST).map(shown).collect::<Vec<_>>().join(", ");
    if more > 0 {
        listed.push_str(&format!(" and {more} more"));
    }
    listed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown_text_is_short_and_harmless() {
        assert_eq!(shown("a\u{1b}[2J\nb"), "`a\\u{1b}[2J\\nb`");
        assert_eq!(shown(&"é".repeat(41)), format!("`{}…`", "é".repeat(40)));
    }

    #[test]
    fn a_long_list_is_cut_and_counted() {
        let names: Vec<String> = (0..25).map(|i| i.to_string()).collect();
        assert!(listed(names.iter().map(String::as_str)).ends_with("`19` and 5 more"));
    }
}
