//! LLaMA-Adapter, Zhang et al. 2023, <https://arxiv.org/abs/2303.16199>, section 3.2: zero-initialised
//! attention to a prompt.
//!
//! In each of the top layers, attention gets a second, gated part: `attention(q, K, V) + tanh(gate)
//! attention(q, K_P, V_P)`, with `K_P, V_P` the layer's own projections of a learned prompt `[tokens,
//! hidden]`, which have no positions, and a softmax of their own. The gate starts at zero, so training starts
//! from the backbone as it is. The paper has one gate a layer; the authors' code, and this, one a head. The
//! idea is not tied to LLaMA: here it works on encoders too. peft's form, `gate = "scalar"`, has one number a
//! layer and no tanh; litgpt's, `gate = "heads-linear"`, one a head and no tanh.

use crate::{Info, MOST, Merging, Method, Saves, Target, check_size};
use offshoot_core::{
    Adapter, Addition, KeyValue, Mask, ParamId, ProjectKv, Result, Shape, Span, Step, Tensor,
};
use serde::{Deserialize, Serialize};

/// How `llama-adapter` presents itself.
pub const INFO: Info = Info {
    name: "llama-adapter",
    summary: "gated attention to learned prompts in the top layers",
    paper: "Zhang et al. 2023, https://arxiv.org/abs/2303.16199",
    // The authors' 9e-3, for a gate that starts at zero and has to open first.
    learning_rate: 1e-2,
    saves: Saves::Weights,
    starts_as_identity: true,
    merging: Merging::Never("its attention to a learned prompt depends on the text, which no weight does"),
};

/// Settings of `llama-adapter`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Tokens of each layer's prompt. Default 10.
    pub tokens: usize,
    /// How many of the top layers have one. Default: a third of all, at least 1.
    pub layers: Option<usize>,
    /// What opens the second part. Default `heads`.
    pub gate: Gate,
}

/// The gate on the second attention.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Gate {
    /// `tanh` of one number a head, as in the authors' code. peft's files have no place for it.
    #[default]
    Heads,
    /// One number a head as it is, as in litgpt and its files.
    HeadsLinear,
    /// One number a layer as it is, as in peft and its files.
    Scalar,
}

impl Default for Config {
    fn default() -> Self {
        Self { tokens: 10, layers: None, gate: Gate::default() }
    }
}

fn default_layers(shape: &Shape) -> usize {
    (shape.layers / 3).max(1)
}

impl Method for Config {
    fn resolve(&mut self, shape: &Shape) {
        self.layers.get_or_insert(default_layers(shape));
    }

    fn saves(&self) -> Option<Saves> {
        (self.gate == Gate::Scalar).then_some(Saves::Peft)
    }

    fn build(&self, target: &mut Target<'_>) -> Result<Box<dyn Adapter>> {
        let shape = target.shape();
        let layers = self.layers.unwrap_or(default_layers(&shape));
        check_size(INFO.name, "tokens", self.tokens, 1..=MOST)?;
        check_size(INFO.name, "layers", layers, 1..=shape.layers)?;
        let first = shape.layers - layers;
        let prompts = (first..shape.layers).map(|layer| self.prompt(target, layer)).collect::<Result<_>>()?;
        let after_output = self.gate == Gate::Scalar && target.backbone.adaption_after_output();
        Ok(Box::new(LlamaAdapter { first, gate: self.gate, after_output, prompts }))
    }
}

impl Config {
    fn prompt(&self, target: &mut Target<'_>, layer: usize) -> Result<Prompt> {
        let (module, shape) = (target.backbone.attention_module(layer), target.shape());
        let gates = match self.gate {
            Gate::Heads | Gate::HeadsLinear => shape.heads,
            Gate::Scalar => 1,
        };
        let rows = target.normal(&[1, self.tokens, shape.hidden], 1.0);
        let gate = target.zeros(&[gates]);
        Ok(Prompt {
            rows: target.params.insert(format!("{module}.adaption_prompt"), rows)?,
            gate: target.params.insert(format!("{module}.adaption_gate"), gate)?,
        })
    }
}

/// What one layer learns.
struct Prompt {
    /// `[1, p, d]`
    rows: ParamId,
    /// `[h]`, or `[1]` where it is a scalar
    gate: ParamId,
}

struct LlamaAdapter {
    /// The lowest layer that has a prompt.
    first: usize,
    gate: Gate,
    /// Whether the second part joins after the output projection, as it does in peft on GPT-2.
    after_output: bool,
    /// From `first` up.
    prompts: Vec<Prompt>,
}

impl Adapter for LlamaAdapter {
    fn attention(
        &self,
        step: &Step<'_>,
        layer: usize,
        query: &Tensor,
        kv: &dyn ProjectKv,
    ) -> Result<Option<Addition>> {
        let Some(prompt) = layer.checked_sub(self.first).and_then(|i| self.prompts.get(i)) else {
            return Ok(None);
        };
        let rows = step.param(prompt.rows);
        let rows = rows.reshape(&[rows.len() / rows.cols(), rows.cols()])?;
        let KeyValue { key, value } = kv.project(&rows)?;
        // No query depends on another, so one span serves the rows of all sequences.
        let span = Span { queries: 0..query.rows(), keys: 0..rows.rows() };
        let context = query.attention(&key, &value, kv.heads(), &[span], Mask::Full, None)?;
        let gate = step.param(prompt.gate);
        let gate = match self.gate {
            Gate::Heads => gate.tanh(),
            Gate::HeadsLinear | Gate::Scalar => gate,
        };
        let gated = context.mul_row(&spread(&gate, context.cols())?)?;
        Ok(Some(match self.after_output {
            true => Addition::AfterOutput(gated),
            false => Addition::BeforeOutput(gated),
        }))
    }
}

/// Each of `g` gates over its share of the columns: `[cols, 1]`.
fn spread(gate: &Tensor, cols: usize) -> Result<Tensor> {
    let share = cols / gate.len();
    let index: Vec<u32> = (0..cols).map(|col| (col / share) as u32).collect();
    gate.reshape(&[gate.len(), 1])?.gather_rows(&index)
}
