//! What a comparison runs its methods on, one round after the other.

use super::{CompareSettings, Ground, sizing};
use crate::Result;
use crate::trainer::TrainSettings;
use offshoot_methods::MethodConfig;
use std::cmp::Reverse;
use std::fmt;

/// A round of a comparison. Only the first one's adapters are saved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Round {
    /// All training rows, and the sizes that were asked for.
    #[default]
    Whole,
    /// The first so many of the training rows.
    Rows(usize),
    /// All training rows, and of each method as much as trains about so many values.
    Values(usize),
}

/// `on 300 rows`, `of 22788 values`; of the first round, nothing.
impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole => Ok(()),
            Self::Rows(rows) => write!(f, "on {rows} rows"),
            Self::Values(values) => write!(f, "of {values} values"),
        }
    }
}

impl Round {
    /// What the names of its folders end with.
    pub fn suffix(self) -> String {
        match self {
            Self::Whole => String::new(),
            Self::Rows(rows) => format!("-rows{rows}"),
            Self::Values(values) => format!("-values{values}"),
        }
    }

    /// The training rows, where they are not all.
    pub(super) fn rows(self) -> Option<usize> {
        match self {
            Self::Rows(rows) => Some(rows),
            Self::Whole | Self::Values(_) => None,
        }
    }

    /// The method as it is run in this round; none if it is not.
    pub(super) fn method<P: Ground>(self, ground: &P, method: &MethodConfig) -> Result<Option<MethodConfig>> {
        match self {
            Self::Values(values) => sizing::sized(ground, method, values),
            Self::Whole | Self::Rows(_) => Ok(Some(method.clone())),
        }
    }
}

impl CompareSettings {
    /// The rounds after the first: on fewer and fewer rows, and then with more and more trained values.
    pub fn rounds<P: Ground>(&self, ground: &P, settings: &TrainSettings) -> Vec<Round> {
        let all = settings.part(ground.train_rows()).len();
        let mut parts: Vec<usize> = self.train_sizes.iter().copied().filter(|&part| part < all).collect();
        parts.sort_unstable_by_key(|&part| Reverse(part));
        parts.dedup();
        let model = ground.model_values();
        let mut values: Vec<usize> = self.parameters.iter().map(|amount| amount.of(model).max(1)).collect();
        values.sort_unstable();
        values.dedup();
        let parts = parts.into_iter().map(Round::Rows);
        parts.chain(values.into_iter().map(Round::Values)).collect()
    }
}
