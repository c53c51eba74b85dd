//! Small models written as llama.cpp's converter writes them, and opened again.

use std::path::PathBuf;

use offshoot_core::{Device, Format, Kind, Params, Part, Place};
use serde_json::json;
use tempfile::{TempDir, tempdir};

use super::super::{Array, NamedTensor, Value, write};
use super::*;
use crate::weights::Take;

type Metadata = Vec<(&'static str, Value<'static>)>;

/// Tensors by name and shape, of values that count up from 1 in each.
struct File {
    metadata: Metadata,
    tensors: Vec<(&'static str, Vec<usize>, Format)>,
}

impl File {
    fn write(&self) -> (TempDir, PathBuf) {
        let bytes: Vec<Vec<u8>> =
            self.tensors.iter().map(|(_, shape, format)| blocks(shape, *format)).collect();
        let tensors: Vec<NamedTensor<'_>> = self
            .tensors
            .iter()
            .zip(&bytes)
            .map(|((name, shape, format), bytes)| NamedTensor {
                name: (*name).to_owned(),
                shape: shape.clone(),
                format: *format,
                bytes,
            })
            .collect();
        let folder = tempdir().unwrap();
        let path = folder.path().join("model.gguf");
        write(&path, &self.metadata, &tensors).unwrap();
        (folder, path)
    }

    fn open(&self) -> Result<GgufModel> {
        let (_folder, path) = self.write();
        open(&path)
    }

    fn with(mut self, key: &'static str, value: Value<'static>) -> Self {
        self.metadata.retain(|(known, _)| *known != key);
        self.metadata.push((key, value));
        self
    }

    fn tensor(mut self, name: &'static str, shape: &[usize], format: Format) -> Self {
        self.tensors.push((name, shape.to_vec(), format));
        self
    }

