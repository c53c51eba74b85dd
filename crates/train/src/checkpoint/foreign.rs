//! What other programs saved in torch's own format (`scripts/torch/make.py`).

use super::*;
use crate::Classifier;
use offshoot_core::Device;
use offshoot_models::Model;
use serde_json::json;
use std::fs;
use std::path::PathBuf;
use tempfile::tempdir;

fn saved(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/torch").join(name)
}

fn model() -> Model {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testing/golden/models/bert-cls");
    Model::load(&golden, None, &Device::cpu()).unwrap()
}

/// The whole message of an adapter that must be refused.
fn refusal(path: &Path, pickles: Pickles) -> String {
    load(path, &model(), pickles).err().expect("a refusal").to_string()
}

/// A parameter's values.
fn value(classifier: &Classifier, name: &str) -> Vec<f32> {
    let id = classifier.params.find(name).unwrap_or_else(|| panic!("no {name}"));
    classifier.params.get(id).value().to_vec()
}

/// `divisor`ths from `start` on.
fn parts(start: i32, count: i32, divisor: f32) -> Vec<f32> {
    (start..start + count).map(|i| i as f32 / divisor).collect()
}

#[test]
fn adapterhubs_default_files_are_an_adapter_and_its_head() {
    let refused = refusal(&saved("adapterhub"), Pickles::Refuse);
    assert!(refused.contains("pytorch_adapter.bin") && refused.contains("--allow-pickle"), "{refused}");
    let loaded = load(&saved("adapterhub"), &model(), Pickles::Allow).unwrap();
    assert_eq!(loaded.classifier.method.info().name, "pfeiffer");
    let path = "bert.encoder.layer.2.output.adapters.adapter";
    assert_eq!(value(&loaded.classifier, &format!("{path}.adapter_down.0.weight")), parts(-16, 32, 64.0));
    assert_eq!(value(&loaded.classifier, &format!("{path}.adapter_up.bias")), parts(-4, 32, 64.0));
    assert_eq!(value(&loaded.classifier, "classifier.weight"), parts(-48, 96, 64.0));
    assert_eq!(value(&loaded.classifier, "classifier.bias"), parts(0, 3, 8.0));
}

#[test]
fn a_file_is_refused_or_read_on_its_own_account() {
    let folder = tempdir().unwrap();
    for name in ["adapter_config.json", "pytorch_adapter.bin", "pytorch_model_head.bin"] {
        fs::copy(saved("adapterhub").join(name), folder.path().join(name)).unwrap();
    }
    // The adapter as safetensors, the head still as torch's.
    let tensors =
        offshoot_models::weights::read_torch(&folder.path().join("pytorch_adapter.bin"), Pickles::Allow);
    let tensors = tensors.unwrap();
    let named: Vec<_> = tensors.iter().map(|(n, (s, v))| (n.clone(), s.clone(), &v[..])).collect();
    let twin = folder.path().join("adapter.safetensors");
    offshoot_models::weights::write_safetensors(&twin, &named).unwrap();
    let refused = refusal(folder.path(), Pickles::Refuse);
    assert!(refused.contains("pytorch_model_head.bin"), "{refused}");
    fs::write(folder.path().join("pytorch_adapter.bin"), "not even looked at").unwrap();
    assert!(load(folder.path(), &model(), Pickles::Allow).is_ok());
    fs::remove_file(&twin).unwrap();
    let damaged = refusal(folder.path(), Pickles::Allow);
    assert!(damaged.contains("pytorch_adapter.bin") && damaged.contains("18 bytes"), "{damaged}");
}

#[test]
fn pefts_older_files_are_read_too() {
    let folder = tempdir().unwrap();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testing/golden/cases/bert-cls--lora/adapter");
    fs::copy(golden.join("adapter_config.json"), folder.path().join("adapter_config.json")).unwrap();
    fs::copy(saved("llama-adapter.pth"), folder.path().join("adapter_model.bin")).unwrap();
    assert!(refusal(folder.path(), Pickles::Refuse).contains("adapter_model.bin"));
    // It is read: what is wrong with this one is that its tensors are another method's.
    assert!(refusal(folder.path(), Pickles::Allow).contains("adapter_query.weight"));
}

