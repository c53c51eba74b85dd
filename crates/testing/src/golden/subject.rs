//! What a case trains and asks: a classifier or a language model.

use super::case::{Expected, Task};
use anyhow::{Context, Result};
use offshoot_core::nn::Head;
use offshoot_core::{Layout, Mode, Params, Pass, Rng, Tensor, Weight, cross_entropy};
use offshoot_methods::MethodConfig;
use offshoot_models::Model;
use offshoot_train::{Classifier, LanguageModel};

/// A model with a method on it, for either task.
pub(crate) enum Subject {
    Classifier(Box<Classifier>),
    LanguageModel(Box<LanguageModel>),
}

impl Subject {
    /// Grows a method on a model; `classes` is used where the task has some.
    pub(crate) fn new(model: &Model, task: Task, method: &MethodConfig, classes: usize) -> Result<Self> {
        let mut rng = Rng::new(0);
        Ok(match task {
            Task::Classification => {
                let (head, _): (Head, bool) = model.new_head(classes, &mut rng)?;
                Self::Classifier(Box::new(Classifier::with_head(model, method, head, &mut rng)?))
            }
            Task::CausalLm => Self::LanguageModel(Box::new(LanguageModel::new(model, method, 0)?)),
        })
    }

    pub(crate) fn params(&self) -> &Params {
        match self {
            Self::Classifier(classifier) => &classifier.params,
            Self::LanguageModel(model) => &model.params,
        }
    }

    pub(crate) fn params_mut(&mut self) -> &mut Params {
        match self {
            Self::Classifier(classifier) => &mut classifier.params,
            Self::LanguageModel(model) => &mut model.params,
        }
    }

    /// The weights of the task's head, if it is trained beside the method.
    pub(crate) fn head(&self) -> Vec<&Weight> {
        match self {
            Self::Classifier(classifier) => classifier.head.weights(),
            Self::LanguageModel(_) => Vec::new(),
        }
    }

    /// How many losses a batch's mean is over. Virtual tokens predict the first token too.
    pub(crate) fn labelled(&self, expected: &Expected) -> usize {
        let virtual_tokens = match self {
            Self::Classifier(_) => 0,
            Self::LanguageModel(model) => model.adapter.prompt_tokens(),
        };
        expected.labelled(virtual_tokens > 0)
    }

    /// The summed loss.
    pub(crate) fn loss(&self, expected: &Expected, mode: Mode) -> Result<Tensor> {
        match self {
            Self::Classifier(classifier) => {
                let logits = classifier.logits(&mut self.pass(expected, mode)?)?;
                Ok(cross_entropy(&logits, &expected.labels, 0.0)?)
            }
            Self::LanguageModel(model) => {
                let predicted: Vec<_> = expected.predicted.iter().map(Vec::as_slice).collect();
                Ok(model.loss(&mut self.pass(expected, mode)?, &predicted)?.0)
            }
        }
    }

    /// Our logits and those of the reference that they are to equal: of each sequence, or of each real token.
    pub(crate) fn logits(&self, expected: &Expected) -> Result<(Vec<f32>, Vec<f32>)> {
        let mut pass = self.pass(expected, Mode::Evaluate)?;
        let (shape, theirs) = &expected.logits;
        match self {
            Self::Classifier(classifier) => Ok((classifier.logits(&mut pass)?.to_vec(), theirs.clone())),
            Self::LanguageModel(model) => {
                let &[_, width, vocab] = shape.as_slice() else { anyhow::bail!("logits are {shape:?}") };
                let layout = pass.layout().clone();
                let ours = model.logits(&mut pass, real_rows)?.to_vec();
                let padded = |s: usize| {
                    let first = s * width + layout.prompt(s);
                    first * vocab..(first + layout.real(s).len()) * vocab
                };
                let row = |s: usize| theirs.get(padded(s)).context("logits are too few");
                let theirs = (0..layout.sequences()).map(row).collect::<Result<Vec<_>>>()?.concat();
                Ok((ours, theirs))
            }
        }
    }

    fn pass<'a>(&'a self, expected: &'a Expected, mode: Mode) -> Result<Pass<'a>> {
        let (adapter, params) = match self {
            Self::Classifier(classifier) => (classifier.adapter.as_ref(), &classifier.params),
            Self::LanguageModel(model) => (model.adapter.as_ref(), &model.params),
        };
        Ok(Pass::new(&expected.batch, adapter, params, mode)?)
    }
}

fn real_rows(layout: &Layout) -> Vec<u32> {
    (0..layout.sequences()).flat_map(|s| layout.real(s)).map(|row| row as u32).collect()
}
