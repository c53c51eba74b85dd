//! Language models: which prompt stands around the rows.

use super::hard_prompt::{self, CHAT_TEMPLATES, RAW_TEMPLATES};
use super::prompt::{Demonstration, PLACE, Prompt};
use super::tracked::{Tracked, no_trigger};
use super::trial::Trial;
use crate::data::instruct::LmExample;
use crate::instruct::{Frame, LmRow, demonstration};
use crate::lm_run::LmPrepared;
use crate::text_rows::TextRows;
use crate::trainer::{Event, Outcome, TrainSettings};
use crate::{Error, LanguageModel, Result, Score};
use offshoot_core::{Backbone, Rng, Tensor};
use offshoot_methods::hard_prompt::Config;
use offshoot_methods::{MethodConfig, in_context};
use offshoot_models::Tokenizer;
use std::time::Instant;

/// Chooses what a method that trains nothing puts around the rows, and puts it into the language model.
///
/// # Errors
/// If the rows have no prompts, or all of them is to be scored; as the model fails on a row.
pub(crate) fn choose(
    prepared: &LmPrepared,
    grown: &mut LanguageModel,
    settings: &TrainSettings,
    watch: &mut dyn FnMut(Event),
) -> Result<Outcome> {
    let start = Instant::now();
    check(prepared, grown)?;
    let mut rng = Rng::new(settings.seed).fork("prompt");
    let train = settings.part(&prepared.examples.train);
    let (prompt, steps) = match &grown.method {
        MethodConfig::InContext(config) => (in_context(prepared, train, config, &mut rng)?, 0),
        MethodConfig::HardPrompt(config) => {
            let tried = Tried { prepared, grown, train, tokens: settings.batch_tokens };
            tried.hard_prompt(config, &mut rng, watch)?
        }
        other => return Err(Error::invalid(format!("`{}` is trained, not asked", other.info().name))),
    };
    grown.prompt = Some(prompt);
    Ok(Outcome { steps, train_seconds: start.elapsed().as_secs_f64(), ..Outcome::default() })
}

/// A prompt needs rows that ask something, and only their answers can be scored.
fn check(prepared: &LmPrepared, grown: &LanguageModel) -> Result<()> {
    let name = grown.method.info().name;
    if prepared.settings.train_on_prompt {
        return Err(Error::invalid(format!(
            "{name}: only completions are scored, because the words around a prompt are its own; leave \
             --train-on-prompt out"
        )));
    }
    let shown = |row: &LmExample| demonstration(row, true, &Frame::of(&Prompt::plain(PLACE), &[])).is_some();
    match prepared.examples.train.iter().any(shown) {
        true => Ok(()),
        false => Err(Error::invalid(format!(
            "{name}: no training row has a prompt and an answer; plain text has none to write around"
        ))),
    }
}

/// A template of the user's, for a language model.
fn template(template: &str) -> Result<Prompt> {
    match template.contains("{labels}") {
        true => {
            Err(Error::invalid(format!("the template `{template}` asks for {{labels}}, and there are none")))
        }
        false => Ok(Prompt::plain(template)),
    }
}

/// The prompt of `in-context`, with the examples that all rows share or are to choose from.
fn in_context(
    prepared: &LmPrepared,
    train: &[LmExample],
    config: &in_context::Config,
    rng: &mut Rng,
) -> Result<Prompt> {
    let mut prompt = template(config.template.as_deref().unwrap_or(PLACE))?;
    let chat = prepared.tools.template.is_some();
    let frame = Frame::of(&prompt, &[]);
    let of_row = |row: usize| demonstration(&train[row], chat, &frame);
    let rows = train.len();
    let (nearest, examples): (_, Vec<Demonstration>) = match config.examples {
        in_context::Examples::Nearest if config.shots > 0 => (true, (0..rows).filter_map(of_row).collect()),
        _ => (false, rng.permutation(rows).into_iter().filter_map(of_row).take(config.shots).collect()),
    };
    prompt.nearest = if nearest { config.shots.min(examples.len()) } else { 0 };
    prompt.examples = examples;
    Ok(prompt)
}

/// Where prompts are tried.
struct Tried<'a> {
    prepared: &'a LmPrepared,
    grown: &'a LanguageModel,
    train: &'a [LmExample],
    tokens: usize,
}

