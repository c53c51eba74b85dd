//! A block that is computed again on the way back gives the same training, bit for bit, from less memory.

use crate::cases::{each_pair, object};
use crate::known::rows;
use offshoot_methods::{MethodConfig, Saves};
use offshoot_models::Model;
use offshoot_train::{Classifier, Event, Given, MemoryPlan, TrainSettings, train};

/// What a run with dropout ends with: its values and losses; and the most memory that it used.
fn run(model: &Model, config: &MethodConfig, recompute: usize) -> (Vec<f32>, f64, u64) {
    let settings =
        TrainSettings { epochs: 2, batch: 4, lr: Some(1e-2), recompute, ..TrainSettings::default() };
    let mut classifier = Classifier::new(model, config, 3, 5).unwrap();
    classifier.device().restart_peak();
    let outcome = train(&mut classifier, Given::rows(&rows(1)), &settings, &mut |_| {}).unwrap();
    let most = classifier.device().pool_stats().most_used_bytes;
    (classifier.params.snapshot().concat(), outcome.final_loss, most)
}

#[test]
fn training_has_the_same_bits_when_blocks_are_computed_again() {
    each_pair(|model, config| {
        if config.saves() == Saves::Features {
            return Vec::new();
        }
        let (values, loss, _) = run(model, config, 0);
        let mut objections = Vec::new();
        for blocks in [1, 2, usize::MAX] {
            let (again, loss_again, _) = run(model, config, blocks);
            objections.extend(object(values == again, || format!("other values with {blocks}")));
            objections.extend(object(loss == loss_again, || format!("loss {loss}, {loss_again}")));
        }
        objections
    });
}

#[test]
fn steps_use_about_what_was_planned() {
    each_pair(|model, config| {
        if config.saves() == Saves::Features {
            return Vec::new();
        }
        let mut objections = Vec::new();
        for recompute in [0, 1, 3] {
            let settings = TrainSettings { epochs: 1, batch: 4, recompute, ..TrainSettings::default() };
            let mut classifier = Classifier::new(model, config, 3, 5).unwrap();
            let before = classifier.device().pool_stats().used_bytes;
            let mut planned = MemoryPlan::default();
            let mut watch = |event| {
                if let Event::Planned(plan) = event {
                    planned = plan;
                }
            };
            train(&mut classifier, Given::rows(&rows(1)), &settings, &mut watch).unwrap();
            let used = classifier.device().pool_stats().most_used_bytes - before;
            // Gradients come out of the pool too. In models so small, how buffers are rounded up counts for much.
            let planned = planned.activations + planned.adapter / 2;
            let fits = (used * 7 / 10..=used * 5 / 2).contains(&planned);
            objections.extend(object(fits, || format!("{planned} bytes planned, {used} used ({recompute})")));
        }
        objections
    });
}

#[test]
fn recomputation_saves_what_the_lower_blocks_keep() {
    let lora = MethodConfig::named("lora").unwrap();
    for model in crate::cases::models().iter().filter(|model| model.backbone.shape().layers == 3) {
        let most = [0, 1, 2].map(|blocks| run(model, &lora, blocks).2);
        assert!(most[0] > most[1] && most[1] > most[2], "{}: {most:?}", model.backbone.family());
    }
}
