//! Writing an adapter's folder.

use super::stage::{MODEL_CONFIG, Stage};
use super::{CARD_FILE, Card, Grown};
use crate::files::{self, atomic_write};
use crate::prompting::LARGEST;
use crate::{Error, Objective, Prompt, Result};
use offshoot_methods::Saves;
use offshoot_methods::formats::{self, Export, Files, NamedTensor};
use offshoot_models::weights::{Named, Precision, write_safetensors};
use offshoot_models::{Model, Pooling, Task};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

/// What a complete checkpoint needs beside its weights to be used as a model, where the base has it.
pub(crate) const TOKENIZER_FILES: [&str; 11] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
    "chat_template.json",
    "generation_config.json",
];

/// Where a complete checkpoint says how it is pooled: the list of modules, and the pooling module's settings.
pub(crate) const POOLING_FILES: [&str; 2] = ["modules.json", "1_Pooling/config.json"];

/// Where a method that trains nothing keeps what it asks.
pub(super) const PROMPT_FILES: [&str; 2] = ["prompt.json", "prompt.txt"];

/// Where a classifier on features is kept that is no network.
pub(super) const FITTED_FILE: &str = "classifier.safetensors";

/// What a saved adapter is to say about its origin.
pub struct About<'a> {
    /// The base model, as the user named it.
    pub model_name: &'a str,
    /// Class names, in the order of the head's rows.
    pub labels: &'a [String],
    /// The recipe of the run.
    pub recipe: Value,
}

/// Writes what a method grew into a folder, which is made if it is not there, and returns the bytes
/// written.
///
/// Other adapters' files in the folder are replaced; files of other kinds stay.
///
/// # Errors
/// If the folder or a file cannot be written, or the method's format cannot express a setting. Unless it is
/// the last step that fails, moving finished files to their names, an older adapter in the folder is as it
/// was.
pub fn save<'a>(folder: &Path, grown: impl Into<Grown<'a>>, model: &Model, about: About<'_>) -> Result<u64> {
    let grown = grown.into();
    let whole = grown.method.saves() == Saves::Checkpoint;
    if whole && same(folder, model.folder()) {
        let reason = "it holds the base model, which would be overwritten; choose another folder".to_owned();
        return Err(files::Error { path: folder.to_path_buf(), reason }.into());
    }
    let trained = grown.prompt.is_none() && grown.fitted.is_none();
    let content = trained.then(|| content(&grown, model, &about)).transpose()?;
    let mut stage = Stage::new(folder)?;
    if let Some(content) = &content {
        write_adapter(&mut stage, content)?;
    }
    if let Some(prompt) = grown.prompt {
        write_prompt(&mut stage, prompt)?;
    }
    if let Some(fitted) = grown.fitted {
        fitted.write(&stage.file(FITTED_FILE)?)?;
    }
    let mut stale = formats::ADAPTER_FILES.to_vec();
    stale.extend(PROMPT_FILES);
    stale.push(FITTED_FILE);
    if whole {
        write_model(&mut stage, model, grown.objective.map(|objective| (objective, about.labels)))?;
        write_pooling(&mut stage, model, grown.pooling)?;
        stale.extend(POOLING_FILES);
    }
    let card = Card::new(model, &grown, about);
    let card =
        serde_json::to_value(&card).map_err(|error| Error::invalid(format!("{CARD_FILE}: {error}")))?;
    write_json(&stage.file(CARD_FILE)?, &card)?;
    stage.publish(&stale)
}

fn write_adapter(stage: &mut Stage, content: &Files) -> Result<()> {
    write_tensors(stage, content)?;
    for (name, config) in content.config.iter().chain(&content.head_config) {
        write_json(&stage.file(name)?, config)?;
    }
    Ok(())
}

/// The prompt for programs, and for people.
fn write_prompt(stage: &mut Stage, prompt: &Prompt) -> Result<()> {
    let [json, text] = PROMPT_FILES;
    let value = serde_json::to_value(prompt).map_err(|error| Error::invalid(format!("{json}: {error}")))?;
    let file = stage.file(json)?;
    write_json(&file, &value)?;
    if fs::metadata(&file).is_ok_and(|about| about.len() > LARGEST) {
        let reason =
            "the training rows to choose examples from are too large to save; train on fewer with --train";
        return Err(Error::invalid(format!("{json}: {reason}")));
    }
    Ok(atomic_write(&stage.file(text)?, |out| out.write_all(format!("{}\n", prompt.text()).as_bytes()))?)
}

/// The files of the method's format.
fn content(grown: &Grown<'_>, model: &Model, about: &About<'_>) -> Result<Files> {
    let labels = grown.objective.map_or_else(Vec::new, |objective| objective.output_names(about.labels));
    Ok(formats::export(&Export {
        method: grown.method,
        adapter: grown.adapter,
        backbone: grown.backbone,
        params: grown.params,
        base_model: about.model_name,
        model_class: model.class(),
        head_modules: &model.head_modules(),
        labels: &labels,
    })?)
}