    fn refusal(&self) -> String {
        self.open().unwrap_err().to_string()
    }
}

/// Element i is `1 + i mod 100`: in Q8_0 with the scale 1, exactly.
fn value(i: usize) -> f32 {
    1.0 + (i % 100) as f32
}

fn blocks(shape: &[usize], format: Format) -> Vec<u8> {
    let values: Vec<f32> = (0..shape.iter().product()).map(value).collect();
    match format {
        Format::F32 => values.iter().flat_map(|x| x.to_le_bytes()).collect(),
        Format::F16 => values.iter().flat_map(|&x| half::f16::from_f32(x).to_le_bytes()).collect(),
        Format::Q8_0 => values
            .chunks(32)
            .flat_map(|block| [0x00, 0x3c].into_iter().chain(block.iter().map(|&x| x as u8)))
            .collect(),
        other => panic!("{other} is not written here"),
    }
}

/// 2 heads of 4, one of keys and values.
fn llama() -> File {
    let metadata = vec![
        ("general.architecture", Value::Text("llama".into())),
        ("llama.block_count", Value::U32(1)),
        ("llama.context_length", Value::U32(128)),
        ("llama.embedding_length", Value::U32(32)),
        ("llama.feed_forward_length", Value::U32(64)),
        ("llama.attention.head_count", Value::U32(4)),
        ("llama.attention.head_count_kv", Value::U32(2)),
        ("llama.attention.layer_norm_rms_epsilon", Value::F32(1e-5)),
        ("llama.rope.dimension_count", Value::U32(8)),
        ("llama.rope.freq_base", Value::F32(100_000.0)),
        ("tokenizer.ggml.eos_token_id", Value::U32(2)),
        ("tokenizer.chat_template", Value::Text("{{ messages }}".into())),
    ];
    File { metadata, tensors: Vec::new() }
        .tensor("token_embd.weight", &[10, 32], Format::Q8_0)
        .tensor("blk.0.attn_q.weight", &[32, 32], Format::Q8_0)
        .tensor("blk.0.attn_k.weight", &[16, 32], Format::F16)
        .tensor("blk.0.attn_v.weight", &[16, 32], Format::F32)
        .tensor("blk.0.attn_norm.weight", &[32], Format::F32)
        .tensor("blk.0.odd.weight", &[3], Format::F32)
}

#[test]
fn a_llama_file_has_the_config_that_transformers_writes() {
    let model = llama().open().unwrap();
    let expected = json!({
        "model_type": "llama",
        "architectures": ["LlamaForCausalLM"],
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 1,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "hidden_act": "silu",
        "max_position_embeddings": 128,
        "rms_norm_eps": 1e-5,
        "rope_parameters": {"rope_type": "default", "rope_theta": 100_000.0},
        "attention_bias": false,
        "mlp_bias": false,
        "attention_dropout": 0.0,
        "vocab_size": 10,
        "tie_word_embeddings": true,
        "bos_token_id": null,
        "eos_token_id": 2,
        "pad_token_id": null,
    });
    assert_eq!(Json::Object(model.config), expected);
    assert_eq!(model.chat_template.as_deref(), Some("{{ messages }}"));
}

#[test]
fn rows_of_queries_and_keys_are_put_back() {
    let model = llama().open().unwrap();
    // Row r of the file is that of place 2 i + half within its head; transformers has it at 4 half + i.
    for (name, rows) in [("q_proj", 32), ("k_proj", 16)] {
        let found = model.checkpoint.read_f32(&format!("model.layers.0.self_attn.{name}.weight")).unwrap();
        for (row, found) in found.chunks_exact(32).enumerate() {
            let (head, within) = (row / 8, row % 8);
            let stored = head * 8 + 2 * (within % 4) + within / 4;
            let expected: Vec<f32> = (0..32).map(|column| value(stored * 32 + column)).collect();
            assert_eq!(found, expected, "{name} {row}");
        }
        assert_eq!(found.len(), rows * 32);
    }
}

#[test]
fn matrices_stay_as_they_lie_and_give_the_same_values() {
    let model = llama().open().unwrap();
    let (device, params) = (Device::cpu(), Params::new());
    let mut take = Take::new(&model.checkpoint, &[]);
    let mut weight = |name: &str, kind, shape: &[usize]| {
        let place = Place { part: Part::Block(0), kind };
        let weight = take.weight((name, name.to_owned()), place, shape, &device).unwrap();
        assert_eq!(weight.value(&params).to_vec(), model.checkpoint.read_f32(name).unwrap(), "{name}");
        weight.blocks().map(|blocks| blocks.format())
    };
    let layer = "model.layers.0";
    assert_eq!(weight("model.embed_tokens.weight", Kind::Table, &[10, 32]), Some(Format::Q8_0));
    let attention = |name: &str| format!("{layer}.self_attn.{name}_proj.weight");
    assert_eq!(weight(&attention("q"), Kind::Matrix, &[32, 32]), Some(Format::Q8_0));
    assert_eq!(weight(&attention("k"), Kind::Matrix, &[16, 32]), Some(Format::F16));
    assert_eq!(weight(&attention("v"), Kind::Matrix, &[16, 32]), Some(Format::F32));
    assert_eq!(weight(&format!("{layer}.input_layernorm.weight"), Kind::NormWeight, &[32]), None);
    assert_eq!(take.finish().unwrap().unexpected, ["blk.0.odd.weight"]);
}

#[test]
fn a_matrix_of_another_shape_is_reported() {
    let model = llama().open().unwrap();
    let mut take = Take::new(&model.checkpoint, &[]);
    let place = Place { part: Part::Embeddings, kind: Kind::Table };
    let name = "model.embed_tokens.weight";
    take.weight((name, name.to_owned()), place, &[11, 32], &Device::cpu()).unwrap();
    assert!(take.finish().unwrap_err().to_string().contains("has the shape [10, 32]"));
}

#[test]
fn what_a_file_asks_for_is_honoured_or_refused() {
    let mistral = llama().with("llama.attention.sliding_window", Value::U32(16)).open().unwrap().config;
    assert_eq!((&mistral["model_type"], &mistral["sliding_window"]), (&json!("mistral"), &json!(16)));
    let untied = llama().tensor("output.weight", &[10, 32], Format::Q8_0).open().unwrap();
    assert_eq!(untied.config["tie_word_embeddings"], json!(false));
    assert!(untied.checkpoint.info("lm_head.weight").is_some());
    let linear = llama().with("llama.rope.scaling.factor", Value::F32(8.0));
    let linear = linear.with("llama.rope.scaling.type", Value::Text("linear".into())).open().unwrap().config;
    let expected = json!({"rope_type": "linear", "rope_theta": 100_000.0, "factor": 8.0});
    assert_eq!(linear["rope_parameters"], expected);
    let cases = [
        (llama().with("llama.expert_count", Value::U32(8)), "expert_count"),
        (llama().with("llama.rope.scaling.type", Value::Text("yarn".into())), "rope.scaling"),
        (llama().with("llama.attention.value_length", Value::U32(4)), "value_length"),
        (
            llama()
                .with("llama.rope.dimension_count", Value::U32(4))
                .with("llama.attention.key_length", Value::U32(8)),
            "dimension_count",
        ),
        (llama().with("llama.logit_scale", Value::F32(2.0)), "logit_scale"),
        (llama().with("llama.block_count", Value::U64(1 << 60)), "block_count"),
        (llama().with("llama.block_count", Value::U32(0)), "block_count"),
        (llama().with("llama.attention.head_count", Value::Array(Array::i32s(&[4]))), "an array of 1"),
        (llama().with("llama.attention.head_count_kv", Value::U32(3)), "heads do not fit"),
        (llama().with("llama.rope.freq_base", Value::F32(f32::NAN)), "freq_base"),
        (llama().with("general.architecture", Value::Text("mamba".into())), "`mamba` is not supported"),
        (llama().with("general.type", Value::Text("adapter".into())), "`adapter`"),
        (llama().with("split.count", Value::U16(3)), "3 parts"),
    ];
    for (file, expected) in cases {
        let message = file.refusal();
        assert!(message.contains(expected), "{expected}: {message}");
    }
    let mut nothing = llama();
    nothing.metadata.retain(|(key, _)| !key.starts_with("llama."));
    let message = nothing.refusal();
    for key in ["block_count", "embedding_length", "attention.layer_norm_rms_epsilon"] {
        assert!(message.contains(&format!("`llama.{key}` is missing")), "{message}");
    }
}

#[test]
fn llama_3_is_known_by_its_factors() {
    // Factors as the converter writes them, for head_dim 8, base 500000, factor 8.
    let factor = |i: i32| {
        let frequency = 500_000_f64.powf(-f64::from(2 * i) / 8.0);
        let wave = std::f64::consts::TAU / frequency;
        if wave < 8192.0 / 4.0 {
            1.0
        } else if wave > 8192.0 {
            8.0
        } else {
            let smooth = (8192.0 / wave - 1.0) / 3.0;
            1.0 / ((1.0 - smooth) / 8.0 + smooth)
        }
    };
    let file = |factors: Vec<f64>| {
        let bytes: Vec<u8> = factors.iter().flat_map(|&x| (x as f32).to_le_bytes()).collect();
        let folder = tempdir().unwrap();
        let path = folder.path().join("model.gguf");
        let metadata = llama().with("llama.rope.freq_base", Value::F32(500_000.0)).metadata;
        let shape = vec![factors.len()];
        let tensor =
            NamedTensor { name: "rope_freqs.weight".into(), shape, format: Format::F32, bytes: &bytes };
        write(&path, &metadata, &[tensor]).unwrap();
        open(&path).map(|model| model.config["rope_parameters"].clone())
    };
    let expected = json!({
        "rope_type": "llama3", "rope_theta": 500_000.0, "factor": 8.0, "low_freq_factor": 1.0,
        "high_freq_factor": 4.0, "original_max_position_embeddings": 8192,
    });
    assert_eq!(file((0..4).map(factor).collect()).unwrap(), expected);
    assert!(file(vec![1.0, 2.0, 3.0, 8.0]).unwrap_err().to_string().contains("factors"));
    assert!(file(vec![1.0, 8.0]).is_err(), "of another head size");
}

#[test]
fn gemma_has_norms_of_its_own() {
    let mut file = llama();
    file.tensors.clear();
    let metadata = file.metadata.into_iter().filter_map(|(key, value)| match key.strip_prefix("llama.") {
        Some("rope.dimension_count") => None,
        Some(rest) => Some((&*format!("gemma3.{rest}").leak(), value)),
        None => Some((key, value)),
    });
    let file = File { metadata: metadata.collect(), tensors: Vec::new() }
        .with("general.architecture", Value::Text("gemma3".into()))
        .with("gemma3.block_count", Value::U32(7))
        .with("gemma3.attention.key_length", Value::U32(16))
        .with("gemma3.attention.value_length", Value::U32(16))
        .with("gemma3.attention.sliding_window", Value::U32(4))
        .with("tokenizer.ggml.eot_token_id", Value::U32(5))
        .tensor("token_embd.weight", &[10, 32], Format::Q8_0)
        .tensor("blk.0.ffn_norm.weight", &[32], Format::F32);
    let model = file.open().unwrap();
    let norm = model.checkpoint.read_f32("model.layers.0.pre_feedforward_layernorm.weight").unwrap();
    assert_eq!(norm, (0..32).map(|i| value(i) - 1.0).collect::<Vec<_>>());
    let config = Json::Object(model.config);
    assert_eq!(config["model_type"], json!("gemma3_text"));
    assert_eq!((&config["head_dim"], &config["query_pre_attn_scalar"]), (&json!(16), &json!(16)));
    assert_eq!(config["eos_token_id"], json!([2, 5]));
    let kinds: Vec<_> =
        config["layer_types"].as_array().unwrap().iter().map(|kind| kind == "full_attention").collect();
    assert_eq!(kinds, [false, false, false, false, false, true, false]);
    let rope = json!({
        "full_attention": {"rope_type": "default", "rope_theta": 100_000.0},
        "sliding_attention": {"rope_type": "default", "rope_theta": 10_000.0},
    });
    assert_eq!(config["rope_parameters"], rope);
}

#[test]
fn gpt2_keeps_the_rows_of_its_fused_projection() {
    let metadata = vec![
        ("general.architecture", Value::Text("gpt2".into())),
        ("gpt2.block_count", Value::U32(1)),
        ("gpt2.context_length", Value::U32(16)),
        ("gpt2.embedding_length", Value::U32(32)),
        ("gpt2.feed_forward_length", Value::U32(64)),
        ("gpt2.attention.head_count", Value::U32(4)),
        ("gpt2.attention.layer_norm_epsilon", Value::F32(1e-5)),
    ];
    let file = File { metadata, tensors: Vec::new() }
        .tensor("token_embd.weight", &[10, 32], Format::Q8_0)
        .tensor("output.weight", &[10, 32], Format::Q8_0)
        .tensor("blk.0.attn_qkv.weight", &[96, 32], Format::Q8_0);
    let model = file.open().unwrap();
    assert_eq!((&model.config["n_layer"], &model.config["vocab_size"]), (&json!(1), &json!(10)));
    assert_eq!(model.config["tie_word_embeddings"], json!(true), "the head repeats the table");
    let (name, device, params) = ("transformer.h.0.attn.c_attn.weight", Device::cpu(), Params::new());
    assert_eq!(model.checkpoint.info(name).unwrap().shape, [32, 96]);
    let whole = model.checkpoint.read_f32(name).unwrap();
    let mut take = Take::new(&model.checkpoint, &[]);
    let place = Place { part: Part::Block(0), kind: Kind::Matrix };
    let (all, input_major) = take.conv1d((name, "k".into()), place, [32, 96], &device).unwrap();
    assert_eq!((all.shape(), all.blocks().is_some(), input_major), (&[96, 32][..], true, false));
    for (i, found) in all.value(&params).to_vec().into_iter().enumerate() {
        assert_eq!(found, value(i));
        assert_eq!(found, whole[(i % 32) * 96 + i / 32], "what transformers has at [in, out]");
    }
    take.skip("transformer.wte.weight");
    assert!(take.finish().unwrap().unexpected.is_empty());
}

#[test]
fn conv1d_stands_as_it_is_in_a_safetensors_file() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let values: Vec<f32> = (0..6).map(|i| i as f32).collect();
    crate::weights::write_safetensors(&path, &[("c".into(), vec![2, 3], &values)]).unwrap();
    let checkpoint = Checkpoint::open_file(&path).unwrap();
    let (device, params) = (Device::cpu(), Params::new());
    let place = Place { part: Part::Block(0), kind: Kind::Matrix };
    let mut take = Take::new(&checkpoint, &[]);
    let (weight, input_major) = take.conv1d(("c", "k".into()), place, [2, 3], &device).unwrap();
    assert_eq!((weight.shape(), weight.value(&params).to_vec()), (&[2, 3][..], values));
    assert!(input_major);
    let (missing, _) = take.conv1d(("d", "d".into()), place, [2, 3], &device).unwrap();
    assert_eq!(missing.len(), 0);
    assert!(take.finish().unwrap_err().to_string().contains("`d` [2, 3] is missing"));
}
