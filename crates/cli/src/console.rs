//! Where a person reads: results on stdout, everything else on stderr, above the progress bars.

use anyhow::Result;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use std::io::{self, IsTerminal, Write};

/// The two streams. Copies share the same bars.
#[derive(Clone)]
pub(crate) struct Console {
    bars: MultiProgress,
    /// Whether stderr is a terminal, where bars can be drawn.
    live: bool,
    /// Whether stdout is for the JSON object alone.
    json: bool,
}

impl Console {
    pub(crate) fn new(json: bool) -> Self {
        let live = io::stderr().is_terminal();
        let target = if live { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        Self { bars: MultiProgress::with_draw_target(target), live, json }
    }

    /// Whether progress is drawn; otherwise it is said in lines.
    pub(crate) fn is_live(&self) -> bool {
        self.live
    }

    /// A line on stderr.
    pub(crate) fn say(&self, text: &str) {
        // A reader that is gone is no reason to stop the work.
        self.bars.suspend(|| drop(writeln!(io::stderr(), "{}", text.trim_end())));
    }

    /// A result for people: on stdout, or on stderr if stdout is for JSON.
    ///
    /// # Errors
    /// If stdout cannot be written to.
    pub(crate) fn show(&self, text: &str) -> Result<()> {
        if self.json {
            self.say(text);
            return Ok(());
        }
        self.bars.suspend(|| writeln!(io::stdout().lock(), "{}", text.trim_end()))?;
        Ok(())
    }

    /// A result for machines, if that was asked for: one line on stdout.
    ///
    /// # Errors
    /// If stdout cannot be written to.
    pub(crate) fn json(&self, object: &impl Serialize) -> Result<()> {
        if self.json {
            let line = serde_json::to_string(object)?;
            self.bars.suspend(|| writeln!(io::stdout().lock(), "{line}"))?;
        }
        Ok(())
    }

    /// A progress bar that shows only on a terminal. `template` is indicatif's.
    pub(crate) fn bar(&self, length: u64, template: &str) -> ProgressBar {
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        self.bars.add(ProgressBar::new(length).with_style(style.progress_chars("━╸ ")))
    }
}
