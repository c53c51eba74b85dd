//! Feature-based transfer: every row is embedded once, then a classifier is fitted to the embeddings.
//!
//! A classifier is a file here and one arm of [`fit`]. Those that are a network become the head of a
//! [`Classifier`]; the others stand beside it as [`Fitted`].

mod boosted;
mod fitted;
mod forest;
mod logistic;
mod mlp;
mod neighbours;
mod scaling;
#[cfg(test)]
mod tests;
mod tree;
mod xgboost;

pub use fitted::Fitted;
pub use xgboost::Library as XgboostLibrary;

use crate::classifier::Classifier;
use crate::frozen::{Cache, States};
use crate::rows::Row;
use crate::trainer::Outcome;
use crate::{Error, Metrics, Result};
use boosted::Boosted;
use forest::Forest;
use neighbours::Neighbours;
use offshoot_core::nn::{Head, HeadLayer};
use offshoot_core::{Rng, Tensor};
use offshoot_methods::{MethodConfig, Saves};
use offshoot_models::Model;
use std::path::PathBuf;
use std::time::Instant;

/// Penalties that are tried where none is given.
const CANDIDATES: [f64; 6] = [1e-1, 1.0, 1e1, 1e2, 1e3, 1e4];

/// What a classifier is to be fitted to.
pub struct Labelled<'a> {
    /// The rows.
    pub rows: &'a [Row],
    /// How many classes their labels tell apart.
    pub classes: usize,
    /// What the loss of a row of each class is multiplied by, where the method has a loss; none for 1.
    pub weights: &'a [f32],
    /// Outputs of frozen blocks that are known or kept, where some are.
    pub states: Option<&'a States>,
    /// Tokens of a micro-batch at most.
    pub tokens: usize,
    /// Decides whatever is drawn.
    pub seed: u64,
    /// Files in which the XGBoost library may be, for the method that needs it.
    pub xgboost: &'a [PathBuf],
}

/// The classes that a classifier tells apart.
#[derive(Clone, Copy, Debug)]
struct Classes<'a> {
    count: usize,
    /// The weight of each; none for 1.
    weights: &'a [f32],
}

impl Classes<'_> {
    fn weight(&self, label: u32) -> f64 {
        self.weights.get(label as usize).map_or(1.0, |&weight| f64::from(weight))
    }

    /// The sum of the weights of all rows.
    fn total(&self, labels: &[u32]) -> f64 {
        let total: f64 = labels.iter().map(|label| self.weight(*label)).sum();
        if total > 0.0 { total } else { 1.0 }
    }
}

impl From<usize> for Classes<'_> {
    fn from(count: usize) -> Self {
        Self { count, weights: &[] }
    }
}

/// Embeds the training rows and fits the method's classifier to them. `embedded` is told of rows as they are done.
///
/// # Errors
/// If the method is another one, or as the model fails on a row.
pub fn fit_features(
    model: &Model,
    method: &MethodConfig,
    labelled: &Labelled<'_>,
    mut embedded: impl FnMut(usize),
) -> Result<(Classifier, Outcome)> {
    if !on_features(method) {
        return Err(Error::invalid(format!("`{}` is trained by steps, not solved", method.info().name)));
    }
    let start = Instant::now();
    let mut classifier = Classifier::new(model, method, labelled.classes, labelled.seed)?;
    let cache = match labelled.states {
        Some(states) => states.open(&classifier, labelled.rows.first(), 1)?,
        None => Cache::none(),
    };
    let features = classifier.features_known(labelled.rows, labelled.tokens, &cache, &mut embedded)?;
    drop(cache);
    let labels: Vec<u32> = labelled.rows.iter().map(|row| row.label).collect();
    let fit = fit(&mut classifier, (&features, &labels), labelled)?;
    let seconds = start.elapsed().as_secs_f64();
    let outcome = Outcome {
        steps: fit.steps,
        tokens: labelled.rows.iter().map(|row| row.ids.len() as u64).sum(),
        train_seconds: seconds,
        epoch_seconds: vec![seconds],
        final_loss: Metrics::of(&fit.logits, &labels).loss,
        best_epoch: fit.epochs,
        ..Outcome::default()
    };
    Ok((classifier, outcome))
}

