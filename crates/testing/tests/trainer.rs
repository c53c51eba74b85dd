//! What the training loop promises, on a tiny real checkpoint.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

use offshoot_core::{Device, Rng};
use offshoot_methods::MethodConfig;
use offshoot_models::Model;
use offshoot_train::{
    Classifier, Error, Event, Given, Labelled, Outcome, Row, TrainSettings, fit_features, measure, softmax,
    train,
};
use std::path::Path;

/// Two orders of the same f32 sums, twelve Adam steps apart.
const SAME: f32 = 2e-4;

fn model() -> Model {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/models/bert-cls");
    Model::load(&folder, None, &Device::cpu()).unwrap()
}

/// Rows whose class is told by one of their tokens.
fn rows(count: usize, seed: u64) -> Vec<Row> {
    let mut rng = Rng::new(seed);
    let row = |line: usize| {
        let label = line % 3;
        let mut ids: Vec<u32> = (0..4 + rng.below(8)).map(|_| 50 + rng.below(100) as u32).collect();
        ids.insert(1, 10 + label as u32);
        Row {
            types: vec![0; ids.len()],
            ids,
            label: (label as u32).into(),
            line: line as u64 + 2,
            truncated: false,
        }
    };
    (0..count).map(row).collect()
}

fn settings() -> TrainSettings {
    TrainSettings { epochs: 2, batch: 8, lr: Some(1e-2), ..TrainSettings::default() }
}

fn run(method: &str, rows: &[Row], validation: &[Row], settings: &TrainSettings) -> (Classifier, Outcome) {
    let method = MethodConfig::named(method).unwrap();
    let mut classifier = Classifier::new(&model(), &method, 3, settings.seed).unwrap();
    let outcome = train(
        &mut classifier,
        Given { train: rows, validation, states: None, snapshots: None, stop: None },
        settings,
        &mut |_| {},
    )
    .unwrap();
    (classifier, outcome)
}

fn largest_difference(a: &Classifier, b: &Classifier) -> f32 {
    let pairs = a.params.snapshot().concat().into_iter().zip(b.params.snapshot().concat());
    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn training_learns_what_can_be_learnt() {
    let (train_rows, test_rows) = (rows(120, 1), rows(60, 2));
    let settings = TrainSettings { epochs: 8, ..settings() };
    for method in ["full", "lora"] {
        let (classifier, outcome) = run(method, &train_rows, &[], &settings);
        let accuracy = measure(&classifier, &test_rows, 1000).unwrap().accuracy;
        assert!(accuracy > 0.8, "{method}: {accuracy}");
        assert_eq!((outcome.steps, outcome.epoch_seconds.len()), (120, 8));
        let tokens: usize = train_rows.iter().map(|row| row.ids.len()).sum();
        assert_eq!(outcome.tokens, 8 * tokens as u64, "virtual and padding tokens are not counted");
        let squares: usize = train_rows.iter().map(|row| row.ids.len().pow(2)).sum();
        assert_eq!((outcome.labelled, outcome.squared_lengths), (8 * 120, 8 * squares as u64));
    }
}

fn labelled(rows: &[Row]) -> Labelled<'_> {
    Labelled { rows, objective: 3.into(), weights: &[], states: None, tokens: 1000, seed: 0, xgboost: &[] }
}

#[test]
fn features_are_solved_to_their_minimum() {
    let rows = rows(60, 1);
    let fit = |l2: f64| {
        let method = serde_json::json!({"method": "features", "l2": l2});
        let method: MethodConfig = serde_json::from_value(method).unwrap();
        let (classifier, outcome) = fit_features(&model(), &method, &labelled(&rows), |_| {}).unwrap();
        let measured = measure(&classifier, &rows, 1000).unwrap().loss;
        assert!((outcome.final_loss - measured).abs() < 1e-4, "the head holds the solution");
        outcome.final_loss
    };
    // More columns than can fit by chance: without a penalty the classes come apart, with a large one nothing
    // moves.
    let (free, held, chance) = (fit(1e-3), fit(1e5), 3.0_f64.ln());
    assert!(free < 0.8 * chance && (held - chance).abs() < 0.01, "{free} {held}");
    let lora = MethodConfig::named("lora").unwrap();
    assert!(fit_features(&model(), &lora, &labelled(&rows), |_| {}).is_err());
}

#[test]
fn the_same_seed_gives_the_same_bits_and_another_seed_others() {
    let rows = rows(30, 1);
    let first = run("lora", &rows, &[], &settings()).0;
    assert_eq!(largest_difference(&first, &run("lora", &rows, &[], &settings()).0), 0.0);
    let other = run("lora", &rows, &[], &TrainSettings { seed: 1, ..settings() }).0;
    assert!(largest_difference(&first, &other) > 0.0);
}

