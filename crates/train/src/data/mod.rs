//! From a file that a user has to labelled rows, checked and split. No tensor and no tokenizer here.
//!
//! The way of a row: a *format* (`csv`, `tsv`, `jsonl`, `json`, `lines`, `parquet`; one file each, one line in
//! `format::FORMATS`) reads it into a [`Table`], `several` the files of a [`Source`] into one; `filter` keeps what
//! `--where` asks for; `columns` finds the text and the label; `duplicates` drops copies; `label` reads what the task is
//! labelled with, and [`Labels`] numbers the classes; `split` deals the rows.
//!
//! A file may be hostile: nothing here panics on one, and no record may be longer than 16 MiB.

mod amount;
mod columns;
mod csv;
mod duplicates;
mod error;
mod filter;
mod folder;
mod format;
mod front_matter;
mod guess;
mod input;
pub mod instruct;
mod json;
mod jsonl;
mod label;
mod labels;
mod lines;
mod load;
mod packed;
mod parquet;
mod problems;
mod several;
mod sizes;
mod source;
mod split;
mod stratify;
mod summary;
mod table;

mod tsv;
mod write;

pub use amount::Amount;
pub use columns::{Columns, Input};
pub use error::{Error, Result};
pub use filter::Filter;
pub use format::{FORMATS, Format, read_source, read_table};
pub use label::Label;
pub(crate) use label::UNORDERED;
pub use labels::Labels;
pub use load::{Dataset, Example, LoadOptions, load, load_with_labels};
pub use problems::{Problem, Problems};
pub use sizes::SplitOptions;
pub use source::{Places, Source, Sources};
pub use split::{Beside, Split};
pub use summary::{ClassCounts, NumberCounts, RowCounts, Summary};
pub use table::{Row, Table};
pub use write::{write_csv, write_csv_record};
