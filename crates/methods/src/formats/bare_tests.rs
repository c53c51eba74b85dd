//! The original LLaMA-Adapter's and litgpt's files: what goes where, and what is refused.

use super::stub::{HIDDEN, LAYERS, Stub};
use super::*;
use crate::Target;
use offshoot_core::{Device, Rng};
use serde_json::json;

const HEADS: usize = 2;

type Tensor = (Vec<usize>, Vec<f32>);

fn counted(start: usize, shape: &[usize]) -> Tensor {
    let count = shape.iter().product::<usize>();
    (shape.to_vec(), (start..start + count).map(|i| i as f32).collect())
}

fn tensors(named: &[(&str, Tensor)]) -> Tensors {
    named.iter().map(|(name, tensor)| (name.to_string(), tensor.clone())).collect()
}

/// 3 tokens in both layers of the stub.
fn original() -> Tensors {
    tensors(&[
        ("adapter_query.weight", counted(0, &[3 * LAYERS, HIDDEN])),
        ("layers.0.attention.gate", counted(10, &[1, HEADS, 1, 1])),
        ("layers.1.attention.gate", counted(20, &[1, HEADS, 1, 1])),
    ])
}

fn litgpt() -> Tensors {
    tensors(&[
        ("transformer.h.0.attn.adapter_wte.weight", counted(0, &[3, HIDDEN])),
        ("transformer.h.0.attn.gating_factor", counted(10, &[1, 1, HEADS, 1])),
        ("transformer.h.1.attn.adapter_wte.weight", counted(3 * HIDDEN, &[3, HIDDEN])),
        ("transformer.h.1.attn.gating_factor", counted(20, &[1, HEADS, 1, 1])),
    ])
}

fn read(tensors: &Tensors) -> Imported {
    let imported = import_bare(tensors, &Stub::bert()).unwrap();
    assert!(imported.head.is_empty());
    // It fits what the method builds, name by name.
    let (mut backbone, device, mut params, mut rng) =
        (Stub::bert(), Device::cpu(), Params::new(), Rng::new(0));
    let mut target = Target { backbone: &mut backbone, params: &mut params, rng: &mut rng, device: &device };
    imported.method.build(&mut target).unwrap();
    imported.load_into(&mut params).unwrap();
    imported
}

fn refusal(tensors: &Tensors) -> String {
    import_bare(tensors, &Stub::bert()).unwrap_err().to_string()
}

const MODULES: [&str; LAYERS] =
    ["bert.encoder.layer.0.attention.self", "bert.encoder.layer.1.attention.self"];

#[test]
fn prompts_and_gates_go_to_their_layers() {
    for (file, gate) in [(original(), "heads"), (litgpt(), "heads-linear")] {
        let imported = read(&file);
        let settings = json!({ "method": "llama-adapter", "tokens": 3, "layers": 2, "gate": gate });
        assert_eq!(serde_json::to_value(&imported.method).unwrap(), settings);
        for (layer, module) in MODULES.iter().enumerate() {
            let prompt = &imported.values[&format!("{module}.adaption_prompt")];
            let rows = counted(layer * 3 * HIDDEN, &[1, 3, HIDDEN]);
            assert_eq!(*prompt, rows, "{gate} {layer}");
            let gates = &imported.values[&format!("{module}.adaption_gate")];
            assert_eq!(*gates, counted(10 * (layer + 1), &[HEADS]), "{gate} {layer}");
        }
    }
}

#[test]
fn the_original_begins_at_the_first_gate_that_is_not_zero() {
    let mut file = original();
    file.insert("layers.0.attention.gate".into(), (vec![1, HEADS, 1, 1], vec![0.0; HEADS]));
    let imported = read(&file);
    let prompt = &imported.values[&format!("{}.adaption_prompt", MODULES[1])];
    assert_eq!(*prompt, counted(0, &[1, 6, HIDDEN]), "all rows are the top layer's");
    assert_eq!(imported.values.len(), 2);
    assert!(imported.notes[0].contains("6 tokens in each of the top 1"), "{:?}", imported.notes);

    // A file without the gates that are not used says the same.
    file.remove("layers.0.attention.gate");
    assert_eq!(read(&file).method, imported.method);
    // One gate of several is enough, and a zero above the lowest is a value like others.
    let mut sparse = original();
    sparse.insert("layers.0.attention.gate".into(), (vec![1, HEADS, 1, 1], vec![0.0, -0.5]));
    sparse.insert("layers.1.attention.gate".into(), (vec![1, HEADS, 1, 1], vec![0.0; HEADS]));
    assert_eq!(read(&sparse).values.len(), 4);
}

