//! Numbers as labels, on tiny models: learnt in any unit, saved as other programs read them, gone on from.

use super::*;
use crate::checkpoint::{About, load, resume, save};
use crate::data::Label;
use crate::rows::Row;
use crate::{Classifier, Every, NumberMetrics, Objective, Snapshots};
use offshoot_core::Device;
use offshoot_core::Rng;
use offshoot_methods::MethodConfig;
use offshoot_models::Model;
use offshoot_models::weights::{Pickles, read_tensors};
use serde_json::{Value, json};
use std::path::Path;
use tempfile::{TempDir, tempdir};

fn model(name: &str) -> Model {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testing/golden/models");
    Model::load(&golden.join(name), None, &Device::cpu()).unwrap()
}

/// Rows labelled with the share of their tokens that are the first of two, in a unit and from a start of its own.
fn rows(count: usize, seed: u64) -> Vec<Row> {
    let mut rng = Rng::new(seed);
    let row = |line: usize| {
        let tokens = 4 + rng.below(8);
        let ids: Vec<u32> = (0..tokens).map(|_| 20 + 30 * rng.below(2) as u32).collect();
        let share = ids.iter().filter(|id| **id == 20).count() as f64 / tokens as f64;
        let label = Label::Number(1900.0 + 200.0 * share);
        Row { types: vec![0; ids.len()], ids, label, line: line as u64 + 2, truncated: false }
    };
    (0..count).map(row).collect()
}

fn settings() -> TrainSettings {
    TrainSettings { epochs: 12, batch: 8, lr: Some(1e-2), ..TrainSettings::default() }
}

fn new(model: &Model, method: &str) -> Classifier {
    Classifier::new(model, &MethodConfig::named(method).unwrap(), Objective::Number, 1).unwrap()
}

fn trained(model: &Model, method: &str) -> (Classifier, Outcome) {
    let mut classifier = new(model, method);
    let (rows, validation) = (rows(160, 1), rows(40, 2));
    let given = Given { validation: &validation, ..Given::rows(&rows) };
    let outcome = train(&mut classifier, given, &settings(), &mut |_| {}).unwrap();
    (classifier, outcome)
}

fn said(classifier: &Classifier) -> Vec<f64> {
    let said = classifier.evaluate(&rows(60, 3), 512, |_| {}).unwrap();
    said.iter().map(|row| f64::from(row[0])).collect()
}

fn metrics(classifier: &Classifier) -> NumberMetrics {
    let wanted: Vec<f64> = rows(60, 3).iter().filter_map(|row| row.label.number()).collect();
    NumberMetrics::of(&said(classifier), &wanted)
}

fn saved(classifier: &Classifier, model: &Model) -> TempDir {
    let folder = tempdir().unwrap();
    save(
        folder.path(),
        classifier,
        model,
        About { model_name: "some/model", labels: &[], recipe: json!({}) },
    )
    .unwrap();
    folder
}

fn json_of(folder: &Path, name: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(folder.join(name)).unwrap()).unwrap()
}

/// With a bias in the head, without one, and with a head of two layers.
#[test]
fn numbers_are_learnt_in_their_own_unit_and_saved_as_they_are() {
    for (name, method) in [("bert-cls", "lora"), ("gpt2-score", "lora"), ("roberta-cls", "lora")] {
        let model = model(name);
        let (classifier, outcome) = trained(&model, method);
        let found = metrics(&classifier);
        // The labels' variance is about 40²; what is learnt explains nine tenths of it at least.
        assert!(found.mse < 160.0 && found.pearson > 0.95 && found.spearman > 0.9, "{name}: {found:?}");
        let (first, last) = (outcome.losses[0], outcome.final_loss);
        assert!(first > 400.0 && last < 160.0, "{name}: losses in the labels' unit: {first} {last}");
        let folder = saved(&classifier, &model);
        let again = load(folder.path(), &model, Pickles::Refuse).unwrap();
        assert_eq!(again.classifier.objective, Objective::Number);
        assert_eq!(said(&again.classifier), said(&classifier), "{name}");
        assert_eq!(again.card.unwrap().task, offshoot_models::Task::Regression);
    }
}

/// The layout that peft reads for `num_labels=1`: a head of one row that gives the numbers themselves.
#[test]
fn another_program_reads_the_same_numbers() {
    let model = model("bert-cls");
    let (classifier, _) = trained(&model, "lora");
    let folder = saved(&classifier, &model);
    let config = json_of(folder.path(), "adapter_config.json");
    assert_eq!(
        (&config["task_type"], &config["modules_to_save"]),
        (&json!("SEQ_CLS"), &json!(["classifier"]))
    );
    let tensors = read_tensors(&folder.path().join("adapter_model.safetensors")).unwrap();
    let (shape, weight) = &tensors["base_model.model.classifier.weight"];
    let bias = &tensors["base_model.model.classifier.bias"].1;
    assert_eq!((shape.as_slice(), bias.len()), ([1, 32].as_slice(), 1));
    let features = classifier.features(&rows(60, 3), 512, |_| {}).unwrap();
    for (features, said) in features.iter().zip(said(&classifier)) {
        let dot: f64 = features.iter().zip(weight).map(|(x, w)| f64::from(x * w)).sum();
        // Numbers near 2000 in f32.
        assert!((dot + f64::from(bias[0]) - said).abs() < 2e-3, "{dot} {bias:?} {said}");
    }
    // Without our card it is a regression all the same, as in transformers.
    std::fs::remove_file(folder.path().join("offshoot.json")).unwrap();
    let foreign = load(folder.path(), &model, Pickles::Refuse).unwrap().classifier;
    assert_eq!((foreign.objective, said(&foreign)), (Objective::Number, said(&classifier)));
    assert!(foreign.numbered_labels().is_empty());
}

