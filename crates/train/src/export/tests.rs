//! Golden adapters as GGUF files.

use super::*;
use offshoot_core::{Device, dequantize};
use offshoot_methods::MethodConfig;
use offshoot_models::gguf::{Gguf, Value};
use offshoot_models::weights::Pickles;
use offshoot_models::{LoadOptions, Model, Task};
use serde_json::json;
use std::path::PathBuf;
use tempfile::tempdir;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../testing/golden").join(name)
}

fn case(model: &str, method: &str) -> Trained {
    let adapter = golden("cases").join(format!("{model}--{method}/adapter"));
    Trained::load(&adapter, &golden("models").join(model), Pickles::Refuse, &Device::cpu()).unwrap().trained
}

/// A new adapter on the golden LLaMA.
fn new(settings: serde_json::Value) -> Trained {
    let options = LoadOptions { task: Task::LanguageModel, ..LoadOptions::default() };
    let model = Model::open(&golden("models/llama-lm"), &options, &Device::cpu()).unwrap();
    let method: MethodConfig = serde_json::from_value(settings).unwrap();
    Trained::LanguageModel(Box::new(crate::LanguageModel::new(&model, &method, 0).unwrap()))
}

fn alpha_of(trained: &Trained) -> f32 {
    let folder = tempdir().unwrap();
    let path = folder.path().join("adapter.gguf");
    export_gguf(&path, trained).unwrap();
    match Gguf::open(&path).unwrap().get("adapter.lora.alpha") {
        Some(Value::F32(alpha)) => alpha,
        other => panic!("{other:?}"),
    }
}

fn refusal(trained: &Trained) -> String {
    let folder = tempdir().unwrap();
    let said = export_gguf(&folder.path().join("x.gguf"), trained).unwrap_err().to_string();
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    said
}

#[test]
fn the_factors_are_in_the_file() {
    let trained = case("llama-lm", "lora-all");
    let folder = tempdir().unwrap();
    let path = folder.path().join("adapter.gguf");
    let written = export_gguf(&path, &trained).unwrap();
    let file = Gguf::open(&path).unwrap();
    assert_eq!(file.tensors().len(), 2 * written);
    let read = |name: &str| {
        let tensor = file.tensors().iter().find(|tensor| tensor.name == name).unwrap();
        dequantize(tensor.format, file.bytes(tensor)).unwrap()
    };
    let ours = |name: &str| {
        let params = trained.params();
        params.get(params.find(&format!("model.layers.2.{name}.weight")).unwrap()).value().clone()
    };
    assert_eq!(read("blk.2.ffn_up.weight.lora_a"), ours("mlp.up_proj.lora_A").to_vec());
    assert_eq!(read("blk.2.ffn_up.weight.lora_b"), ours("mlp.up_proj.lora_B").to_vec());
    // Four query heads and two key heads of eight: row 2 i + half of a head there is row 4 half + i here.
    for (theirs, module, heads) in [("attn_q", "self_attn.q_proj", 4), ("attn_k", "self_attn.k_proj", 2)] {
        let (b, rank) = (ours(&format!("{module}.lora_B")), ours(&format!("{module}.lora_A")).rows());
        let (b, read) = (b.to_vec(), read(&format!("blk.2.{theirs}.weight.lora_b")));
        assert_eq!(read.len(), heads * 8 * rank);
        assert!(b.iter().any(|value| *value != 0.0));
        for (row, values) in read.chunks(rank).enumerate() {
            let (head, within) = (row / 8, row % 8);
            let row = 8 * head + 4 * (within % 2) + within / 2;
            assert_eq!(values, &b[row * rank..(row + 1) * rank], "{theirs}");
        }
    }
}

#[test]
fn alpha_stands_for_every_scale() {
    assert_eq!(alpha_of(&new(json!({ "method": "lora", "rank": 4, "alpha": 6.0 }))), 6.0);
    assert_eq!(alpha_of(&new(json!({ "method": "lora", "rank": 4, "alpha": 6.0, "rs": true }))), 12.0);
    // Each projection is divided by its own rank anyway.
    let ranks = json!({ "method": "lora", "rank": 4, "alpha": 6.0, "rank_pattern": { "q_proj": 2 } });
    assert_eq!(alpha_of(&new(ranks)), 6.0);
}

#[test]
fn what_has_no_place_in_the_file_is_refused_by_name() {
    let refused = |settings: serde_json::Value, words: &str| {
        let said = refusal(&new(settings));
        assert!(said.contains("cannot be exported as GGUF") && said.contains(words), "{said}");
    };
    refused(json!({ "method": "lora", "alpha_pattern": { "q_proj": 3.0 } }), "`alpha_pattern` gives");
    let ranks = json!({ "method": "lora", "rs": true, "rank_pattern": { "q_proj": 2 } });
    refused(ranks, "`rank_pattern` with `rs` gives");
    refused(json!({ "method": "lora", "bias": true }), "`bias`");
    refused(json!({ "method": "dora" }), "`dora`");
    refused(json!({ "method": "ia3" }), "`ia3`");
    refused(json!({ "method": "prefix", "tokens": 4 }), "`prefix`");
    assert!(refusal(&case("llama-score", "lora")).contains("classification head"));
}