impl<'a> Tried<'a> {
    /// The best hard prompt.
    fn hard_prompt(
        &self,
        config: &Config,
        rng: &mut Rng,
        watch: &mut dyn FnMut(Event),
    ) -> Result<(Prompt, u64)> {
        let (validation, train) = (self.prepared.examples.validation.as_slice(), self.train);
        let judged = if validation.is_empty() { train } else { validation };
        let judge = self.trial(judged, config.rows, rng);
        let search = self.trial(train, config.search_rows, rng);
        let own = match self.prepared.tools.template {
            Some(_) => CHAT_TEMPLATES,
            None => RAW_TEMPLATES,
        };
        let templates = config.templates.iter().map(String::as_str).chain(own);
        let prompts = templates.map(template).collect::<Result<Vec<_>>>()?;
        hard_prompt::choose(config, &prompts, (&judge, &search), rng, watch)
    }

    /// Some of the rows, drawn at random.
    fn trial(&self, rows: &'a [LmExample], most: usize, rng: &mut Rng) -> Written<'a> {
        let drawn = rng.permutation(rows.len()).into_iter().take(most);
        let examples = drawn.map(|row| rows[row].clone()).collect();
        Written { prepared: self.prepared, grown: self.grown, tokens: self.tokens, examples }
    }
}

/// Rows with completions.
pub(super) struct Written<'a> {
    pub(super) prepared: &'a LmPrepared,
    pub(super) grown: &'a LanguageModel,
    pub(super) tokens: usize,
    pub(super) examples: Vec<LmExample>,
}

impl Written<'_> {
    pub(super) fn rows(&self) -> TextRows<'_> {
        self.prepared.part(&self.examples)
    }

    /// Adds a row's part of the gradient to `sum`; how many tokens it predicts.
    fn add(&self, row: &LmRow, head: (Vec<u32>, usize), sum: &mut Option<Tensor>) -> Result<usize> {
        let (head, trigger) = head;
        let rest = &row.ids[head.len()..];
        let predicted = &row.predicted[head.len()..];
        let targets = predicted.iter().filter(|wanted| **wanted).count();
        let mut tracked = Tracked::new(self.grown.backbone.as_ref(), head, trigger)?;
        tracked.add(rest, 1.0, |pass| Ok(self.grown.loss(pass, &[predicted])?.0))?;
        let slope = tracked.finish()?;
        *sum = Some(match sum.take() {
            Some(sum) => sum.add(&slope)?,
            None => slope,
        });
        Ok(targets)
    }
}

impl Trial for Written<'_> {
    fn backbone(&self) -> &dyn Backbone {
        self.grown.backbone.as_ref()
    }

    fn tokenizer(&self) -> &Tokenizer {
        &self.prepared.tools.tokenizer
    }

    fn score(&self, prompt: &Prompt) -> Result<Score> {
        Ok(self.rows().framed_score(self.grown, prompt, self.tokens)?.0)
    }

    fn trigger(&self, prompt: &Prompt) -> Result<Vec<u32>> {
        let heads = self.rows().heads(prompt)?;
        // What is before the trigger may be another for each row; they begin and end a token alike.
        let first = heads.into_iter().flatten().next();
        Ok(first.map(|head| head.ids[head.ids.len() - head.trigger..].to_vec()).unwrap_or_default())
    }

    fn gradient(&self, prompt: &Prompt, ids: &[u32]) -> Result<Tensor> {
        let (rows, heads) =
            (self.rows().framed_rows(self.grown, prompt, self.tokens)?.0, self.rows().heads(prompt)?);
        let (mut sum, mut targets) = (None, 0);
        for (row, head) in rows.iter().zip(heads) {
            // A row that was cut may have lost its beginning.
            let own = head.filter(|head| {
                row.ids.len() > head.ids.len() && row.ids.starts_with(&head.ids) && head.ids.ends_with(ids)
            });
            if let Some(head) = own {
                targets += self.add(row, (head.ids, head.trigger), &mut sum)?;
            }
        }
        let sum = sum.ok_or_else(no_trigger)?;
        Ok(sum.scale(1.0 / targets.max(1) as f32))
    }
}
