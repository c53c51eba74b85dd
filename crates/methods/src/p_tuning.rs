//! P-tuning, Liu et al. 2021, <https://arxiv.org/abs/2103.10385>, section 2.2.
//!
//! Prompt tuning whose rows come out of a network: `P = W_2 relu(W_1 relu(W_0 E + b_0) + b_1) + b_2`, with
//! `E` `[tokens, hidden]` and the network trained together. This is peft's form, with an MLP; the authors'
//! code puts a two-layer LSTM before it. Only `P` is needed to use the result.

use crate::dense::Dense;
use crate::virtual_tokens::{EMBEDDING, check_tokens};
use crate::{Info, MOST, Merging, Method, Saves, Target, check_size};
use offshoot_core::{Adapter, ParamId, Result, Shape, Step, Tensor};
use serde::{Deserialize, Serialize};

/// How `p-tuning` presents itself.
pub const INFO: Info = Info {
    name: "p-tuning",
    summary: "learned word embeddings before the text, through a small network",
    paper: "Liu et al. 2021, https://arxiv.org/abs/2103.10385",
    // The network multiplies a step's effect on the rows; a tenth of prompt tuning's rate, as networks want.
    learning_rate: 1e-3,
    saves: Saves::Peft,
    starts_as_identity: false,
    merging: Merging::Never("its virtual tokens are a part of the input, not of a weight"),
};

/// Settings of `p-tuning`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Virtual tokens. Default 20.
    pub tokens: usize,
    /// Width of the network's two inner layers. Default: the backbone's hidden size.
    pub mlp_width: Option<usize>,
}

impl Default for Config {
    fn default() -> Self {
        Self { tokens: 20, mlp_width: None }
    }
}

impl Method for Config {
    fn resolve(&mut self, shape: &Shape) {
        self.mlp_width.get_or_insert(shape.hidden);
    }

    fn build(&self, target: &mut Target<'_>) -> Result<Box<dyn Adapter>> {
        let shape = target.shape();
        let (hidden, width) = (shape.hidden, self.mlp_width.unwrap_or(shape.hidden));
        check_tokens(INFO.name, self.tokens, &shape)?;
        check_size(INFO.name, "mlp_width", width, 1..=MOST)?;
        let rows = target.normal(&[self.tokens, hidden], 1.0);
        let rows = target.params.insert(EMBEDDING, rows)?;
        let mut layer =
            |index: usize, size| Dense::random(target, &format!("prompt_encoder.mlp_head.{index}"), size);
        let mlp = [layer(0, (hidden, width))?, layer(2, (width, width))?, layer(4, (width, hidden))?];
        Ok(Box::new(PTuning { tokens: self.tokens, rows, mlp }))
    }
}

struct PTuning {
    tokens: usize,
    /// `[p, d]`
    rows: ParamId,
    mlp: [Dense; 3],
}

impl Adapter for PTuning {
    fn begin(&self, step: &Step<'_>) -> Result<Vec<Tensor>> {
        let [first, second, last] = &self.mlp;
        let y = first.forward(step, &step.param(self.rows))?.relu();
        let y = second.forward(step, &y)?.relu();
        Ok(vec![last.forward(step, &y)?])
    }

    fn prompt_tokens(&self) -> usize {
        self.tokens
    }

    fn prompt(&self, step: &Step<'_>) -> Result<Option<Tensor>> {
        Ok(step.prepared().first().cloned())
    }
}
