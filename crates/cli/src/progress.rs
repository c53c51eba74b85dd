//! How far the work is: bars on a terminal, otherwise a line now and then.

use crate::console::Console;
use crate::profile::Profile;
use crate::sparkline::sparkline;
use crate::text::{bytes, count, percent, seconds};
use indicatif::ProgressBar;
use offshoot::models::hub;
use offshoot::train::{Error, Event, Measure, MemoryPlan, RunReport, Score, Track, peak_rss};
use std::time::{Duration, Instant};

const RUN: &str = "{prefix:<14} {bar:20} {pos}/{len}  {msg}  {eta} left";
const RUNS: &str = "comparing  {bar:28} {pos}/{len} runs  {elapsed}";
const ROWS: &str = "{prefix}  {bar:28} {pos}/{len} rows  {eta} left";
const DOWNLOAD: &str = "{prefix}  {bar:28} {bytes}/{total_bytes}  {bytes_per_sec}  {eta} left";

/// Characters of a curve.
const CURVE: usize = 16;

/// The bar of whole runs.
pub(crate) fn runs(console: &Console, runs: usize) -> ProgressBar {
    let bar = console.bar(runs as u64, RUNS);
    bar.enable_steady_tick(Duration::from_millis(500));
    bar
}

/// A bar of rows that are predicted for or measured on.
pub(crate) fn rows(console: &Console, what: &str, rows: usize) -> ProgressBar {
    console.bar(rows as u64, ROWS).with_prefix(what.to_owned())
}

/// One training run.
pub(crate) struct RunProgress {
    console: Console,
    bar: ProgressBar,
    name: String,
    epochs: usize,
    epoch: usize,
    lines: bool,
    started: Instant,
    losses: Vec<f64>,
    /// When the first step was done, and the tokens by then: a run that was resumed had some before.
    measured: Option<(Instant, u64)>,
    /// The last score on the validation rows.
    validated: Option<Score>,
    profile: Option<Profile>,
    track: Option<Track>,
}

impl RunProgress {
    /// `lines` says each epoch in a line even where there is a bar.
    pub(crate) fn new(console: &Console, name: String, epochs: usize, lines: bool) -> Self {
        let bar = console.bar(0, RUN).with_prefix(name.clone());
        let (lines, started) = (lines || !console.is_live(), Instant::now());
        Self {
            console: console.clone(),
            bar,
            name,
            epochs,
            epoch: 0,
            lines,
            started,
            losses: Vec::new(),
            measured: None,
            validated: None,
            profile: None,
            track: None,
        }
    }

    /// Says where the time went, when the run is done.
    pub(crate) fn profiled(mut self, profile: bool) -> Self {
        self.profile = profile.then(Profile::start);
        self
    }

    /// Notes what happens.
    pub(crate) fn tracked(mut self, track: Track) -> Self {
        self.track = Some(track);
        self
    }

    pub(crate) fn event(&mut self, event: Event) {
        // A log that cannot be written is no reason to stop the work.
        if let Some(Err(error)) = self.track.as_mut().map(|track| track.event(&event)) {
            self.console.say(&format!("note: the log of this run ends here, {error}"));
            self.track = None;
        }
        if let Some(trouble) = self.track.as_ref().and_then(Track::trouble) {
            self.console.say(&format!("note: {trouble}"));
        }
        match event {
            Event::Planned(plan) => self.planned(&plan),
            Event::Resumed { step, damaged } => self.resumed(step, &damaged),
            Event::Step { step, steps, loss, tokens } => {
                self.bar.set_length(steps);
                self.bar.set_position(step);
                if self.console.is_live() {
                    self.losses.push(loss);
                    self.measured.get_or_insert_with(|| (Instant::now(), tokens));
                    self.bar.set_message(self.state(loss, tokens));
                }
            }
            Event::Epoch { epoch, loss, validation } => {
                self.epoch = epoch;
                self.validated = validation;
                self.profile.iter_mut().for_each(Profile::read);
                if self.lines {
                    self.console.say(&self.line(loss, validation));
                }
            }
        }
    }

