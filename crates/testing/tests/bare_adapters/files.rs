//! A model's folder, and adapters as the two programs save them.

use super::reference::{DIM, FFN, HEADS, HIDDEN, LAYERS, Prompt, Tensors, VOCAB};
use offshoot_core::{Device, Rng};
use offshoot_models::weights::{Named, write_safetensors};
use offshoot_models::{LoadOptions, Model, Task};
use serde_json::json;
use std::path::Path;

pub(crate) const TOKENS: usize = 3;
/// Layers from this one up have a prompt.
pub(crate) const FIRST: usize = 1;

pub(crate) fn model(folder: &Path, weights: &Tensors, kv_heads: usize) -> Model {
    let config = json!({ "model_type": "llama", "hidden_size": HIDDEN, "num_attention_heads": HEADS,
        "num_key_value_heads": kv_heads, "head_dim": DIM, "num_hidden_layers": LAYERS,
        "intermediate_size": FFN, "vocab_size": VOCAB, "max_position_embeddings": 32, "rms_norm_eps": 1e-5,
        "rope_theta": 10_000.0, "tie_word_embeddings": false });
    std::fs::write(folder.join("config.json"), config.to_string()).unwrap();
    write(&folder.join("model.safetensors"), weights);
    open(folder)
}

pub(crate) fn open(folder: &Path) -> Model {
    let options = LoadOptions { task: Task::LanguageModel, ..LoadOptions::default() };
    Model::open(folder, &options, &Device::cpu()).unwrap()
}

pub(crate) fn write(path: &Path, tensors: &Tensors) {
    let named: Vec<Named<'_>> =
        tensors.iter().map(|(name, (shape, values))| (name.clone(), shape.clone(), &values[..])).collect();
    write_safetensors(path, &named).unwrap();
}

fn normal(rng: &mut Rng, count: usize) -> Vec<f32> {
    (0..count).map(|_| rng.normal() as f32).collect()
}

/// The original's file, one table of all prompts and gates in all layers, and what it means.
pub(crate) fn original() -> (Tensors, Vec<Option<Prompt>>) {
    let mut rng = Rng::new(11);
    let count = LAYERS - FIRST;
    let table = normal(&mut rng, count * TOKENS * HIDDEN);
    let mut file = Tensors::new();
    file.insert("adapter_query.weight".into(), (vec![count * TOKENS, HIDDEN], table.clone()));
    let mut prompts = Vec::new();
    for layer in 0..LAYERS {
        let trained = layer >= FIRST;
        let gates = if trained { normal(&mut rng, HEADS) } else { vec![0.0; HEADS] };
        file.insert(format!("layers.{layer}.attention.gate"), (vec![1, HEADS, 1, 1], gates.clone()));
        prompts.push(trained.then(|| Prompt {
            rows: table[(layer - FIRST) * TOKENS * HIDDEN..][..TOKENS * HIDDEN].to_vec(),
            gates: gates.iter().map(|&gate| f64::from(gate).tanh()).collect(),
        }));
    }
    (file, prompts)
}

/// litgpt's file for a model of so many layers and such sizes, and what it means.
pub(crate) fn litgpt(layers: usize, hidden: usize, heads: usize) -> (Tensors, Vec<Option<Prompt>>) {
    let mut rng = Rng::new(12);
    let mut file = Tensors::new();
    let mut prompts: Vec<Option<Prompt>> = (0..FIRST).map(|_| None).collect();
    for layer in FIRST..layers {
        let (rows, gates) = (normal(&mut rng, TOKENS * hidden), normal(&mut rng, heads));
        let module = format!("transformer.h.{layer}.attn");
        file.insert(format!("{module}.adapter_wte.weight"), (vec![TOKENS, hidden], rows.clone()));
        file.insert(format!("{module}.gating_factor"), (vec![1, 1, heads, 1], gates.clone()));
        let gates = gates.iter().map(|&gate| f64::from(gate)).collect();
        prompts.push(Some(Prompt { rows, gates }));
    }
    (file, prompts)
}
