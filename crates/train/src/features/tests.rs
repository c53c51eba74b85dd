//! Every classifier on features, on a tiny model: fitted, saved and read again.

use super::*;
use crate::Metrics;
use crate::checkpoint::{About, load, resume, save};
use offshoot_core::Device;
use offshoot_models::weights::{Pickles, Tensors};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use tempfile::{TempDir, tempdir};

fn model() -> Model {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testing/golden/models/bert-cls");
    Model::load(&folder, None, &Device::cpu()).unwrap()
}

/// Rows that are told apart by a token of their class's.
fn rows(n: usize, seed: u64) -> Vec<Row> {
    let mut rng = Rng::new(seed);
    let row = |i: usize| {
        let label = (i % 3) as u32;
        let mut ids = vec![2];
        ids.extend((0..6).map(|t| if t % 2 == 0 { 10 + label } else { 20 + rng.below(10) as u32 }));
        ids.push(3);
        Row { types: vec![0; ids.len()], ids, label: label.into(), line: i as u64, truncated: false }
    };
    (0..n).map(row).collect()
}

fn method(settings: Value) -> MethodConfig {
    serde_json::from_value(settings).unwrap()
}

/// The real library, out of `cargo xtask assets`.
fn xgboost() -> Vec<PathBuf> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/xgboost/xgboost/lib/libxgboost.so");
    if !file.exists() {
        eprintln!("not run: there is no {}; `cargo xtask assets` fetches it", file.display());
        return Vec::new();
    }
    vec![file]
}

/// Small ones of each kind; that which needs a library where it is here.
fn methods() -> Vec<MethodConfig> {
    let boosted = method(json!({ "method": "features-xgboost", "rounds": 20, "depth": 3 }));
    let mut methods = vec![
        method(json!({ "method": "features" })),
        method(json!({ "method": "features-mlp", "width": 16, "epochs": 30, "rate": 1e-2 })),
        method(json!({ "method": "features-knn" })),
        method(json!({ "method": "features-forest", "trees": 20 })),
    ];
    methods.extend((!xgboost().is_empty()).then_some(boosted));
    methods
}

fn fitted(model: &Model, method: &MethodConfig, seed: u64) -> (Classifier, Outcome) {
    let rows = rows(90, 1);
    let labelled = Labelled {
        rows: &rows,
        objective: 3.into(),
        weights: &[],
        states: None,
        tokens: 256,
        seed,
        xgboost: &xgboost(),
    };
    fit_features(model, method, &labelled, |_| {}).unwrap()
}

fn saved(model: &Model, method: &MethodConfig) -> (Classifier, TempDir) {
    let folder = tempdir().unwrap();
    let classifier = fitted(model, method, 1).0;
    let labels = ["bad", "fair", "good"].map(str::to_owned);
    let about = About { model_name: "some/model", labels: &labels, recipe: json!({}) };
    save(folder.path(), &classifier, model, about).unwrap();
    (classifier, folder)
}

#[test]
fn every_method_on_features_is_one_of_those_tried_here() {
    let all = MethodConfig::ALL.iter().filter(|info| matches!(info.saves, Saves::Features | Saves::Fitted));
    let all: Vec<&str> = all.map(|info| info.name).filter(|name| *name != "features-xgboost").collect();
    let tried: Vec<&str> = methods().iter().map(|method| method.info().name).collect();
    assert_eq!(tried[..all.len()], all);
}

#[test]
fn each_tells_new_rows_apart_and_says_what_it_is() {
    let model = model();
    for method in methods() {
        let name = method.info().name;
        let (classifier, outcome) = fitted(&model, &method, 1);
        let new = rows(60, 2);
        let labels: Vec<u32> = new.iter().filter_map(|row| row.label.class()).collect();
        let metrics = Metrics::of(&classifier.evaluate(&new, 256, |_| {}).unwrap(), &labels);
        assert!(metrics.accuracy > 0.9, "{name}: {metrics:?}");
        assert!(outcome.final_loss.is_finite() && outcome.tokens == 90 * 8, "{name}: {outcome:?}");
        let (own, all) = classifier.sizes();
        assert!(own > 0 && all > own && classifier.numbered_labels().len() == 3, "{name}: {own} {all}");
    }
}

