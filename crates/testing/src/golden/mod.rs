//! Golden cases: what the Python libraries compute on tiny models, replayed by us and compared number by
//! number.
//!
//! `golden/README.md` in this crate says what a case holds. A [`Case`] is read, [`replay`]ed, and told as an
//! [`Outcome`].

mod case;
mod compare;
mod names;
mod replay;
mod subject;

pub use case::{Case, Expected, Optimizer, Settings};
pub use compare::{AFTER, GRADIENTS, LOGITS, LOSSES, NOISE, NOISE_ERROR, Report};
pub use replay::replay;

use anyhow::{Context, Result};
use std::fmt;
use std::path::{Path, PathBuf};

/// What came of one case.
pub struct Outcome {
    /// The case's folder name.
    pub name: String,
    /// The comparison, or why there is none.
    pub report: Result<Report>,
}

impl Outcome {
    /// Reads and replays the case in a folder.
    pub fn of(folder: &Path) -> Self {
        Self { name: name(folder), report: Case::read(folder).and_then(|case| replay(&case)) }
    }

    /// Whether every number is within its tolerance.
    pub fn passed(&self) -> bool {
        self.report.as_ref().is_ok_and(Report::passed)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.passed() { "ok" } else { "FAIL" };
        match &self.report {
            Ok(report) => write!(f, "{word} {}: {report}", self.name),
            // One line a case, whatever lines the reason has.
            Err(reason) => write!(f, "{word} {}: {}", self.name, format!("{reason:#}").replace('\n', " ")),
        }
    }
}

/// The folders under `DIR/cases` whose name contains `filter`, sorted.
///
/// # Errors
/// If `DIR/cases` cannot be read.
pub fn cases(dir: &Path, filter: &str) -> Result<Vec<PathBuf>> {
    let folder = dir.join("cases");
    let entries = folder.read_dir().with_context(|| format!("cannot read {}", folder.display()))?;
    let mut cases = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    cases.retain(|case| case.is_dir() && name(case).contains(filter));
    cases.sort();
    Ok(cases)
}

fn name(folder: &Path) -> String {
    folder.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
