//! Which model, and what it is computed with.

use super::change;
use anyhow::{Context, Result};
use clap::Args;
use offshoot::core::Device;
use offshoot::models::Pooling;
use offshoot::models::weights::Pickles;
use offshoot::train::{Dtype, ModelRecipe};

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

    /// What matrix products are computed in: f32, bf16, or auto, which is bf16 where this machine is faster at
    /// it [default: auto]
    #[arg(long, value_name = "TYPE")]
    dtype: Option<Dtype>,

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
    /// Where and in what a model is computed that no recipe names.
    pub(crate) fn device(&self) -> Device {
        self.dtype.unwrap_or_default().device()
    }

    pub(super) fn change(&self, recipe: &mut ModelRecipe) {
        change(&mut recipe.name, self.model.as_ref());
        change(&mut recipe.dtype, self.dtype.as_ref());
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
