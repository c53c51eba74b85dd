//! One block: attention and the gated feed-forward network, each behind a norm and beside the residual
//! stream.

use super::settings::Settings;
use crate::Result;
use crate::reader::Reader;
use offshoot_core::nn::{Linear, Norm, RmsNorm};
use offshoot_core::{
    AttentionSite, Context, Heads, KeyValue, Mask, Part, Pass, ProjectKv, Shape, Site, Slot, Step, Sublayer,
    Tensor, Weight,
};

/// The projections, in the order of the files.
pub(super) const NAMES: [(Slot, &str); 7] = [
    (Slot::Query, "self_attn.q_proj"),
    (Slot::Key, "self_attn.k_proj"),
    (Slot::Value, "self_attn.v_proj"),
    (Slot::Output, "self_attn.o_proj"),
    (Slot::Gate, "mlp.gate_proj"),
    (Slot::Up, "mlp.up_proj"),
    (Slot::Down, "mlp.down_proj"),
];

#[derive(Clone)]
pub(super) struct Block {
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    gate: Linear,
    up: Linear,
    down: Linear,
    /// Before attention.
    attention_norm: RmsNorm,
    /// Before the feed-forward network.
    feed_forward_norm: RmsNorm,
    /// After each of the two, in Gemma.
    output_norms: Option<[RmsNorm; 2]>,
    /// On the heads of queries and of keys, in Qwen3 and Gemma.
    head_norms: Option<[RmsNorm; 2]>,
}

impl Block {
    pub(super) fn collect(settings: &Settings, layer: usize, reader: &mut Reader<'_, '_>) -> Result<Self> {
        let Shape { hidden, heads, kv_heads, head_dim, ffn, .. } = settings.shape;
        let (part, bias) = (Part::Block(layer), settings.bias);
        let (h, g) = (heads * head_dim, kv_heads * head_dim);
        let mut linear = |slot: Slot, sizes, bias| {
            let name = NAMES.iter().find(|(other, _)| *other == slot).map_or("", |(_, name)| name);
            reader.linear(&format!("layers.{layer}.{name}"), part, sizes, bias)
        };
        let query = linear(Slot::Query, (hidden, h), bias.qkv)?;
        let key = linear(Slot::Key, (hidden, g), bias.qkv)?;
        let value = linear(Slot::Value, (hidden, g), bias.qkv)?;
        let output = linear(Slot::Output, (h, hidden), bias.output)?;
        let gate = linear(Slot::Gate, (hidden, ffn), bias.mlp)?;
        let up = linear(Slot::Up, (hidden, ffn), bias.mlp)?;
        let down = linear(Slot::Down, (ffn, hidden), bias.mlp)?;
        let mut norm = |name: &str, width| {
            let path = format!("layers.{layer}.{name}");
            reader.rms_norm(&path, part, width, (settings.eps, settings.norm_offset))
        };
        let mut pair = |wanted, names: [&str; 2], width| match wanted {
            true => Ok::<_, crate::Error>(Some([norm(names[0], width)?, norm(names[1], width)?])),
            false => Ok(None),
        };
        let head_norms = pair(settings.head_norms, ["self_attn.q_norm", "self_attn.k_norm"], head_dim)?;
        // Gemma keeps LLaMA's name for the second norm and means another by it.
        let (before, after) = match settings.output_norms {
            true => ("pre_feedforward_layernorm", ["post_attention_layernorm", "post_feedforward_layernorm"]),
            false => ("post_attention_layernorm", [""; 2]),
        };
        let output_norms = pair(settings.output_norms, after, hidden)?;
        let attention_norm = norm("input_layernorm", hidden)?;
        let feed_forward_norm = norm(before, hidden)?;
        Ok(Self {
            query,
            key,
            value,
            output,
            gate,
            up,
            down,
            attention_norm,
            feed_forward_norm,
            output_norms,
            head_norms,
        })
    }

    pub(super) fn projections(&self) -> [(Slot, &Linear); 7] {
        let linears = [&self.query, &self.key, &self.value, &self.output, &self.gate, &self.up, &self.down];
        let mut linears = linears.into_iter();
        NAMES.map(|(slot, _)| (slot, linears.next().unwrap_or(&self.query)))
    }

    pub(super) fn weights(&self) -> Vec<&Weight> {
        let mut weights: Vec<&Weight> = self.projections().iter().flat_map(|(_, l)| l.weights()).collect();
        let pairs = self.head_norms.iter().chain(&self.output_norms).flatten();
        weights.extend(pairs.chain([&self.attention_norm, &self.feed_forward_norm]).map(|norm| &norm.weight));
        weights
    }

