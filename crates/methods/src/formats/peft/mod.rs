//! The files of Hugging Face peft 0.21: `adapter_config.json` and `adapter_model.safetensors`.
//!
//! Tensor names are module paths of the transformers class with the task's head, under `base_model.model.`,
//! or under `base_model.` for the methods that peft calls prompt learning. What peft's `modules_to_save`
//! lists is the head.
//!
//! Where peft drops fields that it does not know, with a warning, we refuse those whose value could have an
//! effect: a file that asks for something must get it. The networks that reparameterise prompts are not in
//! peft's file (it stores what they compute), so ours stand beside it, in `prompt_encoder.safetensors`, to
//! resume training.

mod adaption_prompt;
mod ia3;
mod lora;
mod prompts;

use super::fields::Fields;
use super::{CONFIG_FILE, Export, Files, Imported, NamedTensor, Source, Tensors, listed};
use crate::MethodConfig;
use offshoot_core::{Backbone, Error, Result};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

pub(crate) const WEIGHTS_FILE: &str = "adapter_model.safetensors";
/// The network that computes the virtual tokens, under our names.
pub(crate) const NETWORK_FILE: &str = "prompt_encoder.safetensors";

/// The prefix of module paths.
const MODULES: &str = "base_model.model.";
/// The prefix of the head's module paths in files of prompt learning methods.
const BESIDE_PROMPTS: &str = "base_model.";
/// What peft saves with a classifier, whatever the configuration says.
const ALWAYS_SAVED: [&str; 2] = ["classifier", "score"];
/// Fields of every configuration that say nothing about what the adapter computes.
const INERT: &[&str] =
    &["auto_mapping", "base_model_name_or_path", "inference_mode", "peft_version", "revision", "task_type"];

/// What one method's file writes.
struct Written {
    peft_type: &'static str,
    /// The method's own fields.
    fields: Value,
    /// The prefix of the head's names.
    prefix: &'static str,
    tensors: Vec<NamedTensor>,
    /// The reparameterisation network, if there is one.
    network: Vec<NamedTensor>,
}

/// What one method's file reads besides the fields.
struct Given<'a> {
    /// The method's tensors, without prefix.
    tensors: Tensors,
    /// The reparameterisation network, if its file was there.
    network: Tensors,
    backbone: &'a dyn Backbone,
}

/// What one method's file understood.
struct Loaded {
    method: MethodConfig,
    values: Tensors,
    notes: Vec<String>,
}

pub(crate) fn export(export: &Export<'_>) -> Result<Files> {
    let mut written = written(export)?;
    let head = export.head().into_iter().map(|tensor| prefixed(written.prefix, tensor));
    written.tensors.extend(head);
    let extra = (!written.network.is_empty()).then_some((NETWORK_FILE, written.network));
    Ok(Files {
        config: Some((CONFIG_FILE, config(export, written.peft_type, &written.fields))),
        weights: (WEIGHTS_FILE, written.tensors),
        extra: extra.into_iter().collect(),
        head_config: None,
    })
}

fn written(export: &Export<'_>) -> Result<Written> {
    match export.method {
        MethodConfig::Lora(settings) => lora::export(export, settings, false),
        MethodConfig::Dora(settings) => lora::export(export, &settings.0, true),
        MethodConfig::Ia3(settings) => ia3::export(export, settings),
        MethodConfig::Prefix(_) => prompts::export_prefix(export),
        MethodConfig::PrefixMlp(settings) => prompts::export_prefix_mlp(export, settings),
        MethodConfig::Prompt(_) => prompts::export_prompt(export),
        MethodConfig::PTuning(settings) => prompts::export_p_tuning(export, settings),
        MethodConfig::LlamaAdapter(settings) => adaption_prompt::export(export, settings),
        other => Err(Error::invalid(format!("peft has no format for {}", other.info().name))),
    }
}

