//! Where training starts.

use crate::cases::{config, each_pair, models, object};
use crate::fixture::{Fixture, batch, distance};
use offshoot_core::optim::AdamW;
use serde_json::json;

/// Far above the rounding of three blocks on states of order 1, far below what a method that disturbs the
/// model does.
const SAME: f32 = 1e-5;

#[test]
fn a_method_starts_as_the_backbone_exactly_where_it_says_so() {
    let batch = batch(&[(1, 9), (2, 4)]).unwrap();
    each_pair(|model, config| {
        let plain = Fixture::plain(model).values(&batch).unwrap();
        let adapted = Fixture::new(model, config, 3).unwrap().values(&batch).unwrap();
        let moved = distance(&plain, &adapted);
        let says = config.info().starts_as_identity;
        object((moved < SAME) == says, || format!("moves a state by {moved}, and says identity: {says}"))
    });
}

#[test]
fn a_method_that_trains_anything_changes_the_model() {
    let batch = batch(&[(1, 9), (2, 4)]).unwrap();
    each_pair(|model, config| {
        let mut fixture = Fixture::new(model, config, 3).unwrap();
        if fixture.params.count() == 0 {
            return Vec::new();
        }
        let before = fixture.values(&batch).unwrap();
        fixture.perturb(0.1, 4).unwrap();
        let moved = distance(&before, &fixture.values(&batch).unwrap());
        object(moved > SAME, || format!("its parameters move a state by {moved} only"))
    });
}

/// A public implementation kept the prompts' keys in the model, made once before training, and so trained
/// nothing but the gates: both have to move.
#[test]
fn llama_adapter_starts_bit_for_bit_and_trains_gates_and_prompts() {
    let batch = batch(&[(1, 9), (2, 4)]).unwrap();
    for model in models() {
        for gate in ["heads", "heads-linear", "scalar"] {
            let config = config(json!({ "method": "llama-adapter", "layers": 2, "gate": gate }));
            let mut fixture = Fixture::new(&model, &config, 3).unwrap();
            let bits = |values: Vec<f32>| values.into_iter().map(f32::to_bits).collect::<Vec<_>>();
            let plain = bits(Fixture::plain(&model).values(&batch).unwrap());
            let name = format!("{} {gate}", model.backbone.family());
            assert!(bits(fixture.values(&batch).unwrap()) == plain, "{name}: not the backbone's own bits");
            let start = fixture.params.snapshot();
            let mut optimizer = AdamW::new(&fixture.params);
            // The first step opens the gates; only then does a gradient reach the prompts.
            for _ in 0..2 {
                fixture.values(&batch).unwrap();
                fixture.backward(&batch).unwrap();
                fixture.step(&mut optimizer).unwrap();
            }
            for (param, start) in fixture.params.iter().zip(start) {
                assert!(
                    distance(&param.value().to_vec(), &start) > 1e-4,
                    "{name}: {} stands still",
                    param.name()
                );
            }
        }
    }
}
