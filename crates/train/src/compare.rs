//! Every method on the same rows, side by side.

use crate::lm_run::LmPrepared;
use crate::report::{Comparison, RunReport};
use crate::run::Prepared;
use crate::trainer::{Event, TrainSettings};
use crate::{Classifier, LanguageModel, Result};
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

    /// The accuracy that needs no model, where there are classes.
    fn floor(&self) -> Option<f64>;

    /// How many rows the choice rests on.
    fn judged_rows(&self) -> usize;
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

    fn floor(&self) -> Option<f64> {
        Some(self.majority_baseline())
    }

    fn judged_rows(&self) -> usize {
        if self.validation.is_empty() { self.test.len() } else { self.validation.len() }
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

    fn floor(&self) -> Option<f64> {
        None
    }

    fn judged_rows(&self) -> usize {
        if self.validation.is_empty() { self.test.len() } else { self.validation.len() }
    }
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
/// go on.
pub fn compare<P: Ground>(
    prepared: &P,
    methods: &[MethodConfig],
    settings: &TrainSettings,
    seeds: &[u64],
    watcher: &mut dyn Watcher<P::Grown>,
) -> Comparison {
    let rows: Vec<RunReport> =
        methods.iter().map(|method| one(prepared, method, settings, seeds, watcher)).collect();
    Comparison::new(rows, prepared.floor(), prepared.judged_rows())
}

fn one<P: Ground>(
    prepared: &P,
    method: &MethodConfig,
    settings: &TrainSettings,
    seeds: &[u64],
    watcher: &mut dyn Watcher<P::Grown>,
) -> RunReport {
    let runs: Result<Vec<RunReport>> =
        seeds.iter().map(|&seed| run(prepared, method, settings, seed, watcher)).collect();
    let row = match runs {
        Ok(runs) => RunReport::mean(runs),
        Err(error) => RunReport::failed(method.info().name, prepared.model_name(), error.to_string()),
    };
    watcher.row(&row);
    row
}

fn run<P: Ground>(
    prepared: &P,
    method: &MethodConfig,
    settings: &TrainSettings,
    seed: u64,
    watcher: &mut dyn Watcher<P::Grown>,
) -> Result<RunReport> {
    watcher.begin(method, seed);
    let settings = TrainSettings { seed, ..settings.clone() };
    let (grown, mut report) = prepared.run(method, &settings, &mut |event| watcher.event(event))?;
    report.adapter_bytes = watcher.done(&grown, &report)?;
    Ok(report)
}
