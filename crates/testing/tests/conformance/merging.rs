//! A merged model computes what the model with its adapter does.

use crate::cases::{config, configs, configs_for};
use crate::fixture::{Fixture, distance};
use anyhow::Result;
use offshoot_core::{Batch, Device, Merge, NoAdapter, Params};
use offshoot_methods::{Merging, MethodConfig};
use offshoot_models::{LoadOptions, Model, Pooling, Task};
use serde_json::json;
use std::fs;
use std::path::Path;

/// A sum of products taken in another order, through at most four blocks, on states of order 1 to 10.
const SAME: f32 = 2e-4;
/// Far above that: the least that a perturbed adapter moves a state.
const MOVED: f32 = 1e-2;

/// Every tiny model: decoders as language models, the others as classifiers.
fn models() -> Vec<(String, Model)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/models");
    let mut names: Vec<String> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.ends_with("-score"))
        .collect();
    names.sort();
    assert!(names.len() >= 12, "{names:?}");
    let model = |name: String| {
        let pooling = if name.starts_with("bert") { Pooling::Pooler } else { Pooling::Cls };
        let options = match name.ends_with("-lm") {
            true => LoadOptions { task: Task::LanguageModel, ..LoadOptions::default() },
            false => LoadOptions { pooling: Some(pooling), ..LoadOptions::default() },
        };
        let model = Model::open(&folder.join(&name), &options, &Device::cpu()).unwrap();
        (name, model)
    };
    names.into_iter().map(model).collect()
}

/// Two texts of words that every model knows.
fn batch() -> Batch {
    let mut batch = Batch::new();
    for (row, length) in [(0, 9), (1, 4)] {
        let words: Vec<u32> = (0..length).map(|i| 5 + (37 * (i + 3 * row as u32)) % 90).collect();
        batch.push(&words, None, row).unwrap();
    }
    batch
}

/// The methods that merge, with settings in which no factor is 1.
fn mergeable(model: &Model) -> Vec<MethodConfig> {
    let slots = ["query", "key", "value", "output", "gate", "up", "down", "pooler"];
    let patterns = |values: [f64; 2]| {
        json!({
            "q_proj": values[0], "c_attn": values[0], "query": values[0], "q_lin": values[0],
            "1.mlp.down_proj": values[1], "1.mlp.c_proj": values[1], "1.output.dense": values[1],
        })
    };
    let ranks = json!({ "q_proj": 2, "c_attn": 2, "query": 2, "q_lin": 2, "1.mlp.up_proj": 5 });
    let more = [
        json!({ "method": "lora", "rank": 4, "alpha": 7.0, "targets": slots }),
        json!({ "method": "lora", "rank": 3, "alpha": 5.0, "rs": true, "targets": slots,
            "alpha_pattern": patterns([3.0, 11.0]), "rank_pattern": ranks }),
        json!({ "method": "dora", "rank": 3, "alpha": 5.0, "targets": slots }),
        json!({ "method": "ia3", "targets": ["query", "key", "value", "up", "gate"], "feedforward": ["down", "output"] }),
    ];
    let own = configs_for(model).into_iter().filter(|config| config.info().merging == Merging::Weights);
    own.filter(|config| !adds_bias(config)).chain(more.map(config)).collect()
}

fn adds_bias(config: &MethodConfig) -> bool {
    matches!(config, MethodConfig::Lora(lora) if lora.bias)
}

/// A method on a model with every value moved.
fn moved(model: &Model, config: &MethodConfig) -> Fixture {
    let mut fixture = Fixture::new(model, config, 3).unwrap();
    fixture.perturb(0.1, 4).unwrap();
    fixture
}

/// The merged model, with every weight that files would hold checked against it.
fn merged(fixture: &Fixture) -> Result<Fixture> {
    let merge = Merge::new(fixture.backbone.as_ref(), fixture.adapter.as_ref(), &fixture.params)?;
    let backbone = merge.backbone()?;
    let none = Params::new();
    for weight in backbone.weights() {
        let (file, memory) = (merge.value(weight_of(fixture, weight.name()))?, weight.value(&none));
        assert_eq!((file.shape(), file.to_vec()), (memory.shape(), memory.to_vec()), "{}", weight.name());
    }
    Ok(Fixture { backbone, adapter: Box::new(NoAdapter), params: none, device: fixture.device.clone() })
}

fn weight_of<'a>(fixture: &'a Fixture, name: &str) -> &'a offshoot_core::Weight {
    fixture.backbone.weights().into_iter().find(|weight| weight.name() == name).unwrap()
}

#[test]
fn merged_equals_adapted() {
    let batch = batch();
    let mut objections = Vec::new();
    for (name, model) in models() {
        let plain = Fixture::plain(&model).values(&batch).unwrap();
        for config in mergeable(&model) {
            let fixture = moved(&model, &config);
            let adapted = fixture.values(&batch).unwrap();
            let merged = merged(&fixture).unwrap().values(&batch).unwrap();
            let (off, change) = (distance(&adapted, &merged), distance(&adapted, &plain));
            if off > SAME || (fixture.params.count() > 0 && change < MOVED) {
                let settings = serde_json::to_value(&config).unwrap();
                objections.push(format!("{name} {settings}: off by {off} after a change of {change}"));
            }
        }
    }
    assert!(objections.is_empty(), "{}", objections.join("\n"));
}

#[test]
fn a_bias_is_merged_where_there_is_one_and_refused_where_there_is_none() {
    let batch = batch();
    let config =
        config(json!({ "method": "lora", "rank": 2, "alpha": 3.0, "bias": true, "targets": ["value"] }));
    for (name, model) in models() {
        let fixture = moved(&model, &config);
        let biased = model
            .backbone
            .projections()
            .iter()
            .any(|(site, linear)| site.slot != offshoot_core::Slot::Output && linear.bias.is_some());
        match merged(&fixture) {
            Ok(merged) => {
                assert!(biased, "{name}");
                let off = distance(&fixture.values(&batch).unwrap(), &merged.values(&batch).unwrap());
                assert!(off < SAME, "{name}: off by {off}");
            }
            Err(error) => {
                assert!(
                    !biased && error.to_string().contains("adds a bias to model.layers.0.self_attn.v_proj"),
                    "{name}: {error}"
                );
            }
        }
    }
}

#[test]
fn a_method_that_cannot_be_merged_says_why() {
    for config in configs() {
        match (config.info().merging, config.check_merging()) {
            (Merging::Weights, checked) => checked.unwrap(),
            (Merging::Never(reason), checked) => {
                let (said, name) = (checked.unwrap_err().to_string(), config.info().name);
                assert_eq!(said, format!("`{name}` cannot be merged: {reason}"));
                assert!(reason.len() > 20 && !reason.ends_with('.'), "{reason}");
            }
        }
    }
    let merging = |name: &str| MethodConfig::named(name).unwrap().check_merging().is_ok();
    assert!(["lora", "dora", "ia3"].into_iter().all(merging));
}