/// The llama-adapter of a path, its head new.
fn llama_adapter(path: &Path, gate: &str) -> Loaded {
    let refused = resume(path, &model(), 2, 0, Pickles::Refuse).err().expect("a refusal").to_string();
    assert!(refused.contains("--allow-pickle"), "{refused}");
    let loaded = resume(path, &model(), 2, 0, Pickles::Allow).unwrap();
    let settings = json!({ "method": "llama-adapter", "tokens": 2, "layers": 2, "gate": gate });
    assert_eq!(serde_json::to_value(&loaded.classifier.method).unwrap(), settings);
    loaded
}

#[test]
fn the_original_llama_adapters_file_is_read() {
    let folder = tempdir().unwrap();
    fs::copy(saved("llama-adapter.pth"), folder.path().join("adapter_len2_layer2.pth")).unwrap();
    for path in [saved("llama-adapter.pth"), folder.path().to_owned()] {
        let loaded = llama_adapter(&path, "heads");
        for (layer, start) in [(1, 0), (2, 64)] {
            let module = format!("bert.encoder.layer.{layer}.attention.self");
            let rows = value(&loaded.classifier, &format!("{module}.adaption_prompt"));
            assert_eq!(rows, parts(start, 64, 8.0), "{layer}");
            let gates = value(&loaded.classifier, &format!("{module}.adaption_gate"));
            assert_eq!(gates, parts(8 * layer, 4, 8.0), "{layer}");
        }
        assert!(loaded.notes[0].contains("2 tokens in each of the top 2 layers"), "{:?}", loaded.notes);
    }
    assert!(refusal(&saved("llama-adapter.pth"), Pickles::Allow).contains("without a head"));
}

#[test]
fn litgpts_file_is_read_and_is_kept_in_our_own_format() {
    for path in [saved("litgpt"), saved("litgpt/lit_model.pth.adapter")] {
        let loaded = llama_adapter(&path, "heads-linear");
        for layer in [1, 2] {
            let module = format!("bert.encoder.layer.{layer}.attention.self");
            let rows = value(&loaded.classifier, &format!("{module}.adaption_prompt"));
            assert_eq!(rows, parts(64 * layer, 64, 8.0), "{layer}");
            let gates = value(&loaded.classifier, &format!("{module}.adaption_gate"));
            assert_eq!(gates, parts(8 * layer, 4, 8.0), "{layer}");
        }
        let (folder, labels) = (tempdir().unwrap(), ["no", "yes"].map(str::to_owned));
        let about = About { model_name: "base", labels: &labels, recipe: json!({}) };
        save(folder.path(), &loaded.classifier, &model(), about).unwrap();
        let again = load(folder.path(), &model(), Pickles::Refuse).unwrap();
        let values = |of: &Classifier| of.params.snapshot();
        assert_eq!(values(&again.classifier), values(&loaded.classifier));
    }
}

#[test]
fn a_path_is_an_adapter_by_its_files() {
    let folder = tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let write = |name: &str| fs::write(path(name), "").unwrap();
    assert!(!is_adapter(folder.path()) && !is_adapter(&path("absent.pth")));
    write("rows.csv");
    assert!(!is_adapter(&path("rows.csv")));
    write("notes.bin");
    assert!(is_adapter(&path("notes.bin")) && !is_adapter(folder.path()), "only where it is named");
    write("adapter.pth");
    assert!(is_adapter(folder.path()) && is_adapter(&path("adapter.pth")));
    write("second.pth");
    let several = refusal(folder.path(), Pickles::Allow);
    assert!(several.contains("2 files") && several.contains("adapter.pth"), "{several}");
    // A model's folder holds files of that ending without being an adapter; litgpt's are one all the same.
    write("config.json");
    assert!(!is_adapter(folder.path()) && !is_adapter(&path("adapter.pth")));
    write("lit_model.pth.adapter");
    assert!(is_adapter(folder.path()) && is_adapter(&path("lit_model.pth.adapter")));
    assert!(refusal(folder.path(), Pickles::Refuse).contains("lit_model.pth.adapter"));
    write("adapter_config.json");
    assert!(is_adapter(folder.path()));
}
