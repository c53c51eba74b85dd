//! From labelled rows to adapters: data, the task, the training loop, comparison and reports.

pub mod checkpoint;
mod classifier;
mod compare;
pub mod data;
mod error;
mod features;
pub mod files;
pub mod generate;
mod inspect;
mod language_model;
mod logistic;
mod memory;
mod metrics;
mod prepare;
mod recipe;
mod report;
mod rows;
mod run;
mod trainer;

pub use classifier::Classifier;
pub use compare::{Watcher, compare};
pub use error::{Error, Result};
pub use features::fit_features;
pub use inspect::{Share, shares};
pub use language_model::LanguageModel;
pub use memory::peak_rss;
pub use metrics::{Metrics, argmax, softmax};
pub use prepare::{Briefing, encode, open_tokenizer, prepare, write_split};
pub use recipe::{DataRecipe, ModelRecipe, Recipe};
pub use report::{Comparison, RunReport};
pub use rows::{Lengths, Row, bucketed, epoch_steps, micro_batches, pack};
pub use run::Prepared;
pub use trainer::{Event, Outcome, Schedule, TrainSettings, measure, train};
