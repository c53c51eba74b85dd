//! What was computed once and kept gives the same training, bit for bit, as computing it again.

use crate::cases::{config, each_pair, models, object};
use crate::fixture::is_decoder;
use offshoot_core::Rng;
use offshoot_methods::{MethodConfig, Saves};
use offshoot_models::Model;
use offshoot_train::{Classifier, Depth, Given, Limits, Row, Score, States, TrainSettings, train};
use serde_json::json;
use std::path::Path;

/// Rows of 3 to 12 tokens; two of them are the same.
pub(crate) fn rows(seed: u64) -> Vec<Row> {
    let mut rng = Rng::new(seed);
    let mut row = |line: u64| {
        let ids: Vec<u32> = (0..3 + rng.below(10)).map(|_| 10 + rng.below(80) as u32).collect();
        Row { types: vec![0; ids.len()], ids, label: ((line % 3) as u32).into(), line, truncated: false }
    };
    let mut rows: Vec<Row> = (0..11).map(&mut row).collect();
    rows.push(Row { line: 11, ..rows[4].clone() });
    rows
}

/// What a run ends with: its values and its scores on validation rows, and how far up it was known.
fn run(model: &Model, config: &MethodConfig, states: Option<&States>) -> (Vec<f32>, Vec<Score>, Depth) {
    let settings = TrainSettings { epochs: 3, batch: 4, lr: Some(1e-2), ..TrainSettings::default() };
    let mut classifier = Classifier::new(model, config, 3, 5).unwrap();
    let (rows, validation) = (rows(1), rows(2));
    let given = Given { train: &rows, validation: &validation, states, snapshots: None, stop: None };
    let outcome = train(&mut classifier, given, &settings, &mut |_| {}).unwrap();
    (classifier.params.snapshot().concat(), outcome.epochs, outcome.depth)
}

fn limits(memory: u64, total: u64, folder: Option<&Path>) -> Limits {
    Limits { memory, total, folder: folder.map(Into::into) }
}

#[test]
fn training_has_the_same_bits_with_what_is_known() {
    each_pair(|model, config| {
        if config.saves() == Saves::Features {
            return Vec::new();
        }
        let states = States::new(limits(1 << 20, 1 << 20, None), false);
        let (values, scores, _) = run(model, config, None);
        let (known_values, known_scores, depth) = run(model, config, Some(&states));
        let kept = states.bytes().0 > 0;
        let mut objections = object(values == known_values, || "other values".to_owned());
        objections.extend(object(scores == known_scores, || "other scores".to_owned()));
        objections.extend(object(kept == (depth != Depth::Nothing), || format!("{depth:?}, kept: {kept}")));
        objections
    });
}

#[test]
fn so_much_is_known() {
    let blocks = |blocks, all| Depth::Blocks { blocks, all };
    let cases = [
        (json!({ "method": "head" }), Depth::Pooled),
        (json!({ "method": "last-layers" }), blocks(2, false)),
        (json!({ "method": "llama-adapter", "layers": 1 }), blocks(2, false)),
        (json!({ "method": "lora", "only_layers": [1, 2] }), blocks(1, false)),
        (json!({ "method": "read" }), blocks(3, true)),
        (json!({ "method": "lora" }), Depth::Nothing),
        (json!({ "method": "prompt" }), Depth::Nothing),
        (json!({ "method": "prefix" }), Depth::Nothing),
        (json!({ "method": "full" }), Depth::Nothing),
    ];
    for model in models().iter().filter(|model| model.backbone.shape().layers == 3) {
        for (settings, expected) in &cases {
            let classifier = Classifier::new(model, &config(settings.clone()), 3, 5).unwrap();
            let depth = Depth::of(&classifier, &rows(1)[0]).unwrap();
            assert_eq!(depth, *expected, "{} {settings}", model.backbone.family());
        }
    }
}

/// Room for some rows only, in memory and in a file, and several methods on one store.
#[test]
fn partial_and_shared_knowledge_changes_nothing() {
    let model = models().into_iter().find(|model| !is_decoder(model)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    for limits in [
        limits(3000, 3000, None),
        limits(3000, 20_000, Some(folder.path())),
        limits(0, 1 << 20, Some(folder.path())),
    ] {
        let states = States::new(limits.clone(), true);
        for settings in [
            json!({ "method": "read" }),
            json!({ "method": "last-layers" }),
            json!({ "method": "head" }),
            json!({ "method": "llama-adapter", "layers": 1 }),
        ] {
            let config = config(settings.clone());
            let (values, scores, _) = run(&model, &config, None);
            let (known_values, known_scores, _) = run(&model, &config, Some(&states));
            assert!(values == known_values, "values of {settings}, {limits:?}");
            assert!(scores == known_scores, "scores of {settings}, {limits:?}: {scores:?} {known_scores:?}");
        }
        let (memory, file) = states.bytes();
        assert!(memory <= limits.memory && memory + file <= limits.total && memory + file > 0);
        assert_eq!(states.problem(), None);
    }
}
