//! A packed batch: real tokens only, with the sequences' bounds beside them.

use crate::{Error, Result};
use std::ops::Range;

/// A micro-batch of sequences, packed: no padding, no mask.
#[derive(Clone, Debug)]
pub struct Batch {
    ids: Vec<u32>,
    types: Vec<u32>,
    offsets: Vec<usize>,
    row_ids: Vec<u64>,
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Self {
        Self { ids: Vec::new(), types: Vec::new(), offsets: vec![0], row_ids: Vec::new() }
    }

    /// Adds one sequence: its token ids, its token types (all 0 if `None`) and the id of its row in the data,
    /// which is what dropout masks depend on.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the sequence is empty or has another number of types.
    pub fn push(&mut self, ids: &[u32], types: Option<&[u32]>, row_id: u64) -> Result<()> {
        if ids.is_empty() {
            return Err(Error::invalid(format!("row {row_id} has no token")));
        }
        if types.is_some_and(|t| t.len() != ids.len()) {
            return Err(Error::invalid(format!("row {row_id}: as many token types as tokens are needed")));
        }
        self.ids.extend_from_slice(ids);
        match types {
            Some(types) => self.types.extend_from_slice(types),
            None => self.types.resize(self.ids.len(), 0),
        }
        self.offsets.push(self.ids.len());
        self.row_ids.push(row_id);
        Ok(())
    }

    /// Token ids, `[n]`.
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// Token types, `[n]`.
    pub fn types(&self) -> &[u32] {
        &self.types
    }

    /// The number of sequences.
    pub fn sequences(&self) -> usize {
        self.row_ids.len()
    }

    /// The number of real tokens.
    pub fn tokens(&self) -> usize {
        self.ids.len()
    }

    /// The tokens of one sequence.
    pub fn sequence(&self, index: usize) -> Range<usize> {
        self.offsets[index]..self.offsets[index + 1]
    }

    /// The ids of the data rows, one per sequence.
    pub fn row_ids(&self) -> &[u64] {
        &self.row_ids
    }
}

impl Default for Batch {
    fn default() -> Self {
        Self::new()
    }
}

/// Where each sequence's rows stand in an activation tensor, virtual tokens included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    offsets: Vec<usize>,
    /// Virtual rows at the start of each sequence.
    prompts: Vec<usize>,
    row_ids: Vec<u64>,
}

impl Layout {
    /// The layout of a batch whose sequences begin with `prompts` virtual rows each.
    pub(crate) fn new(batch: &Batch, prompts: Vec<usize>) -> Self {
        let mut offsets = vec![0];
        for (sequence, prompt) in prompts.iter().enumerate() {
            offsets.push(offsets[sequence] + prompt + batch.sequence(sequence).len());
        }
        Self { offsets, prompts, row_ids: batch.row_ids().to_vec() }
    }

    /// The layout of some of the sequences on their own.
    pub(crate) fn part(&self, sequences: Range<usize>) -> Self {
        let start = self.offsets[sequences.start];
        let offsets = self.offsets[sequences.start..=sequences.end].iter().map(|o| o - start).collect();
        let prompts = self.prompts[sequences.clone()].to_vec();
        Self { offsets, prompts, row_ids: self.row_ids[sequences].to_vec() }
    }

    /// The number of sequences.
    pub fn sequences(&self) -> usize {
        self.row_ids.len()
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.offsets.last().copied().unwrap_or(0)
    }

    /// All rows of a sequence.
    pub fn sequence(&self, index: usize) -> Range<usize> {
        self.offsets[index]..self.offsets[index + 1]
    }

    /// The rows of a sequence's real tokens.
    pub fn real(&self, index: usize) -> Range<usize> {
        self.offsets[index] + self.prompts[index]..self.offsets[index + 1]
    }

    /// The number of virtual rows at the start of a sequence.
    pub fn prompt(&self, index: usize) -> usize {
        self.prompts[index]
    }

    /// The first row of each sequence (a virtual token under prompt methods).
    pub fn first_rows(&self) -> Vec<u32> {
        self.offsets[..self.sequences()].iter().map(|&o| o as u32).collect()
    }

    /// The last row of each sequence.
    pub fn last_rows(&self) -> Vec<u32> {
        self.offsets[1..].iter().map(|&end| end.saturating_sub(1) as u32).collect()
    }

    /// The id of a sequence's data row.
    pub fn row_id(&self, index: usize) -> u64 {
        self.row_ids[index]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sequences of 2, 1 and 3 tokens.
    fn batch() -> Batch {
        let mut batch = Batch::default();
        batch.push(&[10, 11], None, 7).unwrap();
        batch.push(&[20], Some(&[1]), 8).unwrap();
        batch.push(&[30, 31, 32], None, 9).unwrap();
        batch
    }

    #[test]
    fn sequences_stand_one_after_the_other() {
        let batch = batch();
        assert_eq!(batch.ids(), [10, 11, 20, 30, 31, 32]);
        assert_eq!(batch.types(), [0, 0, 1, 0, 0, 0]);
        assert_eq!((batch.sequences(), batch.tokens()), (3, 6));
        assert_eq!([0, 1, 2].map(|s| batch.sequence(s)), [0..2, 2..3, 3..6]);
        assert_eq!(batch.row_ids(), [7, 8, 9]);
    }

    #[test]
    fn a_refused_sequence_leaves_no_trace() {
        let mut batch = batch();
        let empty = batch.push(&[], None, 4).unwrap_err().to_string();
        assert_eq!(empty, "row 4 has no token");
        let types = batch.push(&[1, 2], Some(&[0]), 5).unwrap_err().to_string();
        assert_eq!(types, "row 5: as many token types as tokens are needed");
        assert_eq!((batch.sequences(), batch.tokens(), batch.types().len()), (3, 6, 6));
    }

    #[test]
    fn virtual_rows_come_first_in_their_sequence() {
        let layout = Layout::new(&batch(), vec![2, 0, 1]);
        assert_eq!((layout.sequences(), layout.rows()), (3, 9));
        assert_eq!([0, 1, 2].map(|s| layout.sequence(s)), [0..4, 4..5, 5..9]);
        assert_eq!([0, 1, 2].map(|s| layout.real(s)), [2..4, 4..5, 6..9]);
        assert_eq!([0, 1, 2].map(|s| layout.prompt(s)), [2, 0, 1]);
        assert_eq!(layout.first_rows(), [0, 4, 5]);
        assert_eq!(layout.last_rows(), [3, 4, 8]);
    }

    #[test]
    fn a_part_counts_its_rows_from_zero() {
        let part = Layout::new(&batch(), vec![2, 0, 1]).part(1..3);
        assert_eq!((part.sequences(), part.rows(), part.row_id(1)), (2, 5, 9));
        assert_eq!([0, 1].map(|s| part.real(s)), [0..1, 2..5]);
        let none = part.part(2..2);
        assert_eq!((none.sequences(), none.rows()), (0, 0));
    }
}
