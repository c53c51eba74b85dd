//! What the training loop needs to know of a task.

use super::TrainSettings;
use crate::data::Label;
use crate::frozen::Cache;
use crate::instruct::LmRow;
use crate::rows::{Row, Tokens, bucketed, pack};
use crate::{Classifier, Error, LanguageModel, LmMetrics, Metrics, Result, Score};
use offshoot_core::{Adapter, Backbone, Device, Mode, Params, Pass, Tensor};
use offshoot_methods::MethodConfig;
use std::hash::Hash;

/// A model that can be trained: the loop is the same for every task.
pub trait Learner: Sync {
    /// A tokenised row.
    type Row: Tokens + Hash + Clone + Sync;

    /// Whether its loss goes through the model's output head.
    const PREDICTS_TOKENS: bool;

    /// The method's settings.
    fn method(&self) -> &MethodConfig;

    /// The method's adapter.
    fn adapter(&self) -> &dyn Adapter;

    /// The model that it grew on.
    fn backbone(&self) -> &dyn Backbone;

    /// Where its tensors live.
    fn device(&self) -> &Device;

    /// What the task reads of each sequence `[s, d]`, if that is one row.
    ///
    /// # Errors
    /// As the model fails on the batch.
    fn pooled(&self, _pass: &mut Pass<'_>) -> Result<Option<Tensor>> {
        Ok(None)
    }

    /// What is trained.
    fn params(&self) -> &Params;

    /// What is trained, to be changed.
    fn params_mut(&mut self) -> &mut Params;

    /// Gets ready to be trained on rows.
    ///
    /// # Errors
    /// As the engine fails.
    fn begin(&mut self, _rows: &[Self::Row]) -> Result<()> {
        Ok(())
    }

    /// Brings what was trained into the form in which it is used and saved.
    ///
    /// # Errors
    /// As the engine fails.
    fn end(&mut self) -> Result<()> {
        Ok(())
    }

    /// What a training loss is multiplied with to be told in the unit of a score's.
    fn loss_unit(&self) -> f64 {
        1.0
    }

    /// How many losses the rows have: the mean of a step is over these.
    fn losses(&self, rows: &[&Self::Row]) -> usize;

    /// What the sum of these losses is divided by for their mean: how many they are, unless they are weighted.
    fn weight(&self, rows: &[&Self::Row]) -> f64 {
        self.losses(rows) as f64
    }

