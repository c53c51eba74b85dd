//! The registry of model families: a family is one file and one line here.

use crate::config::Fields;
use crate::encoder::{Names, Settings};
use crate::{Pooling, Result, bert, distilbert, roberta};
use offshoot_core::Activation;

/// Everything that sets a family apart.
pub(crate) struct Family {
    /// `model_type` in config.json.
    pub(crate) name: &'static str,
    /// One line for help texts.
    pub(crate) summary: &'static str,
    /// What it calls its modules.
    pub(crate) names: &'static Names,
    /// Reads config.json.
    pub(crate) settings: fn(&mut Fields) -> Result<Settings>,
    /// Its classification head.
    pub(crate) head: fn(&mut Fields) -> HeadSpec,
    /// What its own classification class reads.
    pub(crate) pooling: Pooling,
    /// The name of that class.
    pub(crate) class: &'static str,
}

/// Every family.
pub(crate) const FAMILIES: &[Family] = &[bert::FAMILY, distilbert::FAMILY, roberta::FAMILY];

/// The layers of a classification head, from the pooled representation to the logits.
#[derive(Clone, Debug)]
pub(crate) struct HeadSpec {
    pub(crate) layers: Vec<HeadLayerSpec>,
}

/// One layer of a head.
#[derive(Clone, Debug)]
pub(crate) struct HeadLayerSpec {
    /// Module path in checkpoints.
    pub(crate) name: &'static str,
    pub(crate) outputs: Outputs,
    pub(crate) activation: Option<Activation>,
    /// On its input.
    pub(crate) dropout: f32,
}

/// How wide a head's layer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outputs {
    /// As the backbone.
    Hidden,
    /// One per class.
    Classes,
}

impl HeadSpec {
    /// One projection.
    pub(crate) fn single(name: &'static str, dropout: f32) -> Self {
        let layer = HeadLayerSpec { name, outputs: Outputs::Classes, activation: None, dropout };
        Self { layers: vec![layer] }
    }
}

/// Reads a non-linearity by the name config files give it; `gelu` if there is none.
pub(crate) fn activation(fields: &mut Fields, key: &str) -> Activation {
    let choices = [
        ("gelu", Activation::Gelu),
        ("gelu_python", Activation::Gelu),
        ("gelu_new", Activation::GeluTanh),
        ("gelu_pytorch_tanh", Activation::GeluTanh),
        ("gelu_fast", Activation::GeluTanh),
        ("relu", Activation::Relu),
        ("silu", Activation::Silu),
        ("swish", Activation::Silu),
        ("tanh", Activation::Tanh),
        ("sigmoid", Activation::Sigmoid),
    ];
    fields.choice(key, Activation::Gelu, &choices)
}

/// Reads a dropout rate.
pub(crate) fn dropout(fields: &mut Fields, key: &str, default: f32) -> f32 {
    fields.probability(key).unwrap_or(default)
}
