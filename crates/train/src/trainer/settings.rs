//! How a run trains.

use super::{ClassWeights, Schedule};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// The settings of a training run. The learning rate belongs to the method unless it is given.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainSettings {
    /// Passes over the training rows. Default 3.
    pub epochs: usize,
    /// Rows per optimizer step. Default 16.
    pub batch: usize,
    /// Most tokens of a micro-batch; a step with more is accumulated. Default 512.
    pub batch_tokens: usize,
    /// The lowest trained blocks whose activations are not kept, but computed again on the way back. Default 0.
    pub recompute: usize,
    /// Bytes that the process may take: smaller micro-batches, recomputation and less in caches make it fit.
    pub memory: Option<u64>,
    /// Peak learning rate; the method's own if absent.
    pub lr: Option<f32>,
    /// How it falls. Default linear.
    pub schedule: Schedule,
    /// Share of the steps over which it rises. Default 0.06.
    pub warmup: f64,
    /// Decoupled weight decay, on every trained tensor. Default 0.01.
    pub weight_decay: f32,
    /// The gradient's norm is clipped here; 0 is never. Default 1.
    pub clip: f64,
    /// Share of the label's probability that is spread over all classes. Default 0.
    pub label_smoothing: f32,
    /// Whether dropout acts, at the rates of the model's config. Default yes.
    pub dropout: bool,
    /// Stops after so many epochs without a better validation accuracy, or loss where there are no classes.
    pub patience: Option<usize>,
    /// Bytes of memory for outputs of frozen blocks, which are then not computed again. Default 512 MB.
    pub cache_memory: u64,
    /// Bytes for them in memory and in a file together; 0 keeps none. Default 4 GB.
    pub cache_limit: u64,
    /// Trains on the first so many of the training rows, which are in random order. Default all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<usize>,
    /// Decides initial values, the order of rows, and dropout. Default 0.
    pub seed: u64,
    /// By what a row's loss is multiplied, in a classification. Default 1 for every row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class_weights: Option<ClassWeights>,
}

impl Default for TrainSettings {
    fn default() -> Self {
        Self {
            epochs: 3,
            batch: 16,
            batch_tokens: 512,
            recompute: 0,
            memory: None,
            lr: None,
            schedule: Schedule::default(),
            warmup: 0.06,
            weight_decay: 0.01,
            clip: 1.0,
            label_smoothing: 0.0,
            dropout: true,
            patience: None,
            cache_memory: 512_000_000,
            cache_limit: 4_000_000_000,
            rows: None,
            seed: 0,
            class_weights: None,
        }
    }
}

impl TrainSettings {
    /// The settings without those that change no bit of the result.
    pub(crate) fn deciding(&self) -> Self {
        Self { memory: None, cache_memory: 0, cache_limit: 0, ..self.clone() }
    }

    /// The rows that are trained on.
    pub(crate) fn part<'a, R>(&self, rows: &'a [R]) -> &'a [R] {
        self.rows.and_then(|most| rows.get(..most)).unwrap_or(rows)
    }

    /// Checks every value before any work starts.
    ///
    /// # Errors
    /// One message with everything that is out of range.
    pub fn check(&self) -> Result<()> {
        let checks = [
            (self.epochs >= 1, "--epochs must be at least 1"),
            (self.batch >= 1, "--batch must be at least 1"),
            (self.batch_tokens >= 1, "batch_tokens must be at least 1"),
            (self.lr.is_none_or(|lr| lr.is_finite() && lr > 0.0), "--lr must be a positive number"),
            ((0.0..1.0).contains(&self.warmup), "warmup must be at least 0 and below 1"),
            (self.weight_decay.is_finite() && self.weight_decay >= 0.0, "weight_decay must not be negative"),
            (self.clip.is_finite() && self.clip >= 0.0, "clip must not be negative"),
            ((0.0..1.0).contains(&self.label_smoothing), "label_smoothing must be at least 0 and below 1"),
            (self.patience != Some(0), "patience must be at least 1"),
            (
                self.class_weights.as_ref().is_none_or(ClassWeights::positive),
                "class_weights must be positive numbers",
            ),
            (self.rows != Some(0), "rows must be at least 1"),
        ];
        let wrong: Vec<&str> = checks.iter().filter(|(fine, _)| !fine).map(|(_, text)| *text).collect();
        if wrong.is_empty() { Ok(()) } else { Err(Error::invalid(wrong.join("; "))) }
    }
}