/// Whether a method is fitted to features, not trained through the model.
pub(crate) fn on_features(method: &MethodConfig) -> bool {
    matches!(method.saves(), Saves::Features | Saves::Fitted)
}

/// How a fit went.
struct Fit {
    /// What it says of the rows it was fitted to.
    logits: Vec<Vec<f32>>,
    steps: u64,
    epochs: usize,
}

fn fit(
    classifier: &mut Classifier,
    (features, labels): (&[Vec<f32>], &[u32]),
    labelled: &Labelled<'_>,
) -> Result<Fit> {
    let (classes, rows) = (labelled.classes, (features, labels));
    let weighted = Classes { count: classes, weights: labelled.weights };
    let device = classifier.device().clone();
    match &mut classifier.method {
        MethodConfig::Features(config) => {
            let solution = solve(rows, weighted, config.l2);
            let logits = features.iter().map(|row| logistic::logits(&solution, row)).collect();
            let steps = solution.steps as u64;
            classifier.params.restore(&[solution.weight, solution.bias])?;
            Ok(Fit { logits, steps, epochs: 1 })
        }
        MethodConfig::FeaturesMlp(config) => {
            let trained = mlp::fit(rows, weighted, config, &device, labelled.seed)?;
            classifier.params.restore(&trained.values)?;
            let logits = mlp::logits(&classifier.head, &classifier.params, features)?;
            Ok(Fit { logits, steps: trained.steps, epochs: trained.epochs })
        }
        MethodConfig::FeaturesKnn(config) => {
            let neighbours = Neighbours::fit(rows, classes, config.k);
            config.k = Some(neighbours.k());
            let logits = neighbours.of_others();
            classifier.fitted = Some(Fitted::Neighbours(neighbours));
            Ok(Fit { logits, steps: 0, epochs: 1 })
        }
        MethodConfig::FeaturesForest(config) => {
            let forest = Forest::fit(rows, classes, config, labelled.seed);
            let logits = features.iter().map(|row| forest.logits(row)).collect();
            classifier.fitted = Some(Fitted::Forest(forest));
            Ok(Fit { logits, steps: 0, epochs: 1 })
        }
        MethodConfig::FeaturesXgboost(config) => {
            let library = XgboostLibrary::load(labelled.xgboost)?;
            let boosted = Boosted::fit(&library, rows, classes, config, labelled.seed)?;
            let (logits, epochs) = (boosted::all(&boosted, features), boosted.rounds());
            classifier.fitted = Some(Fitted::Boosted(boosted));
            Ok(Fit { logits, steps: 0, epochs })
        }
        other => Err(Error::invalid(format!("`{}` is not fitted to features", other.info().name))),
    }
}

/// Logistic regression, at the penalty given or the best of a few.
fn solve(
    (features, labels): (&[Vec<f32>], &[u32]),
    classes: Classes<'_>,
    l2: Option<f64>,
) -> logistic::Linear {
    // The solver's loss is a mean over the rows, the setting's a sum.
    let total = classes.total(labels);
    let strengths = CANDIDATES.map(|l2| l2 / total);
    let strength = match l2 {
        Some(l2) => l2 / total,
        None => logistic::choose(features, labels, classes, &strengths),
    };
    logistic::fit(features, labels, classes, strength)
}

/// The head of a method on features, as it begins; without a layer where its classifier is no network.
pub(crate) fn new_head(model: &Model, method: &MethodConfig, classes: usize, rng: &mut Rng) -> Head {
    let (device, inputs) = (model.device(), model.backbone.shape().hidden);
    match method {
        MethodConfig::FeaturesMlp(config) => mlp::head(device, [inputs, config.width, classes], rng),
        _ if method.saves() == Saves::Fitted => Head::new(Vec::new()),
        _ => {
            let linear = mlp::linear("classifier", Tensor::zeros(device, &[classes, inputs]));
            Head::new(vec![HeadLayer { linear, dropout: 0.0, activation: None }])
        }
    }
}
