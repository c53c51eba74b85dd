//! An adapter and the model that it stands on, for commands that only read them.

use super::PickleFlags;
use clap::Args;
use std::path::PathBuf;

/// The adapter and its model.
#[derive(Clone, Debug, Args)]
pub(crate) struct BaseFlags {
    /// The adapter's folder
    #[arg(value_name = "ADAPTER")]
    pub(crate) adapter: PathBuf,

    /// The model that it was trained on: a folder, a hub id, or a GGUF file [default: what its files say]
    #[arg(long, value_name = "FOLDER|ID|FILE")]
    pub(crate) model: Option<String>,

    #[command(flatten)]
    pub(crate) pickle: PickleFlags,
}
