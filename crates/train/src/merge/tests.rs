//! Golden adapters merged into their models, and the folders loaded again.

use super::*;
use crate::LanguageModel;
use crate::rows::Row;
use offshoot_core::{Batch, Device, Format, Mode, Pass};
use offshoot_methods::MethodConfig;
use offshoot_models::gguf::{NamedTensor, Value};
use offshoot_models::weights::Pickles;
use offshoot_models::weights::{Checkpoint, Dtype, Tensors, read_tensors};
use offshoot_models::{LoadOptions, Task};
use std::fs;
use std::path::PathBuf;
use tempfile::{TempDir, tempdir};

/// A sum taken in another order, on logits of order 1.
const F32: f32 = 1e-4;
/// Weights rounded to eight bits of mantissa, through four blocks.
const BF16: f32 = 0.05;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../testing/golden").join(name)
}

/// An adapter of a golden case on its model.
fn case(model: &str, method: &str) -> crate::OnBase {
    let adapter = golden("cases").join(format!("{model}--{method}/adapter"));
    Trained::load(&adapter, &golden("models").join(model), Pickles::Refuse, &Device::cpu()).unwrap()
}

/// The language model in a folder or a GGUF file, as it is.
fn plain(folder: &Path) -> Trained {
    let options = LoadOptions { task: Task::LanguageModel, ..LoadOptions::default() };
    let model = Model::open(folder, &options, &Device::cpu()).unwrap();
    assert!(model.notes.is_empty(), "{:?}", model.notes);
    let none = MethodConfig::named("head").unwrap();
    Trained::LanguageModel(Box::new(LanguageModel::new(&model, &none, 0).unwrap()))
}

/// The logits after two texts, or of their classes.
fn logits(trained: &Trained) -> Vec<f32> {
    let texts = [&[2, 5, 9, 3][..], &[2, 11, 3]];
    match trained {
        Trained::Classifier(classifier, _) => {
            let row = |ids: &[u32]| {
                let types = vec![0; ids.len()];
                Row { ids: ids.to_vec(), types, label: 0.into(), line: 0, truncated: false }
            };
            classifier.evaluate(&texts.map(row), 64, |_| ()).unwrap().concat()
        }
        Trained::LanguageModel(model) => {
            let mut batch = Batch::new();
            texts.iter().zip(0..).for_each(|(text, row)| batch.push(text, None, row).unwrap());
            let mut pass = Pass::new(&batch, model.adapter.as_ref(), &model.params, Mode::Evaluate).unwrap();
            model.logits(&mut pass, |layout| layout.last_rows()).unwrap().to_vec()
        }
    }
}

