//! Which rows, and what is in their columns.

use anyhow::{Context, Result};
use clap::Args;
use clap::builder::PossibleValuesParser;
use offshoot::train::data::{Amount, Columns, FORMATS, Filter, Format, Source};
use offshoot::train::{DataRecipe, Dealt, Recipe};
use std::path::{Path, PathBuf};

/// The columns of a data file.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Data")]
pub(crate) struct ColumnFlags {
    /// The column with the text [default: guessed where it is obvious]
    #[arg(long, value_name = "COLUMN")]
    pub(crate) text: Option<String>,

    /// The column with the second text, for pairs
    #[arg(long, value_name = "COLUMN")]
    pub(crate) text_pair: Option<String>,

    /// Cut texts to this many tokens
    #[arg(long, value_name = "TOKENS")]
    pub(crate) max_length: Option<usize>,
}

/// The format of rows.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Data")]
pub(crate) struct FormatFlag {
    /// The format of DATA where no ending says it, as on standard input [default: what the first line says]
    #[arg(long, value_name = "FORMAT", value_parser = formats())]
    pub(super) format: Option<String>,
}

impl FormatFlag {
    /// What DATA names.
    ///
    /// # Errors
    /// A folder, or a pattern that no file fits.
    pub(crate) fn source(&self, path: &Path) -> Result<Source> {
        source(path, self.format.as_deref())
    }
}

/// The names of formats.
pub(crate) fn formats() -> PossibleValuesParser {
    PossibleValuesParser::new(FORMATS.iter().map(|format| format.name))
}

/// What DATA names, in a format.
pub(crate) fn source(path: &Path, format: Option<&str>) -> Result<Source> {
    Ok(Source::open(path, format.map(Format::named).transpose()?)?)
}

/// The labels, and which rows are used.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Data")]
pub(crate) struct LabelFlags {
    /// The column with the label [default: guessed where it is obvious]
    #[arg(long, value_name = "COLUMN")]
    pub(crate) label: Option<String>,

    /// Use only rows with this value; may be given more than once
    #[arg(long = "where", value_name = "COLUMN=VALUE")]
    pub(crate) filters: Vec<Filter>,
}

/// How many rows go where.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Data")]
pub(crate) struct SplitFlags {
    /// Rows to train on: a count (2000) or a share (0.8, 80%) [default: all that are left]
    #[arg(long, value_name = "ROWS")]
    train: Option<Amount>,

    /// Rows to choose the best epoch by [default: a tenth]
    #[arg(long, value_name = "ROWS")]
    validation: Option<Amount>,

    /// Rows that are only measured on [default: a fifth]
    #[arg(long, value_name = "ROWS")]
    test: Option<Amount>,

    /// The labels in the order of their classes, of which there need not be rows of each [default: sorted]
    #[arg(long, value_delimiter = ',', value_name = "LABEL,...")]
    labels: Vec<String>,

    /// Which configuration of the data set, where DATA is a folder that has several
    #[arg(long, value_name = "NAME")]
    config: Option<String>,

    /// A file (or a pattern of files) to choose the best epoch by, instead of rows of DATA
    #[arg(long, value_name = "FILE")]
    validation_data: Option<PathBuf>,

    /// A file (or a pattern of files) to test on, instead of rows of DATA
    #[arg(long, value_name = "FILE")]
    test_data: Option<PathBuf>,

    /// Also write the rows of each part as CSV into this folder, for another program
    #[arg(long, value_name = "FOLDER")]
    write_split: Option<PathBuf>,
}

impl ColumnFlags {
    /// Puts the given names in the place of others.
    pub(crate) fn change(&self, columns: &mut Columns) {
        for (column, given) in [(&mut columns.text, &self.text), (&mut columns.text_pair, &self.text_pair)] {
            if given.is_some() {
                column.clone_from(given);
            }
        }
    }
}

impl LabelFlags {
    pub(super) fn change(&self, recipe: &mut Recipe) {
        let load = &mut recipe.data.load;
        if self.label.is_some() {
            load.columns.label.clone_from(&self.label);
        }
        if !self.filters.is_empty() {
            load.filters.clone_from(&self.filters);
        }
    }
}

impl SplitFlags {
    pub(super) fn has_labels(&self) -> bool {
        !self.labels.is_empty()
    }

    /// Writes the parts, if that was asked for.
    ///
    /// # Errors
    /// If that would overwrite the data, or the folder cannot be written to.
    pub(crate) fn write(&self, rows: &Dealt) -> Result<()> {
        let Some(folder) = &self.write_split else { return Ok(()) };
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot make the folder {}; name another", folder.display()))?;
        Ok(rows.write(folder)?)
    }

    pub(super) fn change(&self, data: &mut DataRecipe) {
        let split = &mut data.split;
        split.train = self.train.or(split.train);
        split.validation = self.validation.or(split.validation);
        split.test = self.test.or(split.test);
        for (path, given) in
            [(&mut data.validation_data, &self.validation_data), (&mut data.test_data, &self.test_data)]
        {
            if given.is_some() {
                path.clone_from(given);
            }
        }
        if !self.labels.is_empty() {
            data.load.labels = Some(self.labels.clone());
        }
        if self.config.is_some() {
            data.config.clone_from(&self.config);
        }
    }
}
