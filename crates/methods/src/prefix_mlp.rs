//! Prefix tuning as the paper trains it, Li and Liang 2021, <https://arxiv.org/abs/2101.00190>, section 4.3.
//!
//! The keys and values of `prefix` come out of a network, because the direct form is unstable: `[P_K; P_V] =
//! W_2 tanh(W_1 E + b_1) + b_2`, with `E` `[tokens, g e]` and outputs `[tokens, layers 2 (g e)]`. Only the
//! outputs are needed to use the result.

use crate::dense::Dense;
use crate::virtual_tokens::{EMBEDDING, check_tokens, key_value, prefix_width, split};
use crate::{Info, MOST, Merging, Method, Saves, Target, check_size};
use offshoot_core::{Adapter, KeyValue, ParamId, Result, Shape, Step, Tensor};
use serde::{Deserialize, Serialize};

/// How `prefix-mlp` presents itself.
pub const INFO: Info = Info {
    name: "prefix-mlp",
    summary: "prefix tuning through a small network",
    paper: "Li and Liang 2021, https://arxiv.org/abs/2101.00190, section 4.3",
    // The network multiplies a step's effect on keys and values: a tenth of the direct form's rate.
    learning_rate: 1e-3,
    saves: Saves::Peft,
    starts_as_identity: false,
    merging: Merging::Never("its keys and values stand beside the tokens' own, and no weight computes them"),
};

/// Settings of `prefix-mlp`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Virtual tokens. Default 20.
    pub tokens: usize,
    /// Width of the network's inner layer. Default: half the hidden size, the paper's 512 at 1024.
    pub mlp_width: Option<usize>,
}

impl Default for Config {
    fn default() -> Self {
        Self { tokens: 20, mlp_width: None }
    }
}

fn default_width(shape: &Shape) -> usize {
    shape.hidden.div_ceil(2)
}

impl Method for Config {
    fn resolve(&mut self, shape: &Shape) {
        self.mlp_width.get_or_insert(default_width(shape));
    }

    fn build(&self, target: &mut Target<'_>) -> Result<Box<dyn Adapter>> {
        let shape = target.shape();
        let width = self.mlp_width.unwrap_or(default_width(&shape));
        check_tokens(INFO.name, self.tokens, &shape)?;
        check_size(INFO.name, "mlp_width", width, 1..=MOST)?;
        // As wide as the keys that it makes, as in peft: less than hidden where heads share keys.
        let inputs = shape.kv_heads * shape.head_dim;
        let rows = target.normal(&[self.tokens, inputs], 1.0);
        Ok(Box::new(PrefixMlp {
            tokens: self.tokens,
            shape,
            rows: target.params.insert(EMBEDDING, rows)?,
            inner: Dense::random(target, "prompt_encoder.transform.0", (inputs, width))?,
            outer: Dense::random(target, "prompt_encoder.transform.2", (width, prefix_width(&shape)))?,
        }))
    }
}

struct PrefixMlp {
    tokens: usize,
    shape: Shape,
    /// `[p, d]`
    rows: ParamId,
    inner: Dense,
    outer: Dense,
}

impl Adapter for PrefixMlp {
    fn begin(&self, step: &Step<'_>) -> Result<Vec<Tensor>> {
        let y = self.inner.forward(step, &step.param(self.rows))?.tanh();
        split(&self.outer.forward(step, &y)?, &self.shape)
    }

    fn prefix_tokens(&self) -> usize {
        self.tokens
    }

    fn prefix(&self, step: &Step<'_>, layer: usize) -> Result<Option<KeyValue>> {
        Ok(key_value(step, layer))
    }
}
