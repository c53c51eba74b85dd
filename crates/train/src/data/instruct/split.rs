//! Dealing rows to training, validation and testing, as `data/split.rs` does without its classes.

use super::super::error::{Error, Result};
use super::super::sizes::SplitOptions;
use super::super::stratify::shuffle;
use super::super::summary::RowCounts;
use super::{Content, LmDataset, LmExample};
use offshoot_models::Message;
use serde::Serialize;
use std::collections::BTreeSet;
use std::fmt;

/// Rows in three parts that share none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LmSplit {
    /// Rows to train on, in random order.
    pub train: Vec<LmExample>,
    /// Rows to choose the best epoch by, in random order; may be none.
    pub validation: Vec<LmExample>,
    /// Rows to test on: in random order, or in the test file's if all of that is used; may be none.
    pub test: Vec<LmExample>,
}

/// What became of the rows of a file, and of its test file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LmSummary {
    /// The file.
    pub file: String,
    /// Its rows.
    pub rows: RowCounts,
    /// The test file and its rows, if there is one.
    pub test_file: Option<(String, RowCounts)>,
    /// Rows left out because their prompt stands in the test file.
    pub in_test_file: usize,
    /// Rows that no part asked for.
    pub unused: usize,
    /// Rows to train on.
    pub train: usize,
    /// Rows for validation.
    pub validation: usize,
    /// Rows to test on.
    pub test: usize,
}

impl LmDataset {
    /// Splits the rows at random: the test rows are drawn first, then those for validation, then those for
    /// training. When only the number of training rows changes, a seed keeps its test rows, and fewer training
    /// rows are a part of more.
    ///
    /// With a test file nothing is drawn to test on, and rows whose prompt stands there, whatever their
    /// completion, are left out here. `random` gives 64 random bits a call.
    ///
    /// # Errors
    /// Fewer rows than asked for, or none left for training or testing.
    pub fn split(
        &self,
        options: &SplitOptions,
        test: Option<&Self>,
        random: &mut dyn FnMut() -> u64,
    ) -> Result<(LmSplit, LmSummary)> {
        let mut pool = self.rows_not_in(test);
        let in_test_file = self.examples.len() - pool.len();
        let sizes = options.sizes(&self.file, pool.len(), test.is_some())?;
        shuffle(&mut pool, random);
        let take = |rows: Vec<usize>| -> Vec<LmExample> {
            rows.into_iter().map(|row| self.examples[row].clone()).collect()
        };
        let drawn = take(pool.drain(..sizes.test).collect());
        // From the other end, so that the training rows begin at the same row however many are for
        // validation.
        let validation = take(pool.drain(pool.len() - sizes.validation..).collect());
        let train = take(pool.drain(..sizes.train).collect());
        let test_rows = test.map(|file| file.test_rows(options, random)).transpose()?;
        let split = LmSplit { train, validation, test: test_rows.unwrap_or(drawn) };
        let summary = LmSummary {
            file: self.file.clone(),
            rows: self.counts,
            test_file: test.map(|test| (test.file.clone(), test.counts)),
            in_test_file,
            unused: pool.len(),
            train: split.train.len(),
            validation: split.validation.len(),
            test: split.test.len(),
        };
        Ok((split, summary))
    }

    /// The rows whose prompt does not stand in the other file.
    fn rows_not_in(&self, other: Option<&Self>) -> Vec<usize> {
        let others: BTreeSet<Prompt<'_>> =
            other.iter().flat_map(|other| other.examples.iter().map(|row| prompt(&row.content))).collect();
        let new = |row: &usize| !others.contains(&prompt(&self.examples[*row].content));
        (0..self.examples.len()).filter(new).collect()
    }

    fn test_rows(&self, options: &SplitOptions, random: &mut dyn FnMut() -> u64) -> Result<Vec<LmExample>> {
        let Some(amount) = options.test else { return Ok(self.examples.clone()) };
        let (rows, size) = (self.examples.len(), amount.of(self.examples.len()));
        if size > rows {
            let (file, asked) = (self.file.clone(), format!("{amount} for testing"));
            return Err(Error::TooFewRows { file, rows, asked });
        }
        if size == rows {
            return Ok(self.examples.clone());
        }
        let mut pool: Vec<usize> = (0..rows).collect();
        shuffle(&mut pool, random);
        Ok(pool[..size].iter().map(|row| self.examples[*row].clone()).collect())
    }
}

/// What a row asks for, without the spaces around it.
type Prompt<'a> = (&'a str, &'a str, &'a [Message]);

fn prompt(content: &Content) -> Prompt<'_> {
    match content {
        Content::Alpaca { instruction, input, .. } => (instruction.trim(), input.trim(), &[]),
        Content::Completion { prompt, .. } => (prompt.trim(), "", &[]),
        Content::Messages(turns) => {
            let end = turns.iter().rposition(Message::is_assistant).unwrap_or(turns.len());
            ("", "", &turns[..end])
        }
        Content::Text(text) => (text.trim(), "", &[]),
    }
}

impl fmt::Display for LmSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reasons = [
            (self.rows.unusable, "unusable"),
            (self.rows.duplicates, "duplicates"),
            (self.in_test_file, "in the test file too"),
            (self.unused, "not needed"),
        ];
        write!(f, "{}: {} rows", self.file, self.rows.read)?;
        let named = reasons.iter().filter(|(count, _)| *count > 0);
        named.clone().try_for_each(|(count, what)| write!(f, ", {count} {what}"))?;
        let left_out: usize = named.map(|(count, _)| count).sum();
        writeln!(f, "; {} used", self.rows.read - left_out)?;
        if let Some((file, rows)) = &self.test_file {
            let left_out = rows.unusable + rows.duplicates;
            writeln!(f, "{file}: {} rows, {left_out} left out", rows.read)?;
        }
        writeln!(f, "train: {} rows, validation: {}, test: {}", self.train, self.validation, self.test)
    }
}
