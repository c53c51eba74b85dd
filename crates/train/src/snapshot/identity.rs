//! What run a state belongs to: no other may go on from it.

use crate::checkpoint::Base;
use crate::fnv::Fnv;
use crate::recipe::differences;
use crate::trainer::{Learner, TrainSettings};
use crate::{Error, Result};
use offshoot_methods::MethodConfig;
use serde::{Deserialize, Serialize};
use std::hash::{Hash, Hasher};

/// Everything that a run's bits follow from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Identity {
    /// A hash of the rows that are trained on and of those that choose the epoch.
    rows: String,
    method: MethodConfig,
    pub(super) train: TrainSettings,
    base: Base,
}

impl Identity {
    pub(super) fn of<L: Learner>(
        learner: &L,
        (train, validation): (&[L::Row], &[L::Row]),
        settings: &TrainSettings,
    ) -> Self {
        Self {
            rows: fingerprint(&[train, validation]),
            method: learner.method().clone(),
            train: settings.deciding(),
            base: Base::of(learner.backbone(), ""),
        }
    }

    /// Checks that a state is this run's.
    ///
    /// # Errors
    /// [`Error::Invalid`] with what differs.
    pub(super) fn check(&self, found: &Self) -> Result<()> {
        let mut differ = self.base.differences(&found.base);
        differ.extend(differences("train", &self.train, &found.train)?);
        differ.extend(differences("method", &self.method, &found.method)?);
        if self.rows != found.rows {
            differ.push("the rows, or how they are split or tokenised".into());
        }
        match differ.as_slice() {
            [] => Ok(()),
            _ => Err(Error::invalid(format!(
                "the unfinished run is another: {}; go on with the arguments that it was begun with, or begin anew \
                 with --restart",
                differ.join(", ")
            ))),
        }
    }
}

/// A hash of rows in their order.
pub(crate) fn fingerprint<R: Hash>(parts: &[&[R]]) -> String {
    let mut hash = Fnv::default();
    parts.hash(&mut hash);
    format!("{:016x}", hash.finish())
}
