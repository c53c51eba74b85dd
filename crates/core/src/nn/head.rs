//! A task's head: the few layers between a pooled representation and the logits.

use crate::nn::Linear;
use crate::{Activation, Params, Result, Step, Tensor, Weight};

/// One layer of a head: dropout, projection, non-linearity.
#[derive(Clone)]
pub struct HeadLayer {
    /// The projection.
    pub linear: Linear,
    /// Dropout on its input, in training.
    pub dropout: f32,
    /// What follows it, if anything.
    pub activation: Option<Activation>,
}

/// A classification head: pooled rows `[s, d]` to logits `[s, c]`.
#[derive(Clone)]
pub struct Head {
    layers: Vec<HeadLayer>,
}

/// Dropout sites of heads, apart from those of blocks and methods.
const DROPOUT_SITE: u64 = 1 << 40;

impl Head {
    /// A head of the given layers.
    pub fn new(layers: Vec<HeadLayer>) -> Self {
        Self { layers }
    }

    /// The logits `[s, c]` of pooled rows `[s, d]`.
    ///
    /// # Errors
    /// If the rows have another width.
    pub fn forward(&self, pooled: &Tensor, step: &Step<'_>) -> Result<Tensor> {
        self.layers.iter().enumerate().try_fold(pooled.clone(), |x, (index, layer)| {
            let x = step.dropout(&x, layer.dropout, DROPOUT_SITE + index as u64)?;
            let y = layer.linear.forward(&x, step)?;
            Ok(layer.activation.map_or(y.clone(), |kind| y.activation(kind)))
        })
    }

    /// The number of classes.
    pub fn classes(&self) -> usize {
        self.layers.last().map_or(0, |layer| layer.linear.outputs)
    }

    /// The projection that gives the outputs.
    pub fn last(&self) -> Option<&Linear> {
        self.layers.last().map(|layer| &layer.linear)
    }

    /// Its weights, in file order.
    pub fn weights(&self) -> Vec<&Weight> {
        self.layers.iter().flat_map(|layer| layer.linear.weights()).collect()
    }

    /// Moves every weight into `params`, to be trained.
    ///
    /// # Errors
    /// If another parameter has the name of one.
    pub fn train(&mut self, params: &mut Params) -> Result<()> {
        self.layers.iter_mut().flat_map(|layer| layer.linear.weights_mut()).try_for_each(|w| w.train(params))
    }
}