    /// Notes how the run ended.
    pub(crate) fn end(&mut self, run: Result<&RunReport, &Error>) {
        match self.track.take().map(|track| track.end(run)) {
            Some(Ok(Some(left))) => self.console.say(&format!("note: {left}")),
            Some(Err(error)) => {
                self.console.say(&format!("note: the end of this run's log is missing, {error}"))
            }
            Some(Ok(None)) | None => {}
        }
    }

    fn planned(&mut self, plan: &MemoryPlan) {
        if self.lines {
            self.console.say(&memory(plan));
        }
        // The tiny steps that the plan rests on are no part of training.
        self.profile = self.profile.take().map(|_| Profile::start());
    }

    fn resumed(&mut self, step: u64, damaged: &[String]) {
        damaged.iter().for_each(|what| self.console.say(&format!("note: a state is left out, {what}")));
        self.console.say(&format!("{}: going on from step {}", self.name, count(step as usize)));
    }

    /// A method that is solved, not trained by steps, has neither loss nor epoch: it embeds rows.
    fn state(&self, loss: f64, tokens: u64) -> String {
        if loss.is_nan() {
            return "rows embedded".to_owned();
        }
        let curve = sparkline(self.losses.iter().copied(), CURVE);
        let mut parts = vec![curve, format!("loss {loss:.3}")];
        parts.extend(self.validated.map(|score| match score.ranked() {
            (Measure::Accuracy, accuracy) => percent(accuracy),
            (measure, value) => format!("validation {}", measure.shown(value)),
        }));
        if let Some((since, before)) = self.measured.filter(|(_, before)| tokens > *before) {
            let rate = (tokens - before) as f64 / since.elapsed().as_secs_f64().max(1e-3);
            parts.push(format!("{} tokens/s", count(rate as usize)));
        }
        parts.extend(peak_rss().map(bytes));
        parts.join("  ")
    }

    fn line(&self, loss: f64, validation: Option<Score>) -> String {
        let validation = validation.map(|score| {
            let (measure, value) = score.ranked();
            format!(", validation {} {}", measure.name(), measure.shown(value))
        });
        format!(
            "{}: epoch {} of {}, loss {loss:.4}{}, {}",
            self.name,
            self.epoch,
            self.epochs,
            validation.unwrap_or_default(),
            seconds(self.started.elapsed().as_secs_f64())
        )
    }
}

/// What a run will hold in memory.
fn memory(plan: &MemoryPlan) -> String {
    let parts = [
        ("weights", plan.weights),
        ("program and rows", plan.program),
        ("adapter", plan.adapter),
        ("optimizer", plan.optimizer),
        ("activations", plan.activations),
        ("cache", plan.cache),
    ];
    let parts: Vec<String> = parts
        .iter()
        .filter(|(_, bytes_of)| *bytes_of > 0)
        .map(|(part, bytes_of)| format!("{} {part}", bytes(*bytes_of)))
        .collect();
    let again = match plan.recompute {
        0 => String::new(),
        blocks => format!(", {blocks} of {} trained blocks computed twice", plan.trained_blocks),
    };
    format!(
        "memory: about {} at most: {}; up to {} tokens at a time{again}",
        bytes(plan.total()),
        parts.join(", "),
        count(plan.batch_tokens)
    )
}

impl Drop for RunProgress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
        if let Some(profile) = &self.profile {
            self.console.say(&profile.report());
        }
    }
}

/// Downloads of a model's files.
pub(crate) struct Downloads<'a> {
    console: &'a Console,
    bar: ProgressBar,
}

impl<'a> Downloads<'a> {
    pub(crate) fn new(console: &'a Console) -> Self {
        Self { console, bar: ProgressBar::hidden() }
    }
}

impl hub::Progress for Downloads<'_> {
    fn start(&mut self, file: &str, length: u64) {
        self.bar.finish_and_clear();
        self.bar = self.console.bar(length, DOWNLOAD).with_prefix(file.to_owned());
        if !self.console.is_live() {
            self.console.say(&format!("downloading {file} ({})", bytes(length)));
        }
    }

    fn advance(&mut self, bytes: u64) {
        self.bar.inc(bytes);
    }

    fn finish(&mut self) {
        self.bar.finish_and_clear();
    }
}
