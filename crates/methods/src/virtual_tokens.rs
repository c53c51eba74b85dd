//! What prompt and prefix methods share: learned tokens before each sequence.

use crate::{Target, check_size};
use offshoot_core::{KeyValue, Result, Shape, Step, Tensor};

/// The name under which files know the learned table, `[p, width]`.
pub(crate) const EMBEDDING: &str = "prompt_encoder.embedding.weight";

/// Virtual tokens take positions: at least one must be left for a real token.
pub(crate) fn check_tokens(method: &str, tokens: usize, shape: &Shape) -> Result<()> {
    check_size(method, "tokens", tokens, 1..=shape.positions.saturating_sub(1))
}

/// Token ids drawn from the vocabulary.
pub(crate) fn draw_words(target: &mut Target<'_>, count: usize) -> Vec<u32> {
    let vocab = target.shape().vocab;
    (0..count).map(|_| target.rng.below(vocab) as u32).collect()
}

/// The columns of a prefix `[p, layers 2 (g e)]`: keys, then values, of each layer.
pub(crate) fn prefix_width(shape: &Shape) -> usize {
    shape.layers * 2 * shape.kv_heads * shape.head_dim
}

/// Cuts a prefix `[p, layers 2 (g e)]` into key and value of layer 0, of layer 1, ..., each `[p, g e]`.
pub(crate) fn split(flat: &Tensor, shape: &Shape) -> Result<Vec<Tensor>> {
    let width = shape.kv_heads * shape.head_dim;
    (0..2 * shape.layers).map(|part| flat.columns(part * width..(part + 1) * width)).collect()
}

/// A layer's part of a prefix that `begin` has [`split`].
pub(crate) fn key_value(step: &Step<'_>, layer: usize) -> Option<KeyValue> {
    let [key, value] = step.prepared().chunks_exact(2).nth(layer)? else { return None };
    Some(KeyValue { key: key.clone(), value: value.clone() })
}
