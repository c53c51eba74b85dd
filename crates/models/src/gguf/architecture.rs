//! The metadata of each architecture as the config.json that transformers writes for the same model.

use serde_json::{Map, Value as Json, json};

use super::file::Gguf;
use super::metadata::Metadata;
use super::rope;
use crate::error::{Error, Result};

/// An architecture that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Architecture {
    /// LLaMA and what is built the same, Mistral and SmolLM among them.
    Llama,
    Qwen2,
    Qwen3,
    Gemma3,
    Gpt2,
}

/// Every architecture by the name that files give it.
const ALL: [(&str, Architecture); 5] = [
    ("llama", Architecture::Llama),
    ("qwen2", Architecture::Qwen2),
    ("qwen3", Architecture::Qwen3),
    ("gemma3", Architecture::Gemma3),
    ("gpt2", Architecture::Gpt2),
];

/// Gemma 3's largest model is the one that scales its queries by hidden / heads, and the one of 62 blocks.
const GEMMA_27B_BLOCKS: usize = 62;

/// In Gemma 3 every sixth block sees everything, unless the file says otherwise.
const GEMMA_PATTERN: usize = 6;

/// No model has more blocks; a list of their kinds is made by this number.
const MOST_BLOCKS: usize = 4096;

impl Architecture {
    /// The architecture of a file.
    ///
    /// # Errors
    /// If it is not a whole model, or of an architecture that is not read.
    pub(super) fn of(gguf: &Gguf) -> Result<Self> {
        let text = |key: &str| gguf.get(key).and_then(|value| value.as_text().map(str::to_owned));
        let refuse = |reason: String| Err(Error::checkpoint(gguf.path(), reason));
        if let Some(kind) = text("general.type").filter(|kind| kind != "model") {
            return refuse(format!("a GGUF file of type `{kind}`, not a model"));
        }
        if let Some(parts) = gguf.get("split.count").and_then(|value| value.as_u64()).filter(|&n| n > 1) {
            return refuse(format!("one of {parts} parts of a model; join them with gguf-split --merge"));
        }
        let Some(name) = text("general.architecture") else {
            return refuse(
                "there is no `general.architecture`: damaged file, convert the model again".into(),
            );
        };
        ALL.iter().find(|(known, _)| *known == name).map(|(_, found)| *found).map_or_else(
            || {
                let known = ALL.map(|(known, _)| known).join(", ");
                refuse(format!("the architecture `{name}` is not supported; supported are {known}"))
            },
            Ok,
        )
    }

    /// The architecture of a family of transformers', by its `model_type`.
    pub(super) fn of_family(family: &str) -> Option<Self> {
        // Mistral's files say `llama`, and differ in nothing but the window.
        let name = match family {
            "mistral" => "llama",
            "gemma3_text" => "gemma3",
            name => name,
        };
        ALL.iter().find(|(known, _)| *known == name).map(|(_, found)| *found)
    }

    pub(super) fn name(self) -> &'static str {
        ALL.iter().find(|(_, known)| *known == self).map_or("", |(name, _)| name)
    }

    /// The model's config.json.
    ///
    /// # Errors
    /// If a key of the metadata is missing, wrong, or asks for something that is not supported.
    pub(super) fn config(self, gguf: &Gguf) -> Result<Map<String, Json>> {
        let mut metadata = Metadata::new(gguf, self.name());
        let mut config = match self {
            Self::Gpt2 => gpt2(&mut metadata),
            _ => decoder(self, &mut metadata),
        };
        metadata.ignore(&["vocab_size", "rope.scaling.finetuned"]);
        config.insert("vocab_size".into(), rows(gguf, "token_embd.weight").into());
        config.insert("tie_word_embeddings".into(), (!has(gguf, "output.weight")).into());
        tokens(gguf, &mut config);
        metadata.finish()?;
        Ok(config)
    }
}

/// The ids of special tokens, which generation needs: what ends a turn ends a text.
fn tokens(gguf: &Gguf, config: &mut Map<String, Json>) {
    let id = |name: &str| gguf.get(&format!("tokenizer.ggml.{name}_token_id")).and_then(|id| id.as_u64());
    for (field, name) in [("bos_token_id", "bos"), ("pad_token_id", "padding")] {
        config.insert(field.into(), id(name).map_or(Json::Null, Json::from));
    }
    let eos = match (id("eos"), id("eot")) {
        (Some(eos), Some(eot)) if eos != eot => json!([eos, eot]),
        (eos, eot) => eos.or(eot).map_or(Json::Null, Json::from),
    };
    config.insert("eos_token_id".into(), eos);
}

fn gpt2(metadata: &mut Metadata<'_>) -> Map<String, Json> {
    let config = json!({
        "model_type": "gpt2",
        "architectures": ["GPT2LMHeadModel"],
        "activation_function": "gelu_new",
        "n_embd": metadata.size("embedding_length"),
        "n_head": metadata.size("attention.head_count"),
        "n_inner": metadata.size("feed_forward_length"),
        "n_layer": metadata.size("block_count"),
        "n_positions": metadata.size("context_length"),
        "layer_norm_epsilon": metadata.required("attention.layer_norm_epsilon"),
    });
    let heads = config["n_head"].as_u64().unwrap_or(1) as usize;
    metadata.only("attention.head_count_kv", heads);
    object(config)
}

