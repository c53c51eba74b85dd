use super::*;
use crate::Classifier;
use crate::rows::Row;
use offshoot_core::Device;
use offshoot_methods::{MethodConfig, Saves};
use offshoot_models::weights::{Named, read_tensors, write_safetensors};
use offshoot_models::{Model, Pooling, sentence_pooling};
use serde_json::json;
use std::fs;
use std::path::PathBuf;
use tempfile::{TempDir, tempdir};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../testing/golden").join(name)
}

fn model(family: &str) -> Model {
    Model::load(&golden("models").join(family), None, &Device::cpu()).unwrap()
}

/// A classifier all of whose trained values are moved away from their start.
fn trained(model: &Model, settings: Value) -> Classifier {
    let method: MethodConfig = serde_json::from_value(settings).unwrap();
    let mut classifier = Classifier::new(model, &method, 3, 5).unwrap();
    for param in classifier.params.iter_mut() {
        let moved = |(i, v): (usize, f32)| v + ((i * 7 % 11) as f32 - 5.0) / 50.0;
        let values: Vec<f32> = param.value().to_vec().into_iter().enumerate().map(moved).collect();
        param.set(&values).unwrap();
    }
    classifier
}

fn saved(model: &Model, settings: Value) -> (Classifier, TempDir) {
    let folder = tempdir().unwrap();
    let classifier = trained(model, settings);
    save_into(folder.path(), &classifier, model);
    (classifier, folder)
}

fn save_into(folder: &Path, classifier: &Classifier, model: &Model) -> u64 {
    let labels = ["bad", "fair", "good"].map(str::to_owned);
    let about = About { model_name: "some/model", labels: &labels, recipe: json!({ "epochs": 3 }) };
    save(folder, classifier, model, about).unwrap()
}

fn logits(classifier: &Classifier) -> Vec<Vec<f32>> {
    let row = |ids: &[u32]| {
        let types = vec![0; ids.len()];
        Row { ids: ids.to_vec(), types, label: 0.into(), line: 0, truncated: false }
    };
    let rows = [row(&[2, 5, 9, 3]), row(&[2, 11, 3])];
    classifier.evaluate(&rows, 64, |_| ()).unwrap()
}

fn refusal(folder: &Path, model: &Model) -> String {
    load(folder, model, Pickles::Refuse).err().expect("a refusal").to_string()
}

/// Every method, small enough for models of width 32.
fn settings(name: &str) -> Value {
    let mut settings = json!({ "method": name });
    match name {
        "prompt" | "prefix" | "p-tuning" | "prefix-mlp" => settings["tokens"] = json!(4),
        "lora" | "dora" => settings["rank"] = json!(4),
        _ => {}
    }
    settings
}

#[test]
fn every_method_is_the_same_after_saving() {
    for family in ["bert-cls", "distilbert-cls", "roberta-cls"] {
        let model = model(family);
        for info in
            MethodConfig::ALL.iter().filter(|info| !matches!(info.saves, Saves::Fitted | Saves::Prompt))
        {
            let (before, folder) = saved(&model, settings(info.name));
            let after = load(folder.path(), &model, Pickles::Refuse)
                .unwrap_or_else(|e| panic!("{family} {}: {e}", info.name));
            assert_eq!(logits(&after.classifier), logits(&before), "{family} {}", info.name);
            assert_eq!(after.classifier.params.count(), before.params.count(), "{family} {}", info.name);
            let card = after.card.unwrap();
            assert_eq!((card.method, card.recipe), (before.method, json!({ "epochs": 3 })));
            assert_eq!(card.labels, ["bad", "fair", "good"]);
        }
    }
}

#[test]
fn bytes_are_those_of_the_files() {
    let (model, folder) = (model("bert-cls"), tempdir().unwrap());
    let bytes = save_into(folder.path(), &trained(&model, settings("houlsby")), &model);
    let files = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len());
    assert_eq!(bytes, files.sum::<u64>());
}

