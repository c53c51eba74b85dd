//! The one training loop.

mod learner;
mod schedule;
mod settings;

pub(crate) use learner::check_lengths;
pub use learner::{Learner, measure};
pub use schedule::Schedule;
pub use settings::TrainSettings;

use crate::frozen::{Cache, Depth, States};
use crate::rows::{Tokens, epoch_steps, micro_batches, pack};
use crate::{Error, MemoryPlan, Result, Score};
use offshoot_core::optim::{AdamW, Settings};
use offshoot_core::{Counter, Mode, Pass, Rng, Tape, backward};
use std::time::Instant;

/// What a run tells whoever watches it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Event {
    /// What the run will hold in memory.
    Planned(MemoryPlan),
    /// An optimizer step is done.
    Step {
        /// Steps done, from 1.
        step: u64,
        /// Steps in all.
        steps: u64,
        /// The step's mean loss.
        loss: f64,
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
}

impl<'a, R> Given<'a, R> {
    /// Rows to train on, and nothing else.
    pub fn rows(train: &'a [R]) -> Self {
        Self { train, validation: &[], states: None }
    }
}

/// What a run did.
#[derive(Clone, Debug, Default)]
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
    /// Mean loss of the last ten steps.
    pub final_loss: f64,
    /// The validation metrics of the epoch that was kept.
    pub validation: Option<Score>,
    /// How far up nothing was computed twice.
    pub depth: Depth,
    /// What it was to hold in memory.
    pub plan: MemoryPlan,
    /// Validation metrics of every epoch.
    pub epochs: Vec<Score>,
    /// The epoch that was kept, from 1.
    pub best_epoch: usize,
}

/// Trains a model in place. With validation rows, the epoch with the best validation accuracy is kept (of
/// equals, the one with the lower loss); a language model's with the lowest loss.
///
/// # Errors
/// [`Error::NotFinite`] before an update with a loss or gradient that is not a number; settings out of range;
/// a method that trains nothing of this model.
pub fn train<L: Learner>(
    learner: &mut L,
    Given { train, validation, states }: Given<'_, L::Row>,
    settings: &TrainSettings,
    watch: &mut dyn FnMut(Event),
) -> Result<Outcome> {
    settings.check()?;
    check_trained(learner)?;
    let plan = MemoryPlan::new(learner, train, !validation.is_empty(), settings)?;
    watch(Event::Planned(plan));
    let settings = &plan.settings(settings);
    let mut cache = match states {
        Some(states) => states.open(learner, train.first(), settings.epochs)?,
        None => Cache::none(),
    };
    if settings.memory.is_some() {
        learner.device().hold_little();
        cache = cache.within(plan.cache);
    }
    let mut run = Run::new(learner, train.len(), settings, cache);
    run.outcome.plan = plan;
    let mut order = Rng::new(settings.seed).fork("order");
    let mut best: Option<(Score, Vec<Vec<f32>>)> = None;
    for epoch in 1..=settings.epochs {
        let loss = run.epoch(learner, train, &mut order, watch)?;
        run.outcome.best_epoch = epoch;
        if validation.is_empty() {
            watch(Event::Epoch { epoch, loss, validation: None });
            continue;
        }
        let metrics = learner.score_known(validation, settings.batch_tokens, &run.cache)?;
        run.outcome.epochs.push(metrics);
        watch(Event::Epoch { epoch, loss, validation: Some(metrics) });
        if best.as_ref().is_none_or(|(best, _)| metrics.better_than(best)) {
            best = Some((metrics, learner.params().snapshot()));
        }
        if run.out_of_patience(settings) {
            break;
        }
    }
    run.finish(learner, best)
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

/// A run's running state.
struct Run<'a> {
    settings: &'a TrainSettings,
    optimizer: AdamW,
    lr: f32,
    steps: u64,
    losses: Vec<f64>,
    outcome: Outcome,
    cache: Cache<'a>,
}

impl<'a> Run<'a> {
    fn new<L: Learner>(learner: &L, rows: usize, settings: &'a TrainSettings, cache: Cache<'a>) -> Self {
        Self {
            settings,
            optimizer: AdamW::new(learner.params()),
            lr: settings.lr.unwrap_or(learner.method().info().learning_rate),
            steps: (rows.div_ceil(settings.batch) * settings.epochs) as u64,
            losses: Vec::new(),
            outcome: Outcome::default(),
            cache,
        }
    }