fn write_tensors(stage: &mut Stage, content: &Files) -> Result<()> {
    for (name, tensors) in std::iter::once(&content.weights).chain(&content.extra) {
        write_safetensors(&stage.file(name)?, &tensors.iter().map(named).collect::<Vec<_>>())?;
    }
    Ok(())
}

fn named(tensor: &NamedTensor) -> Named<'_> {
    (tensor.name.clone(), tensor.shape.clone(), &tensor.values)
}

/// What the outputs of a head are for, and the names of its classes.
pub(crate) type Outputs<'a> = (Objective, &'a [String]);

/// What makes a folder of weights a model: its config with the task's labels, and its tokenizer.
fn write_model(stage: &mut Stage, model: &Model, head: Option<Outputs<'_>>) -> Result<()> {
    // The values are written as f32, whatever the base was stored in.
    write_config(stage, model, Precision::F32, head)?;
    write_tokenizer(stage, model)
}

/// config.json for weights of this precision, with what a head's outputs are called and for.
pub(crate) fn write_config(
    stage: &mut Stage,
    model: &Model,
    precision: Precision,
    head: Option<Outputs<'_>>,
) -> Result<()> {
    let mut config = model.config().clone();
    config.remove("torch_dtype");
    config.insert("dtype".into(), json!(precision.config_name()));
    config.insert("architectures".into(), json!([model.class()]));
    let named = head.map(|(objective, labels)| (objective, objective.output_names(labels)));
    if let Some((objective, labels)) = named.filter(|(_, labels)| !labels.is_empty()) {
        // Where nothing is said, transformers takes it from the labels; a base may have said something else.
        if objective.task() == Task::Regression || config.contains_key("problem_type") {
            config.insert("problem_type".into(), json!(objective.problem_type()));
        }
        let by_class = labels.iter().enumerate().map(|(class, label)| (class.to_string(), json!(label)));
        let by_label = labels.iter().enumerate().map(|(class, label)| (label.clone(), json!(class)));
        config.insert("id2label".into(), Value::Object(by_class.collect()));
        config.insert("label2id".into(), Value::Object(by_label.collect()));
    }
    write_json(&stage.file(MODEL_CONFIG)?, &Value::Object(config))
}

/// A folder's tokenizer as it is, a GGUF file's as the files of a folder.
pub(crate) fn write_tokenizer(stage: &mut Stage, model: &Model) -> Result<()> {
    let mut write = |name: &str, content: &[u8]| -> Result<()> {
        Ok(atomic_write(&stage.file(name)?, |out| out.write_all(content))?)
    };
    if let Some(file) = model.source().gguf() {
        // A file without a tokenizer has weights to give all the same.
        if file.get("tokenizer.ggml.model").is_some() {
            write("tokenizer.json", file.tokenizer_json()?.as_bytes())?;
        }
        let template = file.chat_template();
        return template.map_or(Ok(()), |template| write("chat_template.jinja", template.as_bytes()));
    }
    let folder = model.folder();
    for name in TOKENIZER_FILES {
        let from = folder.join(name);
        if from.exists() {
            let failed = |error: io::Error| files::Error { path: from.clone(), reason: error.to_string() };
            write(name, &fs::read(&from).map_err(failed)?)?;
        }
    }
    Ok(())
}

/// What the head reads, where sentence-transformers keeps it; that layout has no word for the model's own
/// pooler, which is what is used when it says nothing.
pub(crate) fn write_pooling(stage: &mut Stage, model: &Model, pooling: Option<Pooling>) -> Result<()> {
    let Some(pooling) = pooling.filter(|&pooling| pooling != Pooling::Pooler) else { return Ok(()) };
    let [list, config] = POOLING_FILES;
    let modules = json!([
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    ]);
    let modes = json!({
        "word_embedding_dimension": model.backbone.shape().hidden,
        "pooling_mode_cls_token": pooling == Pooling::Cls,
        "pooling_mode_mean_tokens": pooling == Pooling::Mean,
        "pooling_mode_lasttoken": pooling == Pooling::Last,
    });
    write_json(&stage.file(list)?, &modules)?;
    write_json(&stage.file(config)?, &modes)
}

/// Whether two paths are one file.
pub(crate) fn same(from: &Path, to: &Path) -> bool {
    matches!((from.canonicalize(), to.canonicalize()), (Ok(from), Ok(to)) if from == to)
}

/// Writes JSON with sorted keys and a line for each.
pub(crate) fn write_json(path: &Path, value: &Value) -> Result<()> {
    let text = format!("{:#}\n", sorted(value));
    Ok(atomic_write(path, |out| out.write_all(text.as_bytes()))?)
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
