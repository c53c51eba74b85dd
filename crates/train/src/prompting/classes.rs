//! Classification: which prompt is asked, and how good it is.

use super::ask::Asker;
use super::examples;
use super::hard_prompt::{self, TEMPLATES};
use super::prompt::{Prompt, text_of};
use super::trial::Labelled;
use crate::classifier::Classifier;
use crate::data::Example;
use crate::run::Prepared;
use crate::trainer::{Event, Outcome, TrainSettings};
use crate::{Error, Result};
use offshoot_core::Rng;
use offshoot_methods::hard_prompt::Config;
use offshoot_methods::{MethodConfig, in_context};
use offshoot_models::Tokenizer;
use std::time::Instant;

/// How a text is asked about in context.
const TEMPLATE: &str = "Text: {text}\nLabel:";
/// Rows that are asked about at a time, so that there is something to tell.
const CHUNK: usize = 64;

/// Chooses what a method that trains nothing asks, and puts it into the classifier.
///
/// # Errors
/// If the model has no output head, or a setting does not fit the rows.
pub(crate) fn choose(
    prepared: &Prepared,
    classifier: &mut Classifier,
    settings: &TrainSettings,
    watch: &mut dyn FnMut(Event),
) -> Result<Outcome> {
    let start = Instant::now();
    let mut rng = Rng::new(settings.seed).fork("prompt");
    let train = settings.part(&prepared.examples.train);
    let (prompt, steps) = match &classifier.method {
        MethodConfig::InContext(config) => (in_context(prepared, train, config, &mut rng)?, 0),
        MethodConfig::HardPrompt(config) => hard_prompt(prepared, train, (config, &mut rng), watch)?,
        other => return Err(Error::invalid(format!("`{}` is trained, not asked", other.info().name))),
    };
    classifier.prompt = Some(prompt);
    Ok(Outcome { steps, train_seconds: start.elapsed().as_secs_f64(), ..Outcome::default() })
}

impl Classifier {
    /// The logits of rows that are asked about in words, one list each, where the method trains nothing.
    /// `tokens` bounds the micro-batches; `done` is told how many more rows are done.
    ///
    /// # Errors
    /// If it has no prompt; as the model fails on a text.
    pub fn ask(
        &self,
        tokenizer: &Tokenizer,
        rows: &[Example],
        tokens: usize,
        mut done: impl FnMut(usize),
    ) -> Result<Vec<Vec<f32>>> {
        let Some(prompt) = &self.prompt else {
            return Err(Error::invalid(format!("`{}` has no prompt to ask", self.method.info().name)));
        };
        let backbone = self.backbone.as_ref();
        let asker = Asker::new(backbone, tokenizer, prompt)?;
        let texts: Vec<String> = rows.iter().map(text_of).collect();
        let mut shown = examples::nearest(backbone, tokenizer, prompt, &texts, tokens)?;
        let mut logits = Vec::with_capacity(texts.len());
        for chunk in texts.chunks(CHUNK) {
            let rest = shown.split_off(chunk.len().min(shown.len()));
            logits.extend(asker.logits(chunk, &shown)?);
            shown = rest;
            done(chunk.len());
        }
        Ok(logits)
    }
}

/// The prompt of `in-context`, with the examples that all texts share or are to choose from.
fn in_context(
    prepared: &Prepared,
    train: &[Example],
    config: &in_context::Config,
    rng: &mut Rng,
) -> Result<Prompt> {
    let template = config.template.as_deref().unwrap_or(TEMPLATE);
    let mut prompt = Prompt::new(template, &prepared.labels, &config.labels)?;
    prompt.calibrate = config.calibrate;
    // What cannot be asked fails before anything is computed.
    Asker::new(prepared.model.backbone.as_ref(), &prepared.tokenizer, &prompt)?;
    let rows = match config.examples {
        in_context::Examples::Nearest if config.shots > 0 => {
            prompt.nearest = config.shots.min(train.len());
            (0..train.len()).collect()
        }
        _ => examples::drawn(train, config.shots, rng),
    };
    prompt.examples = rows.into_iter().map(|row| examples::shown(&prompt, &train[row])).collect();
    Ok(prompt)
}

/// The best hard prompt.
fn hard_prompt(
    prepared: &Prepared,
    train: &[Example],
    (config, rng): (&Config, &mut Rng),
    watch: &mut dyn FnMut(Event),
) -> Result<(Prompt, u64)> {
    let validation = prepared.examples.validation.as_slice();
    let judged = if validation.is_empty() { train } else { validation };
    let judge = labelled(prepared, judged, config.rows, rng);
    let search = labelled(prepared, train, config.search_rows, rng);
    let prompt = |template: &str| {
        let prompt = Prompt::new(template, &prepared.labels, &config.labels)?;
        Ok(Prompt { calibrate: config.calibrate, ..prompt })
    };
    let templates = config.templates.iter().map(String::as_str).chain(TEMPLATES);
    let prompts = templates.map(prompt).collect::<Result<Vec<_>>>()?;
    hard_prompt::choose(config, &prompts, (&judge, &search), rng, watch)
}

/// Some of the rows, to try prompts on.
pub(super) fn labelled<'a>(
    prepared: &'a Prepared,
    rows: &[Example],
    most: usize,
    rng: &mut Rng,
) -> Labelled<'a> {
    let rows = examples::drawn(rows, most, rng).into_iter().map(|row| rows[row].clone()).collect();
    Labelled { model: &prepared.model, tokenizer: &prepared.tokenizer, rows }
}
