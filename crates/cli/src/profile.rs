//! `--profile`: where the time of training went.

use crate::table::table;
use crate::text::{count, percent};
use offshoot::core::profile::{self, Spent};
use offshoot::train::page_faults;
use std::time::{Duration, Instant};

/// What was spent from the first step to the end of the last epoch.
pub(crate) struct Profile {
    begun: Instant,
    whole: Duration,
    spent: Vec<Spent>,
    /// Page faults of the process before, and since.
    faults_before: Option<u64>,
    faults: Option<u64>,
}

impl Profile {
    /// Measures from now on.
    pub(crate) fn start() -> Self {
        profile::start();
        let (begun, faults_before) = (Instant::now(), page_faults());
        Self { begun, whole: Duration::ZERO, spent: Vec::new(), faults_before, faults: None }
    }

    /// Takes what was spent until now.
    pub(crate) fn read(&mut self) {
        (self.whole, self.spent) = (self.begun.elapsed(), profile::spent());
        self.faults = page_faults().zip(self.faults_before).map(|(now, before)| now - before);
    }

    /// A row for each kind of work, in seconds of all passes together, and what the system had to do for memory.
    pub(crate) fn report(&self) -> String {
        match self.faults {
            Some(faults) => format!("{}\npage faults: {}", self.table(), count(faults as usize)),
            None => self.table(),
        }
    }

    fn table(&self) -> String {
        let inside: Duration = self.spent.iter().map(|spent| spent.time).sum();
        // Passes side by side spend more than the clock says.
        let all = self.whole.max(inside);
        let row = |name: &str, time: Duration, calls: String, rate: String| {
            let share = percent(time.as_secs_f64() / all.as_secs_f64().max(1e-9));
            vec![name.to_owned(), format!("{:.2}", time.as_secs_f64()), share, calls, rate]
        };
        let mut rows: Vec<Vec<String>> = self
            .spent
            .iter()
            .map(|spent| row(spent.kind.name(), spent.time, count(spent.calls as usize), rate(spent)))
            .collect();
        rows.push(row("the rest", all.saturating_sub(inside), String::new(), String::new()));
        rows.push(row("all", all, String::new(), String::new()));
        table(&["where", "seconds", "share", "calls", "GFLOP/s"], rows, 1)
    }
}

fn rate(spent: &Spent) -> String {
    match spent.operations {
        0 => String::new(),
        operations => format!("{:.1}", operations as f64 / spent.time.as_secs_f64().max(1e-9) * 1e-9),
    }
}