#[test]
fn json_is_sorted_and_ends_with_a_line() {
    let (_, folder) = saved(&model("bert-cls"), settings("lora"));
    let text = fs::read_to_string(folder.path().join(CARD_FILE)).unwrap();
    let keys: Vec<_> = text.lines().filter(|line| line.starts_with("  \"")).collect();
    assert!(keys.is_sorted() && text.ends_with("}\n"), "{text}");
}

#[test]
fn an_older_adapter_leaves_nothing_behind() {
    let model = model("bert-cls");
    let (_, folder) = saved(&model, settings("prefix-mlp"));
    fs::write(folder.path().join("report.json"), "{}").unwrap();
    save_into(folder.path(), &trained(&model, settings("prefix")), &model);
    let loaded = load(folder.path(), &model, Pickles::Refuse).unwrap();
    assert_eq!(loaded.classifier.method.info().name, "prefix");
    assert!(folder.path().join("report.json").exists());
}

#[test]
fn full_is_a_model_of_its_own() {
    let base = model("bert-cls");
    let (classifier, folder) = saved(&base, settings("full"));
    let model = Model::load(folder.path(), None, &Device::cpu()).unwrap();
    assert_eq!(model.labels().unwrap(), ["bad", "fair", "good"]);
    let head = Classifier::new(&model, &MethodConfig::named("head").unwrap(), 3, 0).unwrap();
    assert_eq!(logits(&head), logits(&classifier));
}

#[test]
fn full_keeps_the_pooling_it_was_trained_with() {
    let folder = tempdir().unwrap();
    for pooling in [Pooling::Mean, Pooling::Cls, Pooling::Pooler] {
        let base = Model::load(&golden("models/bert-cls"), Some(pooling), &Device::cpu()).unwrap();
        let before = trained(&base, settings("full"));
        save_into(folder.path(), &before, &base);
        let said = sentence_pooling(folder.path()).unwrap();
        assert_eq!(said, Some(pooling).filter(|pooling| *pooling != Pooling::Pooler));
        assert_eq!(Model::load(folder.path(), None, &Device::cpu()).unwrap().pooling, pooling);
        let after = load(folder.path(), &base, Pickles::Refuse).unwrap();
        assert_eq!(logits(&after.classifier), logits(&before), "{pooling}");
        assert!(resume(folder.path(), &base, 3, 0, Pickles::Refuse).unwrap().notes.is_empty(), "{pooling}");
    }
}

#[test]
fn a_save_that_fails_leaves_the_older_adapter() {
    let model = model("bert-cls");
    let labels = ["bad", "fair", "good"].map(str::to_owned);
    for (method, blocked) in [("houlsby", "adapter.safetensors"), ("full", "model.safetensors")] {
        let (before, folder) = saved(&model, settings("lora"));
        fs::create_dir(folder.path().join(blocked)).unwrap();
        let about = About { model_name: "other", labels: &labels, recipe: Value::Null };
        let error = save(folder.path(), &trained(&model, settings(method)), &model, about).unwrap_err();
        assert!(error.to_string().contains(blocked), "{error}");
        assert_eq!(
            logits(&load(folder.path(), &model, Pickles::Refuse).unwrap().classifier),
            logits(&before)
        );
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 4, "nothing half-written stays");
    }
}

#[test]
fn full_does_not_overwrite_its_base() {
    let (base, copy) = (model("bert-cls"), tempdir().unwrap());
    for entry in fs::read_dir(base.folder()).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
    }
    let base = Model::load(copy.path(), None, &Device::cpu()).unwrap();
    let about = About { model_name: "copy", labels: &[], recipe: Value::Null };
    let error = save(copy.path(), &trained(&base, settings("full")), &base, about).unwrap_err().to_string();
    assert!(error.contains("would be overwritten"), "{error}");
}

