//! Gradients reach every parameter, and they are right.

use crate::cases::{each_pair, object};
use crate::fixture::{Fixture, batch, is_decoder, precise_loss};
use offshoot_core::optim::AdamW;
use offshoot_core::{Backbone, Batch, Param, Rng, Site, Slot};
use offshoot_methods::MethodConfig;
use offshoot_models::Model;

/// A gradient that is no larger than this, for a loss of order 1, is rounding.
const NOTHING: f32 = 1e-8;

#[test]
fn every_parameter_has_a_gradient_on_three_steps() {
    let batch = batch(&[(1, 9), (2, 4)]).unwrap();
    each_pair(|model, config| {
        let mut fixture = Fixture::new(model, config, 3).unwrap();
        let mut optimizer = AdamW::new(&fixture.params);
        let mut objections = Vec::new();
        for step in 1..=3 {
            fixture.values(&batch).unwrap();
            fixture.backward(&batch).unwrap();
            // What stands behind a factor that starts at zero has its first gradient when that factor has
            // moved.
            if step > 1 {
                let dead = fixture.params.iter().filter(|p| largest(p) < NOTHING);
                let dead = dead.filter(|p| !is_key_bias(model, p.name()));
                objections.extend(dead.map(|p| format!("no gradient on step {step} for {}", p.name())));
            }
            fixture.step(&mut optimizer).unwrap();
        }
        objections
    });
}

/// A softmax does not see what is added to all its scores, and that is all a key's bias does.
fn is_key_bias(model: &Model, name: &str) -> bool {
    let backbone: &dyn Backbone = model.backbone.as_ref();
    let module = |layer| backbone.module(Site { layer, slot: Slot::Key });
    (0..backbone.shape().layers).any(|layer| name == format!("{}.bias", module(layer)))
}

fn largest(param: &Param) -> f32 {
    param.gradient().unwrap_or_default().iter().fold(0.0, |most, g| most.max(g.abs()))
}

/// The step of a difference. Rounding of the states (1e-7) gives the quotient an error of the order of 1e-5;
/// the curvature along this step, a few thousandths of a gradient.
const STEP: f32 = 5e-3;

/// On gradients relative to the largest of their tensor: twice the worst of what curvature does here.
const TOLERANCE: f64 = 1e-2;

/// On gradients as they are: twice the worst of what rounding does here.
const ROUNDING: f64 = 1e-4;

/// How far parameters are moved first, so that no path is closed by a zero: a method's own values, of order
/// 1, and the base's weights, which are smaller and many. Decoders less: no norm follows what an adapter adds
/// to their residual stream, and scores that have grown large make the loss too steep for any step.
const MOVED: [f64; 2] = [0.2, 0.02];
const MOVED_DECODER: [f64; 2] = [0.05, 0.02];

#[test]
fn gradients_match_central_differences() {
    let batch = batch(&[(1, 5), (2, 3)]).unwrap();
    each_pair(|model, config| {
        let mut fixture = Fixture::new(model, config, 3).unwrap();
        let moved = if is_decoder(model) { MOVED_DECODER } else { MOVED };
        let moved = moved[usize::from(fixture.trains_base())];
        fixture.perturb(moved, 4).unwrap();
        fixture.backward(&batch).unwrap();
        let mut objections = Vec::new();
        let count = fixture.params.iter().len();
        for index in 0..count {
            let Some((name, gradient)) = gradient(&fixture, index) else { continue };
            if has_constant_length(config, &name) {
                continue;
            }
            let largest = gradient.iter().fold(0.0, |most: f64, g| most.max(f64::from(g.abs())));
            for place in sample(&gradient) {
                let (got, slopes) = (f64::from(gradient[place]), slopes(&mut fixture, &batch, index, place));
                let error = slopes.iter().map(|slope| (got - slope).abs()).fold(f64::INFINITY, f64::min);
                let well = error < ROUNDING + TOLERANCE * largest;
                objections.extend(object(well, || format!("{name}[{place}] is {got}, not {slopes:?}")));
            }
        }
        objections
    });
}

fn gradient(fixture: &Fixture, index: usize) -> Option<(String, Vec<f32>)> {
    let param = fixture.params.iter().nth(index)?;
    Some((param.name().to_owned(), param.gradient()?))
}

/// DoRA's length counts as a constant in the backward pass, so its factors' gradients are not the loss's. The
/// golden case holds them.
fn has_constant_length(config: &MethodConfig, name: &str) -> bool {
    config.info().name == "dora" && !name.ends_with(".lora_magnitude_vector")
}

/// The place of the largest gradient, and four others.
fn sample(gradient: &[f32]) -> Vec<usize> {
    let mut rng = Rng::new(gradient.len() as u64);
    let largest = (0..gradient.len()).max_by(|&a, &b| gradient[a].abs().total_cmp(&gradient[b].abs()));
    largest.into_iter().chain((0..4).map(|_| rng.below(gradient.len()))).collect()
}

/// The slope across the place, and those of its two sides: a kink of ReLU within the step spoils one side,
/// not the other. A weight that many rows share has many kinks, so a step of a tenth is tried too.
fn slopes(fixture: &mut Fixture, batch: &Batch, index: usize, place: usize) -> Vec<f64> {
    let slope = |a: (f64, f64), b: (f64, f64)| (b.1 - a.1) / (b.0 - a.0);
    let mut slopes = Vec::new();
    for step in [STEP, STEP / 10.0] {
        let [below, here, above] =
            [-step, 0.0, step].map(|offset| moved(fixture, batch, index, place, offset));
        slopes.extend([slope(below, above), slope(below, here), slope(here, above)]);
    }
    slopes
}

/// The value at a place of a parameter, moved by `offset`, and the loss there.
fn moved(fixture: &mut Fixture, batch: &Batch, index: usize, place: usize, offset: f32) -> (f64, f64) {
    let before = fixture.params.snapshot();
    let mut values = before.clone();
    values[index][place] += offset;
    fixture.params.restore(&values).unwrap();
    let loss = precise_loss(&fixture.values(batch).unwrap());
    fixture.params.restore(&before).unwrap();
    (f64::from(values[index][place]), loss)
}