#[test]
fn the_seed_decides_what_is_drawn() {
    let model = model();
    for method in methods() {
        let said = |seed| fitted(&model, &method, seed).0.evaluate(&rows(10, 3), 256, |_| {}).unwrap();
        let drawn = matches!(method.info().name, "features-mlp" | "features-forest" | "features-xgboost");
        assert_eq!(said(1), said(1));
        assert_eq!(said(1) != said(2), drawn, "{}", method.info().name);
    }
}

#[test]
fn each_is_the_same_after_saving_and_nothing_to_train_on_from() {
    let model = model();
    for method in methods() {
        let (before, folder) = saved(&model, &method);
        let after = load(folder.path(), &model, Pickles::Refuse).unwrap();
        let logits = |classifier: &Classifier| classifier.evaluate(&rows(20, 4), 256, |_| {}).unwrap();
        assert_eq!(logits(&after.classifier), logits(&before), "{}", method.info().name);
        assert_eq!(after.classifier.method, before.method, "with all that was chosen");
        assert_eq!(after.classifier.fitted, before.fitted);
        if method.saves() == Saves::Fitted {
            let refusal = resume(folder.path(), &model, 3, 0, Pickles::Refuse).err().unwrap().to_string();
            assert!(refusal.contains("nothing to train on from"), "{refusal}");
        }
    }
}

#[test]
fn a_head_in_a_fitted_classifiers_folder_is_not_taken_for_it() {
    let model = model();
    let (_, folder) = saved(&model, &methods()[2]);
    let labels = ["bad", "fair", "good"].map(str::to_owned);
    let about = About { model_name: "some/model", labels: &labels, recipe: json!({}) };
    save(folder.path(), &fitted(&model, &methods()[0], 1).0, &model, about).unwrap();
    let names: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!names.contains(&"classifier.safetensors".into()), "{names:?}");
    assert!(load(folder.path(), &model, Pickles::Refuse).unwrap().classifier.fitted.is_none());
}

#[test]
fn states_that_are_shared_change_nothing() {
    let model = model();
    let rows = rows(60, 1);
    let states = States::new(crate::Limits { memory: 1 << 24, total: 1 << 24, folder: None }, true);
    let fit = |states| {
        let labelled = Labelled {
            rows: &rows,
            objective: 3.into(),
            weights: &[],
            states,
            tokens: 256,
            seed: 1,
            xgboost: &[],
        };
        fit_features(&model, &methods()[3], &labelled, |_| {}).unwrap().0.fitted
    };
    let alone = fit(None);
    assert_eq!(fit(Some(&states)), alone);
    assert_eq!(fit(Some(&states)), alone, "by what the first left");
}

/// What the library itself says is what our reading of its trees says.
#[test]
fn trees_of_xgboost_answer_as_the_library_does() {
    let places = xgboost();
    if places.is_empty() {
        return;
    }
    let library = XgboostLibrary::load(&places).unwrap();
    let mut rng = Rng::new(3);
    let rows: Vec<Vec<f32>> = (0..300).map(|_| (0..5).map(|_| rng.normal() as f32).collect()).collect();
    let label = |row: &Vec<f32>| u32::from(row[0] * row[1] > 0.0) + u32::from(row[2] > 1.0);
    let labels: Vec<u32> = rows.iter().map(label).collect();
    let config = offshoot_methods::features_xgboost::Config { rounds: 7, ..Default::default() };
    let settings = boosted::settings(&config, 3, 1);
    let mut booster = xgboost::Booster::new(&library, (&rows, &labels), &settings).unwrap();
    (0..7).for_each(|_| booster.round().unwrap());
    let read = Boosted::of(&booster.model().unwrap(), 5, 3).unwrap();
    assert_eq!(read.rounds(), 7);
    let theirs = booster.ask(&rows).unwrap().logits(&booster).unwrap();
    for (theirs, ours) in theirs.iter().zip(boosted::all(&read, &rows)) {
        // The library adds in f32, and begins with the base score of every class.
        assert!(theirs.iter().zip(&ours).all(|(t, o)| (t - 0.5 - o).abs() < 1e-5), "{theirs:?} {ours:?}");
    }
}

#[test]
fn a_library_that_is_not_there_is_named_and_one_that_is_another_is_refused() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("libxgboost.so");
    std::fs::write(&file, "no library").unwrap();
    let refusal = XgboostLibrary::load(&[file]).err().unwrap().to_string();
    assert!(refusal.contains("pip install xgboost") && refusal.contains("libxgboost.so"), "{refusal}");
}

