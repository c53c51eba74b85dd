//! A lookup table.

use crate::{Result, Step, Tensor, Weight};

/// Rows by index: tokens, positions, token types.
#[derive(Clone)]
pub struct Embedding {
    /// `[rows, d]`
    pub table: Weight,
}

impl Embedding {
    /// The rows of the given indices: `[index.len(), d]`.
    ///
    /// # Errors
    /// If an index is outside the table.
    pub fn forward(&self, index: &[u32], step: &Step<'_>) -> Result<Tensor> {
        step.rows_of(&self.table, index)
    }
}
