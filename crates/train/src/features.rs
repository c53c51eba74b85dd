//! Feature-based transfer: every row is embedded once, then a convex problem is solved.

use crate::classifier::Classifier;
use crate::frozen::{Cache, States};
use crate::logistic;
use crate::rows::Row;
use crate::trainer::Outcome;
use crate::{Error, Metrics, Result};
use offshoot_core::nn::{Head, HeadLayer, Linear};
use offshoot_core::{Kind, Part, Place, Rng, Tensor, Weight};
use offshoot_methods::MethodConfig;
use offshoot_models::Model;
use std::time::Instant;

/// Penalties that are tried where none is given.
const CANDIDATES: [f64; 6] = [1e-1, 1.0, 1e1, 1e2, 1e3, 1e4];

/// Embeds the training rows and solves logistic regression on them. The result is a classifier with one
/// linear layer on the pooled representation.
///
/// # Errors
/// If the method is another one, or as the model fails on a row.
pub fn fit_features(
    model: &Model,
    method: &MethodConfig,
    (train, states): (&[Row], Option<&States>),
    classes: usize,
    tokens: usize,
    mut embedded: impl FnMut(usize),
) -> Result<(Classifier, Outcome)> {
    let MethodConfig::Features(config) = method else {
        return Err(Error::invalid(format!("`{}` is trained by steps, not solved", method.info().name)));
    };
    let start = Instant::now();
    let mut rng = Rng::new(0);
    let head = empty_head(model, classes);
    let mut classifier = Classifier::with_head(model, method, head, &mut rng)?;
    let cache = match states {
        Some(states) => states.open(&classifier, train.first(), 1)?,
        None => Cache::none(),
    };
    let features = classifier.features_known(train, tokens, &cache, &mut embedded)?;
    let labels: Vec<u32> = train.iter().map(|row| row.label).collect();
    // The solver's loss is a mean over the rows, the setting's a sum.
    let strengths = CANDIDATES.map(|l2| l2 / train.len().max(1) as f64);
    let strength = match config.l2 {
        Some(l2) => l2 / train.len().max(1) as f64,
        None => logistic::choose(&features, &labels, classes, &strengths),
    };
    let solution = logistic::fit(&features, &labels, classes, strength);
    for (param, values) in classifier.params.iter_mut().zip([&solution.weight, &solution.bias]) {
        param.set(values)?;
    }
    let logits: Vec<Vec<f32>> = features.iter().map(|row| logistic::logits(&solution, row)).collect();
    let seconds = start.elapsed().as_secs_f64();
    let outcome = Outcome {
        steps: solution.steps as u64,
        tokens: train.iter().map(|row| row.ids.len() as u64).sum(),
        train_seconds: seconds,
        epoch_seconds: vec![seconds],
        final_loss: Metrics::of(&logits, &labels).loss,
        best_epoch: 1,
        ..Outcome::default()
    };
    Ok((classifier, outcome))
}

/// The head of the `features` method: one linear layer, zero.
pub(crate) fn empty_head(model: &Model, classes: usize) -> Head {
    let inputs = model.backbone.shape().hidden;
    let zero = |name: &str, kind, shape: &[usize]| {
        Weight::frozen(name, Place { part: Part::Head, kind }, Tensor::zeros(model.device(), shape))
    };
    let weight = zero("classifier.weight", Kind::Matrix, &[classes, inputs]);
    let bias = Some(zero("classifier.bias", Kind::Bias, &[classes]));
    let linear = Linear { weight, bias, inputs, outputs: classes, input_major: false };
    Head::new(vec![HeadLayer { linear, dropout: 0.0, activation: None }])
}