#[test]
fn the_loss_is_the_steps_mean_whatever_its_micro_batches() {
    let rows = rows(48, 1);
    let whole = run("lora", &rows, &[], &settings());
    let parts = run("lora", &rows, &[], &TrainSettings { batch_tokens: 20, ..settings() });
    let difference = largest_difference(&whole.0, &parts.0);
    assert!(difference < SAME, "{difference}");
    assert!((whole.1.final_loss - parts.1.final_loss).abs() < f64::from(SAME));
}

/// A step's loss is that of torch's `CrossEntropyLoss(weight=...)`: a mean over the sum of the labels' weights.
#[test]
fn class_weights_multiply_losses_and_divide_the_mean() {
    let (rows, weights) = (rows(24, 1), [1.0_f32, 5.0, 0.25]);
    let fit = |tokens: usize| {
        let settings =
            TrainSettings { epochs: 2, batch: 24, batch_tokens: tokens, dropout: false, ..settings() };
        let method = MethodConfig::named("lora").unwrap();
        let mut classifier = Classifier::new(&model(), &method, 3, 0).unwrap();
        let logits = classifier.evaluate(&rows, 1000, |_| ()).unwrap();
        classifier.class_weights = weights.to_vec();
        let outcome = train(&mut classifier, Given::rows(&rows), &settings, &mut |_| {}).unwrap();
        (classifier, outcome, logits)
    };
    let (whole, outcome, logits) = fit(1000);
    let (mut total, mut over) = (0.0, 0.0);
    for (row, logits) in rows.iter().zip(&logits) {
        let class = row.label.class().unwrap() as usize;
        let weight = f64::from(weights[class]);
        total -= weight * softmax(logits)[class].ln();
        over += weight;
    }
    assert!((outcome.losses[0] - total / over).abs() < 1e-5, "{} {}", outcome.losses[0], total / over);
    assert_eq!(outcome.labelled, 48, "rows are counted, not weighed");
    let difference = largest_difference(&whole, &fit(20).0);
    assert!(difference < SAME, "{difference}");
}

#[test]
fn the_best_epoch_is_kept() {
    let (train_rows, validation) = (rows(48, 1), rows(30, 2));
    // A rate this large gets worse again after a while.
    let settings = TrainSettings { epochs: 6, lr: Some(0.1), ..settings() };
    let (classifier, outcome) = run("full", &train_rows, &validation, &settings);
    let best = outcome.epochs.iter().filter_map(|m| m.accuracy()).fold(0.0, f64::max);
    assert_eq!(outcome.epochs.len(), 6);
    assert_eq!(outcome.epochs[outcome.best_epoch - 1].accuracy(), Some(best));
    assert_eq!(outcome.validation, Some(outcome.epochs[outcome.best_epoch - 1]));
    assert_eq!(measure(&classifier, &validation, 1000).unwrap().accuracy, best);
}

#[test]
fn patience_ends_a_run_that_gets_no_better() {
    let settings = TrainSettings { epochs: 40, lr: Some(1e-9), patience: Some(2), ..settings() };
    let (_, outcome) = run("head", &rows(24, 1), &rows(12, 2), &settings);
    assert!(outcome.epochs.len() < 40, "{}", outcome.epochs.len());
}

#[test]
fn a_value_that_is_not_finite_stops_before_the_update() {
    let rows = rows(16, 1);
    let method = MethodConfig::named("full").unwrap();
    let mut classifier = Classifier::new(&model(), &method, 3, 0).unwrap();
    let settings = TrainSettings { epochs: 20, lr: Some(1e25), warmup: 0.0, ..settings() };
    let mut done = 0;
    let outcome = train(&mut classifier, Given::rows(&rows), &settings, &mut |event| {
        if let Event::Step { step, .. } = event {
            done = step;
        }
    });
    let Err(Error::NotFinite { step, lines, .. }) = outcome else { panic!("it went on") };
    assert_eq!(step, done + 1, "the step that failed was not done");
    assert!(lines.len() == 8 && lines.iter().all(|line| (2..18).contains(line)), "{lines:?}");
    let values = classifier.params.snapshot().concat();
    assert!(values.iter().all(|value| value.is_finite()), "nothing was updated with it");
}

#[test]
fn settings_out_of_range_are_all_named() {
    let settings = TrainSettings { epochs: 0, batch: 0, lr: Some(-1.0), ..TrainSettings::default() };
    let message = settings.check().unwrap_err().to_string();
    assert!(["--epochs", "--batch", "--lr"].iter().all(|flag| message.contains(flag)), "{message}");
}
