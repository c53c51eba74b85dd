//! A method on a tiny model, small enough to check every promise on every pair of the two registries.

use anyhow::Result;
use offshoot_core::optim::{AdamW, Settings};
use offshoot_core::{
    Adapter, Backbone, Batch, Device, Mode, NoAdapter, Params, Pass, Rng, Tape, Tensor, concat_rows, forward,
};
use offshoot_methods::{MethodConfig, Target};
use offshoot_models::{Model, Pooling};
use std::path::Path;

/// The tiny checkpoint of a family, with its pooler if it has one.
///
/// # Errors
/// If there is no such folder under `golden/models`.
pub(crate) fn tiny(family: &str) -> Result<Model> {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/models");
    // The checkpoints are named for the family's half that reads text, which Gemma's is called after.
    let stem = family.trim_end_matches("_text");
    let encoder = models.join(format!("{stem}-cls"));
    let folder = if encoder.exists() { encoder } else { models.join(format!("{stem}-lm")) };
    let pooling = if family == "bert" { Pooling::Pooler } else { Pooling::Cls };
    Ok(Model::load(&folder, Some(pooling), &Device::cpu())?)
}

/// Whether a family predicts the next token.
pub(crate) fn is_decoder(model: &Model) -> bool {
    !["bert", "distilbert", "roberta"].contains(&model.backbone.family())
}

/// A method built on a model of its own.
pub(crate) struct Fixture {
    /// The model; methods that train the base's weights have moved them out of it.
    pub(crate) backbone: Box<dyn Backbone>,
    /// The method.
    pub(crate) adapter: Box<dyn Adapter>,
    /// What it trains.
    pub(crate) params: Params,
    /// Where it lives.
    pub(crate) device: Device,
}

impl Fixture {
    /// The backbone as it is.
    pub(crate) fn plain(model: &Model) -> Self {
        Self {
            backbone: model.backbone.fork(),
            adapter: Box::new(NoAdapter),
            params: Params::new(),
            device: model.device().clone(),
        }
    }

    /// A method on a fork of a model.
    ///
    /// # Errors
    /// If its settings do not fit the model.
    pub(crate) fn new(model: &Model, config: &MethodConfig, seed: u64) -> Result<Self> {
        let mut fixture = Self::plain(model);
        let mut config = config.clone();
        config.resolve(model.backbone.shape());
        fixture.adapter = config.build(&mut Target {
            backbone: fixture.backbone.as_mut(),
            params: &mut fixture.params,
            rng: &mut Rng::new(seed),
            device: &fixture.device,
        })?;
        Ok(fixture)
    }

    /// Moves every trained value by a normal number, so that no path is closed by a zero.
    ///
    /// # Errors
    /// Never on its own parameters.
    pub(crate) fn perturb(&mut self, deviation: f64, seed: u64) -> Result<()> {
        let mut rng = Rng::new(seed);
        for param in self.params.iter_mut() {
            let values: Vec<f32> =
                param.value().to_vec().iter().map(|x| x + (rng.normal() * deviation) as f32).collect();
            param.set(&values)?;
        }
        Ok(())
    }

    /// Whether the method trains weights of the base itself.
    pub(crate) fn trains_base(&self) -> bool {
        self.backbone.weights().iter().any(|weight| weight.param().is_some())
    }

    /// The rows that a task can see: [`visible`].
    ///
    /// # Errors
    /// As the model fails.
    pub(crate) fn run(&self, batch: &Batch, mode: Mode) -> Result<Tensor> {
        let mut pass = Pass::new(batch, self.adapter.as_ref(), &self.params, mode)?;
        visible(self.backbone.as_ref(), &mut pass)
    }

    /// [`run`](Self::run) in evaluation, as values.
    ///
    /// # Errors
    /// As the model fails.
    pub(crate) fn values(&self, batch: &Batch) -> Result<Vec<f32>> {
        Ok(self.run(batch, Mode::Evaluate)?.to_vec())
    }

