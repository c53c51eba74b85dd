//! peft's prompt learning: PREFIX_TUNING, PROMPT_TUNING and P_TUNING. One tensor, `prompt_embeddings`: rows
//! of word embeddings `[tokens, hidden]`, or of keys and values `[tokens, layers 2 (g e)]`, layer by layer,
//! key before value.
//!
//! peft stores what a reparameterisation network computes and drops the network. Ours stands beside in a file
//! of its own; where that is missing, the tensor is loaded as the direct method, which computes the same and
//! trains otherwise.

use super::{BESIDE_PROMPTS, Given, Loaded, NETWORK_FILE, WEIGHTS_FILE, Written, unknown_tensors};
use crate::formats::fields::Fields;
use crate::formats::{Export, NamedTensor, Tensors};
use crate::virtual_tokens::{EMBEDDING, prefix_width};
use crate::{MethodConfig, p_tuning, prefix, prefix_mlp, prompt};
use offshoot_core::{Error, Result, Step, Tensor};
use serde_json::{Value, json};

const TENSOR: &str = "prompt_embeddings";
const PREFIX: &str = "PREFIX_TUNING";
const BESIDE: &str = "prompt_encoder.safetensors, which stands beside, holds such a network";
/// The first layer of each network: its rows are the network's width.
const PREFIX_INNER: &str = "prompt_encoder.transform.0.weight";
const PROMPT_INNER: &str = "prompt_encoder.mlp_head.0.weight";

pub(super) fn export_prefix(export: &Export<'_>) -> Result<Written> {
    let own = json!({
        "encoder_hidden_size": export.backbone.shape().hidden,
        "init_weights": null,
        "prefix_projection": false,
    });
    written(export, PREFIX, own, own_table(export)?)
}

pub(super) fn export_prefix_mlp(export: &Export<'_>, settings: &prefix_mlp::Config) -> Result<Written> {
    let own = json!({
        "encoder_hidden_size": settings.mlp_width,
        "init_weights": null,
        "prefix_projection": true,
    });
    with_network(export, PREFIX, own)
}

pub(super) fn export_prompt(export: &Export<'_>) -> Result<Written> {
    let own = json!({
        "prompt_tuning_init": "RANDOM",
        "prompt_tuning_init_text": null,
        "tokenizer_kwargs": null,
        "tokenizer_name_or_path": null,
    });
    written(export, "PROMPT_TUNING", own, own_table(export)?)
}

pub(super) fn export_p_tuning(export: &Export<'_>, settings: &p_tuning::Config) -> Result<Written> {
    let own = json!({
        "encoder_dropout": 0.0,
        "encoder_hidden_size": settings.mlp_width,
        "encoder_num_layers": 2,
        "encoder_reparameterization_type": "MLP",
    });
    with_network(export, "P_TUNING", own)
}

/// The file of a method whose table a network computes, and the network beside. What `begin` prepares are the
/// columns of the table in the file's order.
fn with_network(export: &Export<'_>, peft_type: &'static str, own: Value) -> Result<Written> {
    let parts = export.adapter.begin(&Step::detached(export.params))?;
    let written = written(export, peft_type, own, side_by_side(&parts))?;
    Ok(Written { network: export.own(), ..written })
}

fn written(
    export: &Export<'_>,
    peft_type: &'static str,
    mut fields: Value,
    table: NamedTensor,
) -> Result<Written> {
    let shape = export.backbone.shape();
    let keys = (shape.kv_heads, shape.kv_heads * shape.head_dim);
    let (heads, width) = if peft_type == PREFIX { keys } else { (shape.heads, shape.hidden) };
    fields["num_attention_heads"] = json!(heads);
    fields["num_layers"] = json!(shape.layers);
    fields["num_transformer_submodules"] = json!(1);
    fields["num_virtual_tokens"] = json!(table.shape.first());
    fields["token_dim"] = json!(width);
    Ok(Written { peft_type, fields, prefix: BESIDE_PROMPTS, tensors: vec![table], network: Vec::new() })
}

fn own_table(export: &Export<'_>) -> Result<NamedTensor> {
    let table = export.own().into_iter().find(|tensor| tensor.name == EMBEDDING);
    let table = table.ok_or_else(|| Error::invalid(format!("the adapter has no tensor {EMBEDDING}")))?;
    Ok(NamedTensor { name: TENSOR.to_string(), ..table })
}

/// Tensors `[tokens, any]` as one table.
fn side_by_side(parts: &[Tensor]) -> NamedTensor {
    let rows = parts.first().map_or(0, Tensor::rows);
    let width = parts.iter().map(Tensor::cols).sum();
    let columns: Vec<_> = parts.iter().map(|part| (part.cols(), part.to_vec())).collect();
    let row =
        |row: usize| columns.iter().flat_map(move |(cols, values)| &values[row * cols..(row + 1) * cols]);
    let values = (0..rows).flat_map(row).copied().collect();
    NamedTensor { name: TENSOR.to_string(), shape: vec![rows, width], values }
}

