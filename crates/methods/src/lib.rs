//! Fine-tuning methods: one file per method, one line in the registry.
//!
//! A method file holds a `Config` (its settings, with defaults that train well on real data), an `INFO` (what
//! help texts, tables and file formats need to know) and the adapter it builds. It never sees a model family:
//! it asks a [`Backbone`] for its sites and registers what it trains in [`Params`], under the module path
//! that files will use.

pub mod bitfit;
pub mod bottleneck;
mod dense;
pub mod dora;
pub mod features;
pub mod features_forest;
pub mod features_knn;
pub mod features_mlp;
pub mod features_xgboost;
pub mod formats;
pub mod full;
pub mod hard_prompt;
pub mod head;
pub mod houlsby;
pub mod ia3;
pub mod in_context;
pub mod last_layers;
pub mod llama_adapter;
pub mod lora;
pub mod p_tuning;
pub mod parallel;
pub mod pfeiffer;
pub mod prefix;
pub mod prefix_mlp;
pub mod prompt;
pub mod read;
mod registry;
mod sites;
mod virtual_tokens;

pub use registry::{Info, Merging, MethodConfig, Saves, Sizes};

use offshoot_core::{Adapter, Backbone, Device, Error, Params, Place, Result, Rng, Shape, Tensor};
use std::ops::RangeInclusive;

/// What a method is built on.
pub struct Target<'a> {
    /// The frozen model. Methods that train its own weights move them into `params`.
    pub backbone: &'a mut dyn Backbone,
    /// Receives everything that is trained.
    pub params: &'a mut Params,
    /// Draws initial values.
    pub rng: &'a mut Rng,
    /// Where new tensors live.
    pub device: &'a Device,
}

impl Target<'_> {
    /// The sizes of the backbone.
    pub fn shape(&self) -> Shape {
        *self.backbone.shape()
    }

    /// Zeros of a shape.
    pub fn zeros(&self, shape: &[usize]) -> Tensor {
        Tensor::zeros(self.device, shape)
    }

    /// Normal numbers of a shape.
    pub fn normal(&mut self, shape: &[usize], deviation: f64) -> Tensor {
        self.rng.normal_tensor(self.device, shape, deviation)
    }

    /// Uniform numbers of a shape in `[-bound, bound)`.
    pub fn uniform(&mut self, shape: &[usize], bound: f64) -> Tensor {
        self.rng.uniform_tensor(self.device, shape, bound)
    }

    /// Moves those of the backbone's own weights that are `wanted` into the parameters.
    ///
    /// # Errors
    /// If a parameter has the name of one.
    pub fn train(&mut self, wanted: impl Fn(Place) -> bool) -> Result<()> {
        let weights = self.backbone.weights_mut().into_iter().filter(|weight| wanted(weight.place()));
        weights.into_iter().try_for_each(|weight| weight.train(self.params))
    }
}

/// The settings of one method.
pub trait Method {
    /// Fills the sizes that were left open with what suits a backbone of this shape, so that a saved recipe
    /// is complete.
    fn resolve(&mut self, _shape: &Shape) {}

    /// How it is written to disk, where a setting decides that; what its `INFO` says otherwise.
    fn saves(&self) -> Option<Saves> {
        None
    }

    /// Registers the method's parameters and returns its adapter.
    ///
    /// # Errors
    /// If a setting does not fit the backbone: the message names the setting and the valid choices.
    fn build(&self, target: &mut Target<'_>) -> Result<Box<dyn Adapter>>;
}

/// An error about one of a method's settings.
pub(crate) fn setting(method: &str, name: &str, problem: impl std::fmt::Display) -> Error {
    Error::invalid(format!("{method}: `{name}` {problem}"))
}

/// The most that a width or a number of tokens may be where the model sets no bound: wider than any model's
/// feed-forward, and small enough that no flag asks for more memory than there is.
pub(crate) const MOST: usize = 1 << 16;

/// Checks that a size is in its range.
pub(crate) fn check_size(method: &str, name: &str, value: usize, valid: RangeInclusive<usize>) -> Result<()> {
    let (least, most) = (valid.start(), valid.end());
    match valid.contains(&value) {
        true => Ok(()),
        false => Err(setting(method, name, format!("is {value}; it must be from {least} to {most}"))),
    }
}

/// Checks that a dropout rate is one.
pub(crate) fn check_dropout(method: &str, rate: f32) -> Result<()> {
    match (0.0..1.0).contains(&rate) {
        true => Ok(()),
        false => Err(setting(method, "dropout", format!("is {rate}; it must be at least 0 and below 1"))),
    }
}

/// Checks that a factor is a number that does not switch the method off.
pub(crate) fn check_factor(method: &str, name: &str, factor: f64) -> Result<()> {
    match factor.is_finite() && factor != 0.0 {
        true => Ok(()),
        false => Err(setting(method, name, format!("is {factor}; it must be a finite number other than 0"))),
    }
}

/// Checks that every listed block exists.
pub(crate) fn check_layers(method: &str, name: &str, listed: &[usize], layers: usize) -> Result<()> {
    match listed.iter().find(|&&layer| layer >= layers) {
        None => Ok(()),
        Some(bad) => {
            let last = layers.saturating_sub(1);
            Err(setting(method, name, format!("lists block {bad}; the blocks are 0 to {last}")))
        }
    }
}

/// A number for one use of dropout in a pass, apart from the backbone's own and the head's.
pub(crate) fn dropout_site(layer: usize, place: u64) -> u64 {
    (1 << 32) + ((layer as u64) << 8) + place
}
