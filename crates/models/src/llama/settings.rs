//! What the config.json of each family of the LLaMA kind says. The families differ in data only.

use super::rope::{self, Rope};
use crate::config::Fields;
use crate::family::{activation_or, dropout};
use offshoot_core::{Activation, Shape};
use serde_json::Value;

/// What config.json says.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) family: &'static str,
    pub(crate) shape: Shape,
    pub(crate) activation: Activation,
    pub(crate) eps: f32,
    /// Added to the weights of norms.
    pub(crate) norm_offset: f32,
    /// Factor on word embeddings.
    pub(crate) embedding_scale: f32,
    /// Factor on the products of queries and keys.
    pub(crate) attention_scale: f32,
    pub(crate) bias: Biases,
    /// Whether each head's queries and keys are normalised.
    pub(crate) head_norms: bool,
    /// Whether a sublayer's output is normalised too, before it joins.
    pub(crate) output_norms: bool,
    /// Whether the output head is the token table.
    pub(crate) tied: bool,
    pub(crate) attention_dropout: f32,
    /// The encodings that layers choose from.
    pub(crate) ropes: Vec<Rope>,
    /// One per block.
    pub(crate) layers: Vec<Layer>,
}

/// Which projections have a bias.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Biases {
    /// Queries, keys and values.
    pub(crate) qkv: bool,
    /// Attention's output projection.
    pub(crate) output: bool,
    /// The feed-forward network.
    pub(crate) mlp: bool,
}

/// What sets a block's attention apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layer {
    /// How many keys a query sees, if not all.
    pub(crate) window: Option<usize>,
    /// Index of its encoding.
    pub(crate) rope: usize,
}

pub(super) fn llama(fields: &mut Fields) -> Settings {
    let mut settings = one_rope(fields, "llama", None);
    let bias = fields.bool_or("attention_bias", false);
    settings.bias = Biases { qkv: bias, output: bias, mlp: fields.bool_or("mlp_bias", false) };
    // A way of computing the same products, from the first checkpoints' training.
    fields.ignore(&["pretraining_tp"]);
    settings
}

pub(super) fn mistral(fields: &mut Fields) -> Settings {
    let mut settings = one_rope(fields, "mistral", None);
    let window = window(fields);
    settings.layers.iter_mut().for_each(|layer| layer.window = window);
    settings
}

pub(super) fn qwen2(fields: &mut Fields) -> Settings {
    let mut settings = one_rope(fields, "qwen2", None);
    settings.bias.qkv = true;
    qwen_windows(fields, &mut settings);
    settings
}

pub(super) fn qwen3(fields: &mut Fields) -> Settings {
    let mut settings = one_rope(fields, "qwen3", Some(128));
    let bias = fields.bool_or("attention_bias", false);
    settings.bias = Biases { qkv: bias, output: bias, mlp: false };
    settings.head_norms = true;
    qwen_windows(fields, &mut settings);
    settings
}

pub(super) fn gemma3(fields: &mut Fields) -> Settings {
    let kinds = layer_kinds(fields);
    let mut settings = common(fields, "gemma3_text", Some(256));
    let Shape { hidden, head_dim, positions, .. } = settings.shape;
    settings.activation = activation_or(fields, "hidden_activation", Activation::GeluTanh);
    settings.tied = fields.bool_or("tie_word_embeddings", true);
    (settings.norm_offset, settings.head_norms, settings.output_norms) = (1.0, true, true);
    settings.embedding_scale = (hidden as f32).sqrt();
    settings.attention_scale =
        fields.f32_or("query_pre_attn_scalar", 256.0).max(f32::MIN_POSITIVE).powf(-0.5);
    let bias = fields.bool_or("attention_bias", false);
    settings.bias = Biases { qkv: bias, output: bias, mlp: false };
    settings.ropes = gemma_ropes(fields, head_dim, positions);
    let window = window(fields).or(Some(4096));
    settings.layers = kinds
        .unwrap_or_else(|| alternating(fields, settings.shape.layers))
        .into_iter()
        .map(|full| if full { Layer { window: None, rope: 0 } } else { Layer { window, rope: 1 } })
        .collect();
    if settings.layers.len() != settings.shape.layers {
        fields.problem("layer_types", "does not have one entry per block");
        settings.layers = vec![Layer { window: None, rope: 0 }; settings.shape.layers];
    }
    fields.only("use_bidirectional_attention", false.into());
    for name in ["attn_logit_softcapping", "final_logit_softcapping"] {
        fields.only(name, Value::Null);
    }
    settings
}

/// A family whose blocks share one encoding.
fn one_rope(fields: &mut Fields, family: &'static str, head_dim: Option<usize>) -> Settings {
    let mut settings = common(fields, family, head_dim);
    let rope = rope::read(fields, settings.shape.head_dim, settings.shape.positions);
    settings.shape.positions = (settings.shape.positions as f64 * rope.stretch()) as usize;
    settings.ropes = vec![rope];
    settings
}

