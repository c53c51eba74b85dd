//! What became of the rows, for a person to read.

use super::error::shown;
use super::load::{Dataset, Example};
use super::split::{Beside, Rows, Split};
use serde::Serialize;
use std::fmt;

/// With more classes than this, the summary gives the smallest and the largest only.
const CLASSES_SHOWN: usize = 10;

/// How many rows of a file were read, and why some were left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct RowCounts {
    /// Rows in the file.
    pub read: usize,
    /// Rows that could not be used (with `skip_bad_rows`).
    pub unusable: usize,
    /// Rows that the filters left out.
    pub filtered: usize,
    /// Copies of another row.
    pub duplicates: usize,
    /// Rows whose text stands with different labels.
    pub conflicting: usize,
}

/// How many rows of a class there are in each part.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ClassCounts {
    /// The class.
    pub label: String,
    /// Rows to train on.
    pub train: usize,
    /// Rows for validation.
    pub validation: usize,
    /// Rows to test on.
    pub test: usize,
}

/// What became of the rows of a file, and of its test file.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// The file.
    pub file: String,
    /// Its rows.
    pub rows: RowCounts,
    /// The file for validation, if there is one, its rows, and how many of them stand in the test file too.
    pub validation_file: Option<(String, RowCounts, usize)>,
    /// The test file and its rows, if there is one.
    pub test_file: Option<(String, RowCounts)>,
    /// Rows left out because they stand in these files too.
    pub elsewhere: usize,
    /// Rows that no part asked for.
    pub unused: usize,
    /// The classes; none where labels are numbers.
    pub classes: Vec<ClassCounts>,
    /// What numbers the rows to train on, for validation and to test on have; none where labels are classes.
    pub numbers: Vec<NumberCounts>,
}

/// The numbers that rows of one part are labelled with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct NumberCounts {
    /// How many rows there are.
    pub rows: usize,
    /// The smallest number.
    pub least: f64,
    /// The largest.
    pub most: f64,
    /// Their mean.
    pub mean: f64,
}

impl NumberCounts {
    fn of(examples: &[Example]) -> Self {
        let numbers: Vec<f64> = examples.iter().filter_map(|example| example.label.number()).collect();
        let Some(&first) = numbers.first() else { return Self::default() };
        Self {
            rows: numbers.len(),
            least: numbers.iter().copied().fold(first, f64::min),
            most: numbers.iter().copied().fold(first, f64::max),
            mean: numbers.iter().map(|number| number / numbers.len() as f64).sum(),
        }
    }
}

impl fmt::Display for NumberCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rows, least, most, mean } = self;
        match rows {
            0 => write!(f, "no rows"),
            _ => write!(f, "{rows} rows (numbers from {least} to {most}, mean {mean:.3})"),
        }
    }
}

/// The rows of a class in one part.
type Count = fn(&ClassCounts) -> usize;

impl Summary {
    const PARTS: [(&'static str, Count); 3] = [
        ("train", |class| class.train),
        ("validation", |class| class.validation),
        ("test", |class| class.test),
    ];

    pub(super) fn new(
        dataset: &Dataset,
        beside: Beside<'_, Dataset>,
        split: &Split,
        [elsewhere, unused]: [usize; 2],
    ) -> Self {
        let classes = dataset.labels.len();
        let parts = [&split.train, &split.validation, &split.test];
        let [train, validation, tests] = parts.map(|part| by_class(part, classes));
        let numbers = parts.map(|part| NumberCounts::of(part)).to_vec();
        let names = dataset.labels.names.iter().enumerate();
        let counts = names.map(|(class, label)| ClassCounts {
            label: label.clone(),
            train: train[class],
            validation: validation[class],
            test: tests[class],
        });
        Self {
            file: dataset.file.clone(),
            rows: dataset.counts,
            validation_file: beside.validation.map(|file| {
                let tested = file.examples.len() - file.rows_not_in(beside.test.into_iter()).len();
                (file.file.clone(), file.counts, tested)
            }),
            test_file: beside.test.map(|test| (test.file.clone(), test.counts)),
            elsewhere,
            unused,
            classes: counts.collect(),
            numbers: if classes == 0 { numbers } else { Vec::new() },
        }
    }

    /// The labels of which there is no row to train on.
    pub fn untrained(&self) -> impl Iterator<Item = &str> {
        self.classes.iter().filter(|class| class.train == 0).map(|class| class.label.as_str())
    }
}

fn by_class(examples: &[Example], classes: usize) -> Vec<usize> {
    let mut counts = vec![0; classes];
    for class in examples.iter().filter_map(|example| example.label.class()) {
        counts[class as usize] += 1;
    }
    counts
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let files = others(self.validation_file.is_some());
        writeln!(f, "{}: {}", self.file, described(&self.rows, (self.elsewhere, files), self.unused))?;
        if let Some((file, rows, tested)) = &self.validation_file {
            writeln!(f, "{file}: {}", described(rows, (*tested, others(false)), 0))?;
        }
        if let Some((file, rows)) = &self.test_file {
            writeln!(f, "{file}: {}", described(rows, (0, ""), 0))?;
        }
        for ((name, _), numbers) in Self::PARTS.iter().zip(&self.numbers) {
            writeln!(f, "{name}: {numbers}")?;
        }
        if !self.numbers.is_empty() {
            return Ok(());
        }
        let named = self.classes.iter().map(|class| class.label.as_str());
        for (name, count) in Self::PARTS {
            let counts: Vec<(&str, usize)> = named.clone().zip(self.classes.iter().map(count)).collect();
            writeln!(f, "{name}: {}", part(&counts))?;
        }
        let untrained: Vec<&str> = self.untrained().collect();
        if !untrained.is_empty() {
            writeln!(f, "no row to train on: {}", super::error::listed(untrained.into_iter()))?;
        }
        Ok(())
    }
}

/// Where rows stand that are left out.
pub(super) fn others(validation_file: bool) -> &'static str {
    if validation_file { "in the other files too" } else { "in the test file too" }
}

fn described(rows: &RowCounts, (elsewhere, files): (usize, &str), unused: usize) -> String {
    let reasons = [
        (rows.unusable, "unusable"),
        (rows.filtered, "filtered out"),
        (rows.duplicates, "duplicates"),
        (rows.conflicting, "with conflicting labels"),
        (elsewhere, files),
        (unused, "not needed"),
    ];
    let left_out: usize = reasons.iter().map(|(count, _)| count).sum();
    let reasons =
        reasons.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!(", {count} {what}"));
    format!("{} rows{}; {} used", rows.read, reasons.collect::<String>(), rows.read - left_out)
}

fn part(counts: &[(&str, usize)]) -> String {
    let rows: usize = counts.iter().map(|(_, count)| count).sum();
    let of_each = counts.iter().map(|(_, count)| *count);
    match (rows, of_each.clone().min(), of_each.max()) {
        (0, ..) => "no rows".to_owned(),
        (_, Some(least), Some(most)) if counts.len() > CLASSES_SHOWN => {
            format!("{rows} rows in {} classes of {least} to {most} rows", counts.len())
        }
        _ => {
            let classes: Vec<String> =
                counts.iter().map(|(label, count)| format!("{} {count}", shown(label))).collect();
            format!("{rows} rows ({})", classes.join(", "))
        }
    }
}
