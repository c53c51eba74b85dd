//! How the runs of a comparison are shown, noted and saved.

use crate::adapters;
use crate::console::Console;
use crate::output::OutputFolder;
use crate::progress::RunProgress;
use crate::results;
use crate::text::some;
use indicatif::ProgressBar;
use offshoot::methods::MethodConfig;
use offshoot::train::{
    self, Event, Ground, LmPrepared, Prepared, Recipe, Round, RunInfo, RunReport, Track, Trackers,
    TrainSettings, Tuned, Watcher,
};
use std::path::Path;

/// How what was trained is saved.
pub(super) trait Keep: Ground {
    /// Writes an adapter into a folder; the bytes written.
    fn save(&self, folder: &Path, grown: &Self::Grown, recipe: &Recipe) -> train::Result<u64>;
}

impl Keep for Prepared {
    fn save(&self, folder: &Path, grown: &Self::Grown, recipe: &Recipe) -> train::Result<u64> {
        adapters::save(folder, grown, self, recipe)
    }
}

impl Keep for LmPrepared {
    fn save(&self, folder: &Path, grown: &Self::Grown, recipe: &Recipe) -> train::Result<u64> {
        adapters::save_text(folder, grown, self, recipe)
    }
}

/// Shows the runs and saves what they trained.
pub(super) struct Show<'a, P> {
    pub(super) console: &'a Console,
    pub(super) prepared: &'a P,
    pub(super) recipe: &'a Recipe,
    pub(super) output: &'a OutputFolder,
    pub(super) seeds: &'a [u64],
    pub(super) trackers: &'a Trackers,
    pub(super) resume: bool,
    pub(super) runs: ProgressBar,
    pub(super) run: Option<RunProgress>,
}

impl<P> Show<'_, P> {
    /// `lora`, after the first round what it is about, and with several seeds also which.
    fn name(&self, method: &str, settings: &TrainSettings, round: Round) -> String {
        let round = if round == Round::Whole { String::new() } else { format!(" {round}") };
        let seed = if self.seeds.len() == 1 { String::new() } else { format!(", seed {}", settings.seed) };
        format!("{method}{round}{seed}")
    }

    /// Where a run is noted: in files alone, if the server does not take it.
    fn track(&self, logs: &Path, info: &RunInfo) -> train::Result<Track> {
        match Track::open(logs, self.trackers, info, self.resume) {
            Err(error @ train::Error::Mlflow { .. }) => {
                self.console.say(&format!("note: this run is not posted, {error}"));
                Track::open(logs, &self.trackers.local(), info, self.resume)
            }
            track => track,
        }
    }

    /// The first seed's files have the method's name alone.
    fn run_name(&self, method: &str, seed: u64) -> String {
        let first = self.seeds.first() == Some(&seed);
        if first { method.to_owned() } else { format!("{method}-seed{seed}") }
    }
}

impl<P: Keep> Watcher<P::Grown> for Show<'_, P> {
    fn tuned(&mut self, method: &MethodConfig, tuned: &Tuned) {
        self.console.say(&results::tuned(method.info().name, tuned));
    }

    fn planned(&mut self, seeds: usize, dropped: &[&str]) {
        let out = if dropped.is_empty() { "none".to_owned() } else { dropped.join(", ") };
        let seeds = some(seeds, "seed");
        self.console.say(&format!("within the time: {seeds} of each method, left out: {out}"));
    }

    fn begin(&mut self, method: &MethodConfig, settings: &TrainSettings, round: Round) {
        let name = self.name(method.info().name, settings, round);
        let run = RunProgress::new(self.console, name, self.recipe.train.epochs, false);
        let in_round = format!("{}{}", method.info().name, round.suffix());
        let logs = self.output.path().join("logs").join(self.run_name(&in_round, settings.seed));
        // Two sizes of one method are two runs.
        let name = format!("{in_round}-seed{}", settings.seed);
        let info = RunInfo::of(self.recipe, method, settings).map(|info| RunInfo { name, ..info });
        let track = info.and_then(|info| self.track(&logs, &info));
        self.run = Some(match track {
            Ok(track) => run.tracked(track),
            Err(error) => {
                self.console.say(&format!("note: this run has no log, {error}"));
                run
            }
        });
    }

    fn event(&mut self, event: Event) {
        if let Some(run) = &mut self.run {
            run.event(event);
        }
    }

    fn end(&mut self, run: train::Result<&RunReport, &train::Error>) {
        if let Some(shown) = &mut self.run {
            shown.end(run);
        }
    }

    fn done(&mut self, grown: &P::Grown, report: &RunReport) -> train::Result<u64> {
        let seed = report.seed.unwrap_or(self.recipe.train.seed);
        let folder = self.output.path().join("adapters").join(self.run_name(&report.method, seed));
        self.prepared.save(&folder, grown, self.recipe)
    }

    fn row(&mut self, row: &RunReport, round: Round) {
        self.run = None;
        self.runs.inc(self.seeds.len() as u64);
        let round = if round == Round::Whole { String::new() } else { format!("{round}: ") };
        self.console.say(&format!("{round}{}", results::line(row, self.console.is_live())));
    }
}

impl<P> Drop for Show<'_, P> {
    fn drop(&mut self) {
        self.runs.finish_and_clear();
    }
}
