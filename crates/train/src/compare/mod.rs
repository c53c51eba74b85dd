//! Every method on the same rows, side by side.
//!
//! `ground` is what they are compared on, `tune` gives each a learning rate, `budget` fits them into a time; a
//! `round` repeats all of it on fewer rows, or with methods made as large as each other by `sizing`.

mod budget;
mod ground;
mod round;
mod sizing;
mod tune;

pub use ground::Ground;
pub use round::Round;
pub use tune::{Trial, Tuned};

use crate::data::Amount;
use crate::report::{Comparison, RunReport};
use crate::trainer::{Event, TrainSettings};
use crate::{Error, Result, Snapshots};
use budget::{Estimate, Plan};
use offshoot_methods::MethodConfig;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Instant;

/// How a comparison is run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CompareSettings {
    /// Each method is run with each of these; with none, with the seed of the training settings.
    pub seeds: Vec<u64>,
    /// Whether a short search gives each method its learning rate, where none is set. Default yes.
    pub tune: bool,
    /// Each method is also run on the first so many of the training rows, to see what more of them buy.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub train_sizes: Vec<usize>,
    /// Each method is also run at the sizes at which it trains about so many values, or such a share of the model's.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<Amount>,
    /// Seconds for all of it: fewer seeds, and then the least promising methods, are left out to stay within.
    pub budget: Option<u64>,
}

impl Default for CompareSettings {
    fn default() -> Self {
        Self { seeds: Vec::new(), tune: true, train_sizes: Vec::new(), parameters: Vec::new(), budget: None }
    }
}

impl CompareSettings {
    /// Whether there is nothing to say.
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// The seeds, where none stands for that of the training settings.
    pub fn seeds(&self, settings: &TrainSettings) -> Vec<u64> {
        if self.seeds.is_empty() { vec![settings.seed] } else { self.seeds.clone() }
    }
}

/// Whoever watches a comparison: it shows progress, and saves what was trained.
pub trait Watcher<G> {
    /// The learning rate of a method was found.
    fn tuned(&mut self, method: &MethodConfig, tuned: &Tuned);

    /// It was planned what fits into the time that was given: the seeds that are left, and the methods that are not
    /// run.
    fn planned(&mut self, seeds: usize, dropped: &[&str]);

    /// A method starts on the settings' seed.
    fn begin(&mut self, method: &MethodConfig, settings: &TrainSettings, round: Round);

    /// Something happened in the run.
    fn event(&mut self, event: Event);

    /// The run ended: with a report, or with an error.
    fn end(&mut self, run: Result<&RunReport, &Error>);

    /// A run of the first round is done: saves its adapter and returns the bytes written.
    ///
    /// # Errors
    /// If it cannot be saved.
    fn done(&mut self, grown: &G, report: &RunReport) -> Result<u64>;

    /// All seeds of a method are done, or it failed (then the row says why).
    fn row(&mut self, row: &RunReport, round: Round);
}

/// Runs methods over seeds, one after the other. A method that fails becomes a row that says why; the others
/// go on. Where unfinished runs are kept, one that is done is not run again; asked to stop, the comparison ends
/// with what is done.
pub fn compare<P: Ground>(
    ground: &P,
    methods: &[MethodConfig],
    settings: &TrainSettings,
    compared: &CompareSettings,
    watcher: &mut dyn Watcher<P::Grown>,
) -> Comparison {
    let seeds = compared.seeds(settings);
    let round = Round::default();
    let mut race = Race { ground, settings, compared, seeds, round, tuned: BTreeMap::new(), watcher };
    let (mut rows, mut broken) = (Vec::new(), None);
    let dropped = race.fit(methods).unwrap_or_else(|error| {
        broken = Some(error.to_string());
        BTreeMap::new()
    });
    for method in methods.iter().take_while(|_| broken.is_none()) {
        let row = match dropped.get(method.info().name) {
            Some(why) => Err(Error::invalid(why.clone())),
            None => race.row(method),
        };
        let row = match row {
            Ok(row) => row,
            Err(Error::Stopped { .. }) => break,
            // What was trained would be lost with the states that it could be gone on with from.
            Err(error) if race.keeps_states(method) => {
                broken = Some(error.to_string());
                break;
            }
            Err(error) => RunReport::failed(method.info().name, ground.model_name(), error.to_string()),
        };
        race.watcher.row(&row, round);
        rows.push(row);
    }
    let mut unfinished: Vec<String> =
        methods[rows.len()..].iter().map(|method| method.info().name.to_owned()).collect();
    let mut comparison = Comparison::new(rows, ground.judged());
    if unfinished.is_empty() {
        unfinished
            .extend(race.rounds(methods, &mut comparison).err().map(|round| format!("the runs {round}")));
    }
    Comparison { unfinished, broken, ..comparison }
}