#[test]
fn the_first_release_has_one_gate_a_layer() {
    let mut file = original();
    for layer in 0..LAYERS {
        file.insert(format!("layers.{layer}.attention.gate"), counted(layer + 1, &[1]));
    }
    let imported = read(&file);
    let MethodConfig::LlamaAdapter(config) = &imported.method else { panic!("{:?}", imported.method) };
    assert_eq!(config.gate, crate::llama_adapter::Gate::Scalar);
    file.insert("layers.1.attention.gate".into(), counted(1, &[1, HEADS, 1, 1]));
    assert!(refusal(&file).contains("layers.1.attention.gate is [1, 2, 1, 1]"));
}

/// What a refusal must say when one tensor of a file is changed, added or taken away.
fn assert_refused(file: &Tensors, name: &str, tensor: Option<Tensor>, parts: &[&str]) {
    let mut file = file.clone();
    match tensor {
        Some(tensor) => file.insert(name.to_owned(), tensor),
        None => file.remove(name),
    };
    let message = refusal(&file);
    for part in parts {
        assert!(message.contains(part), "{name}: {message}");
    }
}

#[test]
fn an_original_of_another_model_is_refused() {
    let file = original();
    let (gate, query) = ("layers.1.attention.gate", "adapter_query.weight");
    assert_refused(&file, query, Some(counted(0, &[6, 9])), &["[6, 9]", "[rows, 8]"]);
    assert_refused(&file, query, Some(counted(0, &[0, 8])), &["[0, 8]"]);
    assert_refused(&file, query, Some(counted(0, &[48])), &["[48]"]);
    assert_refused(&file, query, Some(counted(0, &[5, 8])), &["5 rows", "2 layers"]);
    assert_refused(&file, gate, Some(counted(0, &[1, 4, 1, 1])), &["[1, 4, 1, 1]", "[1, 2, 1, 1]"]);
    assert_refused(&file, gate, None, &["in the layers [0]", "last, 1"]);
    assert_refused(&file, "layers.2.attention.gate", Some(counted(1, &[1, 2, 1, 1])), &["[0, 1, 2]"]);
    assert_refused(&file, "layers.0.attention.wq.weight", Some(counted(1, &[1])), &["wq.weight"]);
    let zero = (vec![1, HEADS, 1, 1], vec![0.0; HEADS]);
    let mut untrained = file.clone();
    untrained.insert("layers.0.attention.gate".into(), zero.clone());
    assert_refused(&untrained, gate, Some(zero), &["every gate is zero"]);
}

#[test]
fn a_litgpt_file_of_another_model_is_refused() {
    let file = litgpt();
    let prompt = "transformer.h.1.attn.adapter_wte.weight";
    let gate = "transformer.h.1.attn.gating_factor";
    assert_refused(&file, prompt, Some(counted(0, &[3, 9])), &["[3, 9]", "[3, 8]"]);
    assert_refused(&file, prompt, Some(counted(0, &[4, 8])), &["h.1.", "[4, 8]", "[3, 8]"]);
    assert_refused(&file, prompt, None, &["adapter_wte.weight stands in the layers [0]"]);
    assert_refused(&file, gate, None, &["gating_factor stands in the layers [0]"]);
    assert_refused(&file, gate, Some(counted(0, &[2])), &["[2]", "[1, 1, 2, 1]"]);
    assert_refused(&file, "transformer.h.0.attn.gating_factor", None, &["2 layers", "1 have gating_factor"]);
    let further = "transformer.h.2.attn.gating_factor";
    assert_refused(&file, further, Some(counted(1, &[1, 1, 2, 1])), &["[0, 1, 2]"]);
    assert_refused(&file, "transformer.wte.weight", Some(counted(1, &[1])), &["transformer.wte.weight"]);
}

#[test]
fn the_other_files_of_litgpt_are_refused_by_name() {
    let second = "transformer.h.0.attn.qkv.adapter_scale";
    assert_refused(&litgpt(), second, Some(counted(1, &[24])), &["adapter_v2", second]);
    let alone = tensors(&[("lm_head.adapter_bias", counted(1, &[24]))]);
    assert!(refusal(&alone).contains("adapter_v2"));
    let lora = tensors(&[("transformer.h.0.attn.qkv.lora_A", counted(1, &[4, 8]))]);
    assert!(refusal(&lora).contains("litgpt's LoRA") && refusal(&lora).contains("merge_lora"));
}

#[test]
fn a_file_of_nobody_says_what_is_read() {
    let message = refusal(&tensors(&[("model.norm.weight", counted(1, &[8]))]));
    for part in ["model.norm.weight", "adapter_query.weight", "adapter_wte.weight", CONFIG_FILE] {
        assert!(message.contains(part), "{message}");
    }
    assert!(refusal(&Tensors::new()).contains("adapter_query.weight"));
}
