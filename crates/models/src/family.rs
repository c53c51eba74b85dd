//! The registry of model families: a family is one file and one line here.

use crate::config::Fields;
use crate::reader::Reader;
use crate::{Pooling, Result, bert, distilbert, gpt2, llama, roberta};
use offshoot_core::{Activation, Backbone, Shape};
use serde::{Deserialize, Serialize};

/// What a model is loaded for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    /// One class for each sequence.
    #[default]
    Classification,
    /// One number for each sequence.
    Regression,
    /// The next token.
    LanguageModel,
}

impl Task {
    /// Every task.
    pub const ALL: [Self; 3] = [Self::Classification, Self::Regression, Self::LanguageModel];

    /// Its name, as recipes and flags have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Classification => "classification",
            Self::Regression => "regression",
            Self::LanguageModel => "language-model",
        }
    }

    /// Whether a head of its own reads whole sequences, and not the model's output head each token.
    pub fn has_head(self) -> bool {
        self != Self::LanguageModel
    }
}

/// Everything that sets a family apart.
pub(crate) struct Family {
    /// `model_type` in config.json.
    pub(crate) name: &'static str,
    /// One line for help texts.
    pub(crate) summary: &'static str,
    /// The module of the bare model in classes with a head.
    pub(crate) prefix: &'static str,
    /// Reads config.json.
    pub(crate) read: fn(&mut Fields) -> Box<dyn Architecture>,
    /// Its classification head.
    pub(crate) head: fn(&mut Fields) -> HeadSpec,
    /// What its own classification class reads.
    pub(crate) pooling: Pooling,
    /// The name of that class.
    pub(crate) class: &'static str,
    /// The name of its class for language modelling, in families that have one.
    pub(crate) lm_class: Option<&'static str>,
}

/// What config.json describes: its sizes, and how its weights become a backbone.
pub(crate) trait Architecture {
    /// The sizes.
    fn shape(&self) -> &Shape;

    /// Collects the weights; what is missing is reported by `take.finish()`.
    ///
    /// # Errors
    /// If the backbone cannot serve the task.
    fn collect(&self, build: &Build, reader: &mut Reader<'_, '_>) -> Result<Box<dyn Backbone>>;
}

/// What a backbone is built for.
pub(crate) struct Build {
    pub(crate) task: Task,
    /// Whether the task reads the model's own pooler.
    pub(crate) pooled: bool,
}

/// Every family.
pub(crate) const FAMILIES: &[Family] = &[
    bert::FAMILY,
    distilbert::FAMILY,
    roberta::FAMILY,
    gpt2::FAMILY,
    llama::LLAMA,
    llama::MISTRAL,
    llama::QWEN2,
    llama::QWEN3,
    llama::GEMMA3,
];

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
    pub(crate) bias: bool,
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
        let layer = HeadLayerSpec { name, outputs: Outputs::Classes, activation: None, dropout, bias: true };
        Self { layers: vec![layer] }
    }

    /// The one projection, without bias, of decoders.
    pub(crate) fn score() -> Self {
        let mut spec = Self::single("score", 0.0);
        spec.layers.iter_mut().for_each(|layer| layer.bias = false);
        spec
    }
}

/// Reads a non-linearity by the name config files give it; `gelu` if there is none.
pub(crate) fn activation(fields: &mut Fields, key: &str) -> Activation {
    activation_or(fields, key, Activation::Gelu)
}

/// Reads a non-linearity by the name config files give it.
pub(crate) fn activation_or(fields: &mut Fields, key: &str, default: Activation) -> Activation {
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
    fields.choice(key, default, &choices)
}

/// Reads a dropout rate.
pub(crate) fn dropout(fields: &mut Fields, key: &str, default: f32) -> f32 {
    fields.probability(key).unwrap_or(default)
}
