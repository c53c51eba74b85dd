//! Dealing rows to training, validation and testing, as `data/split.rs` does without its classes.

use super::super::amount::Amount;
use super::super::error::Result;
use super::super::sizes::{Own, SplitOptions};
use super::super::split::{Beside, Rows, asked};
use super::super::stratify::shuffle;
use super::super::summary::{RowCounts, others};
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
    /// The file for validation and its rows, if there is one.
    pub validation_file: Option<(String, RowCounts)>,
    /// The test file and its rows, if there is one.
    pub test_file: Option<(String, RowCounts)>,
    /// Rows left out because their prompt stands in one of these.
    pub elsewhere: usize,
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
    /// For what has a file of its own, nothing is drawn, and rows whose prompt stands there, whatever their
    /// completion, are left out here; those of the test file also in the one for validation. `random` gives 64
    /// random bits a call.
    ///
    /// # Errors
    /// Fewer rows than asked for, or none left for training or testing.
    pub fn split(
        &self,
        options: &SplitOptions,
        beside: Beside<'_, Self>,
        random: &mut dyn FnMut() -> u64,
    ) -> Result<(LmSplit, LmSummary)> {
        let mut pool = self.rows_not_in(beside.all());
        let elsewhere = self.examples.len() - pool.len();
        let sizes = options.sizes(&self.file, pool.len(), Own::of(&beside))?;
        shuffle(&mut pool, random);
        let drawn = self.take(pool.drain(..sizes.test));
        // From the other end, so that the training rows begin at the same row however many are for
        // validation.
        let drawn_validation = self.take(pool.drain(pool.len() - sizes.validation..));
        let train = self.take(pool.drain(..sizes.train));
        let own = beside.parts(options, random)?;
        let validation = own.validation.unwrap_or(drawn_validation);
        let split = LmSplit { train, validation, test: own.test.unwrap_or(drawn) };
        let summary = LmSummary {
            file: self.file.clone(),
            rows: self.counts,
            validation_file: beside.validation.map(|file| (file.file.clone(), file.counts)),
            test_file: beside.test.map(|test| (test.file.clone(), test.counts)),
            elsewhere,
            unused: pool.len(),
            train: split.train.len(),
            validation: split.validation.len(),
            test: split.test.len(),
        };
        Ok((split, summary))
    }

    fn take(&self, rows: impl Iterator<Item = usize>) -> Vec<LmExample> {
        rows.map(|row| self.examples[row].clone()).collect()
    }
}

impl Rows for LmDataset {
    type Example = LmExample;

    /// Those with other prompts, whatever their completion.
    fn rows_not_in<'a>(&self, others: impl Iterator<Item = &'a Self>) -> Vec<usize> {
        let others: BTreeSet<Prompt<'_>> =
            others.flat_map(|other| other.examples.iter().map(|row| prompt(&row.content))).collect();
        let new = |row: &usize| !others.contains(&prompt(&self.examples[*row].content));
        (0..self.examples.len()).filter(new).collect()
    }

    fn some(
        &self,
        mut pool: Vec<usize>,
        (amount, what): (Option<Amount>, &str),
        random: &mut dyn FnMut() -> u64,
    ) -> Result<Vec<LmExample>> {
        let size = asked(&self.file, pool.len(), amount, what)?;
        if size < pool.len() {
            shuffle(&mut pool, random);
        }
        Ok(self.take(pool.into_iter().take(size)))
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
            (self.elsewhere, others(self.validation_file.is_some())),
            (self.unused, "not needed"),
        ];
        write!(f, "{}: {} rows", self.file, self.rows.read)?;
        let named = reasons.iter().filter(|(count, _)| *count > 0);
        named.clone().try_for_each(|(count, what)| write!(f, ", {count} {what}"))?;
        let left_out: usize = named.map(|(count, _)| count).sum();
        writeln!(f, "; {} used", self.rows.read - left_out)?;
        for (file, rows) in self.validation_file.iter().chain(&self.test_file) {
            let left_out = rows.unusable + rows.duplicates;
            writeln!(f, "{file}: {} rows, {left_out} left out", rows.read)?;
        }
        writeln!(f, "train: {} rows, validation: {}, test: {}", self.train, self.validation, self.test)
    }
}
