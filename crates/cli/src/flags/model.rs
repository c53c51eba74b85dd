//! Which model, and what it is computed with.

use super::change;
use anyhow::{Context, Result};
use clap::Args;
use offshoot::models::Pooling;
use offshoot::models::weights::Pickles;
use offshoot::train::ModelRecipe;

/// The model.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Model")]
pub(crate) struct ModelFlags {
    /// A folder in the Hugging Face layout, or a hub id such as org/name or org/name@revision
    #[arg(long, value_name = "FOLDER|ID")]
    pub(crate) model: Option<String>,

    /// What stands for a text: cls, mean, last or pooler [default: what the model's files say]
    #[arg(long)]
    pub(crate) pooling: Option<Pooling>,

    /// The type of the frozen weights; only f32 so far
    #[arg(long, value_name = "TYPE", default_value = "f32", value_parser = dtype)]
    pub(crate) dtype: String,

    #[command(flatten)]
    pub(crate) pickle: PickleFlags,
}

/// Permission to read torch's own files. It is given on the command line alone: no recipe and no adapter can.
#[derive(Clone, Copy, Debug, Args)]
#[command(next_help_heading = "Model")]
pub(crate) struct PickleFlags {
    /// Also read weights in torch's own format (.bin, .pth), Python pickles: nothing in them is run, but
    /// safetensors are the safer format
    #[arg(long)]
    allow_pickle: bool,
}

impl PickleFlags {
    pub(crate) fn pickles(self) -> Pickles {
        if self.allow_pickle { Pickles::Allow } else { Pickles::Refuse }
    }
}

/// The machine.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Machine")]
pub(crate) struct MachineFlags {
    /// Threads to compute with [default: all cores]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
}

impl ModelFlags {
    pub(super) fn change(&self, recipe: &mut ModelRecipe) {
        change(&mut recipe.name, self.model.as_ref());
        recipe.pooling = self.pooling.or(recipe.pooling);
        recipe.pickles = self.pickle.pickles();
    }
}

impl MachineFlags {
    /// Does `work` among the threads that were asked for. It runs on one of them: work that is handed over
    /// from outside would wake a thread for every product of matrices.
    ///
    /// # Errors
    /// If the threads cannot be started, and those of `work`.
    pub(crate) fn run(&self, work: impl FnOnce() -> Result<()> + Send) -> Result<()> {
        // 0 is as many as there are cores.
        let threads = self.threads.unwrap_or(0);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.into()).build();
        pool.context("the threads cannot be started; ask for fewer with --threads")?.install(work)
    }
}

fn dtype(text: &str) -> Result<String, String> {
    match text {
        "f32" => Ok(text.to_owned()),
        _ => Err("only f32 is supported so far".into()),
    }
}
