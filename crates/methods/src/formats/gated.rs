//! What the files of LLaMA-Adapter that are no folder have in common: prompts and gates of the top layers.

use super::{Imported, Tensors, listed};
use crate::MethodConfig;
use crate::llama_adapter::{Config, Gate};
use offshoot_core::{Backbone, Error, Result};

/// One layer's part.
pub(super) struct Layer {
    /// `[tokens, hidden]`
    pub(super) rows: Vec<f32>,
    /// `[h]`, or `[1]` where it is a scalar
    pub(super) gates: Vec<f32>,
}

/// The parts of the top layers, from the lowest up, as the method of this gate.
pub(super) fn imported(layers: Vec<Layer>, gate: Gate, backbone: &dyn Backbone) -> Imported {
    let (hidden, count) = (backbone.shape().hidden, layers.len());
    let tokens = layers.first().map_or(0, |layer| layer.rows.len() / hidden);
    let mut values = Tensors::new();
    for (layer, part) in (backbone.shape().layers - count..).zip(layers) {
        let module = backbone.attention_module(layer);
        values.insert(format!("{module}.adaption_prompt"), (vec![1, tokens, hidden], part.rows));
        values.insert(format!("{module}.adaption_gate"), (vec![part.gates.len()], part.gates));
    }
    let config = Config { tokens, layers: Some(count), gate };
    let method = MethodConfig::LlamaAdapter(config);
    Imported { method, values, head: Tensors::new(), notes: Vec::new() }
}

/// Refuses names that a file of this kind does not have.
pub(super) fn only<'a>(
    kind: &str,
    tensors: &'a Tensors,
    known: impl Fn(&str) -> bool,
    expected: &str,
) -> Result<()> {
    let unknown: Vec<&'a str> = tensors.keys().map(String::as_str).filter(|name| !known(name)).collect();
    match unknown.is_empty() {
        true => Ok(()),
        false => {
            Err(Error::invalid(format!("{kind}: {} cannot be loaded; it has {expected}", listed(unknown))))
        }
    }
}

/// Refuses a model that normalises its keys. These programs leave a prompt's keys as the projection gives
/// them; here they are normalised as the layer's own, which no change of the prompt undoes: it takes the length
/// of each key out.
pub(super) fn plain_keys(kind: &str, backbone: &dyn Backbone) -> Result<()> {
    match backbone.normalises_keys() {
        false => Ok(()),
        true => Err(Error::invalid(format!(
            "{kind}: a {} model normalises its keys, and the prompts of such a file were trained on keys that are \
             not normalised, so it would not compute what was trained; train one here (`--method llama-adapter`)",
            backbone.family()
        ))),
    }
}

/// Checks that the layers with a tensor are those from some layer up to the last, in rising order.
pub(super) fn top(kind: &str, what: &str, layers: &[usize], backbone: &dyn Backbone) -> Result<()> {
    let count = backbone.shape().layers;
    let first = count.checked_sub(layers.len()).filter(|_| !layers.is_empty());
    match first {
        Some(first) if layers.iter().copied().eq(first..count) => Ok(()),
        _ => Err(Error::invalid(format!(
            "{kind}: {what} stands in the layers {layers:?}; it must stand in those from one layer up to the \
             model's last, {}: is it for another model?",
            count - 1
        ))),
    }
}
