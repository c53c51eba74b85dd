//! A file's rows as text by column, whatever the format.

use super::error::{Error, Result, listed, shown};
use super::problems::Problems;
use std::collections::BTreeMap;

/// More columns than any table has: a file with more is not one, and its rows would only fill the memory.
pub(super) const MOST_COLUMNS: usize = 10_000;

/// A file's rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    /// The file's name, for messages.
    pub file: String,
    /// The columns' names, in the file's order, all different.
    pub columns: Vec<String>,
    /// The rows, in the file's order.
    pub rows: Vec<Row>,
    /// The files, if there are several.
    pub(super) files: Files,
}

/// Which of several files a line is in. Lines are counted through all of them, so that no two rows share one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Files {
    /// The lines before each file, and its name.
    starts: Vec<(usize, String)>,
}

impl Files {
    pub(super) fn push(&mut self, before: usize, name: String) {
        self.starts.push((before, name));
    }

    /// The file of a line and the line's number there, from 1; nothing where there is one file.
    pub(super) fn place(&self, line: usize) -> Option<(&str, usize)> {
        let (before, name) = self.starts.iter().rfind(|(before, _)| *before < line)?;
        Some((name, line - before))
    }
}

/// A row of a [`Table`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Row {
    /// The line of the file where the row begins, from 1; counted through all files, if there are several.
    pub line: usize,
    /// (column, text). Only what is there: in JSON every row may have keys of its own, and one slot for each
    /// column in each row would let a small file fill the memory.
    cells: Vec<(usize, String)>,
}

impl Row {
    pub(super) fn new(line: usize, cells: Vec<(usize, String)>) -> Self {
        Self { line, cells }
    }

    /// The row below so many lines of other files, with its columns at other places.
    pub(super) fn moved(mut self, lines: usize, places: &[usize]) -> Self {
        self.line += lines;
        self.cells.iter_mut().for_each(|(column, _)| *column = places[*column]);
        self
    }

    /// The text in a column, given by its place in [`Table::columns`]; nothing if the row has none.
    pub fn get(&self, column: usize) -> Option<&str> {
        self.cells.iter().find(|(at, _)| *at == column).map(|(_, text)| text.as_str())
    }
}

impl Table {
    /// The place of a column in [`Table::columns`].
    ///
    /// # Errors
    /// An unknown column: the message lists the columns.
    pub fn column(&self, name: &str) -> Result<usize> {
        self.columns.iter().position(|column| column == name).ok_or_else(|| Error::Column {
            file: self.file.clone(),
            asked: shown(name),
            columns: self.listed_columns(),
        })
    }

    /// Where there are several files: the one that a row's line is in, and the line's number there, from 1.
    pub fn place(&self, line: usize) -> Option<(&str, usize)> {
        self.files.place(line)
    }

    pub(super) fn listed_columns(&self) -> String {
        listed(self.columns.iter().map(String::as_str))
    }
}

/// What a format reads into.
pub(super) struct Builder {
    table: Table,
    places: BTreeMap<String, usize>,
    /// The rows that could not be read.
    pub(super) problems: Problems,
    /// Whether a list or an object in a JSON row is kept, as its JSON; else it is a problem.
    pub(super) nested: bool,
}

impl Builder {
    pub(super) fn new(file: &str) -> Self {
        let table = Table { file: file.to_owned(), ..Table::default() };
        Self { table, places: BTreeMap::new(), problems: Problems::new(file), nested: false }
    }

    /// The place of the column, which is added if it is new; nothing if there are too many.
    pub(super) fn column(&mut self, name: &str) -> Option<usize> {
        if let Some(place) = self.places.get(name) {
            return Some(*place);
        }
        let place = self.table.columns.len();
        if place >= MOST_COLUMNS {
            return None;
        }
        self.table.columns.push(name.to_owned());
        self.places.insert(name.to_owned(), place);
        Some(place)
    }

    pub(super) fn columns(&self) -> usize {
        self.table.columns.len()
    }

    pub(super) fn push(&mut self, row: Row) {
        self.table.rows.push(row);
    }

    /// An error that ends the reading.
    pub(super) fn broken(&self, line: usize, reason: impl Into<String>) -> Error {
        Error::Broken { file: self.table.file.clone(), line, reason: reason.into() }
    }

    /// The table and the rows that are not in it.
    ///
    /// # Errors
    /// No row at all.
    pub(super) fn finish(self) -> Result<(Table, Problems)> {
        if self.table.rows.is_empty() {
            self.problems.check()?;
            return Err(Error::Empty(self.table.file));
        }
        Ok((self.table, self.problems))
    }
}