    pub(super) fn weights_mut(&mut self) -> Vec<&mut Weight> {
        let linears = [
            &mut self.query,
            &mut self.key,
            &mut self.value,
            &mut self.output,
            &mut self.gate,
            &mut self.up,
            &mut self.down,
        ];
        let mut weights: Vec<&mut Weight> = linears.into_iter().flat_map(Linear::weights_mut).collect();
        let pairs = self.head_norms.iter_mut().chain(&mut self.output_norms).flatten();
        let norms = pairs.chain([&mut self.attention_norm, &mut self.feed_forward_norm]);
        weights.extend(norms.map(|norm| &mut norm.weight));
        weights
    }

    /// `x` `[n, d]` to `[n, d]`.
    pub(super) fn forward(
        &self,
        settings: &Settings,
        layer: usize,
        x: &Tensor,
        pass: &Pass<'_>,
    ) -> offshoot_core::Result<Tensor> {
        let step = pass.step();
        let join = |part, x: &Tensor, y: Tensor| {
            let y = match &self.output_norms {
                Some(norms) => norms[part as usize].forward(&y, step)?,
                None => y,
            };
            x.add(&pass.sublayer((layer, part), x, y, None)?)
        };
        let y = self.attention(settings, layer, &self.attention_norm.forward(x, step)?, pass)?;
        let x = join(Sublayer::Attention, x, y)?;
        let y = self.feed_forward(settings, layer, &self.feed_forward_norm.forward(&x, step)?, pass)?;
        join(Sublayer::FeedForward, &x, y)
    }

    fn attention(
        &self,
        settings: &Settings,
        layer: usize,
        x: &Tensor,
        pass: &Pass<'_>,
    ) -> offshoot_core::Result<Tensor> {
        let at = |slot| Site { layer, slot };
        let kind = settings.layers[layer];
        let rotation = pass.rotation(kind.rope, || settings.ropes[kind.rope].rotation(pass));
        let q = pass.linear(at(Slot::Query), &self.query, x)?;
        let k = pass.linear(at(Slot::Key), &self.key, x)?;
        let v = pass.linear(at(Slot::Value), &self.value, x)?;
        let q = self.normalised(0, q, pass.step())?.rotate(&rotation)?;
        let k = self.normalised(1, k, pass.step())?.rotate(&rotation)?;
        let kv = LayerKv { block: self, step: pass.step(), heads: heads(settings) };
        let site = AttentionSite {
            layer,
            kv: &kv,
            mask: Mask::Causal { window: kind.window },
            dropout: settings.attention_dropout,
            dropout_site: layer as u64,
        };
        let Context { context, after } = pass.attention(&site, &q, k, v)?;
        let y = pass.linear(at(Slot::Output), &self.output, &context)?;
        match after {
            Some(after) => y.add(&after),
            None => Ok(y),
        }
    }

    /// `down(activation(gate(x)) up(x))`
    fn feed_forward(
        &self,
        settings: &Settings,
        layer: usize,
        x: &Tensor,
        pass: &Pass<'_>,
    ) -> offshoot_core::Result<Tensor> {
        let at = |slot| Site { layer, slot };
        let gate = pass.linear(at(Slot::Gate), &self.gate, x)?;
        let y = pass.linear(at(Slot::Up), &self.up, x)?.gated(&gate, settings.activation)?;
        pass.linear(at(Slot::Down), &self.down, &y)
    }

    /// Queries (0) or keys (1) `[n, heads e]` with each head normalised, where the family does so.
    fn normalised(&self, which: usize, x: Tensor, step: &Step<'_>) -> offshoot_core::Result<Tensor> {
        match &self.head_norms {
            Some(norms) => norms[which].forward_heads(&x, step),
            None => Ok(x),
        }
    }
}

fn heads(settings: &Settings) -> Heads {
    let Shape { heads, kv_heads, head_dim, .. } = settings.shape;
    Heads { query: heads, key_value: kv_heads, dim: head_dim, scale: settings.attention_scale }
}

/// A block's key and value projections, lent to an adapter. Its keys are normalised as the layer's own are.
struct LayerKv<'a> {
    block: &'a Block,
    step: &'a Step<'a>,
    heads: Heads,
}

impl ProjectKv for LayerKv<'_> {
    fn project(&self, prompt: &Tensor) -> offshoot_core::Result<KeyValue> {
        let key = self.block.key.forward(prompt, self.step)?;
        let key = self.block.normalised(1, key, self.step)?;
        Ok(KeyValue { key, value: self.block.value.forward(prompt, self.step)? })
    }

    fn heads(&self) -> Heads {
        self.heads
    }
}
