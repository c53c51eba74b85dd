//! The backward pass does not go further down than something is trained.

use crate::cases::{config, models};
use crate::fixture::{Fixture, batch, is_decoder, visible};
use offshoot_core::{Adapter, Mode, Pass, Result, Step, Tape, Tensor};
use offshoot_methods::MethodConfig;
use offshoot_models::Model;
use serde_json::json;
use std::sync::Mutex;

/// How many operations each block left on the tape, of the tiny models' three.
fn recorded(fixture: &Fixture) -> Vec<usize> {
    let segments = fixture.backward(&batch(&[(1, 9), (2, 4)]).unwrap()).unwrap();
    let blocks = fixture.backbone.shape().layers;
    // What stands before the blocks has a segment only if something was recorded there; what follows them
    // always has.
    segments[segments.len() - 1 - blocks..segments.len() - 1].to_vec()
}

#[test]
fn nothing_is_recorded_below_the_lowest_trained_block() {
    let cases = [
        (json!({ "method": "features" }), 3),
        (json!({ "method": "head" }), 3),
        (json!({ "method": "last-layers" }), 2),
        (json!({ "method": "last-layers", "layers": 2 }), 1),
        (json!({ "method": "llama-adapter", "layers": 1 }), 2),
        (json!({ "method": "llama-adapter", "layers": 2, "gate": "scalar" }), 1),
        (json!({ "method": "lora", "only_layers": [2] }), 2),
        (json!({ "method": "dora", "only_layers": [1, 2] }), 1),
        (json!({ "method": "houlsby", "leave_out": [0, 1], "norms": true }), 2),
        (json!({ "method": "parallel", "leave_out": [0] }), 1),
        (json!({ "method": "lora" }), 0),
        (json!({ "method": "bitfit" }), 0),
        (json!({ "method": "prompt" }), 0),
    ];
    for model in three_blocks() {
        for (settings, lowest) in &cases {
            if is_decoder(&model) && settings["method"] == "bitfit" {
                continue;
            }
            let fixture = Fixture::new(&model, &config(settings.clone()), 3).unwrap();
            let recorded = recorded(&fixture);
            let name = format!("{} {settings}: {recorded:?}", model.backbone.family());
            assert!(recorded[..*lowest].iter().all(|&operations| operations == 0), "{name}");
            assert!(recorded[*lowest..].iter().all(|&operations| operations > 0), "{name}");
        }
    }
}

/// The tiny models of three blocks.
fn three_blocks() -> Vec<Model> {
    models().into_iter().filter(|model| model.backbone.shape().layers == 3).collect()
}

/// Passes READ's hooks on and notes whether the backbone's states are tracked.
struct Spy<'a> {
    read: &'a dyn Adapter,
    tracked: Mutex<Vec<bool>>,
}

impl Adapter for Spy<'_> {
    fn state(&self, step: &Step<'_>, layer: usize, x: &Tensor, side: &mut Vec<Tensor>) -> Result<()> {
        self.tracked.lock().unwrap().push(x.is_tracked());
        self.read.state(step, layer, x, side)
    }

    fn finish(&self, step: &Step<'_>, x: Tensor, side: &[Tensor]) -> Result<Tensor> {
        self.tracked.lock().unwrap().push(x.is_tracked());
        self.read.finish(step, x, side)
    }
}

#[test]
fn read_trains_beside_a_backbone_that_records_nothing() {
    for model in three_blocks() {
        let fixture = Fixture::new(&model, &MethodConfig::named("read").unwrap(), 3).unwrap();
        let spy = Spy { read: fixture.adapter.as_ref(), tracked: Mutex::default() };
        let batch = batch(&[(1, 9), (2, 4)]).unwrap();
        let mode = Mode::Train(Tape::new(), None);
        let mut pass = Pass::new(&batch, &spy, &fixture.params, mode).unwrap();
        assert!(visible(fixture.backbone.as_ref(), &mut pass).unwrap().is_tracked());
        assert_eq!(spy.tracked.into_inner().unwrap(), [false; 4]);
    }
}
