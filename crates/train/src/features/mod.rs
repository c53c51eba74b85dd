//! Feature-based transfer: every row is embedded once, then a classifier, or for numbers a regression, is fitted to the
//! embeddings.
//!
//! A classifier is a file here and one arm of [`fit`]. Those that are a network become the head of a
//! [`Classifier`]; the others stand beside it as [`Fitted`].

mod boosted;
mod fitted;
mod forest;
mod mlp;
mod neighbours;
mod regression;
mod scaling;
#[cfg(test)]
mod tests;
mod tree;
mod xgboost;

pub use fitted::Fitted;
#[cfg(test)]
pub(crate) use mlp::linear;
pub use xgboost::Library as XgboostLibrary;

use crate::classifier::Classifier;
use crate::data::Label;
use crate::frozen::{Cache, States};
use crate::rows::Row;
use crate::trainer::Outcome;
use crate::weighted::Weighted;
use crate::{Error, Objective, Result};
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
    /// What their labels are for.
    pub objective: Objective,
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
    let mut classifier = Classifier::new(model, method, labelled.objective, labelled.seed)?;
    let cache = match labelled.states {
        Some(states) => states.open(&classifier, labelled.rows.first(), 1)?,
        None => Cache::none(),
    };
    let features = classifier.features_known(labelled.rows, labelled.tokens, &cache, &mut embedded)?;
    drop(cache);
    let fit = fit(&mut classifier, &features, labelled)?;
    let seconds = start.elapsed().as_secs_f64();
    let outcome = Outcome {
        steps: fit.steps,
        tokens: labelled.rows.iter().map(|row| row.ids.len() as u64).sum(),
        train_seconds: seconds,
        epoch_seconds: vec![seconds],
        final_loss: labelled.objective.score(&fit.outputs, labelled.labels()).loss(),
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
    outputs: Vec<Vec<f32>>,
    steps: u64,
    epochs: usize,
}

impl<'a> Labelled<'a> {
    fn labels(&self) -> impl Iterator<Item = &'a Label> {
        self.rows.iter().map(|row| &row.label)
    }

    fn classes(&self) -> Vec<u32> {
        self.labels().filter_map(Label::class).collect()
    }

    fn weighted(&self) -> Weighted<'a> {
        Weighted { objective: self.objective, weights: self.weights }
    }
}

fn fit(classifier: &mut Classifier, features: &[Vec<f32>], labelled: &Labelled<'_>) -> Result<Fit> {
    let (outputs, classes) = (labelled.objective.outputs(), labelled.classes());
    let rows = (features, classes.as_slice());
    match &mut classifier.method {
        MethodConfig::Features(_) | MethodConfig::FeaturesMlp(_) => fit_head(classifier, features, labelled),
        MethodConfig::FeaturesKnn(config) => {
            let neighbours = Neighbours::fit(rows, outputs, config.k);
            config.k = Some(neighbours.k());
            let outputs = neighbours.of_others();
            classifier.fitted = Some(Fitted::Neighbours(neighbours));
            Ok(Fit { outputs, steps: 0, epochs: 1 })
        }
        MethodConfig::FeaturesForest(config) => {
            let forest = Forest::fit(rows, outputs, config, labelled.seed);
            let outputs = features.iter().map(|row| forest.logits(row)).collect();
            classifier.fitted = Some(Fitted::Forest(forest));
            Ok(Fit { outputs, steps: 0, epochs: 1 })
        }
        MethodConfig::FeaturesXgboost(config) => {
            let library = XgboostLibrary::load(labelled.xgboost)?;
            let boosted = Boosted::fit(&library, rows, outputs, config, labelled.seed)?;
            let (outputs, epochs) = (boosted::all(&boosted, features), boosted.rounds());
            classifier.fitted = Some(Fitted::Boosted(boosted));
            Ok(Fit { outputs, steps: 0, epochs })
        }
        other => Err(Error::invalid(format!("`{}` is not fitted to features", other.info().name))),
    }
}

/// Those that become a head. Numbers are learnt on a scale of their own, which then becomes a part of it.
fn fit_head(classifier: &mut Classifier, features: &[Vec<f32>], labelled: &Labelled<'_>) -> Result<Fit> {
    let objective = labelled.weighted();
    let scale = labelled.objective.scale(labelled.labels(), true);
    let labels: Vec<Label> = labelled.labels().map(|label| scale.label(label)).collect();
    let (rows, device) = ((features, labels.as_slice()), classifier.device().clone());
    let fit = match &classifier.method {
        MethodConfig::FeaturesMlp(config) => {
            let trained = mlp::fit(rows, objective, config, &device, labelled.seed)?;
            classifier.params.restore(&trained.values)?;
            let outputs = mlp::logits(&classifier.head, &classifier.params, features)?;
            Fit { outputs, steps: trained.steps, epochs: trained.epochs }
        }
        MethodConfig::Features(config) => {
            let solution = solve(rows, objective, config.l2);
            let outputs = features.iter().map(|row| regression::outputs(&solution, row)).collect();
            let steps = solution.steps as u64;
            classifier.params.restore(&[solution.weight, solution.bias])?;
            Fit { outputs, steps, epochs: 1 }
        }
        other => return Err(Error::invalid(format!("`{}` fits no head", other.info().name))),
    };
    if let Some(layer) = classifier.head.last() {
        scale.fold(layer, &mut classifier.params)?;
    }
    Ok(Fit { outputs: scale.outputs(fit.outputs), ..fit })
}

/// Logistic or ridge regression, at the penalty given or the best of a few.
fn solve(
    (features, labels): (&[Vec<f32>], &[Label]),
    objective: Weighted<'_>,
    l2: Option<f64>,
) -> regression::Linear {
    // The solver's loss is a mean over the rows, the setting's a sum.
    let total = objective.total(labels);
    let strengths = CANDIDATES.map(|l2| l2 / total);
    let strength = match l2 {
        Some(l2) => l2 / total,
        None => regression::choose((features, labels), objective, &strengths),
    };
    regression::fit((features, labels), objective, strength)
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
