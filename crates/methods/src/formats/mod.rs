//! Adapter files: what peft and AdapterHub write and read, and a format of our own for methods that neither
//! knows.
//!
//! Nothing here touches a disk. [`export`] turns a trained adapter into named files of JSON and tensors;
//! [`import`] turns such content, from us or from the libraries, into a method's settings and values. A
//! configuration is never half understood: each field is honoured, known to have no effect on a trained
//! adapter, or refused by name.
//!
//! | format | methods | file |
//! | --- | --- | --- |
//! | peft | lora, dora, ia3, prompt, p-tuning, prefix, prefix-mlp, llama-adapter with scalar gates | `peft` |
//! | AdapterHub | houlsby, pfeiffer, parallel | `adapterhub` |
//! | our own | all others, under the model's own names | `native` |
//!
//! Two more are only read, from a lone file of tensors without a configuration ([`import_bare`]): the original
//! LLaMA-Adapter's (`llama_adapter_original`) and litgpt's (`litgpt`).

mod adapterhub;
#[cfg(test)]
mod bare_tests;
mod fields;
mod gated;
mod imported;
mod litgpt;
mod llama_adapter_original;
mod native;
mod peft;
mod sites;
#[cfg(test)]
mod stub;
#[cfg(test)]
mod tests;

pub use imported::Imported;

use crate::{MethodConfig, Saves};
use offshoot_core::{Adapter, Backbone, Error, Param, Params, Result};
use serde_json::Value;
use std::collections::BTreeMap;

/// The configuration of every format.
pub const CONFIG_FILE: &str = "adapter_config.json";

/// Every file that [`export`] may name, except a complete checkpoint's. Before an adapter is written into a
/// folder, an older one's must go: a network or norms that stayed behind would be read with the new one.
pub const ADAPTER_FILES: &[&str] = &[
    CONFIG_FILE,
    peft::WEIGHTS_FILE,
    peft::NETWORK_FILE,
    adapterhub::WEIGHTS_FILE,
    adapterhub::HEAD_FILE,
    adapterhub::HEAD_CONFIG_FILE,
    adapterhub::NORMS_FILE,
    native::WEIGHTS_FILE,
    "adapter_model.bin",
    "pytorch_adapter.bin",
    "pytorch_model_head.bin",
];

/// The name under which the libraries keep one of these files in torch's own format, where they do.
pub fn torch_file(file: &str) -> Option<&'static str> {
    match file {
        peft::WEIGHTS_FILE => Some("adapter_model.bin"),
        adapterhub::WEIGHTS_FILE => Some("pytorch_adapter.bin"),
        adapterhub::HEAD_FILE => Some("pytorch_model_head.bin"),
        _ => None,
    }
}

/// A tensor on its way to a file.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedTensor {
    /// The name in the file.
    pub name: String,
    /// The sizes of the axes.
    pub shape: Vec<usize>,
    /// Row-major values.
    pub values: Vec<f32>,
}

/// Tensors from a file, by name: shape and row-major values.
pub type Tensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

/// The content of a saved adapter: file names and what goes into them.
#[derive(Clone, Debug)]
pub struct Files {
    /// The configuration; none for a complete checkpoint, whose config.json belongs to the model.
    pub config: Option<(&'static str, Value)>,
    /// The tensors.
    pub weights: (&'static str, Vec<NamedTensor>),
    /// Tensors that stand in files of their own: a reparameterisation network, AdapterHub's head.
    pub extra: Vec<(&'static str, Vec<NamedTensor>)>,
    /// The head's own configuration, in formats that have one.
    pub head_config: Option<(&'static str, Value)>,
}

/// A trained adapter with what its files say about its surroundings.
pub struct Export<'a> {
    /// The method, its sizes resolved.
    pub method: &'a MethodConfig,
    /// What the method built.
    pub adapter: &'a dyn Adapter,
    /// The model it was trained on (the forked one, if its own weights were trained).
    pub backbone: &'a dyn Backbone,
    /// The trained values, the head's among them.
    pub params: &'a Params,
    /// The base model's folder or hub id.
    pub base_model: &'a str,
    /// The transformers class that the task implies, such as `BertForSequenceClassification`.
    pub model_class: &'a str,
    /// The head's modules, such as `["pre_classifier", "classifier"]`.
    pub head_modules: &'a [String],
    /// The labels, in the order of the classes.
    pub labels: &'a [String],
}

impl Export<'_> {
    /// The head's tensors under their checkpoint names.
    fn head(&self) -> Vec<NamedTensor> {
        self.params.iter().filter(|param| self.is_head(param)).map(named).collect()
    }

    /// The method's tensors under our names.
    fn own(&self) -> Vec<NamedTensor> {
        self.params.iter().filter(|param| !self.is_head(param)).map(named).collect()
    }

    fn is_head(&self, param: &Param) -> bool {
        is_within(param.name(), self.head_modules)
    }
}

fn named(param: &Param) -> NamedTensor {
    let value = param.value();
    NamedTensor { name: param.name().to_string(), shape: value.shape().to_vec(), values: value.to_vec() }
}

/// The files of a trained adapter.
///
/// # Errors
/// If the method's format cannot express a setting: the message names it.
pub fn export(export: &Export<'_>) -> Result<Files> {
    match export.method.saves() {
        Saves::Peft => peft::export(export),
        Saves::AdapterHub => adapterhub::export(export),
        Saves::Weights | Saves::Features => native::export(export),
        Saves::Fitted => Err(Error::invalid(format!(
            "`{}` trains nothing in the model; it is saved in a file of its own",
            export.method.info().name
        ))),
        Saves::Prompt => Err(Error::invalid(format!(
            "`{}` trains nothing; its prompt is saved as text",
            export.method.info().name
        ))),
        Saves::Checkpoint => Ok(native::checkpoint(export)),
    }
}

/// A format of adapter files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Hugging Face peft's.
    Peft,
    /// AdapterHub's.
    AdapterHub,
    /// Our own.
    Native,
}

impl Format {
    /// The format that an adapter's configuration belongs to.
    ///
    /// # Errors
    /// If it is of none: the message says what each would have.
    pub fn detect(config: &Value) -> Result<Self> {
        let has = |key: &str| config.get(key).is_some_and(|value| !value.is_null());
        if has(native::MARK) {
            return Ok(Self::Native);
        }
        if has("peft_type") {
            return Ok(Self::Peft);
        }
        if has("mh_adapter") || config.get("config").is_some_and(Value::is_object) {
            return Ok(Self::AdapterHub);
        }
        Err(Error::invalid(format!(
            "{CONFIG_FILE} is of no known format: peft's has `peft_type`, AdapterHub's has `config`, ours \
             has `{}`",
            native::MARK
        )))
    }

