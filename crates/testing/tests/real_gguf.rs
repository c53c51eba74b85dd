//! Real GGUF files against what transformers 5.23 reads from them. Without the files under `assets/` these
//! tests say that they did not run.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper of a test fails the test")]

use offshoot_models::gguf::{self, GgufModel};
use offshoot_models::weights::Checkpoint;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

const SMOLLM2: &str = "SmolLM2-135M-Instruct.Q4_1.gguf";
const GEMMA3: &str = "gemma3-270m-q4_k_m.gguf";

/// Of the sum of the sizes of what is summed: the references have nine digits.
const TOLERANCE: f64 = 1e-8;

fn asset(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets").join(name);
    if !path.exists() {
        eprintln!("not run: {} is absent", path.display());
    }
    path.exists().then_some(path)
}

fn open(name: &str) -> Option<GgufModel> {
    asset(name).map(|path| gguf::open(&path).unwrap())
}

/// Shape, sum, and sum with weights 0 to 96 in turn, of the tensors of the first and the last layer and of
/// those outside layers.
fn weights_are_those_of_transformers(name: &str) {
    let Some(model) = open(name) else { return };
    let references: Value = serde_json::from_str(include_str!("gguf/weights.json")).unwrap();
    let references = references[name].as_object().unwrap();
    assert!(references.len() > 10);
    for (tensor, reference) in references {
        let info = model.checkpoint.info(tensor).unwrap_or_else(|| panic!("{tensor} is missing"));
        assert_eq!(json!(info.shape), reference[0], "{tensor}");
        let values: Vec<f64> =
            model.checkpoint.read_f32(tensor).unwrap().into_iter().map(f64::from).collect();
        let weighted = || values.iter().zip((0..97).cycle()).map(|(x, weight)| x * f64::from(weight));
        let (sum, size) = (values.iter().sum::<f64>(), values.iter().map(|x| x.abs()).sum::<f64>());
        let (sum_of_weighted, size_of_weighted) =
            (weighted().sum::<f64>(), weighted().map(f64::abs).sum::<f64>());
        for (found, expected, size) in
            [(sum, &reference[1], size), (sum_of_weighted, &reference[2], size_of_weighted)]
        {
            let error = (found - expected.as_f64().unwrap()).abs();
            assert!(error <= TOLERANCE * size, "{tensor}: {found} is not {expected}");
        }
    }
}

#[test]
fn smollm2_has_the_weights_that_transformers_reads() {
    weights_are_those_of_transformers(SMOLLM2);
}

#[test]
fn gemma3_has_the_weights_that_transformers_reads() {
    weights_are_those_of_transformers(GEMMA3);
}

/// Against the whole bf16 folder that transformers made of the file, every tensor.
#[test]
fn smollm2_rounds_to_its_bf16_folder() {
    let (Some(model), Some(folder)) = (open(SMOLLM2), asset("SmolLM2-135M-Instruct")) else { return };
    let rounded = Checkpoint::open(&folder).unwrap();
    assert_eq!(rounded.names().count(), model.checkpoint.names().count());
    for name in rounded.names() {
        let (ours, theirs) = (model.checkpoint.read_f32(name).unwrap(), rounded.read_f32(name).unwrap());
        // Half a unit of the eighth bit.
        let near = |(&ours, &theirs): (&f32, &f32)| (ours - theirs).abs() <= ours.abs() / 256.0;
        assert!(ours.len() == theirs.len() && ours.iter().zip(&theirs).all(near), "{name}");
    }
}

#[test]
fn configs_are_those_of_transformers() {
    let check = |name, expected: Value| {
        let Some(model) = open(name) else { return };
        for (field, value) in expected.as_object().unwrap() {
            assert_eq!(&model.config[field], value, "{field}");
        }
    };
    check(
        SMOLLM2,
        json!({
            "model_type": "llama", "hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30,
            "num_attention_heads": 9, "num_key_value_heads": 3, "head_dim": 64, "vocab_size": 49152,
            "max_position_embeddings": 8192, "rms_norm_eps": 1e-5, "tie_word_embeddings": true,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e5},
            "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 2,
        }),
    );
    check(
        GEMMA3,
        json!({
            "model_type": "gemma3_text", "hidden_size": 640, "intermediate_size": 2048,
            "num_hidden_layers": 18, "num_attention_heads": 4, "num_key_value_heads": 1, "head_dim": 256,
            "vocab_size": 262_144, "sliding_window": 512, "query_pre_attn_scalar": 256,
            "bos_token_id": 2, "eos_token_id": 1, "pad_token_id": 0,
        }),
    );
}
