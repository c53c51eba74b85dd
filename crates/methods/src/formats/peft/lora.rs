//! peft's LORA: `lora_A.weight` `[rank, in]`, `lora_B.weight` `[out, rank]`, `lora_B.bias` `[out]` per
//! module.
//!
//! The tensors say which modules have an update; `target_modules` and its companions only say it again. Keys
//! of `rank_pattern` and `alpha_pattern` are regular expressions in peft, and module paths or their ends
//! here. Where several fit a module, the first one counts; peft writes them sorted, and ours always are.

use super::{Given, Loaded, MODULES, Written, input_major, prefixed, unknown_tensors};
use crate::formats::fields::Fields;
use crate::formats::sites::{Choice, endings, ends_at_dot, modules};
use crate::formats::{CONFIG_FILE, Export, Tensors, decimal};
use crate::{MethodConfig, dora, lora};
use offshoot_core::{Backbone, Error, Result, Site};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

const TYPE: &str = "LORA";
const SUFFIXES: [&str; 3] = [".lora_A.weight", ".lora_B.weight", ".lora_B.bias"];
/// The end of DoRA's name, without `.weight` in the file.
const MAGNITUDE: &str = ".lora_magnitude_vector";

/// Fields that choose modules, which the tensors' names do, and those that only concern initialisation,
/// training or a feature that is refused where it is switched on.
const INERT: &[&str] = &[
    "corda_config",
    "ensure_weight_tying",
    "eva_config",
    "exclude_modules",
    "layers_pattern",
    "layers_to_transform",
    "loftq_config",
    "lora_ga_config",
    "megatron_core",
    "qalora_group_size",
    "runtime_config",
    "target_modules",
];

pub(super) fn export(export: &Export<'_>, settings: &lora::Config, dora: bool) -> Result<Written> {
    literal_patterns(settings)?;
    let tensors: Vec<_> = export.own().into_iter().map(|tensor| prefixed(MODULES, tensor)).collect();
    let names = tensors.iter().filter_map(|tensor| tensor.name.strip_prefix(MODULES));
    let fields = json!({
        "alpha_pattern": numbers(&settings.alpha_pattern),
        "bias": "none",
        "fan_in_fan_out": input_major(export.backbone),
        "init_lora_weights": true,
        "layers_pattern": null,
        "layers_to_transform": null,
        "lora_alpha": number(settings.alpha),
        "lora_bias": settings.bias,
        "lora_dropout": decimal(settings.dropout),
        "r": settings.rank,
        "rank_pattern": settings.rank_pattern,
        "target_modules": targets(export.backbone, names),
        "use_dora": dora,
        "use_rslora": settings.rs,
    });
    Ok(Written { peft_type: TYPE, fields, prefix: MODULES, tensors, network: Vec::new() })
}

/// The shortest `target_modules` that give exactly the modules of these tensors.
fn targets<'a>(backbone: &dyn Backbone, names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let wanted: BTreeSet<_> = names.filter_map(module_of).map(str::to_string).collect();
    let all: Vec<_> = modules(backbone).into_keys().collect();
    endings(&all, &wanted, ends_at_dot)
}

/// A number as Python writes it: whole numbers without a fraction.
fn number(value: f64) -> Value {
    // Every whole f64 of this size is exact as an integer.
    const EXACT: f64 = 9e15;
    if value.fract() == 0.0 && value.abs() < EXACT { json!(value as i64) } else { json!(value) }
}

fn numbers(values: &BTreeMap<String, f64>) -> BTreeMap<&str, Value> {
    values.iter().map(|(key, value)| (key.as_str(), number(*value))).collect()
}

pub(super) fn import(mut fields: Fields<'_>, given: Given<'_>) -> Result<Loaded> {
    let (settings, is_dora) = settings(&mut fields, given.backbone)?;
    fields.finish()?;
    let sites = sites(&given.tensors, given.backbone)?;
    let Choice { targets, only_layers } = Choice::of(given.backbone, &sites)?;
    let settings = lora::Config { targets, only_layers, ..settings };
    let method = match is_dora {
        true => MethodConfig::Dora(dora::Config(settings)),
        false => MethodConfig::Lora(settings),
    };
    Ok(Loaded { method, values: given.tensors, notes: Vec::new() })
}