/// The fields that all of the kind have. `head_dim` is the family's default, if it is not hidden / heads.
fn common(fields: &mut Fields, family: &'static str, head_dim: Option<usize>) -> Settings {
    let shape = shape(fields, head_dim);
    Settings {
        family,
        shape,
        activation: activation_or(fields, "hidden_act", Activation::Silu),
        eps: fields.f32_or("rms_norm_eps", 1e-6),
        norm_offset: 0.0,
        embedding_scale: 1.0,
        attention_scale: 1.0 / (shape.head_dim as f32).sqrt(),
        bias: Biases::default(),
        head_norms: false,
        output_norms: false,
        tied: fields.bool_or("tie_word_embeddings", false),
        attention_dropout: dropout(fields, "attention_dropout", 0.0),
        ropes: Vec::new(),
        // A hostile number of blocks is refused by the caller; until then it must not be allocated.
        layers: vec![Layer { window: None, rope: 0 }; shape.layers.min(crate::model::MOST_LAYERS)],
    }
}

fn shape(fields: &mut Fields, head_dim: Option<usize>) -> Shape {
    let (hidden, heads) = (fields.usize("hidden_size"), fields.usize("num_attention_heads"));
    let kv_heads = fields.usize_or("num_key_value_heads", heads);
    let head_dim = fields.usize_or("head_dim", head_dim.unwrap_or(hidden / heads.max(1)));
    if kv_heads == 0 || !heads.is_multiple_of(kv_heads) {
        fields.problem("num_key_value_heads", &format!("is {kv_heads}, which does not divide {heads} heads"));
    }
    if head_dim == 0 || !head_dim.is_multiple_of(2) {
        fields
            .problem("head_dim", &format!("is {head_dim}; rotary encodings need an even number of columns"));
    }
    Shape {
        vocab: fields.usize("vocab_size"),
        positions: fields.usize_or("max_position_embeddings", 2048),
        layers: fields.usize("num_hidden_layers"),
        hidden,
        heads,
        kv_heads: kv_heads.max(1),
        head_dim: head_dim.max(2),
        ffn: fields.usize("intermediate_size"),
    }
}

/// `sliding_window`, if there is one.
fn window(fields: &mut Fields) -> Option<usize> {
    Some(fields.usize_or("sliding_window", 0)).filter(|&window| window > 0)
}

/// Qwen's windows: none unless `use_sliding_window`; then in the blocks that `layer_types` names, or from
/// `max_window_layers` up.
fn qwen_windows(fields: &mut Fields, settings: &mut Settings) {
    let (window, used) = (window(fields), fields.bool_or("use_sliding_window", false));
    let first = fields.usize_or("max_window_layers", 28);
    let kinds = layer_kinds(fields);
    for (index, layer) in settings.layers.iter_mut().enumerate() {
        let full = kinds.as_ref().map_or(index < first, |kinds| kinds.get(index).copied().unwrap_or(true));
        layer.window = window.filter(|_| used && !full);
    }
}

/// For each block whether it attends to everything, from `layer_types`.
fn layer_kinds(fields: &mut Fields) -> Option<Vec<bool>> {
    let kind = |value: &Value| match value.as_str() {
        Some("full_attention") => Some(true),
        Some("sliding_attention") => Some(false),
        _ => None,
    };
    fields.list("layer_types", "a list of full_attention and sliding_attention", kind)
}

/// Gemma's order where the file does not list it: every sixth block attends to everything.
fn alternating(fields: &mut Fields, layers: usize) -> Vec<bool> {
    let pattern = fields.usize_or("sliding_window_pattern", 6).max(1);
    (0..layers.min(crate::model::MOST_LAYERS)).map(|layer| (layer + 1).is_multiple_of(pattern)).collect()
}

/// The encoding of blocks that attend to everything, and of those with a window.
fn gemma_ropes(fields: &mut Fields, dim: usize, positions: usize) -> Vec<Rope> {
    fields.ignore(&["sliding_window_pattern", "_sliding_window_pattern"]);
    let theta = f64::from(fields.f32_or("rope_theta", 1_000_000.0));
    let local = f64::from(fields.f32_or("rope_local_base_freq", 10_000.0));
    let parameters = fields.object("rope_parameters").unwrap_or_default();
    let part = |name: &str| parameters.get(name).and_then(Value::as_object).cloned();
    let full = part("full_attention").or_else(|| fields.object("rope_scaling")).unwrap_or_default();
    let sliding = part("sliding_attention").unwrap_or_default();
    vec![
        rope::scaled(fields, full, (theta, dim, positions)),
        rope::scaled(fields, sliding, (local, dim, positions)),
    ]
}
