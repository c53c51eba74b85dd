//! The loop over epochs and steps.

use super::lanes::{Share, lanes, rounds};
use super::{Event, Given, Learner, Outcome, TrainSettings};
use crate::frozen::Cache;
use crate::rows::{Tokens, epoch_steps, pack};
use crate::snapshot::{Found, Keeper, Stop};
use crate::{Error, Result, Score};
use offshoot_core::optim::{AdamW, Settings};
use offshoot_core::{Counter, Mode, Params, Pass, Rng, Tape, backward};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::time::Instant;

/// How far a run is. With the values of what is trained, the optimizer's and those of the best epoch it decides
/// all that is to come: the order of rows, dropout and the rate follow from the seed and the step.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Progress {
    /// Epochs that are over, their validation too.
    pub(crate) epochs: usize,
    /// Steps that are done of the epoch at hand.
    pub(crate) steps: usize,
    /// What is reported, as far as it is known.
    pub(crate) outcome: Outcome,
}

impl Progress {
    /// Checks that a run of these settings on so many rows can be there.
    pub(crate) fn check(&self, settings: &TrainSettings, rows: usize) -> Result<()> {
        let steps = rows.div_ceil(settings.batch);
        let fits = self.epochs <= settings.epochs
            && self.steps <= steps
            && self.outcome.losses.len() == self.epochs * steps + self.steps
            && self.outcome.epoch_seconds.len() <= self.epochs + 1
            && [0, self.epochs].contains(&self.outcome.epochs.len());
        if fits { Ok(()) } else { Err(Error::invalid("the unfinished run's state contradicts itself")) }
    }
}

/// A run's running state.
pub(crate) struct Run<'a> {
    pub(crate) settings: &'a TrainSettings,
    lr: f32,
    steps: u64,
    /// Passes that may run side by side.
    lanes: usize,
    cache: Cache<'a>,
    pub(crate) optimizer: AdamW,
    pub(crate) progress: Progress,
    /// The values of the best epoch so far, where there is validation.
    pub(crate) best: Option<Vec<Vec<f32>>>,
}

impl<'a> Run<'a> {
    pub(super) fn new<L: Learner>(
        learner: &L,
        rows: usize,
        settings: &'a TrainSettings,
        cache: Cache<'a>,
    ) -> Self {
        Self {
            settings,
            lr: settings.lr.unwrap_or(learner.method().info().learning_rate),
            steps: (rows.div_ceil(settings.batch) * settings.epochs) as u64,
            lanes: 1,
            cache,
            optimizer: AdamW::new(learner.params()),
            progress: Progress::default(),
            best: None,
        }
    }

    /// Goes on from a state on disk.
    pub(super) fn resume<L: Learner>(&mut self, learner: &mut L, found: Found) -> Result<()> {
        let steps = found.progress.outcome.losses.len() as u64;
        learner.params_mut().restore(&found.values)?;
        self.optimizer = AdamW::resumed(learner.params(), found.moments, steps)?;
        (self.progress, self.best) = (found.progress, found.best);
        Ok(())
    }

    /// Every epoch that is not over.
    pub(super) fn epochs<L: Learner>(
        &mut self,
        learner: &mut L,
        given: &Given<'_, L::Row>,
        mut keeper: Option<Keeper<'_>>,
        watch: &mut dyn FnMut(Event),
    ) -> Result<()> {
        let longest = given.train.iter().map(|row| row.ids().len()).max().unwrap_or(0);
        self.lanes = lanes(learner.params(), longest, self.settings.batch_tokens);
        let mut order = Rng::new(self.settings.seed).fork("order");
        for epoch in 0..self.settings.epochs {
            let steps = epoch_steps(given.train.len(), self.settings.batch, &mut order)?;
            if epoch < self.progress.epochs {
                continue;
            }
            if self.out_of_patience() {
                break;
            }
            let loss = self.epoch(learner, (given.train, given.stop), &steps, keeper.as_mut(), watch)?;
            let validation = self.validate(learner, given.validation)?;
            (self.progress.epochs, self.progress.steps) = (epoch + 1, 0);
            watch(Event::Epoch { epoch: epoch + 1, loss, validation });
        }
        Ok(())
    }

    /// What is left of one pass over the rows; the mean loss of all of it.
    fn epoch<L: Learner>(
        &mut self,
        learner: &mut L,
        (rows, stop): (&[L::Row], Option<&Stop>),
        steps: &[Vec<usize>],
        mut keeper: Option<&mut Keeper<'_>>,
        watch: &mut dyn FnMut(Event),
    ) -> Result<f64> {
        let (start, before) = (Instant::now(), self.begin_epoch());
        let first = self.progress.outcome.losses.len() - self.progress.steps;
        for indices in &steps[self.progress.steps.min(steps.len())..] {
            let rows: Vec<&L::Row> = indices.iter().map(|&i| &rows[i]).collect();
            let loss = self.step(learner, &rows)?;
            self.progress.outcome.losses.push(loss);
            self.progress.steps += 1;
            self.spent(before + start.elapsed().as_secs_f64());
            let (step, tokens) = (self.optimizer.steps(), self.progress.outcome.tokens);
            watch(Event::Step { step, steps: self.steps, loss, tokens });
            if let Some(keeper) = keeper.as_deref_mut() {
                keeper.after(self, learner, self.steps)?;
            }
            if stop.is_some_and(Stop::asked) {
                return Err(Error::Stopped { step, steps: self.steps });
            }
        }
        Ok(mean(&self.progress.outcome.losses[first..]))
    }