pub(super) fn import_prefix(mut fields: Fields<'_>, given: Given<'_>) -> Result<Loaded> {
    let shape = *given.backbone.shape();
    fields.inert(&["init_weights"]);
    fields.must_be("token_dim", shape.kv_heads * shape.head_dim, "this model's keys and values are so wide");
    fields.must_be("num_layers", shape.layers, "this model has so many blocks");
    fields.must_be("num_attention_heads", shape.kv_heads, "this model has so many key and value heads");
    let tokens = tokens(&mut fields, &given.tensors, prefix_width(&shape))?;
    let mlp_width = network_width(&mut fields, &given, PREFIX_INNER);
    if mlp_width.is_some() {
        fields.must_be("prefix_projection", true, BESIDE);
    }
    let projected = fields.flag("prefix_projection", false);
    fields.finish()?;
    if mlp_width.is_some() {
        let method = MethodConfig::PrefixMlp(prefix_mlp::Config { tokens, mlp_width });
        return Ok(Loaded { method, values: given.network, notes: Vec::new() });
    }
    let method = MethodConfig::Prefix(prefix::Config { tokens, init: prefix::Init::Normal });
    let notes = projected.then(|| without_network("prefix")).into_iter().collect();
    Ok(direct(method, given.tensors, notes))
}

pub(super) fn import_prompt(mut fields: Fields<'_>, given: Given<'_>) -> Result<Loaded> {
    fields.inert(&[
        "prompt_tuning_init",
        "prompt_tuning_init_text",
        "tokenizer_kwargs",
        "tokenizer_name_or_path",
    ]);
    let tokens = prompt_tokens(&mut fields, &given)?;
    fields.finish()?;
    Ok(direct(as_prompt(tokens), given.tensors, Vec::new()))
}

pub(super) fn import_p_tuning(mut fields: Fields<'_>, given: Given<'_>) -> Result<Loaded> {
    // peft's MLP has two inner layers and no dropout, whatever these say; an LSTM is not needed to use the
    // result.
    fields.inert(&["encoder_dropout", "encoder_num_layers", "encoder_reparameterization_type"]);
    let tokens = prompt_tokens(&mut fields, &given)?;
    let mlp_width = network_width(&mut fields, &given, PROMPT_INNER);
    if mlp_width.is_some() {
        fields.must_be("encoder_reparameterization_type", "MLP", BESIDE);
    }
    fields.finish()?;
    if mlp_width.is_some() {
        let method = MethodConfig::PTuning(p_tuning::Config { tokens, mlp_width });
        return Ok(Loaded { method, values: given.network, notes: Vec::new() });
    }
    Ok(direct(as_prompt(tokens), given.tensors, vec![without_network("prompt")]))
}

/// What the table starts at does not matter where it is loaded: the cheapest start is asked for.
fn as_prompt(tokens: usize) -> MethodConfig {
    MethodConfig::Prompt(prompt::Config { tokens, init: prompt::Init::Normal })
}

/// The width of the network that stands beside the file, if one does: the rows of its first layer.
fn network_width(fields: &mut Fields<'_>, given: &Given<'_>, inner: &str) -> Option<usize> {
    fields.inert(&["encoder_hidden_size"]);
    let width = *given.network.get(inner)?.0.first()?;
    fields.must_be("encoder_hidden_size", width, BESIDE);
    Some(width)
}

/// The rows of a table of word embeddings.
fn prompt_tokens(fields: &mut Fields<'_>, given: &Given<'_>) -> Result<usize> {
    let hidden = given.backbone.shape().hidden;
    fields.inert(&["num_attention_heads", "num_layers"]);
    fields.must_be("token_dim", hidden, "this model's embeddings are so wide");
    tokens(fields, &given.tensors, hidden)
}

/// The number of virtual tokens: the rows of the one tensor, which must be `[tokens, width]`.
fn tokens(fields: &mut Fields<'_>, tensors: &Tensors, width: usize) -> Result<usize> {
    fields.must_be("num_transformer_submodules", 1, "encoder-decoder models are not supported");
    let others = tensors.keys().map(String::as_str).filter(|name| *name != TENSOR);
    unknown_tensors("a prompt or prefix", others, TENSOR)?;
    match tensors.get(TENSOR).map(|(shape, _)| &shape[..]) {
        Some(&[rows, columns]) if columns == width => {
            fields.must_be("num_virtual_tokens", rows, "`prompt_embeddings` has so many rows");
            Ok(rows)
        }
        Some(other) => Err(Error::invalid(format!(
            "{WEIGHTS_FILE}: {TENSOR} is {other:?}, and for this model must be [tokens, {width}]"
        ))),
        None => Err(Error::invalid(format!("{WEIGHTS_FILE}: the tensor {TENSOR} is missing"))),
    }
}

fn direct(method: MethodConfig, tensors: Tensors, notes: Vec<String>) -> Loaded {
    let values = tensors.into_values().map(|value| (EMBEDDING.to_string(), value)).collect();
    Loaded { method, values, notes }
}

fn without_network(method: &str) -> String {
    format!(
        "{NETWORK_FILE} is not there, so the virtual tokens are loaded as `{method}`: they compute the \
         same, but training goes on without the network that made them"
    )
}