    /// The file with the adapter's tensors.
    pub fn weights_file(self) -> &'static str {
        match self {
            Self::Peft => peft::WEIGHTS_FILE,
            Self::AdapterHub => adapterhub::WEIGHTS_FILE,
            Self::Native => native::WEIGHTS_FILE,
        }
    }

    /// Files with further tensors that may stand beside: their tensors together are the `extra` of
    /// [`import`].
    pub fn extra_files(self) -> &'static [&'static str] {
        match self {
            Self::Peft => &[peft::NETWORK_FILE],
            Self::AdapterHub => &[adapterhub::HEAD_FILE, adapterhub::NORMS_FILE],
            Self::Native => &[],
        }
    }
}

/// What [`import`] reads.
pub(crate) struct Source<'a> {
    config: &'a Value,
    tensors: Tensors,
    extra: Tensors,
    backbone: &'a dyn Backbone,
}

/// Reads an adapter for `backbone`: its configuration, the tensors of its weights file, and those of the
/// files beside (none if there are none).
///
/// # Errors
/// If the format is unknown, a field cannot be honoured, or the tensors do not belong to this backbone.
pub fn import(config: &Value, tensors: Tensors, extra: Tensors, backbone: &dyn Backbone) -> Result<Imported> {
    let source = Source { config, tensors, extra, backbone };
    match Format::detect(config)? {
        Format::Peft => peft::import(source),
        Format::AdapterHub => adapterhub::import(source),
        Format::Native => native::import(source),
    }
}

/// Reads an adapter for `backbone` from a lone file of tensors without a configuration: the original
/// LLaMA-Adapter's or litgpt's. Which of them it is, its names say. They hold no head.
///
/// # Errors
/// If it is neither, or its tensors do not belong to this backbone.
pub fn import_bare(tensors: &Tensors, backbone: &dyn Backbone) -> Result<Imported> {
    if tensors.contains_key(llama_adapter_original::QUERY) {
        return llama_adapter_original::import(tensors, backbone);
    }
    if tensors.keys().any(|name| litgpt::is_litgpt(name)) {
        return litgpt::import(tensors, backbone);
    }
    Err(Error::invalid(format!(
        "the file holds {}; a file without {CONFIG_FILE} beside it is read if it is the original          LLaMA-Adapter's ({}) or litgpt's (transformer.h.N.attn.adapter_wte.weight)",
        listed(tensors.keys().map(String::as_str)),
        llama_adapter_original::QUERY
    )))
}

/// Whether a tensor is of one of these modules.
fn is_within(name: &str, modules: &[String]) -> bool {
    let within =
        |module: &String| name.strip_prefix(module.as_str()).is_some_and(|rest| rest.starts_with('.'));
    modules.iter().any(within)
}

/// The shortest decimal of an `f32`, which JSON would write with the digits of its `f64`.
fn decimal(value: f32) -> f64 {
    value.to_string().parse().unwrap_or(f64::from(value))
}

/// The first few of many names, for a message.
fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    const SHOWN: usize = 8;
    let names: Vec<_> = names.into_iter().collect();
    let rest = names.len().saturating_sub(SHOWN);
    let shown = names[..names.len() - rest].join(", ");
    if rest == 0 { shown } else { format!("{shown} and {rest} more") }
}
