//! Tasks on whole sequences: a backbone with its adapter, pooling and head. What the head is for is its `objective`.

use crate::data::Label;
use crate::features::{Fitted, new_head};
use crate::frozen::Cache;
use crate::objective::Objective;
use crate::prompting::{Likelihood, Prompt};
use crate::rows::{Row, bucketed, pack};
use crate::scale::Scale;
use crate::weighted::Weighted;
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
    /// What the head's outputs are.
    pub objective: Objective,
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
    /// The scale that labels are learnt on, while it is trained.
    scale: Scale,
    /// Whether the head has learnt nothing yet, of any scale.
    new: bool,
    device: Device,
}

impl Classifier {
    /// Grows a method and a head on a model: for so many classes, or for an [`Objective`]. The seed decides all initial
    /// values.
    ///
    /// # Errors
    /// If the method or a setting of it does not fit the model or the objective, or it asks for words and the model has
    /// no output head.
    pub fn new(
        model: &Model,
        method: &MethodConfig,
        objective: impl Into<Objective>,
        seed: u64,
    ) -> Result<Self> {
        let (rng, objective) = (Rng::new(seed), objective.into());
        if !objective.fits(method) {
            return Err(Error::invalid(objective.refusal(method)));
        }
        let outputs = objective.outputs();
        let (head, new) = match method.saves() {
            Saves::Prompt => {
                // What cannot be asked is refused at once.
                Likelihood::new(model.backbone.as_ref())?;
                (Head::new(Vec::new()), true)
            }
            Saves::Features | Saves::Fitted => {
                (new_head(model, method, outputs, &mut rng.fork("head")), true)
            }
            _ => model.new_head(outputs, &mut rng.fork("head"))?,
        };
        let classifier = Self::with_head(model, method, head, &mut rng.fork("adapter"))?;
        Ok(Self { objective, new, ..classifier })
    }

    /// Like [`new`](Self::new), with a head of the caller's for classes.
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
        let (pooling, objective) = (model.pooling, Objective::Classes(head.classes()));
        Ok(Self {
            backbone,
            adapter,
            method,
            head,
            objective,
            params,
            prompt: None,
            fitted: None,
            pooling,
            class_weights: Vec::new(),
            scale: Scale::default(),
            new: false,
            device,
        })
    }

    /// For another objective, with a head that has learnt nothing or is as it was saved.
    pub(crate) fn of(self, objective: Objective, new: bool) -> Self {
        Self { objective, new, ..self }
    }

    /// Brings the head to the scale on which it learns these labels, until [`unscale`](Self::unscale).
    pub(crate) fn rescale<'a>(&mut self, labels: impl Iterator<Item = &'a Label>) -> Result<()> {
        let Some(layer) = self.head.last() else { return Ok(()) };
        self.scale = self.objective.scale(labels, layer.bias.is_some());
        // What is new has learnt nothing, and begins as a head of any task does: near 0 on the scale.
        if self.new { Ok(()) } else { self.scale.unfold(layer, &mut self.params) }
    }

    /// Makes the head's outputs the labels' own numbers again.
    pub(crate) fn unscale(&mut self) -> Result<()> {
        let Some(layer) = self.head.last() else { return Ok(()) };
        self.scale.fold(layer, &mut self.params)?;
        (self.scale, self.new) = (Scale::default(), false);
        Ok(())
    }

    /// What its head is for, with what rows of each class count.
    pub(crate) fn weighted(&self) -> Weighted<'_> {
        Weighted { objective: self.objective, weights: &self.class_weights }
    }

    /// The scale that labels are learnt on now.
    pub(crate) fn scale(&self) -> Scale {
        self.scale
    }

    /// The logits `[sequences, classes]` of one pass; one number each where the objective is that, on the scale that it
    /// is learnt on.
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

    /// The head's outputs for all rows, in their order: logits, or a number. `tokens` bounds the micro-batches.
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
            None => {
                let outputs = self.each_batch((rows, tokens, cache), |pass| self.logits(pass), done)?;
                Ok(self.scale.outputs(outputs))
            }
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

    /// Class names where nobody has given any: their numbers. None where there are no classes.
    pub fn numbered_labels(&self) -> Vec<String> {
        if self.objective == Objective::Number {
            return Vec::new();
        }
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
