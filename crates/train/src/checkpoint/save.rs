//! Writing an adapter's folder.

use super::{CARD_FILE, Card};
use crate::classifier::Classifier;
use crate::files::{self, atomic_write};
use crate::{Error, Result};
use offshoot_methods::Saves;
use offshoot_methods::formats::{self, Export, Files, NamedTensor};
use offshoot_models::Model;
use offshoot_models::weights::{Named, write_safetensors};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

/// What a complete checkpoint needs beside its weights to be used as a model, where the base has it.
const TOKENIZER_FILES: [&str; 6] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
];

/// What a saved adapter is to say about its origin.
pub struct About<'a> {
    /// The base model, as the user named it.
    pub model_name: &'a str,
    /// Class names, in the order of the head's rows.
    pub labels: &'a [String],
    /// The recipe of the run.
    pub recipe: Value,
}

/// Writes a trained classifier into a folder, which is made if it is not there, and returns the bytes
/// written.
///
/// Other adapters' files in the folder are replaced; files of other kinds stay.
///
/// # Errors
/// If the folder or a file cannot be written, or the method's format cannot express a setting.
pub fn save(folder: &Path, classifier: &Classifier, model: &Model, about: About<'_>) -> Result<u64> {
    let whole = classifier.method.saves() == Saves::Checkpoint;
    if whole && same(folder, model.folder()) {
        let reason = "it holds the base model, which would be overwritten; choose another folder".to_owned();
        return Err(files::Error { path: folder.to_path_buf(), reason }.into());
    }
    let content = content(classifier, model, &about)?;
    let failed = |error: io::Error| files::Error { path: folder.to_path_buf(), reason: error.to_string() };
    fs::create_dir_all(folder).map_err(failed)?;
    clear(folder)?;
    let mut bytes = write_tensors(folder, &content)?;
    for (name, config) in content.config.iter().chain(&content.head_config) {
        bytes += write_json(&folder.join(name), config)?;
    }
    if whole {
        bytes += write_model(folder, model, about.labels)?;
    }
    let card = Card::new(model, classifier, about);
    let card =
        serde_json::to_value(&card).map_err(|error| Error::invalid(format!("{CARD_FILE}: {error}")))?;
    Ok(bytes + write_json(&folder.join(CARD_FILE), &card)?)
}

/// The files of the method's format.
fn content(classifier: &Classifier, model: &Model, about: &About<'_>) -> Result<Files> {
    Ok(formats::export(&Export {
        method: &classifier.method,
        adapter: classifier.adapter.as_ref(),
        backbone: classifier.backbone.as_ref(),
        params: &classifier.params,
        base_model: about.model_name,
        model_class: model.class(),
        head_modules: &model.head_modules(),
        labels: about.labels,
    })?)
}

/// Takes away what an earlier adapter left, so that nothing of it is read with the new one.
fn clear(folder: &Path) -> Result<()> {
    for name in std::iter::once(&CARD_FILE).chain(formats::ADAPTER_FILES) {
        let path = folder.join(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(files::Error { path, reason: error.to_string() }.into());
            }
            _ => {}
        }
    }
    Ok(())
}

fn write_tensors(folder: &Path, content: &Files) -> Result<u64> {
    let mut bytes = 0;
    for (name, tensors) in std::iter::once(&content.weights).chain(&content.extra) {
        let path = folder.join(name);
        write_safetensors(&path, &tensors.iter().map(named).collect::<Vec<_>>())?;
        bytes += size(&path)?;
    }
    Ok(bytes)
}

fn named(tensor: &NamedTensor) -> Named<'_> {
    (tensor.name.clone(), tensor.shape.clone(), &tensor.values)
}

fn size(path: &Path) -> Result<u64> {
    let failed = |error: io::Error| files::Error { path: path.to_path_buf(), reason: error.to_string() };
    Ok(fs::metadata(path).map_err(failed)?.len())
}

/// What makes a folder of weights a model: its config with the task's labels, and its tokenizer.
fn write_model(folder: &Path, model: &Model, labels: &[String]) -> Result<u64> {
    let mut config = model.config().clone();
    let names = |entry: &dyn Fn(usize, &String) -> (String, Value)| {
        Value::Object(
            labels.iter().enumerate().map(|(class, label)| entry(class, label)).collect::<Map<_, _>>(),
        )
    };
    // The values are written as f32, whatever the base was stored in.
    config.remove("torch_dtype");
    config.insert("dtype".into(), json!("float32"));
    config.insert("architectures".into(), json!([model.class()]));
    config.insert("id2label".into(), names(&|class, label| (class.to_string(), json!(label))));
    config.insert("label2id".into(), names(&|class, label| (label.clone(), json!(class))));
    let mut bytes = write_json(&folder.join("config.json"), &Value::Object(config))?;
    for name in TOKENIZER_FILES {
        let from = model.folder().join(name);
        if from.exists() && !same(&from, &folder.join(name)) {
            let failed = |error: io::Error| files::Error { path: from.clone(), reason: error.to_string() };
            let content = fs::read(&from).map_err(failed)?;
            atomic_write(&folder.join(name), |out| out.write_all(&content))?;
            bytes += content.len() as u64;
        }
    }
    Ok(bytes)
}

/// Whether two paths are one file.
fn same(from: &Path, to: &Path) -> bool {
    matches!((from.canonicalize(), to.canonicalize()), (Ok(from), Ok(to)) if from == to)
}

/// Writes JSON with sorted keys and a line for each, and returns its bytes.
fn write_json(path: &Path, value: &Value) -> Result<u64> {
    let text = format!("{:#}\n", sorted(value));
    atomic_write(path, |out| out.write_all(text.as_bytes()))?;
    Ok(text.len() as u64)
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields: BTreeMap<_, _> =
                fields.iter().map(|(name, field)| (name.clone(), sorted(field))).collect();
            Value::Object(Map::from_iter(fields))
        }
        Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
        other => other.clone(),
    }
}
