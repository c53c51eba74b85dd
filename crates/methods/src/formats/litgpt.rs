//! litgpt's file `lit_model.pth.adapter`: `transformer.h.N.attn.adapter_wte.weight` `[tokens, hidden]` and
//! `transformer.h.N.attn.gating_factor` `[1, 1, h, 1]` (older versions: `[1, h, 1, 1]`) in the layers from its
//! `adapter_start_layer` up. The gate has no tanh: our `gate = "heads-linear"`.
//!
//! litgpt rotates as checkpoints in the Hugging Face layout do, and orders heads as they do, so nothing is
//! permuted. On a model that normalises its keys (Qwen3, Gemma 3) litgpt leaves the prompt's as they are, which
//! the method here does not, so its files for such models are refused.
//!
//! Its other files are refused by name: an adapter_v2 also scales and shifts every projection and trains the
//! norms, and its LoRA is over a fused projection in an order of its own.

use super::gated::{Layer, imported, only, plain_keys, top};
use super::{Imported, Tensors, listed};
use crate::llama_adapter::Gate;
use offshoot_core::{Backbone, Error, Result};
use std::collections::BTreeMap;

const KIND: &str = "litgpt's adapter file";
const PROMPT: &str = "adapter_wte.weight";
const GATE: &str = "gating_factor";
/// The ends of tensors that only its other files have.
const SECOND_VERSION: [&str; 2] = [".adapter_scale", ".adapter_bias"];
const LORA: [&str; 2] = [".lora_A", ".lora_B"];

/// Whether a tensor is of one of litgpt's adapters.
pub(super) fn is_litgpt(name: &str) -> bool {
    let [first, second] = SECOND_VERSION;
    part(name).is_some_and(|(_, part)| part == PROMPT || part == GATE)
        || name.ends_with(first)
        || name.ends_with(second)
        || is_lora(name)
}

fn is_lora(name: &str) -> bool {
    let own = name.starts_with("transformer.h.") || name.starts_with("lm_head.");
    own && LORA.iter().any(|end| name.ends_with(end))
}

/// Reads the tensors of such a file for `backbone`.
pub(super) fn import(tensors: &Tensors, backbone: &dyn Backbone) -> Result<Imported> {
    refuse_others(tensors)?;
    let known = |name: &str| part(name).is_some_and(|(_, part)| part == PROMPT || part == GATE);
    only(KIND, tensors, known, "transformer.h.N.attn.adapter_wte.weight and .gating_factor")?;
    plain_keys(KIND, backbone)?;
    let (prompts, gates) = (of_layers(tensors, PROMPT), of_layers(tensors, GATE));
    let layers: Vec<usize> = prompts.keys().copied().collect();
    top(KIND, PROMPT, &layers, backbone)?;
    top(KIND, GATE, &gates.keys().copied().collect::<Vec<_>>(), backbone)?;
    if prompts.len() != gates.len() {
        return Err(Error::invalid(format!(
            "{KIND}: {} layers have {PROMPT} and {} have {GATE}; save the file again",
            prompts.len(),
            gates.len()
        )));
    }
    check_prompts(&prompts, backbone)?;
    check_gates(&gates, backbone)?;
    let parts = prompts.values().zip(gates.values());
    let layers = parts.map(|((_, rows), (_, gates))| Layer { rows: rows.clone(), gates: gates.clone() });
    Ok(imported(layers.collect(), Gate::HeadsLinear, backbone))
}

fn refuse_others(tensors: &Tensors) -> Result<()> {
    let found = |wanted: &dyn Fn(&str) -> bool| {
        let names: Vec<&str> = tensors.keys().map(String::as_str).filter(|name| wanted(name)).collect();
        (!names.is_empty()).then(|| listed(names))
    };
    if let Some(names) = found(&|name| SECOND_VERSION.iter().any(|end| name.ends_with(end))) {
        return Err(Error::invalid(format!(
            "a file of litgpt's adapter_v2, which no method here is: it scales and shifts every projection and \
             trains the norms ({names}); train its first version (`litgpt finetune_adapter`)"
        )));
    }
    if let Some(names) = found(&is_lora) {
        return Err(Error::invalid(format!(
            "a file of litgpt's LoRA over its fused projections ({names}), which is not read; merge it with \
             `litgpt merge_lora` and convert the model to the Hugging Face layout"
        )));
    }
    Ok(())
}

/// The layer, and what follows `transformer.h.N.attn.`.
fn part(name: &str) -> Option<(usize, &str)> {
    let (layer, part) = name.strip_prefix("transformer.h.")?.split_once(".attn.")?;
    Some((layer.parse().ok()?, part))
}

/// Tensors by layer.
type Layers<'a> = BTreeMap<usize, &'a (Vec<usize>, Vec<f32>)>;

fn of_layers<'a>(tensors: &'a Tensors, wanted: &str) -> Layers<'a> {
    let layer = |name: &str| part(name).filter(|(_, part)| *part == wanted).map(|(layer, _)| layer);
    tensors.iter().filter_map(|(name, tensor)| Some((layer(name)?, tensor))).collect()
}

/// All prompts must have the model's width, and the same number of tokens.
fn check_prompts(prompts: &Layers<'_>, backbone: &dyn Backbone) -> Result<()> {
    let hidden = backbone.shape().hidden;
    let tokens = prompts.values().next().and_then(|(shape, _)| shape.first().copied()).unwrap_or_default();
    match prompts.iter().find(|(_, (shape, _))| tokens == 0 || *shape != [tokens, hidden]) {
        None => Ok(()),
        Some((layer, (shape, _))) => Err(Error::invalid(format!(
            "{KIND}: transformer.h.{layer}.attn.{PROMPT} is {shape:?}; on this model all must be \
             [{tokens}, {hidden}]"
        ))),
    }
}

fn check_gates(gates: &Layers<'_>, backbone: &dyn Backbone) -> Result<()> {
    let heads = backbone.shape().heads;
    let fits = |shape: &[usize]| shape == [1, 1, heads, 1] || shape == [1, heads, 1, 1];
    match gates.iter().find(|(_, (shape, _))| !fits(shape)) {
        None => Ok(()),
        Some((layer, (shape, _))) => Err(Error::invalid(format!(
            "{KIND}: transformer.h.{layer}.attn.{GATE} is {shape:?}; on this model it must be [1, 1, {heads}, 1]"
        ))),
    }
}
