//! The language-modelling task: a backbone with its adapter, and the output head that came with it.

use crate::features::on_features;
use crate::{Error, Prompt, Result};
use offshoot_core::{Adapter, Backbone, Device, Layout, Params, Pass, Rng, Tensor, Weight, forward};
use offshoot_methods::{MethodConfig, Target};
use offshoot_models::{Model, Task};
use std::ops::Range;

/// A language model that can be trained and asked: what one method grew on a backbone.
pub struct LanguageModel {
    /// The frozen model, or a fork of it whose own weights the method trains.
    pub backbone: Box<dyn Backbone>,
    /// The method's adapter.
    pub adapter: Box<dyn Adapter>,
    /// The method's settings, complete.
    pub method: MethodConfig,
    /// Everything that is trained.
    pub params: Params,
    /// What stands around what it is asked, where the method trains nothing.
    pub prompt: Option<Prompt>,
    device: Device,
}

impl LanguageModel {
    /// Grows a method on a model that was loaded as a language model. The seed decides all initial values.
    ///
    /// # Errors
    /// If a setting of the method does not fit the model, or the method only makes sense for classification.
    pub fn new(model: &Model, method: &MethodConfig, seed: u64) -> Result<Self> {
        if model.task != Task::LanguageModel || model.backbone.output_head().is_none() {
            return Err(Error::invalid("the model was loaded without its output head"));
        }
        if on_features(method) {
            let name = method.info().name;
            return Err(Error::invalid(format!(
                "`{name}` classifies; it has no meaning for a language model"
            )));
        }
        let device = model.device().clone();
        let mut backbone = model.backbone.fork();
        let mut params = Params::new();
        let mut method = method.clone();
        method.resolve(backbone.shape());
        let mut rng = Rng::new(seed).fork("adapter");
        let mut target =
            Target { backbone: backbone.as_mut(), params: &mut params, rng: &mut rng, device: &device };
        let adapter = method.build(&mut target)?;
        Ok(Self { backbone, adapter, method, params, prompt: None, device })
    }

    /// The model as it is.
    ///
    /// # Errors
    /// If the model was loaded without its output head.
    pub fn untuned(model: &Model) -> Result<Self> {
        // A method that adds nothing to the backbone.
        Self::new(model, &MethodConfig::named("head")?, 0)
    }

    /// The summed cross-entropy of the tokens that are to be predicted, as one value, and that of each, in
    /// order. `predicted[s]` says of each token of sequence s whether it is.
    ///
    /// # Errors
    /// As the model fails on the batch; if nothing is to be predicted.
    pub fn loss(&self, pass: &mut Pass<'_>, predicted: &[&[bool]]) -> Result<(Tensor, Vec<f32>)> {
        let hidden = forward(self.backbone.as_ref(), pass)?;
        let targets = Targets::of(pass, predicted);
        if targets.labels.is_empty() {
            return Err(Error::invalid("no token of the batch is to be predicted"));
        }
        let rows = hidden.gather_rows(&targets.rows)?;
        let (losses, total) = pass.step().cross_entropy(&rows, self.head()?, &targets.labels)?;
        Ok((total, losses))
    }

    /// The logits `[rows, vocab]` after the given rows of a pass.
    ///
    /// # Errors
    /// As the model fails on the batch.
    pub fn logits(&self, pass: &mut Pass<'_>, rows: impl Fn(&Layout) -> Vec<u32>) -> Result<Tensor> {
        let hidden = forward(self.backbone.as_ref(), pass)?;
        let hidden = hidden.gather_rows(&rows(pass.layout()))?;
        Ok(pass.step().product(&hidden, self.head()?)?)
    }

    /// Trained values, and all values of the model with its adapter.
    pub fn sizes(&self) -> (usize, usize) {
        let weights = self.backbone.weights();
        let frozen: usize = weights.iter().filter(|w| w.param().is_none()).map(|w| w.len()).sum();
        (self.params.count(), self.params.count() + frozen)
    }

    /// Where its tensors live.
    pub fn device(&self) -> &Device {
        &self.device
    }

    fn head(&self) -> Result<&Weight> {
        self.backbone.output_head().ok_or_else(|| Error::invalid("the model has no output head"))
    }
}

/// Which rows predict which tokens.
struct Targets {
    rows: Vec<u32>,
    labels: Vec<u32>,
}

impl Targets {
    /// A token is predicted by the row before it. The first has none, unless virtual tokens stand there.
    fn of(pass: &Pass<'_>, predicted: &[&[bool]]) -> Self {
        let mut targets = Self { rows: Vec::new(), labels: Vec::new() };
        let (layout, batch) = (pass.layout(), pass.batch());
        for (sequence, predicted) in predicted.iter().enumerate() {
            let (all, real): (Range<usize>, Range<usize>) =
                (layout.sequence(sequence), layout.real(sequence));
            let ids = &batch.ids()[batch.sequence(sequence)];
            for ((row, &id), _) in real.zip(ids).zip(predicted.iter()).filter(|(_, wanted)| **wanted) {
                if row > all.start {
                    targets.rows.push(row as u32 - 1);
                    targets.labels.push(id);
                }
            }
        }
        targets
    }
}
