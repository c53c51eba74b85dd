//! Tokenised rows, and how they become micro-batches.

use crate::data::Label;
use crate::{Error, Result};
use offshoot_core::{Batch, Rng};
use std::ops::Range;

/// One row, ready for the model.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Row {
    /// Token ids, special tokens included.
    pub ids: Vec<u32>,
    /// Token types, one per token.
    pub types: Vec<u32>,
    /// What it is labelled with.
    pub label: Label,
    /// The line in the data file: what messages name and what dropout masks depend on.
    pub line: u64,
    /// Whether tokens were cut off.
    pub truncated: bool,
}

/// A tokenised row of any task: what packing and batching need of it.
pub trait Tokens {
    /// Token ids, special tokens included.
    fn ids(&self) -> &[u32];

    /// Token types, one per token; none for models without them.
    fn types(&self) -> Option<&[u32]> {
        None
    }

    /// The line in the data file.
    fn line(&self) -> u64;

    /// What dropout masks depend on.
    fn row_id(&self) -> u64 {
        self.line()
    }

    /// Whether tokens were cut off.
    fn truncated(&self) -> bool;

    /// A row of so many tokens like these, with one loss: to measure with.
    fn sample(&self, tokens: usize) -> Self
    where
        Self: Sized;
}

impl Tokens for Row {
    fn ids(&self) -> &[u32] {
        &self.ids
    }

    fn types(&self) -> Option<&[u32]> {
        Some(&self.types)
    }

    fn line(&self) -> u64 {
        self.line
    }

    fn truncated(&self) -> bool {
        self.truncated
    }

    fn sample(&self, tokens: usize) -> Self {
        let again = |values: &[u32]| values.iter().copied().cycle().take(tokens).collect();
        Self { ids: again(&self.ids), types: again(&self.types), ..self.clone() }
    }
}

/// Lengths of a set of rows, for the line that a run starts with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lengths {
    /// Half of the rows are at most this long.
    pub median: usize,
    /// Nine of ten rows are at most this long.
    pub p90: usize,
    /// The longest row.
    pub max: usize,
    /// Rows that were cut.
    pub truncated: usize,
    /// All tokens.
    pub tokens: usize,
}

impl Lengths {
    /// The lengths of `rows`.
    pub fn of<R: Tokens>(rows: &[R]) -> Self {
        let mut lengths: Vec<usize> = rows.iter().map(|row| row.ids().len()).collect();
        lengths.sort_unstable();
        let at =
            |share: usize| lengths.get((lengths.len().saturating_sub(1)) * share / 100).copied().unwrap_or(0);
        Self {
            median: at(50),
            p90: at(90),
            max: at(100),
            truncated: rows.iter().filter(|row| row.truncated()).count(),
            tokens: lengths.iter().sum(),
        }
    }
}

/// Packs rows into one batch.
///
/// # Errors
/// If a row has no token.
pub fn pack<'a, R: Tokens + 'a>(rows: impl IntoIterator<Item = &'a R>) -> Result<Batch> {
    let mut batch = Batch::new();
    for row in rows {
        batch.push(row.ids(), row.types(), row.row_id())?;
    }
    Ok(batch)
}

/// The optimizer steps of one epoch: row indices in a seeded random order, `batch` rows each.
///
/// Nothing is sorted by length here: packed batches have no padding to save, and random ones estimate the
/// gradient best.
///
/// # Errors
/// If `batch` is 0.
pub fn epoch_steps(rows: usize, batch: usize, rng: &mut Rng) -> Result<Vec<Vec<usize>>> {
    if batch == 0 {
        return Err(Error::invalid("--batch must be at least 1"));
    }
    Ok(rng.permutation(rows).chunks(batch).map(<[usize]>::to_vec).collect())
}

/// Splits rows, in their order, into micro-batches of at most `tokens` tokens (at least one row each).
pub fn micro_batches<R: Tokens>(rows: &[&R], tokens: usize) -> Vec<Range<usize>> {
    let mut batches = Vec::new();
    let (mut start, mut held) = (0, 0);
    for (index, row) in rows.iter().enumerate() {
        if index > start && held + row.ids().len() > tokens {
            batches.push(start..index);
            (start, held) = (index, 0);
        }
        held += row.ids().len();
    }
    if start < rows.len() {
        batches.push(start..rows.len());
    }
    batches
}

/// Row indices bucketed by length: micro-batches for evaluation, whose order does not matter, of at most
/// `tokens` tokens.
pub fn bucketed<R: Tokens>(rows: &[R], tokens: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..rows.len()).collect();
    // The longest first, so that the first batch claims the largest buffers and the others reuse them.
    order.sort_by_key(|&i| (std::cmp::Reverse(rows[i].ids().len()), i));
    let sorted: Vec<&R> = order.iter().map(|&i| &rows[i]).collect();
    micro_batches(&sorted, tokens).into_iter().map(|range| order[range].to_vec()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(length: usize, line: u64) -> Row {
        Row { ids: vec![1; length], types: vec![0; length], label: 0.into(), line, truncated: false }
    }

    #[test]
    fn micro_batches_hold_every_row_once_and_keep_the_budget() {
        let rows: Vec<Row> =
            [5, 9, 3, 20, 1, 1].into_iter().enumerate().map(|(i, n)| row(n, i as u64)).collect();
        let rows: Vec<&Row> = rows.iter().collect();
        assert_eq!(micro_batches(&rows, 14), [0..2, 2..3, 3..4, 4..6]);
        assert_eq!(micro_batches(&rows, 1000), vec![0..6; 1]);
        assert!(micro_batches::<Row>(&[], 10).is_empty());
    }

    #[test]
    fn an_epoch_visits_every_row_once() {
        let steps = epoch_steps(10, 4, &mut Rng::new(1)).unwrap();
        assert_eq!(steps.iter().map(Vec::len).collect::<Vec<_>>(), [4, 4, 2]);
        let mut all = steps.concat();
        all.sort_unstable();
        assert_eq!(all, (0..10).collect::<Vec<_>>());
        assert!(epoch_steps(10, 0, &mut Rng::new(1)).is_err());
    }

    #[test]
    fn buckets_hold_every_row_once() {
        let rows: Vec<Row> =
            [5, 9, 3, 20, 1, 1].into_iter().enumerate().map(|(i, n)| row(n, i as u64)).collect();
        let buckets = bucketed(&rows, 20);
        assert_eq!(buckets[0], [3]);
        let mut all = buckets.concat();
        all.sort_unstable();
        assert_eq!(all, (0..6).collect::<Vec<_>>());
    }
}
