//! A small GGUF file from the model's name to a folder that is trained from it.
#![allow(clippy::unwrap_used, reason = "a helper of a test fails the test")]

use offshoot_core::{Device, Format, Rng};
use offshoot_methods::MethodConfig;
use offshoot_models::gguf::{Array, NamedTensor, Value, write};
use offshoot_models::{Model, Tokenizer};
use offshoot_train::checkpoint::{About, save};
use offshoot_train::{Classifier, Row, open_tokenizer};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::{TempDir, tempdir};

const TOKENS: [&str; 8] = ["<|end|>", "a", "b", "Ġ", "ab", "Ġa", "c", "Ġab"];

/// LLaMA of one block with 2 heads of 8 and one of keys and values, and a table of so many rows.
fn file(rows: usize) -> (TempDir, PathBuf) {
    let text = |text: &'static str| Value::Text(text.into());
    let number = Value::U32;
    let metadata = [
        ("general.architecture", text("llama")),
        ("llama.block_count", number(1)),
        ("llama.context_length", number(64)),
        ("llama.embedding_length", number(16)),
        ("llama.feed_forward_length", number(32)),
        ("llama.attention.head_count", number(2)),
        ("llama.attention.head_count_kv", number(1)),
        ("llama.attention.layer_norm_rms_epsilon", Value::F32(1e-5)),
        ("llama.rope.dimension_count", number(8)),
        ("tokenizer.ggml.model", text("gpt2")),
        ("tokenizer.ggml.pre", text("gpt-2")),
        ("tokenizer.ggml.tokens", Value::Array(Array::texts(&TOKENS))),
        ("tokenizer.ggml.token_type", Value::Array(Array::i32s(&[3, 1, 1, 1, 1, 1, 1, 1]))),
        ("tokenizer.ggml.merges", Value::Array(Array::texts(&["a b", "Ġ a", "Ġa b", "Ġ ab"]))),
        ("tokenizer.ggml.bos_token_id", number(0)),
        ("tokenizer.ggml.eos_token_id", number(0)),
        ("tokenizer.ggml.add_bos_token", Value::Bool(true)),
        ("tokenizer.chat_template", text("{{ messages[0].content }}")),
    ];
    let shapes: [(&str, &[usize]); 11] = [
        ("token_embd.weight", &[rows, 16]),
        ("output_norm.weight", &[16]),
        ("blk.0.attn_norm.weight", &[16]),
        ("blk.0.ffn_norm.weight", &[16]),
        ("blk.0.attn_q.weight", &[16, 16]),
        ("blk.0.attn_k.weight", &[8, 16]),
        ("blk.0.attn_v.weight", &[8, 16]),
        ("blk.0.attn_output.weight", &[16, 16]),
        ("blk.0.ffn_gate.weight", &[32, 16]),
        ("blk.0.ffn_up.weight", &[32, 16]),
        ("blk.0.ffn_down.weight", &[16, 32]),
    ];
    let mut rng = Rng::new(1);
    let values: Vec<Vec<u8>> = shapes
        .iter()
        .map(|(_, shape)| rng.normal_tensor(&Device::cpu(), shape, 0.3).to_vec())
        .map(|values| values.iter().flat_map(|value| value.to_le_bytes()).collect())
        .collect();
    let tensors: Vec<NamedTensor<'_>> = shapes
        .iter()
        .zip(&values)
        .map(|((name, shape), bytes)| NamedTensor {
            name: (*name).to_owned(),
            shape: shape.to_vec(),
            format: Format::F32,
            bytes,
        })
        .collect();
    let folder = tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    write(&path, &metadata, &tensors).unwrap();
    (folder, path)
}

fn load(path: &Path) -> Model {
    Model::load(path, None, &Device::cpu()).unwrap()
}

fn logits(classifier: &Classifier, tokenizer: &Tokenizer) -> Vec<Vec<f32>> {
    let row = |text: &str| {
        let ids = tokenizer.encode(text, None, 64).unwrap().ids;
        Row { types: vec![0; ids.len()], ids, label: 0.into(), line: 0, truncated: false }
    };
    classifier.evaluate(&[row("ab ab"), row("c")], 64, |_| ()).unwrap()
}

#[test]
fn a_file_or_its_folder_is_a_model_with_its_tokenizer() {
    let (folder, path) = file(8);
    for place in [folder.path(), &path] {
        let model = load(place);
        assert_eq!((model.folder(), model.backbone.family()), (path.as_path(), "llama"));
        let tokenizer = open_tokenizer(&model, place).unwrap();
        assert_eq!(tokenizer.encode("ab ab<|end|>c", None, 64).unwrap().ids, [0, 4, 7, 0, 6]);
        let file = model.source().gguf().unwrap();
        assert_eq!(file.chat_template().as_deref(), Some("{{ messages[0].content }}"));
        assert_eq!(file.special_tokens().eos, [0]);
    }
    let (_folder, path) = file(7);
    let message = open_tokenizer(&load(&path), &path).unwrap_err().to_string();
    assert!(message.contains("knows 8 tokens, the model only 7"), "{message}");
}

#[test]
fn a_model_trained_from_a_file_is_a_whole_folder() {
    let (_folder, path) = file(8);
    let model = load(&path);
    let tokenizer = open_tokenizer(&model, &path).unwrap();
    let classifier = Classifier::new(&model, &MethodConfig::named("full").unwrap(), 2, 0).unwrap();
    let into = tempdir().unwrap();
    let labels = ["bad", "good"].map(str::to_owned);
    let about = About { model_name: "model.gguf", labels: &labels, recipe: serde_json::Value::Null };
    save(into.path(), &classifier, &model, about).unwrap();
    let again = load(into.path());
    assert!(again.source().gguf().is_none());
    let head = Classifier::new(&again, &MethodConfig::named("head").unwrap(), 2, 0).unwrap();
    let read = open_tokenizer(&again, into.path()).unwrap();
    assert_eq!(logits(&head, &read), logits(&classifier, &tokenizer));
    let template = fs::read_to_string(into.path().join("chat_template.jinja")).unwrap();
    assert_eq!(template, "{{ messages[0].content }}");
}
