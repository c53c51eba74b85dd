//! Classification without training: a frozen decoder is asked how likely the classes' words are.

mod ask;
mod examples;
mod gradient;
mod hard_prompt;
mod likelihood;
mod prompt;
mod search;
#[cfg(test)]
mod tests;

pub(crate) use likelihood::Likelihood;
pub use prompt::{Demonstration, Prompt};

use crate::classifier::Classifier;
use crate::data::Example;
use crate::rows::Row;
use crate::run::Prepared;
use crate::trainer::{Event, Outcome, TrainSettings};
use crate::{Error, Result, Score};
use ask::Asker;
use offshoot_core::Rng;
use offshoot_methods::{MethodConfig, in_context};
use std::time::Instant;

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
    let (prompt, steps) = match &classifier.method {
        MethodConfig::InContext(config) => (in_context(prepared, config, &mut rng)?, 0),
        MethodConfig::HardPrompt(config) => hard_prompt::choose(prepared, config, &mut rng, watch)?,
        other => return Err(Error::invalid(format!("`{}` is trained, not asked", other.info().name))),
    };
    classifier.prompt = Some(prompt);
    Ok(Outcome { steps, train_seconds: start.elapsed().as_secs_f64(), ..Outcome::default() })
}

/// Metrics of a prompt on labelled rows, given with their texts.
///
/// # Errors
/// As the model fails on a text.
pub(crate) fn measure(
    prepared: &Prepared,
    prompt: &Prompt,
    (rows, examples): (&[Row], &[Example]),
    settings: &TrainSettings,
) -> Result<Score> {
    let asker = Asker::new(&prepared.model, &prepared.tokenizer, prompt)?;
    let shown = match prompt.nearest {
        0 => Vec::new(),
        _ => examples::nearest(prepared, prompt, rows, settings.batch_tokens)?,
    };
    Ok(Score::Classes(asker.metrics(examples, &shown)?))
}

/// The prompt of `in-context`, with the examples that all texts share.
fn in_context(prepared: &Prepared, config: &in_context::Config, rng: &mut Rng) -> Result<Prompt> {
    let mut prompt = Prompt::new(&config.template, &prepared.labels, &config.labels)?;
    prompt.calibrate = config.calibrate;
    // What cannot be asked fails before anything is computed.
    Asker::new(&prepared.model, &prepared.tokenizer, &prompt)?;
    let train = &prepared.examples.train;
    match config.examples {
        in_context::Examples::Nearest => prompt.nearest = config.shots.min(train.len()),
        in_context::Examples::Random => {
            let drawn = examples::drawn(train, config.shots, rng);
            prompt.examples = drawn.into_iter().map(|row| examples::shown(&prompt, &train[row])).collect();
        }
    }
    Ok(prompt)
}