    /// One backward pass of [`loss`]; the gradients stay in `params`. Returns how many operations each
    /// segment of the tape held.
    ///
    /// # Errors
    /// As the model fails.
    pub(crate) fn backward(&self, batch: &Batch) -> Result<Vec<usize>> {
        let tape = Tape::new();
        self.params.clear_gradients();
        let loss = loss(&self.run(batch, Mode::Train(tape.clone(), None))?)?;
        let recorded = tape.recorded();
        if loss.is_tracked() {
            tape.backward(&loss, 1.0)?;
        }
        Ok(recorded)
    }

    /// An optimizer step with the gradients that are there.
    ///
    /// # Errors
    /// As the optimizer fails.
    pub(crate) fn step(&mut self, optimizer: &mut AdamW) -> Result<()> {
        let settings = Settings { lr: 1e-2, beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.0 };
        Ok(optimizer.step(&mut self.params, &settings, 1.0)?)
    }
}

/// The final states of all real tokens and, below them, the pooled rows, if the family has them: `[tokens (+
/// s), d]`.
///
/// # Errors
/// As the model fails.
pub(crate) fn visible(backbone: &dyn Backbone, pass: &mut Pass<'_>) -> Result<Tensor> {
    let states = forward(backbone, pass)?;
    let layout = pass.layout();
    let real: Vec<u32> = (0..layout.sequences()).flat_map(|s| layout.real(s)).map(|row| row as u32).collect();
    let real = states.gather_rows(&real)?;
    let first = states.gather_rows(&layout.first_rows())?;
    Ok(match backbone.pooler(&first, pass)? {
        Some(pooled) => concat_rows(&[&real, &pooled])?,
        None => real,
    })
}

/// A fixed random sum of the visible rows: every state has a say.
///
/// # Errors
/// Never on a well-formed tensor.
pub(crate) fn loss(rows: &Tensor) -> Result<Tensor> {
    let weights = Tensor::new(rows.device(), rows.shape(), &weights(rows.len()))?;
    Ok(rows.mul(&weights)?.sum())
}

/// [`loss`] in double precision, for differences.
pub(crate) fn precise_loss(rows: &[f32]) -> f64 {
    rows.iter().zip(weights(rows.len())).map(|(x, w)| f64::from(*x) * f64::from(w)).sum()
}

fn weights(len: usize) -> Vec<f32> {
    let mut rng = Rng::new(17);
    let scale = 1.0 / (len as f64).sqrt();
    (0..len).map(|_| (rng.normal() * scale) as f32).collect()
}

/// Sequences of the given lengths with words of a small vocabulary. A sequence's words and id depend on its
/// number alone.
///
/// # Errors
/// If a length is 0.
pub(crate) fn batch(sequences: &[(u64, usize)]) -> Result<Batch> {
    let mut batch = Batch::new();
    for &(id, length) in sequences {
        let mut rng = Rng::new(id);
        let words: Vec<u32> = (0..length).map(|_| 5 + rng.below(100) as u32).collect();
        batch.push(&words, None, id)?;
    }
    Ok(batch)
}

/// One sequence's part of the visible rows of a batch: its tokens, then its pooled row if there is one.
pub(crate) fn of_sequence(values: &[f32], batch: &Batch, index: usize, hidden: usize) -> Vec<f32> {
    let (states, pooled) = values.split_at(batch.tokens() * hidden);
    let tokens = batch.sequence(index);
    let own = states[tokens.start * hidden..tokens.end * hidden].iter();
    own.chain(pooled.chunks(hidden).nth(index).into_iter().flatten()).copied().collect()
}

/// The largest absolute difference of two lists of the same length.
pub(crate) fn distance(a: &[f32], b: &[f32]) -> f32 {
    if a.len() != b.len() {
        return f32::INFINITY;
    }
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}
