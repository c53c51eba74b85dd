//! What a run tells, kept in files that other programs read while it runs: a line of JSON for every step and
//! epoch, and event files of TensorBoard.

mod tensorboard;

use crate::trainer::Event;
use crate::{Measure, Result, Score, files};
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

/// The files of one run.
pub struct Track {
    path: PathBuf,
    lines: BufWriter<File>,
    board: Option<EventFile>,
    begun: Instant,
    flushed: Instant,
    /// The last step, which an epoch's numbers belong to.
    step: u64,
}

impl Track {
    /// Opens the files in a folder, which is made. Those of a run before are gone on with if this one `resumes` it,
    /// and else removed.
    ///
    /// # Errors
    /// If they cannot be written to.
    pub fn open(folder: &Path, tensorboard: bool, resumes: bool) -> Result<Self> {
        let path = folder.join(LINES);
        let failed = |error: io::Error| files::Error { path: path.clone(), reason: error.to_string() };
        fs::create_dir_all(folder).map_err(failed)?;
        if !resumes {
            remove(folder).map_err(failed)?;
        }
        let file = OpenOptions::new().append(true).create(true).open(&path).map_err(failed)?;
        let board = tensorboard.then(|| EventFile::create(folder)).transpose().map_err(failed)?;
        let now = Instant::now();
        Ok(Self { path: path.clone(), lines: BufWriter::new(file), board, begun: now, flushed: now, step: 0 })
    }

    /// Notes what happened.
    ///
    /// # Errors
    /// If a file cannot be written to.
    pub fn event(&mut self, event: &Event) -> Result<()> {
        let noted = self.note(event).and_then(|()| self.flush(matches!(event, Event::Epoch { .. })));
        let failed = |error: io::Error| files::Error { path: self.path.clone(), reason: error.to_string() };
        Ok(noted.map_err(failed)?)
    }

    fn note(&mut self, event: &Event) -> io::Result<()> {
        match event {
            Event::Planned(plan) => self.line(json!({ "planned": plan })),
            Event::Resumed { step, .. } => self.line(json!({ "resumed": step })),
            // Methods that are solved embed rows, which has no loss.
            Event::Step { loss, .. } if loss.is_nan() => Ok(()),
            Event::Step { step, steps, loss, tokens } => {
                self.step = *step;
                self.line(json!({ "step": step, "steps": steps, "loss": loss, "tokens": tokens }))?;
                self.scalar("train/loss", *loss)
            }
            Event::Epoch { epoch, loss, validation } => {
                self.line(
                    json!({ "epoch": epoch, "step": self.step, "mean_loss": loss, "validation": validation }),
                )?;
                self.scores(*validation)
            }
        }
    }

    fn scores(&mut self, validation: Option<Score>) -> io::Result<()> {
        let Some(score) = validation else { return Ok(()) };
        self.scalar("validation/loss", score.loss())?;
        for (measure, value) in score.measures().into_iter().filter(|(measure, _)| *measure != Measure::Loss)
        {
            let name = measure.name().to_lowercase().replace(' ', "-");
            self.scalar(&format!("validation/{name}"), value)?;
        }
        Ok(())
    }

    fn line(&mut self, mut value: Value) -> io::Result<()> {
        value["seconds"] = json!((self.begun.elapsed().as_secs_f64() * 1e3).round() / 1e3);
        writeln!(self.lines, "{value}")
    }

    fn scalar(&mut self, tag: &str, value: f64) -> io::Result<()> {
        let step = self.step;
        self.board.as_mut().map_or(Ok(()), |board| board.scalar(tag, step, value as f32))
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

/// Removes the files of another run.
fn remove(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name == LINES || name.starts_with(tensorboard::PREFIX) {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LmMetrics;

    #[test]
    fn every_step_and_epoch_is_a_line() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("logs/lora");
        for resumes in [false, false, true] {
            let mut track = Track::open(&place, true, resumes).unwrap();
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