#[test]
fn adapterhub_and_whole_checkpoints_have_one_output() {
    let model = model("bert-cls");
    let folder = saved(&new(&model, "pfeiffer"), &model);
    let head = json_of(folder.path(), "head_config.json");
    assert_eq!((&head["num_labels"], &head["label2id"]), (&json!(1), &json!({ "LABEL_0": 0 })));
    let (classifier, _) = trained(&model, "full");
    let folder = saved(&classifier, &model);
    let config = json_of(folder.path(), "config.json");
    assert_eq!(
        (&config["problem_type"], &config["id2label"]),
        (&json!("regression"), &json!({ "0": "LABEL_0" }))
    );
    let whole = Model::load(folder.path(), Some(model.pooling), &Device::cpu()).unwrap();
    // Its head is the checkpoint's own: a method that has learnt nothing says what was learnt.
    let untrained = new(&whole, "lora");
    assert!(metrics(&untrained).mse < 160.0, "{:?}", metrics(&untrained));
    for (a, b) in said(&untrained).iter().zip(said(&classifier)) {
        assert!((a - b).abs() < 0.01, "{a} {b}");
    }
}

/// Training on from an adapter begins where it was: a head in the labels' unit is brought to the scale and back.
#[test]
fn a_head_is_gone_on_from() {
    let model = model("bert-cls");
    let (classifier, _) = trained(&model, "lora");
    let folder = saved(&classifier, &model);
    let mut loaded = resume(folder.path(), &model, Objective::Number, 0, Pickles::Refuse).unwrap();
    assert!(loaded.notes.is_empty(), "{:?}", loaded.notes);
    let still = TrainSettings { epochs: 1, lr: Some(1e-12), weight_decay: 0.0, ..settings() };
    // Labels of another mean and deviation, so that the scale is another.
    let mut other = rows(40, 5);
    other.iter_mut().for_each(|row| row.label = Label::Number(row.label.number().unwrap() * 3.0 - 50.0));
    train(&mut loaded.classifier, Given::rows(&other), &still, &mut |_| {}).unwrap();
    for (a, b) in said(&loaded.classifier).iter().zip(said(&classifier)) {
        assert!((a - b).abs() < 0.02, "{a} {b}");
    }
    let classes = resume(folder.path(), &model, 3, 0, Pickles::Refuse).unwrap();
    assert!(classes.notes[0].contains("none for classification into 3 classes"), "{:?}", classes.notes);
}

#[test]
fn a_stopped_run_goes_on_bit_for_bit() {
    let (model, folder) = (model("bert-cls"), tempdir().unwrap());
    let (rows, validation) = (rows(80, 1), rows(20, 2));
    let settings = TrainSettings { epochs: 3, patience: Some(2), ..settings() };
    let run = |kept: Option<&Snapshots>, stop_at: u64| {
        let mut classifier = new(&model, "lora");
        let snapshots = kept.map(|all| all.of(&classifier.method, &settings));
        let stop = kept.map(|all| &all.stop);
        let given = Given { validation: &validation, snapshots, stop, ..Given::rows(&rows) };
        let done = train(&mut classifier, given, &settings, &mut |event| {
            if let (Event::Step { step, .. }, Some(stop)) = (event, stop)
                && step == stop_at
            {
                stop.ask();
            }
        });
        (classifier, done)
    };
    let all = || Snapshots {
        folder: folder.path().into(),
        every: Every::Steps(1),
        resume: true,
        stop: Stop::default(),
    };
    let whole = run(None, 0);
    assert!(matches!(run(Some(&all()), 13).1, Err(Error::Stopped { step: 13, .. })));
    let (classifier, outcome) = run(Some(&all()), 0);
    let outcome = outcome.unwrap();
    assert_eq!(classifier.params.snapshot(), whole.0.params.snapshot());
    let whole = whole.1.unwrap();
    assert_eq!(
        (outcome.losses, outcome.epochs, outcome.best_epoch),
        (whole.losses, whole.epochs, whole.best_epoch)
    );
}

#[test]
fn the_best_epoch_is_that_with_the_least_error() {
    let (_, outcome) = trained(&model("bert-cls"), "lora");
    let least = outcome.epochs.iter().map(Score::loss).fold(f64::INFINITY, f64::min);
    assert_eq!(outcome.validation.unwrap().loss(), least);
    assert_eq!(outcome.epochs[outcome.best_epoch - 1].loss(), least);
}
