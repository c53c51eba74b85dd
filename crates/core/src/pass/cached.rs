//! What a pass that continues sequences asks of its cache.

use super::{Pass, Run};
use crate::{KvCache, Result};

/// A cache, and the slot that each sequence of the pass continues.
pub(super) struct Cached<'a> {
    pub(super) cache: &'a KvCache,
    pub(super) slots: Vec<usize>,
}

impl Cached<'_> {
    /// Rows of a sequence that were there before this pass.
    pub(super) fn rows(&self, sequence: usize) -> usize {
        self.cache.rows(self.slots[sequence])
    }
}

impl<'a> Pass<'a> {
    /// Rows of a sequence that were there before this pass.
    pub(super) fn held(&self, sequence: usize) -> usize {
        self.cache.as_ref().map_or(0, |cached| cached.rows(sequence))
    }

    /// Checks that the cache has room, and keeps there what the adapters prepared.
    pub(super) fn check_cache(&self) -> Result<()> {
        let Some(cached) = &self.cache else { return Ok(()) };
        let mut appends = Vec::new();
        for run in &self.runs {
            appends.extend(run.sequences.clone().map(|s| (cached.slots[s], self.new_rows(run, s))));
        }
        cached.cache.check(&appends)?;
        for run in self.runs.iter().filter(|run| self.run_starts(run)) {
            run.sequences.clone().for_each(|s| {
                cached.cache.keep_prepared(cached.slots[s], &run.step.prepared);
            });
        }
        Ok(())
    }

    /// Keys that a sequence adds to the cache: its rows and, at its start, its adapter's prefix.
    fn new_rows(&self, run: &Run<'a>, sequence: usize) -> usize {
        let prefix = if self.run_starts(run) { run.adapter.prefix_tokens() } else { 0 };
        prefix + self.layout.sequence(sequence).len()
    }

    /// Whether a run's sequences start in this pass.
    pub(super) fn run_starts(&self, run: &Run<'a>) -> bool {
        let first = run.sequences.start;
        self.cache.as_ref().is_none_or(|cached| run.sequences.is_empty() || cached.rows(first) == 0)
    }

    /// Makes what the layers have appended to the cache count.
    pub(crate) fn commit(&self) {
        let Some(cached) = &self.cache else { return };
        for run in &self.runs {
            let rows: Vec<_> =
                run.sequences.clone().map(|s| (cached.slots[s], self.new_rows(run, s))).collect();
            rows.into_iter().for_each(|(slot, rows)| cached.cache.commit(slot, rows));
        }
    }
}
