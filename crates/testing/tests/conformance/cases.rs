//! What is checked: every method with its defaults, and with each setting that takes another path through its
//! code.

use crate::fixture::tiny;
use offshoot_core::Kind;
use offshoot_methods::{MethodConfig, Saves};
use offshoot_models::{Model, families};
use serde_json::{Value, json};

/// Settings beside the defaults.
fn variants() -> Vec<Value> {
    vec![
        json!({ "method": "prompt", "tokens": 3, "init": "normal" }),
        json!({ "method": "prefix", "tokens": 3, "init": "normal" }),
        json!({ "method": "houlsby", "width": 5, "norms": true, "dropout": 0.2 }),
        json!({ "method": "pfeiffer", "non_linearity": "gelu", "scaling": 0.5, "leave_out": [0, 1] }),
        json!({ "method": "parallel", "width": 5, "dropout": 0.2 }),
        json!({ "method": "lora", "rank": 3, "rs": true, "bias": true, "dropout": 0.2 }),
        json!({ "method": "lora", "targets": ["query", "key", "value", "output", "up", "down", "pooler"] }),
        json!({ "method": "dora", "targets": ["output", "down"], "only_layers": [1], "dropout": 0.2 }),
        json!({ "method": "ia3", "feedforward": ["down", "output"] }),
        json!({ "method": "llama-adapter", "layers": 3, "tokens": 2, "gate": "scalar" }),
        json!({ "method": "llama-adapter", "layers": 2, "tokens": 3, "gate": "heads-linear" }),
        json!({ "method": "read", "cell": "rnn", "aggregation": "last" }),
        json!({ "method": "read", "cell": "lstm", "scale": 0.5 }),
    ]
}

/// Every method with its defaults, then the variants.
pub(crate) fn configs() -> Vec<MethodConfig> {
    let defaults = MethodConfig::ALL
        .iter()
        .filter(|info| !matches!(info.saves, Saves::Fitted | Saves::Prompt))
        .map(|info| MethodConfig::named(info.name).unwrap());
    defaults.chain(variants().into_iter().map(config)).collect()
}

/// Those that a model has something for: BitFit trains biases, which LLaMA has none of.
pub(crate) fn configs_for(model: &Model) -> Vec<MethodConfig> {
    let is_bias = |kind| matches!(kind, Kind::Bias | Kind::NormBias);
    let has_bias = model.backbone.weights().iter().any(|weight| is_bias(weight.place().kind));
    configs().into_iter().filter(|config| has_bias || config.info().name != "bitfit").collect()
}

/// A method from its saved form.
pub(crate) fn config(settings: Value) -> MethodConfig {
    serde_json::from_value(settings).unwrap()
}

/// Every family's tiny model.
pub(crate) fn models() -> Vec<Model> {
    families().map(|(family, _)| tiny(family).unwrap()).collect()
}

/// Runs `check` on every pair and reports all that it objects to.
pub(crate) fn each_pair(check: impl Fn(&Model, &MethodConfig) -> Vec<String>) {
    let mut objections = Vec::new();
    for model in models() {
        for config in configs_for(&model) {
            let name = format!("{} {}", model.backbone.family(), serde_json::to_value(&config).unwrap());
            objections.extend(check(&model, &config).into_iter().map(|what| format!("{name}: {what}")));
        }
    }
    assert!(objections.is_empty(), "{} objections\n{}", objections.len(), objections.join("\n"));
}

/// An objection, unless all is well.
pub(crate) fn object(well: bool, what: impl FnOnce() -> String) -> Vec<String> {
    if well { Vec::new() } else { vec![what()] }
}