/// What fits into a time: how many seeds, and why methods are left out.
#[derive(Serialize, Deserialize)]
struct Fitted {
    seeds: usize,
    dropped: BTreeMap<String, String>,
}

/// A comparison while it runs.
struct Race<'a, P: Ground> {
    ground: &'a P,
    settings: &'a TrainSettings,
    compared: &'a CompareSettings,
    seeds: Vec<u64>,
    /// The round at hand.
    round: Round,
    /// By method, and its size where that is the round's; none where a rate is given, or nothing is trained by
    /// steps.
    tuned: BTreeMap<(&'static str, Option<usize>), Option<Tuned>>,
    watcher: &'a mut dyn Watcher<P::Grown>,
}

impl<P: Ground> Race<'_, P> {
    /// What fits into the time that is given: changes the seeds, and returns why methods are left out.
    fn fit(&mut self, methods: &[MethodConfig]) -> Result<BTreeMap<String, String>> {
        let Some(budget) = self.compared.budget else { return Ok(BTreeMap::new()) };
        let before = self.ground.snapshots().and_then(Snapshots::plan::<Fitted>);
        let fitted = match before {
            Some(fitted) => fitted,
            None => self.plan(methods, budget),
        };
        if let Some(all) = self.ground.snapshots().filter(|all| !all.stop.asked()) {
            all.keep_plan(&fitted)?;
        }
        self.seeds.truncate(fitted.seeds);
        let names: Vec<&str> = fitted.dropped.keys().map(String::as_str).collect();
        self.watcher.planned(fitted.seeds, &names);
        Ok(fitted.dropped)
    }

    fn plan(&mut self, methods: &[MethodConfig], budget: u64) -> Fitted {
        let start = Instant::now();
        let tuned: Vec<(&MethodConfig, Tuned)> =
            methods.iter().filter_map(|method| Some((method, self.tune(method)?))).collect();
        let estimates: Vec<Estimate> =
            tuned.iter().map(|(method, tuned)| self.estimate(method, tuned)).collect();
        let left = budget as f64 - start.elapsed().as_secs_f64();
        let Plan { seeds, dropped } = Plan::new(&estimates, self.seeds.len(), left);
        let why = |e: &Estimate| {
            let (seconds, ahead) = (e.seconds * seeds as f64, e.ahead(&estimates));
            format!(
                "left out: it would take about {seconds:.0} s of the {budget} s that are given, and after its short \
                 run {ahead} methods were ahead"
            )
        };
        let dropped = dropped.iter().map(|estimate| (estimate.method.to_owned(), why(estimate))).collect();
        Fitted { seeds, dropped }
    }

    /// Whether a run of the method left states that it can be gone on with from. One that ended in a value that is
    /// not finite would end so again: its states go.
    fn keeps_states(&self, method: &MethodConfig) -> bool {
        let Some(all) = self.ground.snapshots() else { return false };
        self.seeds.iter().any(|&seed| !all.of(method, &self.settings(seed)).is_empty())
    }

    fn estimate(&self, method: &MethodConfig, tuned: &Tuned) -> Estimate {
        let [each, end] = self.ground.measured_rows();
        let epochs = self.settings.epochs;
        let measured = (epochs * each + end) as f64 * tuned.seconds_per_judged_row;
        let trained =
            (epochs * self.settings.part(self.ground.train_rows()).len()) as f64 * tuned.seconds_per_row;
        Estimate { method: method.info().name, seconds: trained + measured, loss: tuned.loss() }
    }

    /// The rounds after the first, with the methods that did not fail in it. Asked to stop, the round that it was at.
    fn rounds(&mut self, methods: &[MethodConfig], comparison: &mut Comparison) -> Result<(), Round> {
        let able: Vec<&MethodConfig> = methods
            .iter()
            .zip(&comparison.rows)
            .filter(|(_, row)| row.error.is_none())
            .map(|(m, _)| m)
            .collect();
        for round in self.compared.rounds(self.ground, self.settings) {
            self.round = round;
            for method in &able {
                let row = match self.sized_row(method) {
                    Ok(Some(row)) => row,
                    Ok(None) => continue,
                    Err(Error::Stopped { .. }) => return Err(round),
                    Err(error) => {
                        RunReport::failed(method.info().name, self.ground.model_name(), error.to_string())
                    }
                };
                self.watcher.row(&row, round);
                comparison.add(row, round);
            }
        }
        Ok(())
    }

    /// The row of a method made as large as the round asks for; none if it has no size.
    fn sized_row(&mut self, method: &MethodConfig) -> Result<Option<RunReport>> {
        self.stop()?;
        let method = self.round.method(self.ground, method)?;
        method.map(|method| self.row(&method)).transpose()
    }

    /// The settings of runs on a seed, on as many rows as it is about now.
    fn settings(&self, seed: u64) -> TrainSettings {
        TrainSettings { seed, rows: self.round.rows().or(self.settings.rows), ..self.settings.clone() }
    }

    /// The mean of a method's runs over the seeds.
    fn row(&mut self, method: &MethodConfig) -> Result<RunReport> {
        let runs: Vec<RunReport> =
            self.seeds.clone().iter().map(|&seed| self.run(method, seed)).collect::<Result<_>>()?;
        let spent = runs.iter().map(|run| run.train_seconds + run.evaluate_seconds).sum::<f64>();
        let tuned = runs.first().and_then(|run| run.tuned.clone());
        let spent_seconds = spent + tuned.map_or(0.0, |tuned| tuned.seconds);
        Ok(RunReport { spent_seconds, ..RunReport::mean(runs) })
    }

    fn run(&mut self, method: &MethodConfig, seed: u64) -> Result<RunReport> {
        self.stop()?;
        if let Some(report) = self.finished(method, seed) {
            return Ok(report);
        }
        let tuned = self.tune(method);
        self.stop()?;
        let lr = tuned.as_ref().map(|tuned| tuned.rate).or(self.settings.lr);
        let settings = TrainSettings { lr, ..self.settings(seed) };
        self.watcher.begin(method, &settings, self.round);
        let watcher = &mut *self.watcher;
        let run = self.ground.run(method, &settings, &mut |event| watcher.event(event));
        self.watcher.end(run.as_ref().map(|(_, report)| report));
        if let (Err(Error::NotFinite { .. }), Some(all)) = (&run, self.ground.snapshots()) {
            all.of(method, &settings).clear()?;
        }
        let (grown, report) = run?;
        let adapter_bytes = if self.round == Round::Whole { self.watcher.done(&grown, &report)? } else { 0 };
        let report = RunReport { adapter_bytes, tuned, ..report };
        if let Some(all) = self.ground.snapshots() {
            all.of(method, &settings).finish(&report)?;
        }
        Ok(report)
    }

    /// The report of a run that was done before the comparison was interrupted.
    fn finished(&self, method: &MethodConfig, seed: u64) -> Option<RunReport> {
        self.ground.snapshots()?.of(method, &self.settings(seed)).finished(&self.ground.rows())
    }

    /// The learning rate of a method, searched for once.
    fn tune(&mut self, method: &MethodConfig) -> Option<Tuned> {
        let sized = matches!(self.round, Round::Values(_));
        let key = (method.info().name, method.size().filter(|_| sized));
        if let Some(known) = self.tuned.get(&key) {
            return known.clone();
        }
        let wanted = self.compared.tune && self.settings.lr.is_none() && self.stop().is_ok();
        // What stands in the way of the search stands in the way of the run, which then says so.
        let tuned = if wanted { tune::tune(self.ground, method, self.settings).ok().flatten() } else { None };
        if let Some(tuned) = &tuned {
            self.watcher.tuned(method, tuned);
        }
        self.tuned.insert(key, tuned.clone());
        tuned
    }

    fn stop(&self) -> Result<()> {
        match self.ground.snapshots() {
            Some(all) if all.stop.asked() => Err(Error::Stopped { step: 0, steps: 0 }),
            _ => Ok(()),
        }
    }
}