fn distance(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn a_merged_language_model_speaks_as_the_adapted_one() {
    for (model, method) in
        [("llama-lm", "lora-all"), ("llama-lm", "ia3"), ("gpt2-lm", "lora-all"), ("gpt2-lm", "ia3")]
    {
        let adapted = case(model, method);
        let expected = logits(&adapted.trained);
        assert!(distance(&expected, &logits(&plain(&golden("models").join(model)))) > 2.0 * F32);
        for (precision, most) in [(Precision::F32, F32), (Precision::Bf16, BF16)] {
            let folder = tempdir().unwrap();
            let merged = merge(folder.path(), &adapted.trained, &adapted.model, precision).unwrap();
            assert!(merged.bytes > 0 && merged.tensors > 20);
            let off = distance(&expected, &logits(&plain(folder.path())));
            assert!(off < most, "{model} {method} {precision}: off by {off}");
            let config = crate::checkpoint::read_json(&folder.path().join("config.json")).unwrap();
            assert_eq!(config["dtype"], precision.config_name());
            assert_eq!(config["architectures"][0], adapted.model.class());
            let dtype = Checkpoint::open(folder.path()).unwrap();
            let dtype = dtype.info(dtype.names().next().unwrap()).unwrap().dtype;
            assert_eq!(dtype, if precision == Precision::F32 { Dtype::F32 } else { Dtype::Bf16 });
        }
    }
}

#[test]
fn a_merged_classifier_keeps_its_head_its_labels_and_its_pooling() {
    for (model, method) in [
        ("bert-cls", "lora-bias"),
        ("bert-cls", "lora-patterns"),
        ("bert-cls", "dora"),
        ("llama-score", "lora"),
    ] {
        let adapted = case(model, method);
        let (folder, expected) = (tempdir().unwrap(), logits(&adapted.trained));
        merge(folder.path(), &adapted.trained, &adapted.model, Precision::F32).unwrap();
        let merged = Model::load(folder.path(), None, &Device::cpu()).unwrap();
        assert_eq!(merged.pooling, adapted.model.pooling);
        let Trained::Classifier(classifier, labels) = &adapted.trained else { panic!("{model}") };
        let (head, new) = merged.new_head(labels.len(), &mut offshoot_core::Rng::new(1)).unwrap();
        assert!(!new && merged.labels().as_ref() == Some(labels), "{model}");
        let none = MethodConfig::named("head").unwrap();
        let again =
            crate::Classifier::with_head(&merged, &none, head, &mut offshoot_core::Rng::new(1)).unwrap();
        assert_eq!(again.pooling, classifier.pooling);
        let off = distance(&expected, &logits(&Trained::Classifier(Box::new(again), labels.clone())));
        assert!(off < F32, "{model} {method}: off by {off}");
    }
}

#[test]
fn large_models_are_written_in_several_files() {
    let adapted = case("llama-lm", "lora");
    let [one, many] = [usize::MAX, 40_000].map(|largest| {
        let folder = tempdir().unwrap();
        merge_in_files(folder.path(), &adapted.trained, &adapted.model, (Precision::F32, largest)).unwrap();
        folder
    });
    let parts = fs::read_dir(many.path())
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with("model-0000"));
    assert!(parts.count() > 2 && many.path().join(INDEX).exists() && !many.path().join(SINGLE).exists());
    let values = |folder: &TempDir| {
        let checkpoint = Checkpoint::open(folder.path()).unwrap();
        checkpoint.names().map(|name| checkpoint.read_f32(name).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(values(&one), values(&many));
    // A smaller model in its place leaves no index behind.
    merge(many.path(), &adapted.trained, &adapted.model, Precision::F32).unwrap();
    assert!(many.path().join(SINGLE).exists() && !many.path().join(INDEX).exists());
}

#[test]
fn a_folder_that_holds_something_else_is_left_alone() {
    let adapted = case("llama-lm", "lora");
    let refusal = |folder: &Path| {
        merge(folder, &adapted.trained, &adapted.model, Precision::F32).unwrap_err().to_string()
    };
    let base = adapted.model.folder().to_path_buf();
    assert!(refusal(&base).contains("holds the base model, which would be overwritten"));
    let adapter = tempdir().unwrap();
    fs::write(adapter.path().join("adapter_config.json"), "{}").unwrap();
    assert!(refusal(adapter.path()).contains("it holds an adapter; choose another folder"));
    assert_eq!(fs::read_dir(adapter.path()).unwrap().count(), 1);
}

#[test]
fn a_method_that_is_no_weight_is_refused_before_anything_is_written() {
    let folder = tempdir().unwrap();
    for method in ["prefix", "houlsby", "llama-adapter", "prompt"] {
        let adapted = case("llama-lm", method);
        let path = folder.path().join("out");
        let said = merge(&path, &adapted.trained, &adapted.model, Precision::F32).unwrap_err().to_string();
        assert!(said.starts_with(&format!("`{method}` cannot be merged: ")), "{said}");
        assert!(!path.exists());
    }
}

/// The golden GPT-2 as a GGUF file with its matrices in halfs.
fn gpt2_gguf(path: &Path) {
    let tensors: Tensors = read_tensors(&golden("models/gpt2-lm/model.safetensors")).unwrap();
    let renamed = |name: &str| {
        let pairs = [
            ("transformer.h.", "blk."),
            ("transformer.wte", "token_embd"),
            ("transformer.wpe", "position_embd"),
            ("transformer.ln_f", "output_norm"),
            ("ln_1", "attn_norm"),
            ("ln_2", "ffn_norm"),
            ("attn.c_attn", "attn_qkv"),
            ("attn.c_proj", "attn_output"),
            ("mlp.c_fc", "ffn_up"),
            ("mlp.c_proj", "ffn_down"),
        ];
        pairs.iter().fold(name.to_owned(), |name, (from, to)| name.replace(from, to))
    };
    let stored: Vec<(String, Vec<usize>, Format, Vec<u8>)> = tensors
        .iter()
        .map(|(name, (shape, values))| match (shape.as_slice(), name.contains("c_")) {
            (&[inputs, outputs], true) => {
                let turned = (0..outputs).flat_map(|j| values.iter().skip(j).step_by(outputs));
                let bytes = turned.flat_map(|&x| half(x).to_le_bytes()).collect();
                (renamed(name), vec![outputs, inputs], Format::F16, bytes)
            }
            _ => {
                let bytes = values.iter().flat_map(|x| x.to_le_bytes()).collect();
                (renamed(name), shape.clone(), Format::F32, bytes)
            }
        })
        .collect();
    let tensors: Vec<NamedTensor<'_>> = stored
        .iter()
        .map(|(name, shape, format, bytes)| NamedTensor {
            name: name.clone(),
            shape: shape.clone(),
            format: *format,
            bytes,
        })
        .collect();
    let metadata = [
        ("general.architecture", Value::Text("gpt2".into())),
        ("gpt2.block_count", Value::U32(3)),
        ("gpt2.context_length", Value::U32(64)),
        ("gpt2.embedding_length", Value::U32(32)),
        ("gpt2.feed_forward_length", Value::U32(128)),
        ("gpt2.attention.head_count", Value::U32(4)),
        ("gpt2.attention.layer_norm_epsilon", Value::F32(1e-5)),
        ("tokenizer.chat_template", Value::Text("{{ messages }}".into())),
    ];
    offshoot_models::gguf::write(path, &metadata, &tensors).unwrap();
}

/// The bits of a half, cut: any rounding will do for a test.
fn half(value: f32) -> u16 {
    let bits = value.to_bits();
    let exponent = ((bits >> 23) & 0xff) as i32 - 112;
    let sign = (bits >> 16) & 0x8000;
    if exponent <= 0 { sign as u16 } else { (sign | (exponent as u32) << 10 | (bits >> 13) & 0x3ff) as u16 }
}

#[test]
fn a_quantised_base_becomes_a_folder() {
    let place = tempdir().unwrap();
    let base = place.path().join("base.gguf");
    gpt2_gguf(&base);
    for method in ["lora-all", "ia3"] {
        let adapter = golden("cases").join(format!("gpt2-lm--{method}/adapter"));
        let adapted = Trained::load(&adapter, &base, Pickles::Refuse, &Device::cpu()).unwrap();
        let quantised = adapted
            .trained
            .backbone()
            .projections()
            .iter()
            .all(|(_, linear)| linear.weight.blocks().is_some());
        assert!(quantised);
        let out = place.path().join(method);
        merge(&out, &adapted.trained, &adapted.model, Precision::F32).unwrap();
        assert_eq!(fs::read_to_string(out.join("chat_template.jinja")).unwrap(), "{{ messages }}");
        let off = distance(&logits(&adapted.trained), &logits(&plain(&out)));
        assert!(off < F32, "{method}: off by {off}");
        let whole = distance(&logits(&case("gpt2-lm", method).trained), &logits(&plain(&out)));
        assert!(whole < BF16, "{method}: off by {whole}");
    }
}