    /// One pass over the rows; its mean loss.
    fn epoch<L: Learner>(
        &mut self,
        learner: &mut L,
        rows: &[L::Row],
        order: &mut Rng,
        watch: &mut dyn FnMut(Event),
    ) -> Result<f64> {
        let start = Instant::now();
        let first = self.losses.len();
        for indices in epoch_steps(rows.len(), self.settings.batch, order)? {
            let rows: Vec<&L::Row> = indices.iter().map(|&i| &rows[i]).collect();
            let loss = self.step(learner, &rows)?;
            self.losses.push(loss);
            watch(Event::Step { step: self.optimizer.steps(), steps: self.steps, loss });
        }
        self.outcome.epoch_seconds.push(start.elapsed().as_secs_f64());
        Ok(mean(&self.losses[first..]))
    }

    /// One optimizer step; its mean loss.
    fn step<L: Learner>(&mut self, learner: &mut L, rows: &[&L::Row]) -> Result<f64> {
        let (mut total, losses) = (0.0, learner.losses(rows));
        learner.params().clear_gradients();
        for range in micro_batches(rows, self.settings.batch_tokens) {
            total += self.accumulate(learner, &rows[range], losses)?;
        }
        let loss = total / losses.max(1) as f64;
        self.check(loss.is_finite(), "loss", rows)?;
        let norm = learner.params().gradient_norm();
        self.check(norm.is_finite(), "gradient", rows)?;
        self.update(learner, norm)?;
        let lengths = || rows.iter().map(|row| row.ids().len() as u64);
        self.outcome.tokens += lengths().sum::<u64>();
        self.outcome.squared_lengths += lengths().map(|length| length * length).sum::<u64>();
        self.outcome.labelled += losses as u64;
        Ok(loss)
    }

    /// Adds a micro-batch's share of the mean gradient over the step's losses; returns its summed loss.
    fn accumulate<L: Learner>(&self, learner: &L, rows: &[&L::Row], losses: usize) -> Result<f64> {
        let batch = pack(rows.iter().copied())?;
        let counter = Counter { seed: self.settings.seed, step: self.optimizer.steps() };
        let mode = Mode::Train(Tape::new(), self.settings.dropout.then_some(counter));
        let mut pass = Pass::new(&batch, learner.adapter(), learner.params(), mode)?;
        self.cache.tell(&mut pass, learner, rows)?;
        pass.recompute(self.settings.recompute);
        let loss = learner.loss(&mut pass, rows, self.settings)?;
        if loss.value().is_finite() {
            backward(learner.backbone(), &mut pass, &loss, 1.0 / losses.max(1) as f32)?;
        }
        Ok(f64::from(loss.value()))
    }

    fn update<L: Learner>(&mut self, learner: &mut L, norm: f64) -> Result<()> {
        let done = self.optimizer.steps();
        let warmup =
            ((self.settings.warmup * self.steps as f64) as u64).max(u64::from(self.settings.warmup > 0.0));
        let factor = self.settings.schedule.factor(done, self.steps, warmup);
        let adamw = Settings {
            lr: (f64::from(self.lr) * factor) as f32,
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            weight_decay: self.settings.weight_decay,
        };
        let clip = self.settings.clip;
        let scale = if clip > 0.0 && norm > clip { clip / (norm + 1e-6) } else { 1.0 };
        Ok(self.optimizer.step(learner.params_mut(), &adamw, scale as f32)?)
    }

    fn check<R: Tokens>(&self, finite: bool, what: &'static str, rows: &[&R]) -> Result<()> {
        let lines = || rows.iter().map(|row| row.line()).collect();
        if finite {
            Ok(())
        } else {
            Err(Error::NotFinite { step: self.optimizer.steps() + 1, what, lines: lines() })
        }
    }

    fn out_of_patience(&self, settings: &TrainSettings) -> bool {
        let Some(patience) = settings.patience else { return false };
        let epochs = &self.outcome.epochs;
        let best =
            (0..epochs.len()).fold(0, |best, i| if epochs[i].better_than(&epochs[best]) { i } else { best });
        epochs.len() - 1 - best >= patience
    }

    /// Puts the best epoch's values back.
    fn finish<L: Learner>(
        mut self,
        learner: &mut L,
        best: Option<(Score, Vec<Vec<f32>>)>,
    ) -> Result<Outcome> {
        if let Some((metrics, values)) = best {
            learner.params_mut().restore(&values)?;
            let kept = self.outcome.epochs.iter().position(|m| *m == metrics).unwrap_or(0);
            self.outcome.best_epoch = kept + 1;
            self.outcome.validation = Some(metrics);
        }
        self.outcome.depth = self.cache.depth();
        self.outcome.steps = self.optimizer.steps();
        self.outcome.train_seconds = self.outcome.epoch_seconds.iter().sum();
        self.outcome.final_loss = mean(&self.losses[self.losses.len().saturating_sub(10)..]);
        Ok(self.outcome)
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}
