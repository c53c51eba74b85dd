//! `offshoot.json`: what an adapter's folder says beside the library's own files.

use super::likeness::{alike, blocks, fingerprint, sketch};
use super::{About, Grown, read_json};
use crate::{Error, Objective, Result};
use offshoot_core::Backbone;
use offshoot_methods::MethodConfig;
use offshoot_models::{Model, Pooling, Task};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::Path;

/// The card's file name.
pub const CARD_FILE: &str = "offshoot.json";
/// The version of the card that this program writes and reads.
const VERSION: u32 = 1;

/// What a library's files have no place for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Card {
    /// The version of this file's format.
    pub version: u32,
    /// What it was trained for.
    #[serde(default)]
    pub task: Task,
    /// The method with its settings, complete.
    pub method: MethodConfig,
    /// The model it was trained on.
    pub base: Base,
    /// Class names, in the order of the head's rows; none where there are no classes.
    pub labels: Vec<String>,
    /// What the head reads.
    pub pooling: Pooling,
    /// The recipe of the run.
    pub recipe: Value,
}

/// A base model as an adapter knows it: only on the same one does it mean anything.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Base {
    /// The folder or hub id, as the user gave it.
    pub name: String,
    /// The model family.
    pub family: String,
    /// Transformer blocks.
    pub layers: usize,
    /// Width of the residual stream.
    pub hidden: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Width of the feed-forward network.
    pub ffn: usize,
    /// Rows of the token table.
    pub vocab: usize,
    /// A hash of the frozen norms and biases: models of one size are told apart by it. They are the values
    /// that no precision and no quantisation of the matrices changes.
    pub fingerprint: String,
    /// Sums over the same values: one model in two forms is known by them where rounding tips the hash.
    #[serde(default)]
    pub sketch: Vec<f64>,
    /// The formats of its quantised matrices, if it had such.
    #[serde(default)]
    pub blocks: Option<String>,
}

impl Card {
    /// The card of what was trained on `model`.
    pub(super) fn new(model: &Model, grown: &Grown<'_>, about: About<'_>) -> Self {
        Self {
            version: VERSION,
            task: grown.task(),
            method: grown.method.clone(),
            base: Base::of(model.backbone.as_ref(), about.model_name),
            labels: about.labels.to_vec(),
            pooling: grown.pooling.unwrap_or(model.pooling),
            recipe: about.recipe,
        }
    }

    /// The card in a folder; none if an adapter of another program is there.
    ///
    /// # Errors
    /// If it cannot be read, is damaged, or is of another version.
    pub fn read(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join(CARD_FILE);
        if !path.exists() {
            return Ok(None);
        }
        let value = read_json(&path)?;
        let failed = |reason: String| Error::invalid(format!("{}: {reason}", path.display()));
        match value.get("version").and_then(Value::as_u64) {
            Some(version) if version == u64::from(VERSION) => {}
            Some(version) => {
                let reason = format!("is of version {version}; this program reads version {VERSION}");
                return Err(failed(reason));
            }
            None => return Err(failed("there is no `version`; the file is damaged".into())),
        }
        serde_json::from_value(value).map(Some).map_err(|error| failed(error.to_string()))
    }

    /// What the head's outputs are.
    pub(crate) fn objective(&self) -> Objective {
        Objective::new(self.task, self.labels.len())
    }

    /// Checks that a model is the one that the adapter was trained on, and is pooled as then. Whether its
    /// matrices are quantised makes no other model of it; what a person should know of that is returned.
    ///
    /// # Errors
    /// If it is another: the message says in what they differ.
    pub fn check(&self, model: &Model) -> Result<Option<String>> {
        let other = Base::of(model.backbone.as_ref(), &self.base.name);
        let differences = self.base.differences(&other);
        if !differences.is_empty() {
            let list = differences.join(", ");
            return Err(Error::invalid(format!(
                "the adapter was trained on another base, `{}`: {list}; give that model with --model",
                self.base.name
            )));
        }
        if self.task.has_head() != model.task.has_head() {
            return Err(Error::invalid(match self.task {
                Task::Classification => "the adapter classifies; use it with `offshoot predict`",
                Task::Regression => "the adapter gives numbers; use it with `offshoot predict`",
                Task::LanguageModel => "the adapter is a language model's; use it with `offshoot generate`",
            }));
        }
        if self.task.has_head() && self.pooling != model.pooling {
            return Err(Error::invalid(format!(
                "the adapter was trained with the pooling `{}`, and the model is pooled by `{}`; leave \
                 --pooling out or give it `{}`",
                self.pooling, model.pooling, self.pooling
            )));
        }
        Ok(self.base.form(&other))
    }
}

impl Base {
    /// What is to be known about a model.
    pub(crate) fn of(backbone: &dyn Backbone, name: &str) -> Self {
        let shape = backbone.shape();
        Self {
            name: name.to_owned(),
            family: backbone.family().to_owned(),
            layers: shape.layers,
            hidden: shape.hidden,
            heads: shape.heads,
            kv_heads: shape.kv_heads,
            ffn: shape.ffn,
            vocab: shape.vocab,
            fingerprint: fingerprint(backbone),
            sketch: sketch(backbone),
            blocks: blocks(backbone),
        }
    }

    /// In what another model differs, for a message. The name alone makes no difference: a folder may be
    /// moved.
    pub(crate) fn differences(&self, other: &Self) -> Vec<String> {
        let sizes = [
            ("blocks", self.layers, other.layers),
            ("width", self.hidden, other.hidden),
            ("heads", self.heads, other.heads),
            ("key and value heads", self.kv_heads, other.kv_heads),
            ("feed-forward width", self.ffn, other.ffn),
            ("tokens in the vocabulary", self.vocab, other.vocab),
        ];
        let family = (self.family != other.family)
            .then(|| format!("it is a {} model, this is a {} model", self.family, other.family));
        let sizes = sizes.into_iter().filter(|(_, mine, theirs)| mine != theirs);
        let sizes = sizes.map(|(what, mine, theirs)| format!("{mine} {what}, here {theirs}"));
        let all: Vec<_> = family.into_iter().chain(sizes).collect();
        if all.is_empty() && self.fingerprint != other.fingerprint && !alike(&self.sketch, &other.sketch) {
            return vec!["of the same size, with other weights".to_owned()];
        }
        all
    }

    /// What to say if the same model is here in another form. Cards of before that was written down are silent.
    fn form(&self, other: &Self) -> Option<String> {
        let known = !self.sketch.is_empty();
        let of = |blocks: &Option<String>| match blocks {
            Some(blocks) => format!("its matrices in {blocks}"),
            None => "its matrices not quantised".to_owned(),
        };
        (known && self.blocks != other.blocks).then(|| {
            format!(
                "the adapter was trained on the model with {}, and here it has {}; results differ a little",
                of(&self.blocks),
                of(&other.blocks)
            )
        })
    }
}
