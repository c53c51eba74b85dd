//! Fine-tuning methods: one file per method, one line in the registry.
//!
//! A method file holds a `Config` (its settings, with defaults that train well on real data), an `INFO` (what help texts,
//! tables and file formats need to know) and the adapter it builds. It never sees a model family: it asks a
//! [`Backbone`] for its sites and registers what it trains in [`Params`], under the module path that files will use.

pub mod head;
pub mod lora;
mod registry;

pub use registry::{Info, MethodConfig, Saves, Sizes};

use offshoot_core::{Adapter, Backbone, Device, Error, Params, Result, Rng, Shape, Tensor};

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
}

/// The settings of one method.
pub trait Method {
    /// Fills the sizes that were left open with what suits a backbone of this shape, so that a saved recipe is complete.
    fn resolve(&mut self, _shape: &Shape) {}

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
