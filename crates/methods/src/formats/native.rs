//! Our own format, for methods that no library knows: `adapter_config.json` with the method's settings under
//! a mark, and the tensors under the model's own names, or the method's where the model has none.

use super::fields::Fields;
use super::{CONFIG_FILE, Export, Files, Imported, NamedTensor, Source, is_within};
use crate::MethodConfig;
use offshoot_core::{Error, Result};
use serde_json::{Value, json};

/// The field that tells our configuration from the libraries'; its value is the format's version.
pub(crate) const MARK: &str = "offshoot_adapter";
pub(crate) const WEIGHTS_FILE: &str = "adapter.offshoot.safetensors";
/// A complete checkpoint's weights.
const CHECKPOINT_FILE: &str = "model.safetensors";
const VERSION: u64 = 1;

pub(crate) fn export(export: &Export<'_>) -> Result<Files> {
    let config = json!({
        "base_model_name_or_path": export.base_model,
        "head_modules": export.head_modules,
        "method": serde_json::to_value(export.method).map_err(unreadable)?,
        "model_class": export.model_class,
        "model_type": export.backbone.family(),
        MARK: VERSION,
    });
    let tensors = export.own().into_iter().chain(export.head()).collect();
    Ok(Files {
        config: Some((CONFIG_FILE, config)),
        weights: (WEIGHTS_FILE, tensors),
        extra: Vec::new(),
        head_config: None,
    })
}

/// Every weight of the model, trained or not, and the head's: what a checkpoint in the Hugging Face layout
/// holds.
pub(crate) fn checkpoint(export: &Export<'_>) -> Files {
    let weights = export.backbone.weights().into_iter().map(|weight| {
        let value = weight.value(export.params);
        NamedTensor { name: weight.name().to_string(), shape: value.shape().to_vec(), values: value.to_vec() }
    });
    let tensors = weights.chain(export.head()).collect();
    Files { config: None, weights: (CHECKPOINT_FILE, tensors), extra: Vec::new(), head_config: None }
}

pub(crate) fn import(source: Source<'_>) -> Result<Imported> {
    let config = Config::read(source.config)?;
    if config.family != source.backbone.family() {
        let family = source.backbone.family();
        return Err(Error::invalid(format!(
            "{CONFIG_FILE}: `model_type`: the adapter was trained on a {} model and does not fit this \
             {family} model",
            config.family
        )));
    }
    let most = source.tensors.values().map(|(_, values)| values.len()).sum();
    bounded(&config.method, most)?;
    let method: MethodConfig = serde_json::from_value(config.method).map_err(unreadable)?;
    let (head, values) =
        source.tensors.into_iter().partition(|(name, _)| is_within(name, &config.head_modules));
    Ok(Imported { method, values, head, notes: Vec::new() })
}

/// The fields of our configuration.
struct Config {
    family: String,
    head_modules: Vec<String>,
    method: Value,
}

impl Config {
    fn read(config: &Value) -> Result<Self> {
        let mut fields = Fields::new(CONFIG_FILE, config)?;
        fields.inert(&["base_model_name_or_path", "model_class"]);
        fields.must_be(MARK, VERSION, "this program reads no other version of its own format");
        let family = fields.text("model_type", "").to_string();
        let head_modules = fields.texts("head_modules");
        let method = fields.get("method").cloned().unwrap_or_default();
        fields.finish()?;
        Ok(Self { family, head_modules, method })
    }
}

/// Refuses sizes that the tensors cannot have, before anything of that size is allocated.
fn bounded(settings: &Value, most: usize) -> Result<()> {
    match settings {
        Value::Number(n) if n.as_u64().is_some_and(|n| n > most as u64) => Err(Error::invalid(format!(
            "{CONFIG_FILE}: the method's settings hold {n}, but the file has {most} values in all"
        ))),
        Value::Array(items) => items.iter().try_for_each(|item| bounded(item, most)),
        Value::Object(fields) => fields.values().try_for_each(|value| bounded(value, most)),
        _ => Ok(()),
    }
}

fn unreadable(error: serde_json::Error) -> Error {
    Error::invalid(format!("{CONFIG_FILE}: `method`: {error}"))
}
