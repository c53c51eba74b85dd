//! The choice of a hard prompt: the best template, and trigger tokens before it where they help.

use super::prompt::Prompt;
use super::search::Search;
use super::trial::Trial;
use crate::trainer::Event;
use crate::{Result, Score};
use offshoot_core::Rng;
use offshoot_methods::hard_prompt::Config;

/// What is tried for every classification.
pub(super) const TEMPLATES: [&str; 6] = [
    "Text: {text}\nLabel:",
    "{text}\nSentiment:",
    "Review: {text}\nIs this {labels}? Answer:",
    "{text}\nQuestion: Is the text above {labels}?\nAnswer:",
    "{text}\nIt was",
    "Classify the text as {labels}.\nText: {text}\nClass:",
];

/// What is tried for every language model, as what the user says. As it is, it is no worse than without a prompt.
pub(super) const CHAT_TEMPLATES: [&str; 5] = [
    "{text}",
    "Instruction: {text}\nResponse:",
    "Complete the following task.\n\n{text}",
    "{text}\n\nAnswer in full sentences.",
    "{text}\n\nGive only the answer, and nothing else.",
];

/// The same where there is no chat template: the completion follows directly.
pub(super) const RAW_TEMPLATES: [&str; 5] = [
    "{text}",
    "{text}\n",
    "Question: {text}\nAnswer:\n",
    "### Instruction:\n{text}\n\n### Response:\n",
    "Complete the following task.\n\n{text}\n\n",
];

/// The best prompt found, and the number of steps that were searched. Prompts are judged on the rows of `judge`; a
/// trigger is searched on those of `search`.
pub(super) fn choose(
    config: &Config,
    prompts: &[Prompt],
    (judge, search): (&dyn Trial, &dyn Trial),
    rng: &mut Rng,
    watch: &mut dyn FnMut(Event),
) -> Result<(Prompt, u64)> {
    let steps = (prompts.len() + config.search_steps) as u64;
    let mut best: Option<(Score, Prompt)> = None;
    for (step, prompt) in (1..).zip(prompts) {
        let score = judge.score(prompt)?;
        watch(Event::Step { step, steps, loss: score.loss(), tokens: 0 });
        if best.as_ref().is_none_or(|(best, _)| score.better_than(best)) {
            best = Some((score, prompt.clone()));
        }
    }
    let Some((score, prompt)) = best else { return Ok((Prompt::default(), 0)) };
    if config.search_steps == 0 {
        return Ok((prompt, 0));
    }
    let mut search = Search::new(search, config, &prompt, rng)?;
    for step in 1..=config.search_steps as u64 {
        let loss = search.step(step as usize - 1)?;
        watch(Event::Step { step: prompts.len() as u64 + step, steps, loss, tokens: 0 });
    }
    let found = search.best();
    // A trigger that only helps on the rows it was searched on is none.
    let prompt = if judge.score(&found)?.better_than(&score) { found } else { prompt };
    Ok((prompt, config.search_steps as u64))
}