/// A tensor's name, and what is done to it.
type Damage = (&'static str, fn(&mut (Vec<usize>, Vec<f32>)));

/// A tensor of the file is changed; what comes of it.
fn altered(
    method: &MethodConfig,
    name: &str,
    change: impl Fn(&mut (Vec<usize>, Vec<f32>)),
) -> Result<Fitted> {
    let model = model();
    let (classifier, folder) = saved(&model, method);
    let file = folder.path().join("classifier.safetensors");
    let mut tensors: Tensors = offshoot_models::weights::read_tensors(&file).unwrap();
    change(tensors.get_mut(name).unwrap());
    Fitted::of(&tensors, &classifier.method, [model.backbone.shape().hidden, 3])
}

#[test]
fn a_file_that_leads_nowhere_is_refused() {
    let forest = method(json!({ "method": "features-forest", "trees": 2 }));
    let cases: [Damage; 8] = [
        ("forest.nodes", |t| t.1[0] = 1e9),
        ("forest.nodes", |t| t.1[0] = f32::NAN),
        ("forest.nodes", |t| t.1[2] = 0.0),
        ("forest.nodes", |t| t.1[2] = 1e9),
        ("forest.sizes", |t| t.1[0] += 1.0),
        ("forest.sizes", |t| t.1[0] = f32::INFINITY),
        ("forest.leaves", |t| t.1[0] = f32::NAN),
        ("forest.leaves", |t| t.0 = vec![t.1.len(), 1]),
    ];
    for (name, change) in cases {
        let refusal = altered(&forest, name, change).unwrap_err().to_string();
        assert!(refusal.contains("forest"), "{name}: {refusal}");
    }
    let knn = method(json!({ "method": "features-knn", "k": 3 }));
    let cases: [Damage; 4] = [
        ("neighbours.labels", |t| t.1[0] = 3.0),
        ("neighbours.labels", |t| t.1[0] = 0.5),
        ("neighbours.labels", |t| t.1.truncate(1)),
        ("neighbours.features", |t| t.0.swap(0, 1)),
    ];
    for (name, change) in cases {
        let refusal = altered(&knn, name, change).unwrap_err().to_string();
        assert!(refusal.contains("neighbours"), "{name}: {refusal}");
    }
}

/// Labels are the share of a row's tokens that are one of two, in a unit of its own.
fn numbered(n: usize, seed: u64) -> Vec<Row> {
    let mut rng = Rng::new(seed);
    let row = |i: usize| {
        let ids: Vec<u32> = (0..8).map(|_| 20 + 30 * rng.below(2) as u32).collect();
        let share = ids.iter().filter(|id| **id == 20).count() as f64 / 8.0;
        let label = (1900.0 + 200.0 * share).into();
        Row { types: vec![0; ids.len()], ids, label, line: i as u64, truncated: false }
    };
    (0..n).map(row).collect()
}

#[test]
fn numbers_are_fitted_in_their_own_unit_and_others_are_refused() {
    let (model, rows, new) = (model(), numbered(120, 1), numbered(60, 2));
    let fit = |method: &MethodConfig| {
        let objective = Objective::Number;
        let labelled = Labelled {
            rows: &rows,
            objective,
            weights: &[],
            states: None,
            tokens: 256,
            seed: 1,
            xgboost: &[],
        };
        fit_features(&model, method, &labelled, |_| {})
    };
    for method in &methods()[..2] {
        let (classifier, outcome) = fit(method).unwrap();
        let outputs = classifier.evaluate(&new, 256, |_| {}).unwrap();
        let score = Objective::Number.score(&outputs, new.iter().map(|row| &row.label));
        // The labels' variance is about 35².
        let (name, error) = (method.info().name, score.loss());
        assert!(error < 120.0 && outcome.final_loss < 120.0, "{name}: {error} {}", outcome.final_loss);
        let folder = tempdir().unwrap();
        let about = About { model_name: "some/model", labels: &[], recipe: json!({}) };
        save(folder.path(), &classifier, &model, about).unwrap();
        let again = load(folder.path(), &model, Pickles::Refuse).unwrap().classifier;
        assert_eq!(again.evaluate(&new, 256, |_| {}).unwrap(), outputs, "{name}");
    }
    for method in &methods()[2..] {
        let refused = fit(method).err().unwrap().to_string();
        assert!(refused.contains(method.info().name) && refused.contains("lora"), "{refused}");
    }
}
