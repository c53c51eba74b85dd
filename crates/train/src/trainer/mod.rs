//! The one training loop: what goes in, what is told on the way, what comes out. `run` has the loop itself.

mod class_weights;
mod lanes;
mod learner;
#[cfg(test)]
mod numbers_tests;
mod run;
mod schedule;
mod settings;

pub use class_weights::ClassWeights;
pub(crate) use learner::check_lengths;
pub use learner::{Learner, measure};
pub(crate) use run::{Progress, Run};
pub use schedule::Schedule;
pub use settings::TrainSettings;

use crate::frozen::{Cache, Depth, States};
use crate::snapshot::{Keeper, RunSnapshots, Stop};
use crate::{Error, MemoryPlan, Result, Score};
use serde::{Deserialize, Serialize};

/// What a run tells whoever watches it.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// What the run will hold in memory.
    Planned(MemoryPlan),
    /// The run goes on from a state on disk.
    Resumed {
        /// Steps that were done.
        step: u64,
        /// What was wrong with newer states, if there were such.
        damaged: Vec<String>,
    },
    /// An optimizer step is done.
    Step {
        /// Steps done, from 1.
        step: u64,
        /// Steps in all.
        steps: u64,
        /// The step's mean loss; not a number where a method is solved and only embeds rows.
        loss: f64,
        /// Real tokens that went through training so far.
        tokens: u64,
    },
    /// An epoch is done.
    Epoch {
        /// Epochs done, from 1.
        epoch: usize,
        /// The mean training loss of the epoch.
        loss: f64,
        /// On the validation rows, if there are any.
        validation: Option<Score>,
    },
}

/// What a run reads.
pub struct Given<'a, R> {
    /// Rows to train on.
    pub train: &'a [R],
    /// Rows that choose the epoch; may be none.
    pub validation: &'a [R],
    /// Where outputs of frozen blocks are kept, if anywhere.
    pub states: Option<&'a States>,
    /// Where the run's own states are kept, to go on from, if anywhere.
    pub snapshots: Option<RunSnapshots<'a>>,
    /// Ends the run after the step at hand, if asked.
    pub stop: Option<&'a Stop>,
}

impl<'a, R> Given<'a, R> {
    /// Rows to train on, and nothing else.
    pub fn rows(train: &'a [R]) -> Self {
        Self { train, validation: &[], states: None, snapshots: None, stop: None }
    }
}

/// What a run did.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Outcome {
    /// Optimizer steps.
    pub steps: u64,
    /// Real tokens that went through training, virtual ones not counted.
    pub tokens: u64,
    /// Positions with a loss that went through training.
    pub labelled: u64,
    /// The sum of the squared lengths of the rows that went through training.
    pub squared_lengths: u64,
    /// Seconds of training, evaluation apart.
    pub train_seconds: f64,
    /// Seconds of each epoch's training.
    pub epoch_seconds: Vec<f64>,
    /// The mean loss of every step.
    pub losses: Vec<f64>,
    /// Mean loss of the last ten steps.
    pub final_loss: f64,
    /// The validation metrics of the epoch that was kept.
    pub validation: Option<Score>,
    /// How far up nothing was computed twice.
    #[serde(skip)]
    pub depth: Depth,
    /// What it was to hold in memory.
    #[serde(skip)]
    pub plan: MemoryPlan,
    /// Validation metrics of every epoch.
    pub epochs: Vec<Score>,
    /// The epoch that was kept, from 1.
    pub best_epoch: usize,
}

/// Trains a model in place. With validation rows, the epoch with the best validation accuracy is kept (of
/// equals, the one with the lower loss); where there are no classes, that with the lowest loss.
///
/// # Errors
/// [`Error::NotFinite`] before an update with a loss or gradient that is not a number; settings out of range;
/// a method that trains nothing of this model; [`Error::Stopped`] if the run was asked to stop; a state on disk
/// that cannot be written, or belongs to another run.
pub fn train<L: Learner>(
    learner: &mut L,
    given: Given<'_, L::Row>,
    settings: &TrainSettings,
    watch: &mut dyn FnMut(Event),
) -> Result<Outcome> {
    settings.check()?;
    check_trained(learner)?;
    learner.begin(given.train)?;
    let outcome = train_on_scale(learner, given, settings, watch);
    // Whatever came of it: nobody is left with a head that is half of one.
    learner.end()?;
    outcome
}

/// Trains a model that is ready for the rows.
fn train_on_scale<L: Learner>(
    learner: &mut L,
    given: Given<'_, L::Row>,
    settings: &TrainSettings,
    watch: &mut dyn FnMut(Event),
) -> Result<Outcome> {
    let rows = (given.train, given.validation);
    let keeper = given.snapshots.clone().map(|snapshots| Keeper::new(snapshots, learner, rows, settings));
    let found = keeper.as_ref().map(Keeper::latest).transpose()?.flatten();
    let plan = MemoryPlan::new(learner, &given, settings)?;
    watch(Event::Planned(plan));
    let mut settings = plan.settings(settings);
    if let Some(found) = &found {
        // Sums of other micro-batches would have other last bits; blocks that are computed twice have the same.
        if plan.batch_tokens < found.batch_tokens && settings.memory.is_some() {
            return Err(Error::invalid(format!(
                "the unfinished run takes {} tokens at a time, for which --memory leaves no room: give it more, or \
                 begin anew with --restart",
                found.batch_tokens
            )));
        }
        settings.batch_tokens = found.batch_tokens;
    }
    let cache = cache(learner, &given, &settings, &plan)?;
    let mut run = Run::new(learner, given.train.len(), &settings, cache);
    if let Some(found) = found {
        watch(Event::Resumed {
            step: found.progress.outcome.losses.len() as u64,
            damaged: found.damaged.clone(),
        });
        run.resume(learner, found)?;
    }
    run.epochs(learner, &given, keeper, watch)?;
    let outcome = run.finish(learner)?;
    Ok(Outcome { plan, ..outcome })
}

/// What the run keeps of frozen blocks.
fn cache<'a, L: Learner>(
    learner: &L,
    given: &Given<'a, L::Row>,
    settings: &TrainSettings,
    plan: &MemoryPlan,
) -> Result<Cache<'a>> {
    let cache = match given.states {
        Some(states) => states.open(learner, given.train.first(), settings.epochs)?,
        None => Cache::none(),
    };
    if settings.memory.is_none() {
        return Ok(cache);
    }
    learner.device().hold_little();
    Ok(cache.within(plan.cache))
}

/// A method without parameters has nothing to train.
fn check_trained<L: Learner>(learner: &L) -> Result<()> {
    match learner.params().count() {
        0 => Err(Error::invalid(format!(
            "{}: this model has nothing that the method trains",
            learner.method().info().name
        ))),
        _ => Ok(()),
    }
}
