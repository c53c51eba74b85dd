//! What every command has at hand.

use crate::console::Console;
use crate::progress::Downloads;
use crate::text::count;
use anyhow::Result;
use offshoot::models::chat::Date;
use offshoot::models::hub::{self, HubOptions};
use offshoot::models::weights::Pickles;
use offshoot::train::{Lengths, Recipe, Row, Trackers};
use std::path::PathBuf;
use std::time::{Instant, SystemTime};

/// Today, in UTC, for chat templates that write the date.
pub(crate) fn today() -> Date {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    Date::of_unix(now.map_or(0, |now| now.as_secs()))
}

/// The streams, and when the process started.
pub(crate) struct Session {
    pub(crate) console: Console,
    pub(crate) started: Instant,
}

impl Session {
    pub(crate) fn new(started: Instant, json: bool) -> Self {
        Self { console: Console::new(json), started }
    }

    /// The folder of a model, which is downloaded if need be, with weights in torch's own format only where
    /// that is allowed.
    ///
    /// # Errors
    /// If there is no such folder, and none in the hub's cache or on the hub.
    pub(crate) fn model_folder(&self, name: &str, pickles: Pickles) -> Result<PathBuf> {
        let mut options = HubOptions::from_vars(&|name| std::env::var(name).ok());
        options.pickles = pickles;
        Ok(hub::resolve(name, &options, &mut Downloads::new(&self.console))?)
    }

    /// Whoever is to be told of the runs, asked before there are any.
    ///
    /// # Errors
    /// If a server cannot be reached, or refuses.
    pub(crate) fn trackers(&self, recipe: &Recipe) -> Result<Trackers> {
        let trackers = Trackers::connect(&recipe.track)?;
        if let Some(page) = trackers.page() {
            self.console.say(&format!("mlflow: {page}"));
        }
        Ok(trackers)
    }

    /// Says how many rows were cut to `most` tokens, if any were.
    pub(crate) fn say_cut(&self, rows: &[Row], most: usize) {
        let cut = Lengths::of(rows).truncated;
        if cut > 0 {
            let (cut, rows) = (count(cut), count(rows.len()));
            self.console.say(&format!("{cut} of {rows} rows are cut to {most} tokens (--max-length)"));
        }
    }
}