/// A method's fields with those of every configuration, sorted as peft writes them.
fn config(export: &Export<'_>, peft_type: &str, own: &Value) -> Value {
    let common = json!({
        "auto_mapping": null,
        "base_model_name_or_path": export.base_model,
        "inference_mode": true,
        "modules_to_save": if export.head_modules.is_empty() { Value::Null } else { json!(export.head_modules) },
        "peft_type": peft_type,
        "revision": null,
        "task_type": if export.head_modules.is_empty() { "CAUSAL_LM" } else { "SEQ_CLS" },
    });
    let fields = [&common, own].into_iter().filter_map(Value::as_object).flatten();
    let sorted: BTreeMap<_, _> = fields.map(|(name, value)| (name.clone(), value.clone())).collect();
    Value::Object(Map::from_iter(sorted))
}

/// peft's `fan_in_fan_out`: whether the weights stand as `[in, out]`. It changes no number of the adapter's.
fn input_major(backbone: &dyn Backbone) -> bool {
    backbone.input_major_files()
}

fn prefixed(prefix: &str, tensor: NamedTensor) -> NamedTensor {
    NamedTensor { name: format!("{prefix}{}", tensor.name), ..tensor }
}

pub(crate) fn import(source: Source<'_>) -> Result<Imported> {
    let mut fields = Fields::new(CONFIG_FILE, source.config)?;
    fields.inert(INERT);
    let mut saved = fields.texts("modules_to_save");
    saved.extend(ALWAYS_SAVED.map(str::to_string));
    let (head, tensors) = split(source.tensors, &saved);
    refuse_backbone(&head, source.backbone)?;
    let peft_type = fields.text("peft_type", "");
    let given = Given { tensors, network: source.extra, backbone: source.backbone };
    let Loaded { method, values, notes } = match peft_type {
        "LORA" => lora::import(fields, given),
        "IA3" => ia3::import(fields, given),
        "PREFIX_TUNING" => prompts::import_prefix(fields, given),
        "PROMPT_TUNING" => prompts::import_prompt(fields, given),
        "P_TUNING" => prompts::import_p_tuning(fields, given),
        "ADAPTION_PROMPT" => adaption_prompt::import(fields, given),
        other => Err(Error::invalid(format!(
            "{CONFIG_FILE}: `peft_type` {other:?} is not supported; the supported types are LORA, IA3, \
             PREFIX_TUNING, PROMPT_TUNING, P_TUNING and ADAPTION_PROMPT"
        ))),
    }?;
    Ok(Imported { method, values, head, notes })
}

/// The head's tensors and the method's, both without prefix.
fn split(tensors: Tensors, saved: &[String]) -> (Tensors, Tensors) {
    let strip = |name: &str| {
        let rest = name.strip_prefix(MODULES).or_else(|| name.strip_prefix(BESIDE_PROMPTS));
        rest.unwrap_or(name).to_string()
    };
    let named = tensors.into_iter().map(|(name, value)| (strip(&name), value));
    named.partition(|(name, _)| is_saved(name, saved))
}

/// Whether a tensor belongs to one of `modules_to_save`, which peft matches with the end of a module's path.
fn is_saved(name: &str, saved: &[String]) -> bool {
    let modules = name.match_indices('.').map(|(at, _)| &name[..at]);
    modules
        .into_iter()
        .any(|module| saved.iter().any(|end| !end.is_empty() && module.ends_with(end.as_str())))
}

/// A part of the backbone that was trained in full is not an adapter's, so it cannot be loaded beside one.
fn refuse_backbone(head: &Tensors, backbone: &dyn Backbone) -> Result<()> {
    let weights = backbone.weights();
    let of_backbone =
        head.keys().map(String::as_str).filter(|name| weights.iter().any(|w| w.name() == *name));
    let names = listed(of_backbone);
    if names.is_empty() {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "{CONFIG_FILE}: `modules_to_save` holds parts of the backbone, which stays frozen here: {names}; \
         only the head can be saved beside an adapter"
    )))
}

/// The tensors of another name than a method knows.
fn unknown_tensors<'a>(peft_type: &str, names: impl Iterator<Item = &'a str>, known: &str) -> Result<()> {
    let names = listed(names);
    if names.is_empty() {
        return Ok(());
    }
    Err(Error::invalid(format!("{WEIGHTS_FILE}: {names} cannot be loaded as {peft_type}, which has {known}")))
}
