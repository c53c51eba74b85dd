//! The file of LLaMA-Adapter's authors (OpenGVLab, `alpaca_finetuning_v1`): `adapter_query.weight`
//! `[tokens * layers, hidden]`, the prompts of the top layers from the lowest up, and
//! `layers.N.attention.gate` `[1, h, 1, 1]`, of which training and their paper take the tanh: our
//! `gate = "heads"`. Their first release has gates `[1]` without tanh, which is `gate = "scalar"`.
//!
//! How many layers have a prompt does not stand in the file, and gates are there for all: those of the layers
//! below are never trained and stay zero. So the prompts begin at the lowest layer whose gate is not zero.
//!
//! Their inference code (`llama/model.py`) leaves the tanh out, which its own training contradicts
//! (OpenGVLab/LLaMA-Adapter issue 39). Here the adapter is computed as it was trained.
//!
//! Nothing is permuted. Their model rotates neighbouring columns of a head, a checkpoint in the Hugging Face
//! layout the two halves of a head, and has the rows of the query and key projections permuted for it, by the
//! same permutation P in every head. A prompt lives in the residual stream, which P does not touch. Its keys
//! are not rotated, and come out of the permuted projection as P k; a rotated query comes out as P q; and
//! (P q)ᵀ(P k) = qᵀk. Values and the output projection are not permuted, and a gate belongs to a whole head.

use super::gated::{Layer, imported, only, plain_keys, top};
use super::{Imported, Tensors};
use crate::llama_adapter::Gate;
use offshoot_core::{Backbone, Error, Result};

/// The tensor by which the file is known.
pub(super) const QUERY: &str = "adapter_query.weight";

const KIND: &str = "the original LLaMA-Adapter's file";

/// Reads the tensors of such a file for `backbone`.
pub(super) fn import(tensors: &Tensors, backbone: &dyn Backbone) -> Result<Imported> {
    let known = |name: &str| name == QUERY || gate_layer(name).is_some();
    only(KIND, tensors, known, "adapter_query.weight and layers.N.attention.gate")?;
    plain_keys(KIND, backbone)?;
    let rows = query(tensors, backbone)?;
    let (gate, gates) = gates(tensors, backbone)?;
    let trained = trained(&gates)?;
    let tokens = tokens(rows, trained.len(), backbone)?;
    let parts = rows.chunks(tokens * backbone.shape().hidden).zip(trained);
    let layers = parts.map(|(rows, gates)| Layer { rows: rows.to_vec(), gates: gates.clone() }).collect();
    let mut read = imported(layers, gate, backbone);
    read.notes.push(format!(
        "the file does not say how many layers have a prompt; by the gates that are not zero, it is {} tokens \
         in each of the top {} layers",
        tokens,
        trained.len()
    ));
    Ok(read)
}

/// The layer of `layers.N.attention.gate`.
fn gate_layer(name: &str) -> Option<usize> {
    name.strip_prefix("layers.")?.strip_suffix(".attention.gate")?.parse().ok()
}

/// The rows of all prompts.
fn query<'a>(tensors: &'a Tensors, backbone: &dyn Backbone) -> Result<&'a [f32]> {
    let hidden = backbone.shape().hidden;
    match tensors.get(QUERY) {
        Some((shape, values)) if matches!(shape[..], [rows, width] if rows > 0 && width == hidden) => {
            Ok(values)
        }
        other => {
            let shape = other.map(|(shape, _)| shape.as_slice()).unwrap_or_default();
            Err(Error::invalid(format!(
                "{KIND}: {QUERY} is {shape:?}; on this model it must be [rows, {hidden}]"
            )))
        }
    }
}

/// The gates of the layers that have any, from the lowest up: all `[h]` with a tanh, or all `[1]` without.
fn gates(tensors: &Tensors, backbone: &dyn Backbone) -> Result<(Gate, Vec<Vec<f32>>)> {
    let mut gates: Vec<_> =
        tensors.iter().filter_map(|(name, tensor)| Some((gate_layer(name)?, tensor))).collect();
    gates.sort_by_key(|(layer, _)| *layer);
    let layers: Vec<usize> = gates.iter().map(|(layer, _)| *layer).collect();
    top(KIND, "attention.gate", &layers, backbone)?;
    let heads = backbone.shape().heads;
    let first = gates[0].1.0.as_slice();
    let gate = if first == [1] { Gate::Scalar } else { Gate::Heads };
    let fits = gate == Gate::Scalar || first == [1, heads, 1, 1];
    match gates.iter().find(|(_, (shape, _))| !fits || shape != first) {
        None => Ok((gate, gates.into_iter().map(|(_, (_, values))| values.clone()).collect())),
        Some((layer, (shape, _))) => Err(Error::invalid(format!(
            "{KIND}: layers.{layer}.attention.gate is {shape:?}; on this model all must be [1, {heads}, 1, 1], \
             or all [1]"
        ))),
    }
}

/// The gates from the lowest layer up that has one other than zero.
fn trained(gates: &[Vec<f32>]) -> Result<&[Vec<f32>]> {
    let first = gates.iter().position(|gates| gates.iter().any(|gate| *gate != 0.0));
    first.map(|first| &gates[first..]).ok_or_else(|| {
        Error::invalid(format!(
            "{KIND}: every gate is zero, so it was never trained, changes nothing, and does not show how many \
             layers have a prompt"
        ))
    })
}

/// The tokens of each prompt.
fn tokens(rows: &[f32], layers: usize, backbone: &dyn Backbone) -> Result<usize> {
    let rows = rows.len() / backbone.shape().hidden;
    match rows % layers {
        0 => Ok(rows / layers),
        _ => Err(Error::invalid(format!(
            "{KIND}: the {rows} rows of {QUERY} cannot be shared among the {layers} layers whose gates are not \
             zero: is it for another model?"
        ))),
    }
}
