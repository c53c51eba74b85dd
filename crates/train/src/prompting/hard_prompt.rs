//! The choice of a hard prompt: the best template, and trigger tokens before it where they help.

use super::ask::Asker;
use super::examples;
use super::prompt::Prompt;
use super::search::Search;
use crate::data::Example;
use crate::run::Prepared;
use crate::trainer::Event;
use crate::{Metrics, Result, Score};
use offshoot_core::Rng;
use offshoot_methods::hard_prompt::Config;

/// What is tried for every task.
const TEMPLATES: [&str; 6] = [
    "Text: {text}\nLabel:",
    "{text}\nSentiment:",
    "Review: {text}\nIs this {labels}? Answer:",
    "{text}\nQuestion: Is the text above {labels}?\nAnswer:",
    "{text}\nIt was",
    "Classify the text as {labels}.\nText: {text}\nClass:",
];

/// The best prompt found, and the number of steps that were searched.
pub(super) fn choose(
    prepared: &Prepared,
    config: &Config,
    rng: &mut Rng,
    watch: &mut dyn FnMut(Event),
) -> Result<(Prompt, u64)> {
    let judges = judges(prepared, config.rows, rng);
    let templates: Vec<&str> = config.templates.iter().map(String::as_str).chain(TEMPLATES).collect();
    let steps = (templates.len() + config.search_steps) as u64;
    let mut best: Option<(Metrics, Prompt)> = None;
    for (step, template) in (1..).zip(&templates) {
        let mut prompt = Prompt::new(template, &prepared.labels, &config.labels)?;
        prompt.calibrate = config.calibrate;
        let metrics = judged(prepared, &prompt, &judges)?;
        watch(Event::Step { step, steps, loss: metrics.loss });
        if best.as_ref().is_none_or(|(best, _)| better(metrics, *best)) {
            best = Some((metrics, prompt));
        }
    }
    let (metrics, prompt) = best.unwrap_or_default();
    if config.search_steps == 0 {
        return Ok((prompt, 0));
    }
    let mut search = Search::new(prepared, config, &prompt, rng)?;
    for step in 1..=config.search_steps as u64 {
        let loss = search.step(step as usize - 1)?;
        watch(Event::Step { step: templates.len() as u64 + step, steps, loss });
    }
    let found = search.best();
    // A trigger that only helps on the rows it was searched on is none.
    let found_metrics = judged(prepared, &found, &judges)?;
    let prompt = if better(found_metrics, metrics) { found } else { prompt };
    Ok((prompt, config.search_steps as u64))
}

/// The rows that prompts are judged on: of the validation rows, else of the training rows.
fn judges(prepared: &Prepared, most: usize, rng: &mut Rng) -> Vec<Example> {
    let (validation, train) = (&prepared.examples.validation, &prepared.examples.train);
    let rows = if validation.is_empty() { train } else { validation };
    examples::drawn(rows, most, rng).into_iter().map(|row| rows[row].clone()).collect()
}

fn judged(prepared: &Prepared, prompt: &Prompt, rows: &[Example]) -> Result<Metrics> {
    Asker::new(&prepared.model, &prepared.tokenizer, prompt)?.metrics(rows, &[])
}

fn better(a: Metrics, b: Metrics) -> bool {
    Score::Classes(a).better_than(&Score::Classes(b))
}