/// All settings but the sites, and whether it is DoRA.
fn settings(fields: &mut Fields<'_>, backbone: &dyn Backbone) -> Result<(lora::Config, bool)> {
    fields.inert(INERT);
    fields.must_be("bias", "none", "the backbone's biases stay frozen");
    fields.must_be("fan_in_fan_out", backbone.input_major_files(), "this model's files hold its weights so");
    initialisation(fields);
    let count = |value: &Value| value.as_u64().and_then(|n| usize::try_from(n).ok());
    let ranks = fields.table("rank_pattern", "a table of whole numbers", count);
    let alphas = fields.table("alpha_pattern", "a table of numbers", Value::as_f64);
    let settings = lora::Config {
        rank: fields.count("r", 8),
        alpha: fields.number("lora_alpha", 8.0),
        rs: fields.flag("use_rslora", false),
        dropout: fields.number("lora_dropout", 0.0) as f32,
        bias: fields.flag("lora_bias", false),
        rank_pattern: sorted("rank_pattern", ranks, backbone)?,
        alpha_pattern: sorted("alpha_pattern", alphas, backbone)?,
        ..lora::Config::default()
    };
    literal_patterns(&settings)?;
    Ok((settings, fields.flag("use_dora", false)))
}

/// How the adapter was initialised does not matter any more, unless that changed the frozen weights too.
fn initialisation(fields: &mut Fields<'_>) {
    const HARMLESS: [&str; 4] = ["gaussian", "eva", "orthogonal", "mica"];
    let value = fields.get("init_lora_weights");
    let changes_base = value.and_then(Value::as_str).is_some_and(|name| !HARMLESS.contains(&name));
    if changes_base {
        fields.refuse(
            "init_lora_weights",
            "changed the base model's weights before training, so the adapter does not fit the original \
             ones; save it with peft's `path_initial_model_for_weight_conversion`, which converts it to an \
             ordinary LoRA",
        );
    }
}

/// Refuses keys that only mean something as regular expressions.
fn literal_patterns(settings: &lora::Config) -> Result<()> {
    literal("rank_pattern", settings.rank_pattern.keys())?;
    literal("alpha_pattern", settings.alpha_pattern.keys())
}

fn literal<'a>(field: &str, mut keys: impl Iterator<Item = &'a String>) -> Result<()> {
    let literal = |key: &str| key.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
    match keys.find(|key| !literal(key)) {
        None => Ok(()),
        Some(key) => Err(Error::invalid(format!(
            "{CONFIG_FILE}: the key {key:?} of `{field}` is a regular expression; a module's path or its \
             end after a dot is needed"
        ))),
    }
}

/// A pattern in the order of its keys.
///
/// # Errors
/// If another of the keys that fit a module comes first in the file, where peft takes the first.
fn sorted<T>(field: &str, entries: Vec<(String, T)>, backbone: &dyn Backbone) -> Result<BTreeMap<String, T>> {
    for module in modules(backbone).keys() {
        let fitting = entries.iter().map(|(key, _)| key).filter(|key| ends_at_dot(module, key));
        let (first, least) = (fitting.clone().next(), fitting.min());
        if let (Some(first), Some(least)) = (first, least)
            && first != least
        {
            return Err(Error::invalid(format!(
                "{CONFIG_FILE}: two keys of `{field}`, {first:?} and {least:?}, fit {module} and are \
                 not sorted; leave one that does"
            )));
        }
    }
    Ok(entries.into_iter().collect())
}

/// The sites of the tensors.
fn sites(tensors: &Tensors, backbone: &dyn Backbone) -> Result<BTreeSet<Site>> {
    let modules = modules(backbone);
    let site = |name: &str| module_of(name).and_then(|module| modules.get(module)).copied();
    let unknown = tensors.keys().map(String::as_str).filter(|name| site(name).is_none());
    let known = format!(
        "lora_A.weight, lora_B.weight, lora_B.bias and lora_magnitude_vector at the projections of this {} \
         model",
        backbone.family()
    );
    unknown_tensors(TYPE, unknown, &known)?;
    Ok(tensors.keys().filter_map(|name| site(name)).collect())
}

fn module_of(name: &str) -> Option<&str> {
    SUFFIXES.iter().chain([&MAGNITUDE]).find_map(|suffix| name.strip_suffix(suffix))
}