#[test]
fn an_adapter_for_another_base_is_refused() {
    let (_, folder) = saved(&model("bert-cls"), settings("lora"));
    let message = refusal(folder.path(), &model("roberta-cls"));
    assert!(message.contains("another base, `some/model`") && message.contains("bert model"), "{message}");
}

#[test]
fn a_base_of_the_same_size_with_other_weights_is_refused() {
    let (base, other) = (model("bert-cls"), tempdir().unwrap());
    fs::copy(base.folder().join("config.json"), other.path().join("config.json")).unwrap();
    let mut tensors = read_tensors(&base.folder().join("model.safetensors")).unwrap();
    tensors.get_mut("bert.encoder.layer.1.output.LayerNorm.bias").unwrap().1[3] += 0.5;
    let named: Vec<Named<'_>> = tensors.iter().map(|(n, (s, v))| (n.clone(), s.clone(), &v[..])).collect();
    write_safetensors(&other.path().join("model.safetensors"), &named).unwrap();
    let (_, folder) = saved(&base, settings("lora"));
    let message = refusal(folder.path(), &Model::load(other.path(), None, &Device::cpu()).unwrap());
    assert!(message.contains("with other weights"), "{message}");
}

#[test]
fn another_pooling_is_refused() {
    let base = model("distilbert-cls");
    let (_, folder) = saved(&base, settings("lora"));
    let mean = Model::load(base.folder(), Some(Pooling::Mean), &Device::cpu()).unwrap();
    let message = refusal(folder.path(), &mean);
    assert!(message.contains("--pooling"), "{message}");
}

#[test]
fn adapters_of_the_libraries_have_no_card() {
    let loaded = load(&golden("cases/bert-cls--lora/adapter"), &model("bert-cls"), Pickles::Refuse).unwrap();
    assert!(loaded.card.is_none());
    assert_eq!(loaded.classifier.head.classes(), 3);
    let without_head = refusal(&golden("cases/bert-cls--houlsby/adapter"), &model("bert-cls"));
    assert!(without_head.contains("--init-from"), "{without_head}");
}

#[test]
fn training_goes_on_with_the_head_or_a_new_one() {
    let model = model("bert-cls");
    let (before, folder) = saved(&model, settings("lora"));
    let same = resume(folder.path(), &model, 3, 0, Pickles::Refuse).unwrap();
    assert!(same.notes.is_empty());
    assert_eq!(logits(&same.classifier), logits(&before));
    let other = resume(folder.path(), &model, 5, 0, Pickles::Refuse).unwrap();
    assert_eq!(other.classifier.head.classes(), 5);
    assert!(other.notes[0].contains("new"), "{:?}", other.notes);
    let peer = resume(&golden("cases/bert-cls--houlsby/adapter"), &model, 2, 0, Pickles::Refuse).unwrap();
    assert_eq!(peer.classifier.method.info().name, "houlsby");
}

#[test]
fn damage_is_named() {
    let model = model("bert-cls");
    let (_, folder) = saved(&model, settings("lora"));
    let weights = folder.path().join("adapter_model.safetensors");
    let content = fs::read(&weights).unwrap();
    fs::write(&weights, &content[..content.len() / 2]).unwrap();
    assert!(refusal(folder.path(), &model).contains("adapter_model.safetensors"));
    fs::remove_file(&weights).unwrap();
    fs::write(folder.path().join("adapter_model.bin"), "").unwrap();
    assert!(refusal(folder.path(), &model).contains("pickle"));
    fs::write(folder.path().join("adapter_config.json"), "{").unwrap();
    assert!(refusal(folder.path(), &model).contains("adapter_config.json: damaged"));
    fs::remove_file(folder.path().join("adapter_config.json")).unwrap();
    assert!(refusal(folder.path(), &model).contains("there is no adapter_config.json"));
    fs::write(folder.path().join(CARD_FILE), r#"{"version": 7}"#).unwrap();
    assert!(refusal(folder.path(), &model).contains("version 7"));
}
