//! A run that was interrupted and goes on ends with the same bits as one that was not.

use crate::cases::{config, each_pair, models, object};
use crate::known::rows;
use offshoot_methods::{MethodConfig, Saves};
use offshoot_models::Model;
use offshoot_train::{Classifier, Error, Event, Every, Given, Score, Snapshots, Stop, TrainSettings, train};
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};

/// Three steps an epoch.
fn settings() -> TrainSettings {
    TrainSettings { epochs: 3, batch: 4, lr: Some(1e-2), ..TrainSettings::default() }
}

fn snapshots(folder: &Path) -> Snapshots {
    Snapshots { folder: folder.into(), every: Every::Steps(1), resume: true, stop: Stop::default() }
}

/// What a run ends with, and what it said on the way.
#[derive(Debug)]
struct End {
    values: Vec<f32>,
    scores: Vec<Score>,
    last_losses: f64,
    best_epoch: usize,
    counted: (u64, u64, u64),
    events: Vec<Event>,
}

impl End {
    /// Whether two runs have the same bits.
    fn equals(&self, other: &Self) -> bool {
        let bits = |end: &Self| {
            (end.values.clone(), end.scores.clone(), end.last_losses, end.best_epoch, end.counted)
        };
        bits(self) == bits(other)
    }

    fn resumed(&self) -> Option<(u64, &[String])> {
        self.events.iter().find_map(|event| match event {
            Event::Resumed { step, damaged } => Some((*step, damaged.as_slice())),
            _ => None,
        })
    }
}

/// Runs with states in `snapshots`, and stops after `last` steps if that is given.
fn run(
    model: &Model,
    config: &MethodConfig,
    settings: &TrainSettings,
    snapshots: Option<&Snapshots>,
    last: Option<u64>,
) -> Result<End, Error> {
    let mut classifier = Classifier::new(model, config, 3, settings.seed).unwrap();
    let (rows, validation) = (rows(1), rows(2));
    let states = snapshots.map(|all| all.of(config, settings));
    let given = Given { train: &rows, validation: &validation, states: None, snapshots: states, stop: None };
    let mut events = Vec::new();
    let outcome = train(&mut classifier, given, settings, &mut |event| {
        if let (Event::Step { step, .. }, Some(all)) = (&event, snapshots)
            && Some(*step) == last
        {
            all.stop.ask();
        }
        events.push(event);
    })?;
    Ok(End {
        values: classifier.params.snapshot().concat(),
        scores: outcome.epochs,
        last_losses: outcome.final_loss,
        best_epoch: outcome.best_epoch,
        counted: (outcome.steps, outcome.tokens, outcome.labelled),
        events,
    })
}

#[test]
fn an_interrupted_run_ends_with_the_same_bits() {
    each_pair(|model, config| {
        if config.saves() == Saves::Features {
            return Vec::new();
        }
        let whole = run(model, config, &settings(), None, None).unwrap();
        let mut objections = Vec::new();
        // At the end of an epoch, before it is measured; in the middle of two.
        for stops in [&[3][..], &[4, 8]] {
            let folder = tempfile::tempdir().unwrap();
            let snapshots = |folder| Snapshots { every: Every::Steps(u64::MAX), ..snapshots(folder) };
            for &last in stops {
                let stopped = run(model, config, &settings(), Some(&snapshots(folder.path())), Some(last));
                let right = matches!(stopped, Err(Error::Stopped { step, steps: 9 }) if step == last);
                objections.extend(object(right, || format!("not stopped after {last}")));
            }
            let end = run(model, config, &settings(), Some(&snapshots(folder.path())), None).unwrap();
            let from = end.resumed().map(|(step, _)| step);
            objections.extend(object(from == stops.last().copied(), || format!("went on from {from:?}")));
            objections.extend(object(end.equals(&whole), || format!("other bits after {stops:?}")));
        }
        objections
    });
}

/// A model and a method for what does not depend on them.
fn lora() -> (Model, MethodConfig) {
    (models().remove(0), MethodConfig::named("lora").unwrap())
}

/// A folder with the states of steps 4 and 5.
fn broken(model: &Model, config: &MethodConfig) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    assert!(run(model, config, &settings(), Some(&snapshots(folder.path())), Some(5)).is_err());
    let mut names: Vec<_> =
        fs::read_dir(folder.path().join("lora-8-seed0")).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["step-4", "step-5"], "the newest two, and nothing half-written");
    folder
}

fn flip(path: PathBuf, at: usize) {
    let mut bytes = fs::read(&path).unwrap();
    let at = at % bytes.len();
    bytes[at] ^= 0x10;
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_damaged_state_is_named_and_the_one_before_is_used() {
    let (model, config) = lora();
    let whole = run(&model, &config, &settings(), None, None).unwrap();
    for file in ["state.toml", "tensors.safetensors", "sha256"] {
        for at in [0, 77, 4001, usize::MAX] {
            let folder = broken(&model, &config);
            flip(folder.path().join("lora-8-seed0/step-5").join(file), at);
            let end = run(&model, &config, &settings(), Some(&snapshots(folder.path())), None).unwrap();
            let (step, damaged) = end.resumed().unwrap();
            assert_eq!((step, damaged.len()), (4, 1), "{file}, byte {at}");
            assert!(damaged[0].contains("step-5"), "{damaged:?}");
            assert!(end.equals(&whole), "{file}, byte {at}");
        }
    }
    let folder = broken(&model, &config);
    for step in [4, 5] {
        fs::remove_file(folder.path().join(format!("lora-8-seed0/step-{step}/sha256"))).unwrap();
    }
    let error = run(&model, &config, &settings(), Some(&snapshots(folder.path())), None).unwrap_err();
    assert!(error.to_string().contains("--restart"), "{error}");
}

#[test]
fn another_run_does_not_go_on_from_it() {
    let (model, lora) = lora();
    let folder = broken(&model, &lora);
    let refused = |config: &MethodConfig, settings: TrainSettings, said: &str| {
        let error = run(&model, config, &settings, Some(&snapshots(folder.path())), None).unwrap_err();
        assert!(error.to_string().contains(said), "`{said}` is not in: {error}");
    };
    refused(&lora, TrainSettings { lr: Some(2e-2), ..settings() }, "train.lr was 0.0");
    refused(&lora, TrainSettings { patience: Some(1), ..settings() }, "train.patience was unset and is 1");
    // Another rank is another run: a comparison makes one method as large as others.
    refused(&config(json!({"method": "lora", "alpha": 3.0})), settings(), "method.alpha was ");
    // Where results are kept does not change them.
    let elsewhere = TrainSettings { cache_limit: 0, ..settings() };
    assert!(run(&model, &lora, &elsewhere, Some(&snapshots(folder.path())), None).is_ok());
}

#[test]
fn nothing_is_begun_anew_over_an_unfinished_run() {
    let (model, config) = lora();
    let folder = broken(&model, &config);
    let anew = Snapshots { resume: false, ..snapshots(folder.path()) };
    assert!(anew.check().unwrap_err().to_string().contains("--resume"));
    anew.clear().unwrap();
    anew.check().unwrap();
    assert!(!folder.path().exists());
}
