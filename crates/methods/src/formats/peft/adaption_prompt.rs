//! peft's ADAPTION_PROMPT, which is LLaMA-Adapter: `adaption_prompt` `[1, tokens, hidden]` and
//! `adaption_gate` `[1]` in the self-attention of each of the top layers.
//!
//! peft itself builds it for decoders and does not save a head with it; files for encoders follow the same
//! rule of names.

use super::{Given, Loaded, MODULES, Written, prefixed, unknown_tensors};
use crate::formats::fields::Fields;
use crate::formats::{Export, Tensors};
use crate::llama_adapter::{Config, Gate};
use crate::{MethodConfig, setting};
use offshoot_core::Result;
use serde_json::json;

const TYPE: &str = "ADAPTION_PROMPT";
const PROMPT: &str = ".adaption_prompt";
const GATE: &str = ".adaption_gate";

pub(super) fn export(export: &Export<'_>, settings: &Config) -> Result<Written> {
    if settings.gate != Gate::Scalar {
        let reason = "of each head is saved in our own format: peft has one number a layer, without tanh; \
                      train with scalar";
        return Err(setting("llama-adapter", "gate", reason));
    }
    let module = export.backbone.attention_module(0);
    let fields = json!({
        "adapter_layers": settings.layers,
        "adapter_len": settings.tokens,
        "target_modules": module.rsplit('.').next(),
    });
    let tensors = export.own().into_iter().map(|tensor| prefixed(MODULES, tensor)).collect();
    Ok(Written { peft_type: TYPE, fields, prefix: MODULES, tensors, network: Vec::new() })
}

pub(super) fn import(mut fields: Fields<'_>, given: Given<'_>) -> Result<Loaded> {
    fields.inert(&["target_modules"]);
    let names = given.tensors.keys().map(String::as_str);
    let unknown = names.filter(|name| !name.ends_with(PROMPT) && !name.ends_with(GATE));
    unknown_tensors(TYPE, unknown, "adaption_prompt and adaption_gate in each of the top layers")?;
    let (layers, tokens) = sizes(&given.tensors);
    fields.must_be("adapter_layers", layers, "so many layers have an `adaption_prompt` in the file");
    fields.must_be("adapter_len", tokens, "so many rows has the first `adaption_prompt`");
    fields.finish()?;
    let config = Config { tokens, layers: Some(layers), gate: Gate::Scalar };
    Ok(Loaded { method: MethodConfig::LlamaAdapter(config), values: given.tensors, notes: Vec::new() })
}

/// The number of prompts, and the rows of the first.
fn sizes(tensors: &Tensors) -> (usize, usize) {
    let mut prompts = tensors.iter().filter(|(name, _)| name.ends_with(PROMPT));
    let layers = prompts.clone().count();
    let rows = prompts.next().and_then(|(_, (shape, _))| shape.get(1)).copied();
    (layers, rows.unwrap_or_default())
}
