//! The one contract between frozen backbones and fine-tuning methods.
//!
//! A backbone calls every hook at its site; a method implements only those its paper touches, and every
//! default leaves the backbone as it is. Hooks get the rows of the sequences that use this adapter, `n` of
//! them, and the [`Step`] they run in.

use crate::nn::{Base, Norm};
use crate::{Heads, Params, Result, Step, Tensor};

/// A projection of a backbone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Site {
    /// The block, from 0. The pooler stands after the last block, at `layers`.
    pub layer: usize,
    /// Which projection.
    pub slot: Slot,
}

/// The projections that methods can target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Slot {
    /// Attention queries.
    Query,
    /// Attention keys.
    Key,
    /// Attention values.
    Value,
    /// The projection after attention.
    Output,
    /// The gate of a gated feed-forward.
    Gate,
    /// The first feed-forward projection.
    Up,
    /// The last feed-forward projection.
    Down,
    /// Queries, keys and values in one projection, in this order, as GPT-2 has it.
    QueryKeyValue,
    /// BERT's pooler. Its rows are sequences, not tokens.
    Pooler,
}

/// The two halves of a transformer block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sublayer {
    /// Self-attention.
    Attention,
    /// The feed-forward network.
    FeedForward,
}

/// Keys and values of virtual tokens, each `[p, g e]`.
#[derive(Clone)]
pub struct KeyValue {
    /// `[p, g e]`
    pub key: Tensor,
    /// `[p, g e]`
    pub value: Tensor,
}

/// A layer's own key and value projections, lent to methods that attend to learned prompts.
pub trait ProjectKv {
    /// A prompt `[p, d]` to keys and values `[p, g e]`, without adapters and without position encoding.
    ///
    /// # Errors
    /// If the prompt has another width.
    fn project(&self, prompt: &Tensor) -> Result<KeyValue>;

    /// The layer's heads.
    fn heads(&self) -> Heads;
}

/// What a method adds to a layer's attention, and where.
pub enum Addition {
    /// To the context `[n, h e]`, before the output projection.
    BeforeOutput(Tensor),
    /// To the sublayer's output `[n, d]`, after the output projection (as peft does on GPT-2).
    AfterOutput(Tensor),
}

/// What a fine-tuning method may change.
pub trait Adapter: Send + Sync {
    /// Runs the method's own networks once per micro-batch; the tensors are lent back to every hook as
    /// [`Step::prepared`].
    ///
    /// # Errors
    /// As its operations fail.
    fn begin(&self, _step: &Step<'_>) -> Result<Vec<Tensor>> {
        Ok(Vec::new())
    }

    /// How many virtual rows [`prompt`](Self::prompt) puts before each sequence.
    fn prompt_tokens(&self) -> usize {
        0
    }

    /// How many keys [`prefix`](Self::prefix) puts before each sequence's own.
    fn prefix_tokens(&self) -> usize {
        0
    }

    /// Virtual tokens before the input embeddings: `[p, d]`.
    ///
    /// # Errors
    /// As its operations fail.
    fn prompt(&self, _step: &Step<'_>) -> Result<Option<Tensor>> {
        Ok(None)
    }

    /// Extra keys and values for one layer's self-attention.
    ///
    /// # Errors
    /// As its operations fail.
    fn prefix(&self, _step: &Step<'_>, _layer: usize) -> Result<Option<KeyValue>> {
        Ok(None)
    }

    /// Before a projection: its input `x` `[n, in]`.
    ///
    /// # Errors
    /// As its operations fail.
    fn input(&self, _step: &Step<'_>, _site: Site, x: Tensor) -> Result<Tensor> {
        Ok(x)
    }

    /// After a projection: its input `x` `[n, in]` (as [`input`](Self::input) left it), its output `y` `[n,
    /// out]`, and the projection itself.
    ///
    /// # Errors
    /// As its operations fail.
    fn linear(
        &self,
        _step: &Step<'_>,
        _site: Site,
        _x: &Tensor,
        y: Tensor,
        _base: &Base<'_>,
    ) -> Result<Tensor> {
        Ok(y)
    }

    /// During self-attention: the queries `[n, h e]` as the layer uses them (rotated where it rotates).
    ///
    /// # Errors
    /// As its operations fail.
    fn attention(
        &self,
        _step: &Step<'_>,
        _layer: usize,
        _query: &Tensor,
        _kv: &dyn ProjectKv,
    ) -> Result<Option<Addition>> {
        Ok(None)
    }

    /// After a sublayer, before its output `y` `[n, d]` joins the residual stream. `x` `[n, d]` is the stream
    /// before any norm; `norm` is the one that follows the join, in families that have it there (BERT's).
    ///
    /// # Errors
    /// As its operations fail.
    fn sublayer(
        &self,
        _step: &Step<'_>,
        _at: (usize, Sublayer),
        _x: &Tensor,
        y: Tensor,
        _norm: Option<&dyn Norm>,
    ) -> Result<Tensor> {
        Ok(y)
    }

    /// Whether [`state`](Self::state) does anything: then every block's output is needed, also where it was
    /// computed before.
    fn reads_states(&self) -> bool {
        false
    }

    /// After each block: its output `x` `[n, d]`. A side network keeps its running state in `side`.
    ///
    /// # Errors
    /// As its operations fail.
    fn state(&self, _step: &Step<'_>, _layer: usize, _x: &Tensor, _side: &mut Vec<Tensor>) -> Result<()> {
        Ok(())
    }

    /// After the last block, before the final norm: the last block's output `x` `[n, d]`.
    ///
    /// # Errors
    /// As its operations fail.
    fn finish(&self, _step: &Step<'_>, x: Tensor, _side: &[Tensor]) -> Result<Tensor> {
        Ok(x)
    }

    /// The `weight` `[out, in]` of a projection with the method's change in it, if there is one. Only
    /// [`Merge`](crate::Merge) asks, after training: methods whose change no weight can express have none.
    ///
    /// # Errors
    /// As its operations fail.
    fn merge_weight(&self, _params: &Params, _site: Site, _weight: &Tensor) -> Result<Option<Tensor>> {
        Ok(None)
    }

    /// The `bias` `[out]` of a projection with the method's change in it, if there is one; also of a projection
    /// that has no bias.
    ///
    /// # Errors
    /// As its operations fail.
    fn merge_bias(&self, _params: &Params, _site: Site, _bias: Option<&Tensor>) -> Result<Option<Tensor>> {
        Ok(None)
    }
}

/// The backbone as it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoAdapter;

impl Adapter for NoAdapter {}
