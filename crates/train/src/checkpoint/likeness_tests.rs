//! One model in several forms.

use super::*;
use crate::LanguageModel;
use crate::checkpoint::likeness::fingerprint;
use offshoot_core::{Device, Format, Rng};
use offshoot_methods::MethodConfig;
use offshoot_models::gguf::{self, NamedTensor, Value as Field};
use offshoot_models::weights::{Named, Tensors, read_tensors, write_safetensors};
use offshoot_models::{LoadOptions, Model, Task};
use serde_json::json;
use std::fs;
use tempfile::{TempDir, tempdir};

fn open(path: &Path) -> Model {
    let options = LoadOptions { task: Task::LanguageModel, ..LoadOptions::default() };
    Model::open(path, &options, &Device::cpu()).unwrap()
}

/// The golden Gemma with its norms changed.
fn gemma(change: impl Fn(usize, f32) -> f32) -> (TempDir, Model) {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testing/golden/models/gemma3-lm");
    let folder = tempdir().unwrap();
    fs::copy(golden.join("config.json"), folder.path().join("config.json")).unwrap();
    let mut tensors: Tensors = read_tensors(&golden.join("model.safetensors")).unwrap();
    for (_, (_, values)) in tensors.iter_mut().filter(|(name, _)| name.contains("norm")) {
        values.iter_mut().enumerate().for_each(|(at, value)| *value = change(at, *value));
    }
    let named: Vec<Named<'_>> = tensors.iter().map(|(n, (s, v))| (n.clone(), s.clone(), &v[..])).collect();
    write_safetensors(&folder.path().join("model.safetensors"), &named).unwrap();
    let model = open(folder.path());
    (folder, model)
}

fn bf16(value: f32) -> f32 {
    let bits = value.to_bits();
    f32::from_bits(bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) & 0xffff_0000)
}

/// What a GGUF file gives back of a weight that it holds as 1 + w.
fn through_gguf(value: f32) -> f32 {
    (1.0 + value) - 1.0
}

/// Weights of many sizes, those that 1 + w loses among them.
fn of_sizes(at: usize, value: f32) -> f32 {
    value * [1.0, 3.0, 1e-2, 1e-4, 1e-6, 1e-8, -0.9, 40.0][at % 8]
}

fn saved(base: &Model) -> TempDir {
    let grown = LanguageModel::new(base, &MethodConfig::named("lora").unwrap(), 5).unwrap();
    let folder = tempdir().unwrap();
    let about = About { model_name: "some/gemma", labels: &[], recipe: json!({}) };
    save(folder.path(), &grown, base, about).unwrap();
    folder
}

fn loaded(adapter: &TempDir, base: &Model) -> crate::Result<LmLoaded> {
    load_language_model(adapter.path(), base, Pickles::Refuse)
}

#[test]
fn gemma_is_known_again_from_a_folder_and_from_a_file() {
    let (_one, folder) = gemma(|at, w| bf16(of_sizes(at, w)));
    let (_two, file) = gemma(|at, w| through_gguf(bf16(of_sizes(at, w))));
    let print = |model: &Model| fingerprint(model.backbone.as_ref());
    assert_eq!(print(&folder), print(&file), "of bf16 values the fingerprint is the same");
    for (one, other) in [(&folder, &file), (&file, &folder)] {
        assert!(loaded(&saved(one), other).unwrap().notes.is_empty());
    }
    // With all digits of f32 the fingerprint may differ, and the sketch decides.
    let (_three, folder) = gemma(of_sizes);
    let (_four, file) = gemma(|at, w| through_gguf(of_sizes(at, w)));
    for (one, other) in [(&folder, &file), (&file, &folder)] {
        assert!(loaded(&saved(one), other).unwrap().notes.is_empty());
    }
    // A model that was trained on moves its norms by more.
    let (_five, tuned) = gemma(|at, w| of_sizes(at, w) * if at % 2 == 0 { 1.001 } else { 0.999 });
    let message = loaded(&saved(&folder), &tuned).err().unwrap().to_string();
    assert!(message.contains("with other weights"), "{message}");
}

#[test]
fn a_card_without_a_sketch_is_still_read() {
    let (_folder, base) = gemma(|_, w| w);
    let adapter = saved(&base);
    let path = adapter.path().join(CARD_FILE);
    let mut card = read_json(&path).unwrap();
    let object = card["base"].as_object_mut().unwrap();
    assert!(object.remove("sketch").is_some());
    object.remove("blocks");
    fs::write(&path, card.to_string()).unwrap();
    assert!(loaded(&adapter, &base).unwrap().notes.is_empty());
}

/// One block of LLaMA in a GGUF file whose matrices are of this format; the values are the same.
fn llama(format: Format) -> (TempDir, Model) {
    let text = |text: &'static str| Field::Text(text.into());
    let metadata = [
        ("general.architecture", text("llama")),
        ("llama.block_count", Field::U32(1)),
        ("llama.context_length", Field::U32(64)),
        ("llama.embedding_length", Field::U32(32)),
        ("llama.feed_forward_length", Field::U32(32)),
        ("llama.attention.head_count", Field::U32(4)),
        ("llama.attention.head_count_kv", Field::U32(4)),
        ("llama.attention.layer_norm_rms_epsilon", Field::F32(1e-5)),
    ];
    let names = ["attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"];
    let mut rng = Rng::new(1);
    let mut values = |count: usize| rng.normal_tensor(&Device::cpu(), &[count], 0.3).to_vec();
    let norms: Vec<Vec<u8>> =
        (0..3).map(|_| values(32).iter().flat_map(|value| value.to_le_bytes()).collect()).collect();
    let bytes = |rows: usize| match format {
        // A block is its scale and 32 numbers.
        Format::Q8_0 => {
            (0..rows).flat_map(|row| [vec![0, 0x20], vec![row as u8 % 100; 32]].concat()).collect()
        }
        _ => vec![0; rows * 32 * 4],
    };
    let (matrix, table): (Vec<u8>, Vec<u8>) = (bytes(32), bytes(8));
    let named = |name: String, shape: Vec<usize>, format, bytes| NamedTensor { name, shape, format, bytes };
    let mut tensors = vec![named("token_embd.weight".into(), vec![8, 32], format, &table)];
    for (name, norm) in ["output_norm", "blk.0.attn_norm", "blk.0.ffn_norm"].into_iter().zip(&norms) {
        tensors.push(named(format!("{name}.weight"), vec![32], Format::F32, norm));
    }
    tensors.extend(names.map(|name| named(format!("blk.0.{name}.weight"), vec![32, 32], format, &matrix)));
    let folder = tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    gguf::write(&path, &metadata, &tensors).unwrap();
    let model = open(&path);
    (folder, model)
}

#[test]
fn a_quantised_base_and_a_whole_one_are_one_model_with_a_note() {
    let ((_one, quantised), (_two, whole)) = (llama(Format::Q8_0), llama(Format::F32));
    let adapter = saved(&quantised);
    assert!(loaded(&adapter, &quantised).unwrap().notes.is_empty());
    let notes = loaded(&adapter, &whole).unwrap().notes;
    assert!(notes.len() == 1 && notes[0].contains("Q8_0") && notes[0].contains("not quantised"), "{notes:?}");
    let notes = loaded(&saved(&whole), &quantised).unwrap().notes;
    assert!(notes.len() == 1 && notes[0].contains("Q8_0"), "{notes:?}");
}
