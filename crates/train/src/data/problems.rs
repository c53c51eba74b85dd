//! The rows of a file that cannot be used: all counted, the first ones described.

use super::table::{Files, Table};
use std::fmt;

/// How many problems are described; the others are only counted.
const SHOWN: usize = 10;

/// A row that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The line where the row begins, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub reason: String,
}

/// The rows of one file that cannot be used: all counted, the first 10 described.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems {
    /// The file.
    pub file: String,
    /// How many rows cannot be used.
    pub count: usize,
    /// The first of them.
    pub first: Vec<Problem>,
    /// The line of the last one, from 1.
    pub(super) last: usize,
    pub(super) files: Files,
}

impl Problems {
    pub(crate) fn new(file: &str) -> Self {
        Self { file: file.to_owned(), count: 0, first: Vec::new(), last: 0, files: Files::default() }
    }

    /// For the rows of a table.
    pub(super) fn of(table: &Table) -> Self {
        Self { files: table.files.clone(), ..Self::new(&table.file) }
    }

    /// Adds those of a file that stands below so many lines of others.
    pub(super) fn add(&mut self, other: Self, lines: usize) {
        self.count += other.count;
        self.last = lines + other.last;
        let room = SHOWN - self.first.len();
        let moved = |problem: Problem| Problem { line: lines + problem.line, ..problem };
        self.first.extend(other.first.into_iter().take(room).map(moved));
    }

    pub(crate) fn push(&mut self, line: usize, reason: impl Into<String>) {
        self.count += 1;
        self.last = line;
        if self.first.len() < SHOWN {
            self.first.push(Problem { line, reason: reason.into() });
        }
    }

    /// An error if any row cannot be used.
    pub(crate) fn check(self) -> super::Result<()> {
        if self.count > 0 { Err(super::Error::Rows(self)) } else { Ok(()) }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = if self.count == 1 { "row" } else { "rows" };
        write!(f, "{} has {} {rows} that cannot be used:", self.file, self.count)?;
        for Problem { line, reason } in &self.first {
            match self.files.place(*line) {
                Some((file, line)) => write!(f, "\n  {file}, line {line}: {reason}")?,
                None => write!(f, "\n  line {line}: {reason}")?,
            }
        }
        match self.count - self.first.len() {
            0 => Ok(()),
            more => write!(f, "\n  and {more} more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_counted_and_ten_described() {
        let mut problems = Problems::new("a.csv");
        (1..=12).for_each(|line| problems.push(line, "bad"));
        let text = problems.check().unwrap_err().to_string();
        assert!(text.starts_with("a.csv has 12 rows that cannot be used:\n  line 1: bad\n"), "{text}");
        assert!(text.contains("line 10: bad\n  and 2 more\ncorrect them, or leave them out"), "{text}");
        assert!(!text.contains("line 11"), "{text}");
    }

    #[test]
    fn none_is_no_error() {
        assert!(Problems::new("a.csv").check().is_ok());
    }
}
