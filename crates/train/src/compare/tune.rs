//! A learning rate for each method, on the rows at hand.
//!
//! The rate moves results more than the method does, so a comparison at fixed rates compares rates. Each method is
//! trained briefly at its own rate, at three times and at a third of it, and then further in the direction that
//! still gets better; the rate with the lowest loss on training rows that were held out is taken. Every method is
//! given the same number of rows. Neither validation nor test rows are read.

use super::Ground;
use crate::trainer::{Given, Learner, TrainSettings, train};
use crate::{Error, Result};
use offshoot_core::Rng;
use offshoot_methods::{MethodConfig, Saves};
use serde::{Deserialize, Serialize};
use std::time::Instant;

/// Between neighbouring rates.
const FACTOR: f32 = 3.0;
/// Rates that are tried at most.
const MOST: usize = 5;
/// The share of a full run's rows that a rate is tried on.
const SHARE: f64 = 0.2;
/// Steps of a try at least; fewer tell one rate from another only by chance.
const LEAST_STEPS: usize = 20;
/// One of so many training rows is held out, and between the numbers that tell losses apart.
const HELD_OUT: usize = 10;
const JUDGED: std::ops::RangeInclusive<usize> = 20..=256;

/// How a learning rate was found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tuned {
    /// The rate that is used.
    pub rate: f32,
    /// What was tried, in order.
    pub tried: Vec<Trial>,
    /// Rows that each rate was trained on.
    pub rows: usize,
    /// Held-out training rows that each was judged on.
    pub judged: usize,
    /// Seconds of the whole search.
    pub seconds: f64,
    /// Seconds to train on a row, the last try's.
    pub seconds_per_row: f64,
    /// Seconds to judge by a row.
    pub seconds_per_judged_row: f64,
}

/// A rate that was tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// The peak rate.
    pub rate: f32,
    /// The loss on the held-out rows; none if it was not finite, there or in training.
    pub loss: Option<f64>,
}

impl Tuned {
    /// The loss at the rate that is used.
    pub(super) fn loss(&self) -> f64 {
        let found = self.tried.iter().find(|trial| trial.rate == self.rate);
        found.and_then(|trial| trial.loss).unwrap_or(f64::INFINITY)
    }
}

/// Finds a method's learning rate; none where nothing is trained by steps, or there are too few rows to tell.
///
/// # Errors
/// If the method does not fit the model.
pub(super) fn tune<P: Ground>(
    ground: &P,
    method: &MethodConfig,
    settings: &TrainSettings,
) -> Result<Option<Tuned>> {
    let trained = !matches!(method.saves(), Saves::Features | Saves::Fitted | Saves::Prompt);
    let Some((rows, held_out)) = parts(settings.part(ground.train_rows()), settings).filter(|_| trained)
    else {
        return Ok(None);
    };
    let start = Instant::now();
    let mut tuned = Tuned { rows: rows.len(), judged: held_out.len(), ..Tuned::default() };
    let own = method.info().learning_rate;
    for step in [0, 1, -1] {
        tuned.attempt(ground, method, settings, (&rows, &held_out), own * FACTOR.powi(step))?;
    }
    while let Some(rate) = next(&tuned.tried).filter(|_| tuned.tried.len() < MOST) {
        tuned.attempt(ground, method, settings, (&rows, &held_out), rate)?;
    }
    // Where no rate has a finite loss, the run at the method's own says so.
    tuned.rate = Some(best(&tuned.tried)).filter(|best| best.loss.is_some()).map_or(own, |best| best.rate);
    tuned.seconds = start.elapsed().as_secs_f64();
    Ok(Some(tuned))
}