/// What the families that are built like LLaMA share, then what sets each apart.
fn decoder(architecture: Architecture, metadata: &mut Metadata<'_>) -> Map<String, Json> {
    let hidden = metadata.size("embedding_length");
    let heads = metadata.size("attention.head_count");
    let kv_heads = metadata.optional_size("attention.head_count_kv").unwrap_or(heads);
    let rotated = metadata.optional_size("rope.dimension_count");
    let named = metadata.optional_size("attention.key_length");
    let head_dim = named.or(rotated).unwrap_or(hidden / heads);
    metadata.only("rope.dimension_count", head_dim);
    metadata.only("attention.value_length", head_dim);
    // Mixtures of experts share these names.
    metadata.only("expert_count", 0);
    metadata.only("expert_used_count", 0);
    let mut config = object(json!({
        "hidden_size": hidden,
        "intermediate_size": metadata.size("feed_forward_length"),
        "num_hidden_layers": metadata.size("block_count"),
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "head_dim": head_dim,
        "max_position_embeddings": metadata.size("context_length"),
        "rms_norm_eps": metadata.required("attention.layer_norm_rms_epsilon"),
        "attention_dropout": 0.0,
    }));
    let rope = rope::parameters(metadata, head_dim);
    config.extend(match architecture {
        Architecture::Gemma3 => gemma3(metadata, &config, rope),
        Architecture::Llama => llama(metadata, rope),
        _ => qwen(architecture, metadata.gguf(), rope),
    });
    if architecture == Architecture::Qwen2 {
        // Its head size is not a setting of its own.
        config.remove("head_dim");
    }
    config
}

fn llama(metadata: &mut Metadata<'_>, rope: Json) -> Map<String, Json> {
    let gguf = metadata.gguf();
    let window = metadata.optional_size("attention.sliding_window");
    let mut config = object(json!({"hidden_act": "silu", "rope_parameters": rope}));
    config.extend(object(match window {
        Some(window) => json!({
            "model_type": "mistral", "architectures": ["MistralForCausalLM"], "sliding_window": window,
        }),
        None => json!({
            "model_type": "llama",
            "architectures": ["LlamaForCausalLM"],
            "attention_bias": has(gguf, "blk.0.attn_q.bias"),
            "mlp_bias": has(gguf, "blk.0.ffn_up.bias"),
        }),
    }));
    config
}

fn qwen(architecture: Architecture, gguf: &Gguf, rope: Json) -> Map<String, Json> {
    let mut config =
        object(json!({"hidden_act": "silu", "rope_parameters": rope, "use_sliding_window": false}));
    config.extend(object(if architecture == Architecture::Qwen2 {
        json!({"model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"]})
    } else {
        json!({
            "model_type": "qwen3",
            "architectures": ["Qwen3ForCausalLM"],
            "attention_bias": has(gguf, "blk.0.attn_q.bias"),
        })
    }));
    config
}

fn gemma3(metadata: &mut Metadata<'_>, config: &Map<String, Json>, rope: Json) -> Map<String, Json> {
    let number = |name: &str| config.get(name).and_then(Json::as_u64).unwrap_or(1) as usize;
    let (layers, hidden, heads) =
        (number("num_hidden_layers"), number("hidden_size"), number("num_attention_heads"));
    let pattern = metadata.optional_size("attention.sliding_window_pattern").unwrap_or(GEMMA_PATTERN);
    if layers > MOST_BLOCKS {
        metadata.problem("block_count", &format!("is {layers}; at most {MOST_BLOCKS} are possible"));
    }
    let kind = |block: usize| {
        if (block + 1).is_multiple_of(pattern) { "full_attention" } else { "sliding_attention" }
    };
    let local = metadata.number("rope.freq_base_swa").map_or(json!(10_000.0), Json::Number);
    let query = if layers == GEMMA_27B_BLOCKS { hidden / heads } else { number("head_dim") };
    let cap = |found: Option<serde_json::Number>| found.map_or(Json::Null, Json::Number);
    object(json!({
        "model_type": "gemma3_text",
        "architectures": ["Gemma3ForCausalLM"],
        "hidden_activation": "gelu_pytorch_tanh",
        "attention_bias": false,
        "query_pre_attn_scalar": query,
        "sliding_window": metadata.size("attention.sliding_window"),
        "layer_types": (0..layers.min(MOST_BLOCKS)).map(kind).collect::<Vec<_>>(),
        "rope_parameters": {
            "full_attention": rope,
            "sliding_attention": {"rope_theta": local, "rope_type": "default"},
        },
        "attn_logit_softcapping": cap(metadata.number("attn_logit_softcapping")),
        "final_logit_softcapping": cap(metadata.number("final_logit_softcapping")),
        "use_bidirectional_attention": false,
    }))
}

fn has(gguf: &Gguf, name: &str) -> bool {
    gguf.tensors().iter().any(|tensor| tensor.name == name)
}

/// The rows of a table; 0 without one, which reading the weights then reports.
fn rows(gguf: &Gguf, name: &str) -> usize {
    let table = gguf.tensors().iter().find(|tensor| tensor.name == name);
    table.and_then(|table| table.shape.first().copied()).unwrap_or(0)
}

/// The fields of a literal object.
fn object(json: Json) -> Map<String, Json> {
    if let Json::Object(map) = json { map } else { Map::new() }
}
