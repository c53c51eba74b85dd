//! Every method on the same rows, side by side.

use crate::Result;
use crate::classifier::Classifier;
use crate::report::{Comparison, RunReport};
use crate::run::Prepared;
use crate::trainer::{Event, TrainSettings};
use offshoot_methods::MethodConfig;

/// Whoever watches a comparison: it shows progress, and saves what was trained.
pub trait Watcher {
    /// A method starts on a seed.
    fn begin(&mut self, method: &MethodConfig, seed: u64);

    /// Something happened in the run.
    fn event(&mut self, event: Event);

    /// A run is done: saves its adapter and returns the bytes written.
    ///
    /// # Errors
    /// If it cannot be saved.
    fn done(&mut self, classifier: &Classifier, report: &RunReport) -> Result<u64>;

    /// All seeds of a method are done, or it failed (then the row says why).
    fn row(&mut self, row: &RunReport);
}

/// Runs methods over seeds, one after the other. A method that fails becomes a row that says why; the others
/// go on.
pub fn compare(
    prepared: &Prepared,
    methods: &[MethodConfig],
    settings: &TrainSettings,
    seeds: &[u64],
    watcher: &mut dyn Watcher,
) -> Comparison {
    let rows: Vec<RunReport> =
        methods.iter().map(|method| one(prepared, method, settings, seeds, watcher)).collect();
    let judged = if prepared.validation.is_empty() { prepared.test.len() } else { prepared.validation.len() };
    Comparison::new(rows, prepared.majority_baseline(), judged)
}

fn one(
    prepared: &Prepared,
    method: &MethodConfig,
    settings: &TrainSettings,
    seeds: &[u64],
    watcher: &mut dyn Watcher,
) -> RunReport {
    let runs: Result<Vec<RunReport>> =
        seeds.iter().map(|&seed| run(prepared, method, settings, seed, watcher)).collect();
    let row = match runs {
        Ok(runs) => RunReport::mean(runs),
        Err(error) => RunReport::failed(method.info().name, &prepared.model_name, error.to_string()),
    };
    watcher.row(&row);
    row
}

fn run(
    prepared: &Prepared,
    method: &MethodConfig,
    settings: &TrainSettings,
    seed: u64,
    watcher: &mut dyn Watcher,
) -> Result<RunReport> {
    watcher.begin(method, seed);
    let settings = TrainSettings { seed, ..settings.clone() };
    let (classifier, mut report) = prepared.run(method, &settings, &mut |event| watcher.event(event))?;
    report.adapter_bytes = watcher.done(&classifier, &report)?;
    Ok(report)
}