    /// The seconds that the epoch at hand has taken already, in a run that was interrupted.
    fn begin_epoch(&mut self) -> f64 {
        let seconds = &mut self.progress.outcome.epoch_seconds;
        seconds.resize(self.progress.epochs + 1, 0.0);
        seconds[self.progress.epochs]
    }

    fn spent(&mut self, seconds: f64) {
        if let Some(epoch) = self.progress.outcome.epoch_seconds.last_mut() {
            *epoch = seconds;
        }
    }

    /// Measures an epoch, and keeps its values if it is the best so far.
    fn validate<L: Learner>(&mut self, learner: &L, rows: &[L::Row]) -> Result<Option<Score>> {
        if rows.is_empty() {
            return Ok(None);
        }
        let score = learner.score_known(rows, self.settings.batch_tokens, &self.cache)?;
        self.progress.outcome.epochs.push(score);
        if best(&self.progress.outcome.epochs) + 1 == self.progress.outcome.epochs.len() {
            self.best = Some(learner.params().snapshot());
        }
        Ok(Some(score))
    }

    /// One optimizer step; its mean loss.
    fn step<L: Learner>(&mut self, learner: &mut L, rows: &[&L::Row]) -> Result<f64> {
        // No loss at all is a sum of 0, whatever it is divided by.
        let weight = Some(learner.weight(rows)).filter(|weight| *weight > 0.0).unwrap_or(1.0);
        let mut total = 0.0;
        learner.params().clear_gradients();
        let lengths: Vec<usize> = rows.iter().map(|row| row.ids().len()).collect();
        for round in rounds(&lengths, self.settings.batch_tokens, self.lanes) {
            total += self.round(learner, rows, &round, weight)?;
        }
        let loss = learner.loss_unit() * total / weight;
        self.check(loss.is_finite(), "loss", rows)?;
        let norm = learner.params().gradient_norm();
        self.check(norm.is_finite(), "gradient", rows)?;
        self.update(learner, norm)?;
        let (lengths, outcome) =
            (|| rows.iter().map(|row| row.ids().len() as u64), &mut self.progress.outcome);
        outcome.tokens += lengths().sum::<u64>();
        outcome.squared_lengths += lengths().map(|length| length * length).sum::<u64>();
        outcome.labelled += learner.losses(rows) as u64;
        Ok(loss)
    }

    /// Passes side by side, whose gradients are added up in their order; their summed loss.
    fn round<L: Learner>(&self, learner: &L, rows: &[&L::Row], round: &[Share], weight: f64) -> Result<f64> {
        let of = |share: &Share| -> Vec<&L::Row> { share.iter().map(|&i| rows[i]).collect() };
        if let [only] = round {
            return self.accumulate(learner, learner.params(), &of(only), weight);
        }
        let pass = |share: &Share| {
            let lane = learner.params().lane();
            Ok((self.accumulate(learner, &lane, &of(share), weight)?, lane))
        };
        let passes: Vec<Result<(f64, Params)>> = round.par_iter().map(pass).collect();
        let mut total = 0.0;
        for pass in passes {
            let (loss, lane) = pass?;
            learner.params().join(lane);
            total += loss;
        }
        Ok(total)
    }

    /// Adds to the gradients of `params` a pass's share of the step's mean gradient, over the weight of all its losses;
    /// returns its summed loss.
    fn accumulate<L: Learner>(
        &self,
        learner: &L,
        params: &Params,
        rows: &[&L::Row],
        weight: f64,
    ) -> Result<f64> {
        let batch = pack(rows.iter().copied())?;
        let counter = Counter { seed: self.settings.seed, step: self.optimizer.steps() };
        let mode = Mode::Train(Tape::new(), self.settings.dropout.then_some(counter));
        let mut pass = Pass::new(&batch, learner.adapter(), params, mode)?;
        self.cache.tell(&mut pass, learner, rows)?;
        pass.recompute(self.settings.recompute);
        let loss = learner.loss(&mut pass, rows, self.settings)?;
        if loss.value().is_finite() {
            backward(learner.backbone(), &mut pass, &loss, 1.0 / weight as f32)?;
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

    fn out_of_patience(&self) -> bool {
        let (Some(patience), scores) = (self.settings.patience, &self.progress.outcome.epochs) else {
            return false;
        };
        !scores.is_empty() && scores.len() - 1 - best(scores) >= patience
    }

    /// Puts the best epoch's values back.
    pub(super) fn finish<L: Learner>(self, learner: &mut L) -> Result<Outcome> {
        let mut outcome = self.progress.outcome;
        outcome.best_epoch = self.progress.epochs;
        if let Some(values) = &self.best {
            learner.params_mut().restore(values)?;
            outcome.best_epoch = best(&outcome.epochs) + 1;
            outcome.validation = outcome.epochs.get(outcome.best_epoch - 1).copied();
        }
        outcome.depth = self.cache.depth();
        outcome.steps = self.optimizer.steps();
        outcome.train_seconds = outcome.epoch_seconds.iter().sum();
        outcome.final_loss = mean(&outcome.losses[outcome.losses.len().saturating_sub(10)..]);
        Ok(outcome)
    }
}

/// The place of the best score; of equals, the first.
fn best(scores: &[Score]) -> usize {
    (0..scores.len()).fold(0, |best, i| if scores[i].better_than(&scores[best]) { i } else { best })
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}
