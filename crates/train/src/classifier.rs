//! The classification task: a backbone with its adapter, pooling and head.

use crate::features::{Fitted, new_head};
use crate::frozen::Cache;
use crate::prompting::{Likelihood, Prompt};
use crate::rows::{Row, bucketed, pack};
use crate::{Error, Result};
use offshoot_core::nn::Head;
use offshoot_core::{Adapter, Backbone, Device, Mode, Params, Pass, Rng, Tensor, forward};
use offshoot_methods::{MethodConfig, Saves, Target};
use offshoot_models::{Model, Pooling};
use rayon::prelude::*;

/// A model that can be trained and asked: what one method grew on a backbone, and its head.
pub struct Classifier {
    /// The frozen model, or a fork of it whose own weights the method trains.
    pub backbone: Box<dyn Backbone>,
    /// The method's adapter.
    pub adapter: Box<dyn Adapter>,
    /// The method's settings, complete.
    pub method: MethodConfig,
    /// The task's head. Its weights are in `params`.
    pub head: Head,
    /// Everything that is trained.
    pub params: Params,
    /// What it is asked, where the method trains nothing and only writes around the text. Then there is no
    /// head.
    pub prompt: Option<Prompt>,
    /// What stands in the head's place, where it is no network.
    pub fitted: Option<Fitted>,
    /// What the head reads.
    pub pooling: Pooling,
    /// What the loss of a row of each class is multiplied by while it is trained; none for 1.
    pub class_weights: Vec<f32>,
    device: Device,
}

impl Classifier {
    /// Grows a method and a head on a model. The seed decides all initial values.
    ///
    /// # Errors
    /// If a setting of the method does not fit the model, or it asks for words and the model has no output head.
    pub fn new(model: &Model, method: &MethodConfig, classes: usize, seed: u64) -> Result<Self> {
        let rng = Rng::new(seed);
        let head = match method.saves() {
            Saves::Prompt => {
                // What cannot be asked is refused at once.
                Likelihood::new(model.backbone.as_ref())?;
                Head::new(Vec::new())
            }
            Saves::Features | Saves::Fitted => new_head(model, method, classes, &mut rng.fork("head")),
            _ => model.new_head(classes, &mut rng.fork("head"))?.0,
        };
        Self::with_head(model, method, head, &mut rng.fork("adapter"))
    }

    /// Like [`new`](Self::new), with a head of the caller's.
    ///
    /// # Errors
    /// If a setting of the method does not fit the model.
    pub fn with_head(model: &Model, method: &MethodConfig, mut head: Head, rng: &mut Rng) -> Result<Self> {
        let device = model.device().clone();
        let mut backbone = model.backbone.fork();
        let mut params = Params::new();
        let mut method = method.clone();
        method.resolve(backbone.shape());
        let mut target = Target { backbone: backbone.as_mut(), params: &mut params, rng, device: &device };
        let adapter = method.build(&mut target)?;
        head.train(&mut params)?;
        let pooling = model.pooling;
        Ok(Self {
            backbone,
            adapter,
            method,
            head,
            params,
            prompt: None,
            fitted: None,
            pooling,
            class_weights: Vec::new(),
            device,
        })
    }

    /// The logits `[sequences, classes]` of one pass.
    ///
    /// # Errors
    /// As the model fails on the batch; if the method has no head.
    pub fn logits(&self, pass: &mut Pass<'_>) -> Result<Tensor> {
        let name = self.method.info().name;
        match self.method.saves() {
            Saves::Prompt => {
                return Err(Error::invalid(format!(
                    "`{name}` has no head: it is asked with texts, not rows"
                )));
            }
            Saves::Fitted => {
                return Err(Error::invalid(format!("`{name}` has no head: it is asked with whole features")));
            }
            _ => {}
        }
        Ok(self.head.forward(&self.pooled(pass)?, pass.step())?)
    }

