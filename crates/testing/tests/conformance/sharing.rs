//! One backbone serves many adapters and never changes; the same seed gives the same bits.

use crate::cases::{configs_for, each_pair, models, object};
use crate::fixture::{Fixture, batch, loss};
use offshoot_core::optim::AdamW;
use offshoot_core::{Backbone, Counter, Mode, Params, Tape};
use offshoot_methods::MethodConfig;
use offshoot_models::Model;

fn bits(backbone: &dyn Backbone) -> Vec<u32> {
    let weights = backbone.weights();
    weights.iter().flat_map(|w| w.value(&Params::new()).to_vec()).map(f32::to_bits).collect()
}

#[test]
fn training_many_adapters_leaves_the_backbone_bit_equal() {
    let batch = batch(&[(1, 9), (2, 4)]).unwrap();
    for model in models() {
        let (weights, values) =
            (bits(model.backbone.as_ref()), Fixture::plain(&model).values(&batch).unwrap());
        for config in configs_for(&model) {
            train(&model, &config, 3);
        }
        assert_eq!(bits(model.backbone.as_ref()), weights);
        assert_eq!(Fixture::plain(&model).values(&batch).unwrap(), values);
    }
}

#[test]
fn a_method_that_leaves_the_base_alone_leaves_every_weight_frozen() {
    let trains_base = ["last-layers", "full", "bitfit"];
    each_pair(|model, config| {
        let name = config.info().name;
        let norms = serde_json::to_value(config).unwrap()["norms"] == true;
        let should = trains_base.contains(&name) || norms;
        let does = Fixture::new(model, config, 3).unwrap().trains_base();
        object(does == should, || format!("trains weights of the base: {does}"))
    });
}

#[test]
fn the_same_seed_gives_the_same_bits() {
    each_pair(|model, config| {
        let (once, again) = (train(model, config, 3), train(model, config, 3));
        object(once == again, || "two runs of one seed differ".to_owned())
    });
}

#[test]
fn another_seed_gives_another_start() {
    for name in ["prompt", "p-tuning", "prefix", "prefix-mlp", "houlsby", "lora", "llama-adapter", "read"] {
        let (model, config) = (&models()[0], MethodConfig::named(name).unwrap());
        assert_ne!(train(model, &config, 3), train(model, &config, 4), "{name}");
    }
}

/// The parameters' bits after three steps with dropout.
fn train(model: &Model, config: &MethodConfig, seed: u64) -> Vec<u32> {
    let batch = batch(&[(1, 9), (2, 4)]).unwrap();
    let mut fixture = Fixture::new(model, config, seed).unwrap();
    let mut optimizer = AdamW::new(&fixture.params);
    for step in 0..3 {
        let tape = Tape::new();
        let mode = Mode::Train(tape.clone(), Some(Counter { seed, step }));
        let loss = loss(&fixture.run(&batch, mode).unwrap()).unwrap();
        if loss.is_tracked() {
            tape.backward(&loss, 1.0).unwrap();
        }
        fixture.step(&mut optimizer).unwrap();
    }
    fixture.params.snapshot().into_iter().flatten().map(f32::to_bits).collect()
}
