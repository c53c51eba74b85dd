//! What a run tells, kept in files that other programs read while it runs: a line of JSON for every step and
//! epoch, and event files of TensorBoard. And, where that is wanted, told to an MLflow server.

mod mlflow;
mod scalars;
mod settings;
mod tensorboard;

pub use mlflow::MlflowServer;
pub use settings::{RunInfo, TrackSettings, Trackers};

use crate::trainer::Event;
use crate::{Error, Result, RunReport, files};
use scalars::Scalar;
use serde_json::{Value, json};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tensorboard::EventFile;

/// The lines' file.
const LINES: &str = "log.jsonl";
/// Whoever reads along sees everything up to so long ago.
const FLUSHED: Duration = Duration::from_secs(2);

/// Where one run is noted.
pub struct Track {
    path: PathBuf,
    lines: BufWriter<File>,
    board: Option<EventFile>,
    mlflow: Option<mlflow::Run>,
    begun: Instant,
    flushed: Instant,
    /// The last step, which an epoch's numbers belong to.
    step: u64,
}

impl Track {
    /// Opens the files in a folder, which is made, and begins the run on the server. Those of a run before are gone
    /// on with if this one `resumes` it, and else removed.
    ///
    /// # Errors
    /// If the files cannot be written to, or the server does not take the run.
    pub fn open(folder: &Path, trackers: &Trackers, info: &RunInfo, resumes: bool) -> Result<Self> {
        let path = folder.join(LINES);
        let failed = |error: io::Error| cannot_write(&path, &error);
        fs::create_dir_all(folder).map_err(failed)?;
        if !resumes {
            remove(folder).map_err(failed)?;
        }
        // First, so that nothing is left of what is refused.
        let begin = |experiment: &mlflow::Experiment| experiment.begin(folder, info, resumes);
        let mlflow = trackers.mlflow.as_ref().map(begin).transpose()?;
        let file = OpenOptions::new().append(true).create(true).open(&path).map_err(failed)?;
        let board = trackers.tensorboard.then(|| EventFile::create(folder)).transpose().map_err(failed)?;
        let (lines, now) = (BufWriter::new(file), Instant::now());
        Ok(Self { path, lines, board, mlflow, begun: now, flushed: now, step: 0 })
    }

    /// Notes what happened.
    ///
    /// # Errors
    /// If a file cannot be written to.
    pub fn event(&mut self, event: &Event) -> Result<()> {
        let noted = self.note(event).and_then(|()| self.flush(matches!(event, Event::Epoch { .. })));
        Ok(noted.map_err(|error| cannot_write(&self.path, &error))?)
    }

    /// What a person is to know of a server that does not take the run's numbers: once, as the run goes on without.
    pub fn trouble(&self) -> Option<String> {
        self.mlflow.as_ref().and_then(mlflow::Run::trouble)
    }

    /// Notes how the run ended, and waits for what is still on its way to a server. Returns what did not arrive
    /// there.
    ///
    /// # Errors
    /// If a file cannot be written to.
    pub fn end(mut self, run: Result<&RunReport, &Error>) -> Result<Option<String>> {
        let numbers = run.map(scalars::of_report).unwrap_or_default();
        let noted = self.scalars(&numbers).and_then(|()| self.flush(true));
        let left = self.mlflow.as_mut().and_then(|mlflow| mlflow.end(run));
        noted.map_err(|error| cannot_write(&self.path, &error))?;
        Ok(left)
    }

    fn note(&mut self, event: &Event) -> io::Result<()> {
        match event {
            Event::Planned(plan) => self.line(json!({ "planned": plan })),
            Event::Resumed { step, .. } => self.line(json!({ "resumed": step })),
            // Methods that are solved embed rows, which has no loss.
            Event::Step { loss, .. } if loss.is_nan() => Ok(()),
            Event::Step { step, steps, loss, tokens } => {
                self.step = *step;
                self.line(json!({ "step": step, "steps": steps, "loss": loss, "tokens": tokens }))
            }
            Event::Epoch { epoch, loss, validation } => self.line(
                json!({ "epoch": epoch, "step": self.step, "mean_loss": loss, "validation": validation }),
            ),
        }?;
        self.scalars(&scalars::of_event(event, self.step))
    }

    fn line(&mut self, mut value: Value) -> io::Result<()> {
        value["seconds"] = json!((self.begun.elapsed().as_secs_f64() * 1e3).round() / 1e3);
        writeln!(self.lines, "{value}")
    }

    fn scalars(&mut self, scalars: &[Scalar]) -> io::Result<()> {
        if let Some(mlflow) = &self.mlflow {
            mlflow.log(scalars);
        }
        let Some(board) = &mut self.board else { return Ok(()) };
        scalars.iter().try_for_each(|Scalar { tag, step, value }| board.scalar(tag, *step, *value as f32))
    }

    fn flush(&mut self, now: bool) -> io::Result<()> {
        if !now && self.flushed.elapsed() < FLUSHED {
            return Ok(());
        }
        self.flushed = Instant::now();
        self.lines.flush()?;
        self.board.as_mut().map_or(Ok(()), EventFile::flush)
    }
}

fn cannot_write(path: &Path, error: &io::Error) -> files::Error {
    files::Error { path: path.to_owned(), reason: error.to_string() }
}

/// Removes the files of another run.
fn remove(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if [LINES, mlflow::FILE].contains(&&*name) || name.starts_with(tensorboard::PREFIX) {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{LmMetrics, Score};

    #[test]
    fn every_step_and_epoch_is_a_line() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("logs/lora");
        for resumes in [false, false, true] {
            let trackers = Trackers { tensorboard: true, mlflow: None };
            let mut track = Track::open(&place, &trackers, &RunInfo::default(), resumes).unwrap();
            let score = Score::Text(LmMetrics::of(6.0, 3));
            track.event(&Event::Step { step: 1, steps: 2, loss: 0.25, tokens: 9 }).unwrap();
            track.event(&Event::Epoch { epoch: 1, loss: 0.25, validation: Some(score) }).unwrap();
        }
        let text = fs::read_to_string(place.join(LINES)).unwrap();
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 4, "a run that goes on adds to what is there, another begins anew");
        assert_eq!((&lines[0]["step"], &lines[0]["loss"]), (&json!(1), &json!(0.25)));
        assert_eq!((&lines[1]["epoch"], &lines[1]["validation"]["loss"]), (&json!(1), &json!(2.0)));
        assert!(lines.iter().all(|line| line["seconds"].is_f64()));
    }
}