impl Tuned {
    /// Trains at a rate and judges it.
    fn attempt<P: Ground>(
        &mut self,
        ground: &P,
        method: &MethodConfig,
        settings: &TrainSettings,
        (rows, held_out): Parts<'_, P>,
        rate: f32,
    ) -> Result<()> {
        let settings = TrainSettings { lr: Some(rate), epochs: 1, patience: None, ..settings.clone() };
        let mut learner = ground.grow(method, settings.seed)?;
        let stop = ground.snapshots().map(|all| &all.stop);
        let given = Given { states: Some(ground.states()), stop, ..Given::rows(rows) };
        let loss = match train(&mut learner, given, &settings, &mut |_| {}) {
            Ok(outcome) => {
                self.seconds_per_row = outcome.train_seconds / rows.len() as f64;
                let start = Instant::now();
                let loss = learner.score(held_out, settings.batch_tokens)?.loss();
                self.seconds_per_judged_row = start.elapsed().as_secs_f64() / held_out.len() as f64;
                Some(loss).filter(|loss| loss.is_finite())
            }
            Err(Error::NotFinite { .. }) => None,
            Err(error) => return Err(error),
        };
        self.tried.push(Trial { rate, loss });
        Ok(())
    }
}

type Parts<'a, P> = (&'a [RowOf<P>], &'a [RowOf<P>]);
type RowOf<P> = <<P as Ground>::Grown as Learner>::Row;

/// Rows to train on briefly, and rows to judge by; none where there are too few.
fn parts<R: Clone>(rows: &[R], settings: &TrainSettings) -> Option<(Vec<R>, Vec<R>)> {
    let order = Rng::new(settings.seed).fork("tune").permutation(rows.len());
    let judged = (rows.len() / HELD_OUT).clamp(*JUDGED.start(), *JUDGED.end()).min(rows.len());
    let (held_out, rest) = order.split_at(judged);
    let visits = (SHARE * (settings.epochs * rows.len()) as f64) as usize;
    let wanted = visits.max(LEAST_STEPS * settings.batch).min(rest.len());
    let take = |order: &[usize]| order.iter().map(|&row| rows[row].clone()).collect::<Vec<R>>();
    (wanted >= LEAST_STEPS * settings.batch).then(|| (take(&rest[..wanted]), take(held_out)))
}

fn best(tried: &[Trial]) -> Trial {
    let loss = |trial: &Trial| trial.loss.unwrap_or(f64::INFINITY);
    tried.iter().copied().min_by(|a, b| loss(a).total_cmp(&loss(b))).unwrap_or_default()
}

/// The rate beyond the best one, if that is the highest or the lowest of those that were tried.
fn next(tried: &[Trial]) -> Option<f32> {
    let best = best(tried);
    best.loss?;
    let rates = || tried.iter().map(|trial| trial.rate);
    if rates().all(|rate| rate <= best.rate) {
        return Some(best.rate * FACTOR);
    }
    rates().all(|rate| rate >= best.rate).then_some(best.rate / FACTOR)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tried(losses: &[(f32, f64)]) -> Vec<Trial> {
        losses
            .iter()
            .map(|&(rate, loss)| Trial { rate, loss: Some(loss).filter(|l| l.is_finite()) })
            .collect()
    }

    #[test]
    fn the_search_goes_on_where_it_still_gets_better() {
        assert_eq!(next(&tried(&[(1.0, 0.5), (3.0, 0.6), (0.5, 0.7)])), None);
        assert_eq!(next(&tried(&[(1.0, 0.5), (3.0, 0.4), (0.5, 0.7)])), Some(9.0));
        assert_eq!(next(&tried(&[(1.0, 0.5), (3.0, f64::INFINITY), (0.6, 0.3)])), Some(0.2));
        assert_eq!(next(&tried(&[(1.0, f64::INFINITY), (3.0, f64::INFINITY)])), None);
        assert_eq!(best(&tried(&[(1.0, f64::INFINITY), (3.0, 0.9)])).rate, 3.0);
    }

    #[test]
    fn rows_are_held_out_and_the_rest_is_trained_on() {
        let rows: Vec<usize> = (0..1000).collect();
        let settings = TrainSettings { epochs: 3, batch: 10, ..TrainSettings::default() };
        let (train, held_out) = parts(&rows, &settings).unwrap();
        assert_eq!((train.len(), held_out.len()), (600, 100));
        assert!(held_out.iter().all(|row| !train.contains(row)));
        // So many that all are used, and so few that nothing can be told.
        assert_eq!(parts(&rows, &TrainSettings { epochs: 30, ..settings.clone() }).unwrap().0.len(), 900);
        assert!(parts(&rows[..219], &settings).is_none());
        assert_eq!(parts(&rows[..222], &settings).unwrap().0.len(), 200);
    }
}