    /// The pooled representation `[sequences, d]` of one pass.
    ///
    /// # Errors
    /// As the model fails on the batch.
    pub fn pooled(&self, pass: &mut Pass<'_>) -> Result<Tensor> {
        if let Some(pooled) = pass.pooled() {
            return Ok(pooled.clone());
        }
        let hidden = forward(self.backbone.as_ref(), pass)?;
        let layout = pass.layout();
        match self.pooling {
            Pooling::Mean => {
                let real: Vec<_> = (0..layout.sequences()).map(|s| layout.real(s)).collect();
                Ok(hidden.segment_mean(&real)?)
            }
            Pooling::Cls => Ok(hidden.gather_rows(&layout.first_rows())?),
            Pooling::Last => Ok(hidden.gather_rows(&layout.last_rows())?),
            Pooling::Pooler => {
                let first = hidden.gather_rows(&layout.first_rows())?;
                self.backbone.pooler(&first, pass)?.ok_or_else(|| Error::invalid("this model has no pooler"))
            }
        }
    }

    /// Logits of all rows, in their order, `classes` values each. `tokens` bounds the micro-batches.
    ///
    /// # Errors
    /// As the model fails on a row.
    pub fn evaluate(&self, rows: &[Row], tokens: usize, done: impl FnMut(usize)) -> Result<Vec<Vec<f32>>> {
        self.evaluate_known(rows, tokens, &Cache::none(), done)
    }

    /// Like [`evaluate`](Self::evaluate), where outputs may be known from another pass.
    ///
    /// # Errors
    /// As the model fails on a row.
    pub fn evaluate_known(
        &self,
        rows: &[Row],
        tokens: usize,
        cache: &Cache<'_>,
        done: impl FnMut(usize),
    ) -> Result<Vec<Vec<f32>>> {
        match &self.fitted {
            Some(fitted) => {
                let features = self.features_known(rows, tokens, cache, done)?;
                features.par_iter().map(|row| fitted.logits(row)).collect()
            }
            None => self.each_batch((rows, tokens, cache), |pass| self.logits(pass), done),
        }
    }

    /// Pooled representations of all rows, in their order.
    ///
    /// # Errors
    /// As the model fails on a row.
    pub fn features(&self, rows: &[Row], tokens: usize, done: impl FnMut(usize)) -> Result<Vec<Vec<f32>>> {
        self.features_known(rows, tokens, &Cache::none(), done)
    }

    /// Like [`features`](Self::features), where outputs may be known from another pass.
    ///
    /// # Errors
    /// As the model fails on a row.
    pub fn features_known(
        &self,
        rows: &[Row],
        tokens: usize,
        cache: &Cache<'_>,
        done: impl FnMut(usize),
    ) -> Result<Vec<Vec<f32>>> {
        self.each_batch((rows, tokens, cache), |pass| self.pooled(pass), done)
    }

    /// Class names where nobody has given any: their numbers.
    pub fn numbered_labels(&self) -> Vec<String> {
        let classes = self.fitted.as_ref().map_or(self.head.classes(), Fitted::classes);
        (0..classes).map(|class| class.to_string()).collect()
    }

    /// Trained values, and all values of the model with its adapter and head.
    pub fn sizes(&self) -> (usize, usize) {
        let weights = self.backbone.weights();
        let frozen: usize = weights.iter().filter(|w| w.param().is_none()).map(|w| w.len()).sum();
        let own = self.params.count() + self.fitted.as_ref().map_or(0, Fitted::values);
        (own, own + frozen)
    }

    /// Where its tensors live.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Runs `output` over rows bucketed by length and puts its rows back in order.
    fn each_batch(
        &self,
        (rows, tokens, cache): (&[Row], usize, &Cache<'_>),
        output: impl Fn(&mut Pass<'_>) -> Result<Tensor>,
        mut done: impl FnMut(usize),
    ) -> Result<Vec<Vec<f32>>> {
        let mut outputs = vec![Vec::new(); rows.len()];
        for indices in bucketed(rows, tokens) {
            let part: Vec<&Row> = indices.iter().map(|&i| &rows[i]).collect();
            let batch = pack(part.iter().copied())?;
            let mut pass = Pass::new(&batch, self.adapter.as_ref(), &self.params, Mode::Evaluate)?;
            cache.tell(&mut pass, self, &part)?;
            let values = output(&mut pass)?;
            let width = values.cols();
            let values = values.to_vec();
            done(indices.len());
            for (index, row) in indices.iter().zip(values.chunks(width)) {
                outputs[*index] = row.to_vec();
            }
        }
        Ok(outputs)
    }
}
