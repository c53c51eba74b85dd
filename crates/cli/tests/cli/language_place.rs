//! A tiny random LLaMA whose tokens are bytes, with a chat template and LoRA adapters in peft's layout.

use crate::place::{Place, Ran};
use offshoot::core::{Device, Rng};
use offshoot::models::weights::write_safetensors;
use serde_json::{Map, Value, json};
use std::fs;
use std::path::Path;

const WIDTH: usize = 16;
const FFN: usize = 24;
const LAYERS: usize = 2;
const VOCAB: usize = 260;

/// `model/`, and the adapters `one/` and `two/`.
pub(crate) fn place() -> Place {
    let place = Place::new();
    fs::remove_dir_all(place.path("model")).unwrap();
    model(&place.path("model"));
    adapter(&place.path("one"), 1);
    adapter(&place.path("two"), 2);
    place
}

/// The JSON objects on stdout.
pub(crate) fn objects(ran: &Ran) -> Vec<Value> {
    ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The letter that byte-level tokenizers write for a byte.
fn letter(byte: u8) -> char {
    let printable = |byte: u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    let before = (0..byte).filter(|&other| !printable(other)).count() as u32;
    if printable(byte) { char::from(byte) } else { char::from_u32(256 + before).unwrap() }
}

fn model(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    let config = json!({
        "model_type": "llama", "vocab_size": VOCAB, "max_position_embeddings": 256, "hidden_size": WIDTH,
        "num_hidden_layers": LAYERS, "num_attention_heads": 2, "num_key_value_heads": 1,
        "intermediate_size": FFN, "tie_word_embeddings": true, "rms_norm_eps": 1e-5,
    });
    fs::write(folder.join("config.json"), config.to_string()).unwrap();
    let vocab: Map<String, Value> = (0..=255_u8).map(|b| (letter(b).to_string(), json!(b))).collect();
    let special = |(at, content): (usize, &str)| {
        json!({"id": 256 + at, "content": content, "special": true, "normalized": false,
            "single_word": false, "lstrip": false, "rstrip": false})
    };
    let added: Vec<Value> =
        ["<s>", "</s>", "<|user|>", "<|bot|>"].into_iter().enumerate().map(special).collect();
    let bytes =
        json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true});
    let tokenizer = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": added, "normalizer": null,
        "pre_tokenizer": bytes, "post_processor": null, "decoder": bytes,
        "model": {"type": "BPE", "dropout": null, "unk_token": null, "fuse_unk": false, "vocab": vocab, "merges": []},
    });
    fs::write(folder.join("tokenizer.json"), tokenizer.to_string()).unwrap();
    let template = "{% for m in messages %}{% if m.role == 'assistant' %}<|bot|>{{ m.content }}</s>\
        {% else %}<|user|>{{ m.role }}:{{ m.content }}{% endif %}{% endfor %}\
        {% if add_generation_prompt %}<|bot|>{% endif %}";
    let settings = json!({"bos_token": "<s>", "eos_token": "</s>", "chat_template": template});
    fs::write(folder.join("tokenizer_config.json"), settings.to_string()).unwrap();
    write(&folder.join("model.safetensors"), shapes(), 7, 0.5);
}

fn shapes() -> Vec<(String, Vec<usize>)> {
    let mut shapes =
        vec![("model.embed_tokens".to_owned(), vec![VOCAB, WIDTH]), ("model.norm".to_owned(), vec![WIDTH])];
    let block = [
        ("self_attn.q_proj", vec![WIDTH, WIDTH]),
        ("self_attn.k_proj", vec![WIDTH / 2, WIDTH]),
        ("self_attn.v_proj", vec![WIDTH / 2, WIDTH]),
        ("self_attn.o_proj", vec![WIDTH, WIDTH]),
        ("mlp.gate_proj", vec![FFN, WIDTH]),
        ("mlp.up_proj", vec![FFN, WIDTH]),
        ("mlp.down_proj", vec![WIDTH, FFN]),
        ("input_layernorm", vec![WIDTH]),
        ("post_attention_layernorm", vec![WIDTH]),
    ];
    for layer in 0..LAYERS {
        shapes.extend(
            block.iter().map(|(name, shape)| (format!("model.layers.{layer}.{name}"), shape.clone())),
        );
    }
    shapes
}

/// A LoRA on the queries.
fn adapter(folder: &Path, seed: u64) {
    fs::create_dir_all(folder).unwrap();
    let config = json!({"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": 2, "lora_alpha": 8,
        "target_modules": ["q_proj"], "base_model_name_or_path": "model"});
    fs::write(folder.join("adapter_config.json"), config.to_string()).unwrap();
    let path = |layer: usize, part: &str| {
        format!("base_model.model.model.layers.{layer}.self_attn.q_proj.lora_{part}")
    };
    let both = |layer: usize| [(path(layer, "A"), vec![2, WIDTH]), (path(layer, "B"), vec![WIDTH, 2])];
    write(&folder.join("adapter_model.safetensors"), (0..LAYERS).flat_map(both).collect(), seed, 1.0);
}

fn write(file: &Path, shapes: Vec<(String, Vec<usize>)>, seed: u64, deviation: f64) {
    let mut rng = Rng::new(seed);
    let value = |(name, shape): (String, Vec<usize>)| {
        let mut values = rng.normal_tensor(&Device::cpu(), &shape, deviation).to_vec();
        if shape.len() == 1 {
            values.fill(1.0);
        }
        (format!("{name}.weight"), shape, values)
    };
    let tensors: Vec<_> = shapes.into_iter().map(value).collect();
    let tensors: Vec<_> =
        tensors.iter().map(|(name, shape, v)| (name.clone(), shape.clone(), &v[..])).collect();
    write_safetensors(file, &tensors).unwrap();
}
