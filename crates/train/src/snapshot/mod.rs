//! Never lose a run: its state on disk while it trains, to go on from bit for bit.
//!
//! ```text
//! checkpoints/lora-8-seed0/step-120/   the newest two are kept
//!     state.toml             how far the run is, and what run it is
//!     tensors.safetensors    what is trained, the optimizer's means, the values of the best epoch
//!     sha256                 the sums of both files, as sha256sum writes and checks them
//! ```
//!
//! A state is written in a hidden folder, synced and renamed, so one with its name is whole; the sums find what
//! went wrong with the disk since. An older one goes when the newer is safe. The order of rows, dropout and the
//! learning rate follow from the seed and the step, so no generator is kept.

mod folder;
mod identity;
mod keeper;

pub(crate) use identity::fingerprint;
pub(crate) use keeper::{Found, Keeper};

use crate::checkpoint::read_json_up_to;
use crate::checkpoint::save::write_json;
use crate::{Error, Result, RunReport, TrainSettings};
use offshoot_methods::MethodConfig;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Of a run that is done, while others of its command are not.
const REPORT: &str = "report.json";

/// It has an answer to each test row.
const LARGEST_REPORT: u64 = 1 << 30;
/// What was planned of a comparison, which holds for all of it.
const PLAN: &str = "plan.json";

/// The states of all runs of one command.
#[derive(Clone, Debug)]
pub struct Snapshots {
    /// The folder that they are in.
    pub folder: PathBuf,
    /// When one is written.
    pub every: Every,
    /// Whether runs go on from what is there.
    pub resume: bool,
    /// Ends the run at hand after its step.
    pub stop: Stop,
}

/// When a run's state is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Every {
    /// After so many steps.
    Steps(u64),
    /// After the step at which so much time is over.
    Time(Duration),
}

impl Default for Every {
    /// Every minute: what is lost is little, and so is the time that writing takes.
    fn default() -> Self {
        Self::Time(Duration::from_secs(60))
    }
}

/// A wish that can be made from another thread: to stop after the step at hand, with its state on disk.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Makes the wish.
    pub fn ask(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it was made.
    pub fn asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The states of one run.
#[derive(Clone, Debug)]
pub struct RunSnapshots<'a> {
    all: &'a Snapshots,
    name: String,
}

impl Snapshots {
    /// Those of a method's run at its size, on the settings' seed and part of the rows.
    pub fn of(&self, method: &MethodConfig, settings: &TrainSettings) -> RunSnapshots<'_> {
        let size = method.size().map_or_else(String::new, |size| format!("-{size}"));
        let part = settings.rows.map_or_else(String::new, |rows| format!("-rows{rows}"));
        let method = method.info().name;
        RunSnapshots { all: self, name: format!("{method}{size}{part}-seed{}", settings.seed) }
    }

    /// Checks that nothing is begun anew where runs wait to be gone on with.
    ///
    /// # Errors
    /// [`Error::Invalid`] if there are some and `resume` is not set.
    pub fn check(&self) -> Result<()> {
        if self.resume || self.is_empty()? {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "an unfinished run is in {}; go on with it with --resume, or begin anew with --restart",
            self.folder.display()
        )))
    }

    /// Whether there is neither a state nor a finished run.
    ///
    /// # Errors
    /// If a folder cannot be read.
    pub fn is_empty(&self) -> Result<bool> {
        for name in folder::names(&self.folder)? {
            let run = self.folder.join(name);
            if run.is_dir() && (run.join(REPORT).exists() || !steps(&run)?.is_empty()) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Removes what is there: the command is done, or begins anew.
    ///
    /// # Errors
    /// If it cannot be removed.
    pub fn clear(&self) -> Result<()> {
        folder::remove(&self.folder)
    }
}

impl Snapshots {
    /// Keeps what was planned.
    pub(crate) fn keep_plan(&self, plan: &impl Serialize) -> Result<()> {
        folder::make(&self.folder)?;
        let value = serde_json::to_value(plan).map_err(|error| Error::invalid(error.to_string()))?;
        write_json(&self.folder.join(PLAN), &value)
    }

    /// What was planned before the command was interrupted.
    pub(crate) fn plan<P: DeserializeOwned>(&self) -> Option<P> {
        let plan = read_json_up_to(&self.folder.join(PLAN), 1 << 20).ok().filter(|_| self.resume)?;
        serde_json::from_value(plan).ok()
    }
}

impl RunSnapshots<'_> {
    fn folder(&self) -> PathBuf {
        self.all.folder.join(&self.name)
    }

    /// Puts the report of a run that is done, and saved, in the place of its states.
    ///
    /// # Errors
    /// If a file cannot be written or removed.
    pub fn finish(&self, report: &RunReport) -> Result<()> {
        let folder = self.folder();
        folder::make(&folder)?;
        let value = serde_json::to_value(report).map_err(|error| Error::invalid(error.to_string()))?;
        write_json(&folder.join(REPORT), &value)?;
        self.clear()
    }

    /// Removes the run's states.
    ///
    /// # Errors
    /// If one cannot be removed.
    pub(crate) fn clear(&self) -> Result<()> {
        let folder = self.folder();
        steps(&folder)?.into_iter().try_for_each(|step| folder::remove(&folder.join(folder::name(step))))
    }

    /// Whether there is no state of the run.
    pub(crate) fn is_empty(&self) -> bool {
        steps(&self.folder()).is_ok_and(|steps| steps.is_empty())
    }

    /// The report of a run on these rows that is done already, if the command goes on from what there is. A
    /// damaged one is as good as none.
    pub(crate) fn finished(&self, rows: &str) -> Option<RunReport> {
        let path = self.folder().join(REPORT);
        let report = read_json_up_to(&path, LARGEST_REPORT).ok().filter(|_| self.all.resume)?;
        serde_json::from_value(report).ok().filter(|report: &RunReport| report.rows_hash == rows)
    }
}

/// The steps of the states in a folder, the newest first.
fn steps(folder: &Path) -> Result<Vec<u64>> {
    let mut steps: Vec<u64> = folder::names(folder)?.iter().filter_map(|name| folder::step(name)).collect();
    steps.sort_unstable_by(|a, b| b.cmp(a));
    Ok(steps)
}
