//! Every method on the same rows, side by side.

use crate::frozen::States;
use crate::lm_run::LmPrepared;
use crate::report::{Comparison, Judged, RunReport};
use crate::run::Prepared;
use crate::trainer::{Event, TrainSettings};
use crate::{Classifier, Error, LanguageModel, Result, Snapshots};
use offshoot_methods::MethodConfig;

/// A model and rows on which methods are compared, of either task.
pub trait Ground {
    /// What a method becomes on it.
    type Grown;

    /// Trains a method and measures it.
    ///
    /// # Errors
    /// If a setting does not fit, or training meets a value that is not finite.
    fn run(
        &self,
        method: &MethodConfig,
        settings: &TrainSettings,
        watch: &mut dyn FnMut(Event),
    ) -> Result<(Self::Grown, RunReport)>;

    /// The model as the user named it.
    fn model_name(&self) -> &str;

    /// What a comparison on it is judged by.
    fn judged(&self) -> Judged<'_>;

    /// A hash of all rows.
    fn rows(&self) -> String;

    /// The states of unfinished runs, if they are kept.
    fn snapshots(&self) -> Option<&Snapshots>;

    /// What is kept of frozen blocks.
    fn states(&self) -> &States;
}

impl Ground for Prepared {
    type Grown = Classifier;

    fn run(
        &self,
        method: &MethodConfig,
        settings: &TrainSettings,
        watch: &mut dyn FnMut(Event),
    ) -> Result<(Classifier, RunReport)> {
        Prepared::run(self, method, settings, watch)
    }

    fn model_name(&self) -> &str {
        &self.model_name
    }

    fn judged(&self) -> Judged<'_> {
        Judged {
            rows: judged_rows(&self.validation, &self.test),
            labels: &self.labels,
            test: &self.examples.test,
            majority: Some(self.majority_baseline()),
            naive_bayes: self.naive_bayes(),
        }
    }

    fn rows(&self) -> String {
        self.fingerprint()
    }

    fn snapshots(&self) -> Option<&Snapshots> {
        self.snapshots.as_ref()
    }

    fn states(&self) -> &States {
        &self.states
    }
}

impl Ground for LmPrepared {
    type Grown = LanguageModel;

    fn run(
        &self,
        method: &MethodConfig,
        settings: &TrainSettings,
        watch: &mut dyn FnMut(Event),
    ) -> Result<(LanguageModel, RunReport)> {
        LmPrepared::run(self, method, settings, watch)
    }

    fn model_name(&self) -> &str {
        &self.model_name
    }

    fn judged(&self) -> Judged<'_> {
        Judged { rows: judged_rows(&self.validation, &self.test), ..Judged::default() }
    }

    fn rows(&self) -> String {
        self.fingerprint()
    }

    fn snapshots(&self) -> Option<&Snapshots> {
        self.snapshots.as_ref()
    }

    fn states(&self) -> &States {
        &self.states
    }
}

/// A choice rests on the rows that chose the epoch, or else on those that are only measured on.
fn judged_rows<R>(validation: &[R], test: &[R]) -> usize {
    if validation.is_empty() { test.len() } else { validation.len() }
}

/// Whoever watches a comparison: it shows progress, and saves what was trained.
pub trait Watcher<G> {
    /// A method starts on a seed.
    fn begin(&mut self, method: &MethodConfig, seed: u64);

    /// Something happened in the run.
    fn event(&mut self, event: Event);

    /// A run is done: saves its adapter and returns the bytes written.
    ///
    /// # Errors
    /// If it cannot be saved.
    fn done(&mut self, grown: &G, report: &RunReport) -> Result<u64>;

    /// All seeds of a method are done, or it failed (then the row says why).
    fn row(&mut self, row: &RunReport);
}

/// Runs methods over seeds, one after the other. A method that fails becomes a row that says why; the others
/// go on. Where unfinished runs are kept, one that is done is not run again; asked to stop, the comparison ends
/// with what is done.
pub fn compare<P: Ground>(
    prepared: &P,
    methods: &[MethodConfig],
    settings: &TrainSettings,
    seeds: &[u64],
    watcher: &mut dyn Watcher<P::Grown>,
) -> Comparison {
    let mut rows = Vec::new();
    for method in methods {
        let row = match one(prepared, method, settings, seeds, watcher) {
            Ok(row) => row,
            Err(Error::Stopped { .. }) => break,
            Err(error) => RunReport::failed(method.info().name, prepared.model_name(), error.to_string()),
        };
        watcher.row(&row);
        rows.push(row);
    }
    let unfinished = methods[rows.len()..].iter().map(|method| method.info().name.to_owned()).collect();
    Comparison { unfinished, ..Comparison::new(rows, prepared.judged()) }
}

/// The mean of a method's runs over the seeds.
fn one<P: Ground>(
    prepared: &P,
    method: &MethodConfig,
    settings: &TrainSettings,
    seeds: &[u64],
    watcher: &mut dyn Watcher<P::Grown>,
) -> Result<RunReport> {
    let run = |&seed: &u64| {
        let settings = TrainSettings { seed, ..settings.clone() };
        run(prepared, method, &settings, watcher)
    };
    Ok(RunReport::mean(seeds.iter().map(run).collect::<Result<_>>()?))
}

fn run<P: Ground>(
    prepared: &P,
    method: &MethodConfig,
    settings: &TrainSettings,
    watcher: &mut dyn Watcher<P::Grown>,
) -> Result<RunReport> {
    if prepared.snapshots().is_some_and(|all| all.stop.asked()) {
        return Err(Error::Stopped { step: 0, steps: 0 });
    }
    watcher.begin(method, settings.seed);
    let states = prepared.snapshots().map(|all| all.of(method.info().name, settings.seed));
    if let Some(report) = states.as_ref().and_then(|states| states.finished(&prepared.rows())) {
        return Ok(report);
    }
    let (grown, mut report) = prepared.run(method, settings, &mut |event| watcher.event(event))?;
    report.adapter_bytes = watcher.done(&grown, &report)?;
    states.map_or(Ok(()), |states| states.finish(&report))?;
    Ok(report)
}
