//! The first tokens of rows as embeddings that gradients reach.

use crate::{Error, Result};
use offshoot_core::{Adapter, Backbone, Batch, Mode, ParamId, Params, Pass, Step, Tape, Tensor};

/// The first tokens of a prompt as rows.
pub(super) struct Rows {
    tokens: usize,
    /// `[p, d]`
    pub(super) rows: ParamId,
}

impl Adapter for Rows {
    fn prompt_tokens(&self) -> usize {
        self.tokens
    }

    fn prompt(&self, step: &Step<'_>) -> offshoot_core::Result<Option<Tensor>> {
        Ok(Some(step.param(self.rows)))
    }
}

/// The beginning of rows, of which the last tokens are a trigger, and the gradient that reaches it.
pub(super) struct Tracked {
    /// The tokens.
    pub(super) head: Vec<u32>,
    pub(super) trigger: usize,
    pub(super) rows: Rows,
    pub(super) params: Params,
}

impl Tracked {
    pub(super) fn new(backbone: &dyn Backbone, head: Vec<u32>, trigger: usize) -> Result<Self> {
        let mut params = Params::new();
        let rows = Step::detached(&params).rows_of(backbone.token_table(), &head)?;
        // Virtual tokens enter as they are, words by the model's own scale.
        let rows = params.insert("trigger", rows.scale(backbone.embedding_scale()))?;
        let rows = Rows { tokens: head.len(), rows };
        Ok(Self { head, trigger, rows, params })
    }

    /// Adds `weight` times the gradient of a loss of the row that goes on with `rest`.
    pub(super) fn add(
        &mut self,
        rest: &[u32],
        weight: f64,
        loss: impl FnOnce(&mut Pass<'_>) -> Result<Tensor>,
    ) -> Result<()> {
        let mut batch = Batch::new();
        batch.push(rest, None, 0)?;
        let tape = Tape::new();
        let mut pass = Pass::new(&batch, &self.rows, &self.params, Mode::Train(tape.clone(), None))?;
        let loss = loss(&mut pass)?;
        Ok(tape.backward(&loss, weight as f32)?)
    }

    /// The trigger's part of the gradient `[p, d]`.
    pub(super) fn finish(self) -> Result<Tensor> {
        let param = self.params.get(self.rows.rows);
        let gradient = param.gradient().ok_or_else(no_trigger)?;
        let all = Tensor::new(param.value().device(), param.value().shape(), &gradient)?;
        let first = self.head.len() - self.trigger;
        Ok(all.row_range(first..self.head.len())?)
    }
}

/// Why there is no gradient.
pub(super) fn no_trigger() -> Error {
    Error::invalid("hard-prompt: the trigger is no token of its own before the template")
}
