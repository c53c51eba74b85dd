//! What the training loop holds of its states on disk.

use super::identity::Identity;
use super::{Every, RunSnapshots, Snapshots, folder, steps};
use crate::trainer::{Learner, Progress, Run, TrainSettings};
use crate::{Error, Result, files};
use offshoot_core::Params;
use offshoot_models::weights::{Named, Tensors};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Instant;

/// States that are kept: if the disk damaged the newest, there is the one before.
const KEPT: usize = 2;
/// The version of the state's format.
const VERSION: u32 = 1;

/// Before the names of parameters in a state's file.
const VALUE: &str = "value.";
const FIRST: &str = "first.";
const SECOND: &str = "second.";
const BEST: &str = "best.";

/// What a state's text says.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    version: u32,
    /// What the memory plan chose.
    batch_tokens: usize,
    progress: Progress,
    run: Identity,
}

/// A run as it was.
pub(crate) struct Found {
    pub(crate) progress: Progress,
    /// Most tokens of a micro-batch.
    pub(crate) batch_tokens: usize,
    /// Of every parameter, in order.
    pub(crate) values: Vec<Vec<f32>>,
    /// The optimizer's means.
    pub(crate) moments: Vec<(Vec<f32>, Vec<f32>)>,
    /// The values of the best epoch so far.
    pub(crate) best: Option<Vec<Vec<f32>>>,
    /// What was wrong with newer states.
    pub(crate) damaged: Vec<String>,
}

/// Writes a run's state when it is due, and finds it again.
pub(crate) struct Keeper<'a> {
    all: &'a Snapshots,
    folder: PathBuf,
    run: Identity,
    /// Names and shapes of what is trained.
    params: Vec<(String, Vec<usize>)>,
    rows: usize,
    written: Instant,
}

impl<'a> Keeper<'a> {
    /// The keeper of a run on rows to train on and to choose the epoch by.
    pub(crate) fn new<L: Learner>(
        snapshots: RunSnapshots<'a>,
        learner: &L,
        rows: (&[L::Row], &[L::Row]),
        settings: &TrainSettings,
    ) -> Self {
        let folder = snapshots.folder();
        if snapshots.all.resume {
            // What a process that was killed left; if it cannot be removed it is only in the way of room.
            drop(files::sweep(&folder));
        }
        Self {
            folder,
            all: snapshots.all,
            run: Identity::of(learner, rows, settings),
            params: names(learner.params()),
            rows: rows.0.len(),
            written: Instant::now(),
        }
    }

    /// The newest undamaged state, if the run is to go on from one and there is one.
    ///
    /// # Errors
    /// If it is another run's, or all of them are damaged.
    pub(crate) fn latest(&self) -> Result<Option<Found>> {
        let mut damaged = Vec::new();
        for step in if self.all.resume { steps(&self.folder)? } else { Vec::new() } {
            match self.read(step) {
                Ok((state, tensors)) => {
                    self.run.check(&state.run)?;
                    return self.found(state, tensors, damaged).map(Some);
                }
                Err(error) => damaged.push(error.to_string()),
            }
        }
        match damaged.is_empty() {
            true => Ok(None),
            false => Err(Error::invalid(format!(
                "no state of the unfinished run can be read ({}); begin anew with --restart",
                damaged.join("; ")
            ))),
        }
    }

    fn read(&self, step: u64) -> Result<(State, Tensors)> {
        let place = self.folder.join(folder::name(step));
        let failed = |reason: String| Error::invalid(format!("{}: {reason}", place.display()));
        let (text, tensors) = folder::read(&place)?;
        let state: State = toml::from_str(&text).map_err(|error| failed(error.message().to_owned()))?;
        if state.version != VERSION {
            return Err(failed(format!("it is of version {}, not {VERSION}", state.version)));
        }
        if state.progress.outcome.losses.len() as u64 != step {
            return Err(failed("it is of another step than its name says".into()));
        }
        Ok((state, tensors))
    }

    fn found(&self, state: State, mut tensors: Tensors, damaged: Vec<String>) -> Result<Found> {
        state.progress.check(&self.run.train, self.rows)?;
        let has_best = !state.progress.outcome.epochs.is_empty();
        let (first, second) = (self.all_of(&mut tensors, FIRST)?, self.all_of(&mut tensors, SECOND)?);
        Ok(Found {
            progress: state.progress,
            batch_tokens: state.batch_tokens,
            values: self.all_of(&mut tensors, VALUE)?,
            moments: first.into_iter().zip(second).collect(),
            best: has_best.then(|| self.all_of(&mut tensors, BEST)).transpose()?,
            damaged,
        })
    }

    /// A tensor of every parameter, in their order.
    fn all_of(&self, tensors: &mut Tensors, prefix: &str) -> Result<Vec<Vec<f32>>> {
        let one = |(name, shape): &(String, Vec<usize>)| match tensors.remove(&format!("{prefix}{name}")) {
            Some((found, values)) if found == *shape => Ok(values),
            _ => Err(Error::invalid(format!("the unfinished run has no {prefix}{name} of shape {shape:?}"))),
        };
        self.params.iter().map(one).collect()
    }

    /// After a step: writes the run's state if it is due.
    ///
    /// # Errors
    /// [`Error::Stopped`] if the run was asked to stop; if the state cannot be written.
    pub(crate) fn after<L: Learner>(&mut self, run: &Run<'_>, learner: &L, steps: u64) -> Result<()> {
        let step = run.optimizer.steps();
        let stopped = self.all.stop.asked();
        let due = match self.all.every {
            Every::Steps(every) => step.is_multiple_of(every.max(1)),
            Every::Time(time) => self.written.elapsed() >= time,
        };
        if due || stopped {
            self.write(run, learner.params(), step)?;
        }
        if stopped { Err(Error::Stopped { step, steps }) } else { Ok(()) }
    }

    fn write(&mut self, run: &Run<'_>, params: &Params, step: u64) -> Result<()> {
        let state = State {
            version: VERSION,
            batch_tokens: run.settings.batch_tokens,
            progress: run.progress.clone(),
            run: self.run.clone(),
        };
        let text = toml::to_string(&state).map_err(|error| Error::invalid(error.to_string()))?;
        let values = params.snapshot();
        folder::write(&self.folder, step, &text, &self.named(run, &values))?;
        for old in steps(&self.folder)?.into_iter().skip(KEPT) {
            folder::remove(&self.folder.join(folder::name(old)))?;
        }
        self.written = Instant::now();
        Ok(())
    }

    /// Everything with its name and shape.
    fn named<'t>(&self, run: &'t Run<'_>, values: &'t [Vec<f32>]) -> Vec<Named<'t>> {
        let (firsts, seconds): (Vec<&[f32]>, Vec<&[f32]>) = run.optimizer.moments().unzip();
        let mut named = Vec::new();
        let mut add = |prefix: &str, tensors: Vec<&'t [f32]>| {
            let one = |((name, shape), values): (&(String, Vec<usize>), &'t [f32])| {
                (format!("{prefix}{name}"), shape.clone(), values)
            };
            named.extend(self.params.iter().zip(tensors).map(one));
        };
        add(VALUE, values.iter().map(Vec::as_slice).collect());
        add(FIRST, firsts);
        add(SECOND, seconds);
        add(BEST, run.best.iter().flatten().map(Vec::as_slice).collect());
        named
    }
}

fn names(params: &Params) -> Vec<(String, Vec<usize>)> {
    params.iter().map(|param| (param.name().to_owned(), param.value().shape().to_vec())).collect()
}