    /// The summed loss of a pass over rows.
    ///
    /// # Errors
    /// As the model fails on the rows.
    fn loss(&self, pass: &mut Pass<'_>, rows: &[&Self::Row], settings: &TrainSettings) -> Result<Tensor>;

    /// How good it is on labelled rows. `tokens` bounds the micro-batches.
    ///
    /// # Errors
    /// As the model fails on a row.
    fn score(&self, rows: &[Self::Row], tokens: usize) -> Result<Score> {
        self.score_known(rows, tokens, &Cache::none())
    }

    /// Like [`score`](Self::score), where outputs may be known from another pass.
    ///
    /// # Errors
    /// As the model fails on a row.
    fn score_known(&self, rows: &[Self::Row], tokens: usize, cache: &Cache<'_>) -> Result<Score>;
}

impl Learner for Classifier {
    type Row = Row;

    const PREDICTS_TOKENS: bool = false;

    fn method(&self) -> &MethodConfig {
        &self.method
    }

    fn adapter(&self) -> &dyn Adapter {
        self.adapter.as_ref()
    }

    fn backbone(&self) -> &dyn Backbone {
        self.backbone.as_ref()
    }

    fn device(&self) -> &Device {
        self.device()
    }

    fn params(&self) -> &Params {
        &self.params
    }

    fn params_mut(&mut self) -> &mut Params {
        &mut self.params
    }

    fn pooled(&self, pass: &mut Pass<'_>) -> Result<Option<Tensor>> {
        self.pooled(pass).map(Some)
    }

    fn begin(&mut self, rows: &[Row]) -> Result<()> {
        self.rescale(rows.iter().map(|row| &row.label))
    }

    fn end(&mut self) -> Result<()> {
        self.unscale()
    }

    fn loss_unit(&self) -> f64 {
        self.scale().square()
    }

    fn losses(&self, rows: &[&Row]) -> usize {
        rows.len()
    }

    fn weight(&self, rows: &[&Row]) -> f64 {
        self.weighted().total(rows.iter().map(|row| &row.label))
    }

    fn loss(&self, pass: &mut Pass<'_>, rows: &[&Row], settings: &TrainSettings) -> Result<Tensor> {
        let labels: Vec<&Label> = rows.iter().map(|row| &row.label).collect();
        self.weighted().loss(&self.logits(pass)?, &labels, (settings.label_smoothing, self.scale()))
    }

    fn score_known(&self, rows: &[Row], tokens: usize, cache: &Cache<'_>) -> Result<Score> {
        let outputs = self.evaluate_known(rows, tokens, cache, |_| {})?;
        Ok(self.objective.score(&outputs, rows.iter().map(|row| &row.label)))
    }
}

impl Learner for LanguageModel {
    type Row = LmRow;

    const PREDICTS_TOKENS: bool = true;

    fn method(&self) -> &MethodConfig {
        &self.method
    }

    fn adapter(&self) -> &dyn Adapter {
        self.adapter.as_ref()
    }

    fn backbone(&self) -> &dyn Backbone {
        self.backbone.as_ref()
    }

    fn device(&self) -> &Device {
        self.device()
    }

    fn params(&self) -> &Params {
        &self.params
    }

    fn params_mut(&mut self) -> &mut Params {
        &mut self.params
    }

    fn losses(&self, rows: &[&LmRow]) -> usize {
        // Where virtual tokens stand before it, the first token is predicted too.
        let skipped = usize::from(self.adapter.prompt_tokens() == 0);
        rows.iter().map(|row| row.predicted.iter().skip(skipped).filter(|wanted| **wanted).count()).sum()
    }

    fn loss(&self, pass: &mut Pass<'_>, rows: &[&LmRow], _: &TrainSettings) -> Result<Tensor> {
        let predicted: Vec<&[bool]> = rows.iter().map(|row| row.predicted.as_slice()).collect();
        Ok(LanguageModel::loss(self, pass, &predicted)?.0)
    }

    fn score_known(&self, rows: &[LmRow], tokens: usize, cache: &Cache<'_>) -> Result<Score> {
        let (mut total, mut predicted) = (0.0, 0);
        for indices in bucketed(rows, tokens) {
            let part: Vec<&LmRow> = indices.iter().map(|&i| &rows[i]).collect();
            let batch = pack(part.iter().copied())?;
            let mut pass = Pass::new(&batch, self.adapter.as_ref(), &self.params, Mode::Evaluate)?;
            cache.tell(&mut pass, self, &part)?;
            let wanted: Vec<&[bool]> = part.iter().map(|row| row.predicted.as_slice()).collect();
            let (_, losses) = LanguageModel::loss(self, &mut pass, &wanted)?;
            total += losses.iter().map(|&loss| f64::from(loss)).sum::<f64>();
            predicted += losses.len() as u64;
        }
        Ok(Score::Text(LmMetrics::of(total, predicted)))
    }
}

/// Virtual tokens take positions too: whether all rows still fit is known before the first step.
///
/// # Errors
/// If the longest row does not fit.
pub(crate) fn check_lengths<L: Learner>(learner: &L, parts: [&[L::Row]; 3]) -> Result<()> {
    let tokens = learner.adapter().prompt_tokens() + learner.adapter().prefix_tokens();
    let positions = learner.backbone().shape().positions;
    let longest = parts.into_iter().flatten().map(|row| row.ids().len()).max().unwrap_or(0);
    if longest + tokens <= positions {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "{}: rows of up to {longest} tokens and {tokens} virtual ones do not fit the model's {positions} \
         positions; use --max-length {} or fewer --tokens",
        learner.method().info().name,
        positions.saturating_sub(tokens)
    )))
}

/// Metrics of a classifier on rows with classes.
///
/// # Errors
/// As the model fails on a row.
pub fn measure(classifier: &Classifier, rows: &[Row], tokens: usize) -> Result<Metrics> {
    let labels: Vec<u32> = rows.iter().filter_map(|row| row.label.class()).collect();
    Ok(Metrics::of(&classifier.evaluate(rows, tokens, |_| {})?, &labels))
}
