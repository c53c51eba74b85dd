//! AutoPrompt's search: tokens before the text that lower the loss on a few rows.

use super::prompt::Prompt;
use super::trial::Trial;
use crate::{Error, Result};
use offshoot_core::{Params, Rng, Step, Tensor};
use offshoot_methods::hard_prompt::Config;
use offshoot_models::Tokenizer;

/// A search over the trigger before a template.
pub(super) struct Search<'a> {
    trial: &'a dyn Trial,
    tokenizer: &'a Tokenizer,
    candidates: usize,
    /// The prompt without a trigger, and its loss on the rows.
    start: (f64, Prompt),
    /// The trigger's tokens now, and the prompt and loss with it.
    ids: Vec<u32>,
    now: (f64, Prompt),
}

impl<'a> Search<'a> {
    /// Starts at tokens drawn at random.
    pub(super) fn new(trial: &'a dyn Trial, config: &Config, prompt: &Prompt, rng: &mut Rng) -> Result<Self> {
        let start = (trial.score(prompt)?.loss(), prompt.clone());
        let now = (f64::INFINITY, prompt.clone());
        let (tokenizer, candidates) = (trial.tokenizer(), config.candidates);
        let mut search = Self { trial, tokenizer, candidates, start, ids: Vec::new(), now };
        search.ids = search.random_trigger(config.trigger_tokens, rng)?;
        search.now = search.tried(&search.ids)?;
        Ok(search)
    }

    /// Tries other tokens in one place of the trigger, and gives the loss so far.
    pub(super) fn step(&mut self, step: usize) -> Result<f64> {
        let place = step % self.ids.len();
        let gradient = self.trial.gradient(&self.now.1, &self.ids)?;
        for id in self.promising(&gradient, place)? {
            let mut ids = self.ids.clone();
            ids[place] = id;
            if !self.survives_text(&ids)? {
                continue;
            }
            let tried = self.tried(&ids)?;
            if tried.0 < self.now.0 {
                (self.ids, self.now) = (ids, tried);
            }
        }
        Ok(self.now.0.min(self.start.0))
    }

    /// The prompt of the lowest loss: the one without a trigger, if none helped.
    pub(super) fn best(&self) -> Prompt {
        let best = if self.now.0 < self.start.0 { &self.now } else { &self.start };
        best.1.clone()
    }

    /// The tokens that promise the largest fall of the loss in one place: those of the largest `-e_v · g`.
    fn promising(&self, gradient: &Tensor, place: usize) -> Result<Vec<u32>> {
        let params = Params::new();
        let table = self.trial.backbone().token_table();
        let rise = Step::detached(&params).product(&gradient.row_range(place..place + 1)?, table)?.to_vec();
        let mut order: Vec<u32> = (0..rise.len() as u32).collect();
        order.sort_by(|&a, &b| rise[a as usize].total_cmp(&rise[b as usize]));
        let mut found = Vec::new();
        for id in order {
            if found.len() == self.candidates {
                break;
            }
            if id != self.ids[place] && self.is_text(id)? {
                found.push(id);
            }
        }
        Ok(found)
    }

    /// Tokens that can stand in a trigger. Few tokenizers have so few of them that a thousand draws miss.
    fn random_trigger(&self, tokens: usize, rng: &mut Rng) -> Result<Vec<u32>> {
        let vocab = self.tokenizer.vocab_size().max(1);
        for _ in 0..1000 {
            let mut ids = Vec::with_capacity(tokens);
            while ids.len() < tokens {
                let id = rng.below(vocab) as u32;
                let usable = (0..vocab as u32).map(|step| (id + step) % vocab as u32);
                let mut usable = usable.map(|id| self.is_text(id).map(|is| is.then_some(id)));
                match usable.find_map(Result::transpose).transpose()? {
                    Some(id) => ids.push(id),
                    None => {
                        return Err(Error::invalid("hard-prompt: the tokenizer has no token that is text"));
                    }
                }
            }
            if self.survives_text(&ids)? {
                return Ok(ids);
            }
        }
        Err(Error::invalid("hard-prompt: found no trigger that stays the same as text; use search_steps=0"))
    }

    /// Whether a token can be written as part of a prompt.
    fn is_text(&self, id: u32) -> Result<bool> {
        if self.tokenizer.is_special(id) {
            return Ok(false);
        }
        let text = self.tokenizer.decode(&[id], true)?;
        let odd = |c: char| c.is_control() || matches!(c, '\u{fffd}' | '{' | '}');
        Ok(!text.trim().is_empty() && !text.contains(odd))
    }

    /// A prompt is saved and used as text: its tokens must be the same again.
    fn survives_text(&self, ids: &[u32]) -> Result<bool> {
        Ok(self.trial.trigger(&self.with(ids)?)? == ids)
    }

    /// The prompt with a trigger.
    fn with(&self, ids: &[u32]) -> Result<Prompt> {
        Ok(Prompt { trigger: self.tokenizer.decode(ids, true)?, ..self.start.1.clone() })
    }

    /// The prompt with a trigger, and its loss.
    fn tried(&self, ids: &[u32]) -> Result<(f64, Prompt)> {
        let prompt = self.with(ids)?;
        Ok((self.trial.score(&prompt)?.loss(), prompt))
    }
}
