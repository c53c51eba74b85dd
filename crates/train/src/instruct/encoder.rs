//! The encoder: rows to tokens and masks, prompts to tokens.

use super::LmRow;
use super::cut::{Whole, cut_prompt};
use super::frame::Frame;
use super::pieces::pieces;
use super::render::{self, NO_TEMPLATE, Prompt};
use crate::data::Problems;
use crate::data::instruct::{Content, LmExample};
use crate::{Error, Result};
use offshoot_models::{ChatTemplate, Message, SpecialTokens, Tokenizer};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// How rows are tokenised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LmSettings {
    /// The most tokens of a row; default 512. Longer plain text becomes several rows. Any other row is cut and
    /// keeps at least a quarter of it, or all of a shorter completion, to learn from.
    pub max_length: usize,
    /// Whether the prompt's tokens count in the loss too; default: only the completion's.
    pub train_on_prompt: bool,
}

impl Default for LmSettings {
    fn default() -> Self {
        Self { max_length: 512, train_on_prompt: false }
    }
}

/// Turns rows into tokens for one model.
#[derive(Clone, Copy, Debug)]
pub struct LmEncoder<'a> {
    pub(super) tokenizer: &'a Tokenizer,
    pub(super) template: Option<&'a ChatTemplate>,
    special: &'a SpecialTokens,
    settings: LmSettings,
}

const NOTHING: &str = "there is no token to predict";

/// Why a row cannot be tokenised.
pub(super) type Reason<T> = std::result::Result<T, String>;

impl<'a> LmEncoder<'a> {
    /// An encoder; `template` is the model's, if it has one.
    ///
    /// # Errors
    /// If `max_length` is below 2, or the model names no token that ends a text.
    pub fn new(
        tokenizer: &'a Tokenizer,
        template: Option<&'a ChatTemplate>,
        special: &'a SpecialTokens,
        settings: LmSettings,
    ) -> Result<Self> {
        if settings.max_length < 2 {
            return Err(Error::invalid("--max-length must be at least 2: a token and one that follows it"));
        }
        if special.eos.is_empty() {
            return Err(Error::invalid(
                "the model names no token that ends a text; add `eos_token` to its tokenizer_config.json or \
                 `eos_token_id` to its config.json",
            ));
        }
        Ok(Self { tokenizer, template, special, settings })
    }

    /// Tokenises rows, in their order; `file` is for messages. Of a plain text that is longer than the maximum
    /// come several rows, its consecutive pieces.
    ///
    /// # Errors
    /// Rows that cannot be tokenised: all counted, the first named with their lines.
    pub fn rows(&self, file: &str, examples: &[LmExample]) -> Result<Vec<LmRow>> {
        let rows = each(file, examples, |_, example| match &example.content {
            Content::Text(_) => self.whole_text(example),
            _ => self.row(example, &Frame::NONE).map(|row| vec![row]),
        })?;
        Ok(rows.into_iter().flatten().collect())
    }

    /// The tokens to generate from, for each row: its prompt through the template, or as it is. More than
    /// `most` lose their middle.
    ///
    /// # Errors
    /// As [`LmEncoder::rows`].
    pub fn prompts(&self, file: &str, examples: &[LmExample], most: usize) -> Result<Vec<Vec<u32>>> {
        each(file, examples, |_, example| {
            let mut ids = self.prompt(&example.content, &Frame::NONE)?;
            cut_prompt(&mut ids, most);
            Ok(ids)
        })
    }

    /// A plain text with the end of the sequence: one row, or its pieces.
    fn whole_text(&self, example: &LmExample) -> Reason<Vec<LmRow>> {
        let mut ids = self.prompt(&example.content, &Frame::NONE)?;
        ids.push(self.eos());
        let pieces = pieces(&ids, self.settings.max_length);
        if pieces.is_empty() {
            return Err(NOTHING.to_owned());
        }
        let row = |(piece, ids): (u32, &[u32])| LmRow {
            ids: ids.to_vec(),
            predicted: (0..ids.len()).map(|at| at > 0).collect(),
            line: example.line,
            piece,
            truncated: false,
        };
        Ok((0..).zip(pieces).map(row).collect())
    }

    /// A row in a frame, whose examples are not predicted.
    pub(super) fn row(&self, example: &LmExample, frame: &Frame<'_>) -> Reason<LmRow> {
        let whole = match &example.content {
            Content::Text(_) => return Err("plain text has no prompt to write around".to_owned()),
            Content::Messages(turns) => self.conversation(&frame.turns(turns), frame.examples().len())?,
            Content::Alpaca { output: completion, .. } | Content::Completion { completion, .. } => {
                let prompt = self.prompt(&example.content, frame)?;
                self.completed(prompt, completion)?
            }
        };
        self.cut(whole, example.line)
    }

    /// One row of a prompt and its completion.
    fn cut(&self, mut whole: Whole, line: u64) -> Reason<LmRow> {
        if self.settings.train_on_prompt {
            whole.predicted.fill(true);
        }
        let truncated = whole.cut(self.settings.max_length);
        let Whole { ids, mut predicted, .. } = whole;
        predicted.first_mut().into_iter().for_each(|first| *first = false);
        if !predicted.contains(&true) {
            return Err(NOTHING.to_owned());
        }
        Ok(LmRow { ids, predicted, line, piece: 0, truncated })
    }

    fn eos(&self) -> u32 {
        self.special.eos[0]
    }

    fn plain(&self, text: &str) -> Reason<Vec<u32>> {
        self.tokenizer.encode_plain(text).map_err(|error| error.to_string())
    }

    pub(super) fn prompt(&self, content: &Content, frame: &Frame<'_>) -> Reason<Vec<u32>> {
        match render::prompt(content, self.template, frame)? {
            Prompt::Templated(text) => self.plain(&text),
            Prompt::Raw(parts) => self.raw(&parts),
        }
    }

    /// The tokenizer's first tokens and those of some parts of a text.
    pub(super) fn raw(&self, parts: &[String]) -> Reason<Vec<u32>> {
        let mut ids = self.tokenizer.start_tokens().map_err(|error| error.to_string())?;
        for part in parts {
            ids.extend(self.plain(part)?);
        }
        Ok(ids)
    }

    /// A prompt, its completion and the end of the sequence.
    fn completed(&self, prompt: Vec<u32>, completion: &str) -> Reason<Whole> {
        // The end as text, so that a tokenizer that takes the spaces before it does so.
        let end = self.tokenizer.token(self.eos()).unwrap_or_default();
        let answer = self.plain(&format!("{completion}{end}"))?;
        let (length, mut ids) = (prompt.len(), prompt);
        ids.extend(answer);
        let predicted = (0..ids.len()).map(|at| at >= length).collect();
        Ok(Whole { ids, predicted, prompt: length })
    }

    /// A conversation: what the assistant says is predicted, but for its first `shown` turns. If the template ends the last turn without a
    /// special token, the end of the sequence is added, or the model would never learn to stop.
    fn conversation(&self, turns: &[Message], shown: usize) -> Reason<Whole> {
        let template = self.template.ok_or(NO_TEMPLATE)?;
        let rendered = template.render_masked(turns).map_err(|error| error.to_string())?;
        let (mut ids, spans) =
            self.tokenizer.encode_spans(&rendered.text).map_err(|error| error.to_string())?;
        let mut predicted = overlap(&spans, rendered.assistant.get(shown..).unwrap_or_default());
        let prompt = predicted.iter().position(|&predicted| predicted);
        let prompt = prompt.ok_or("the template leaves out all that the assistant says")?;
        if turns.last().is_some_and(Message::is_assistant) && !self.ends(&ids, &spans, &rendered.text) {
            ids.push(self.eos());
            predicted.push(true);
        }
        Ok(Whole { ids, predicted, prompt })
    }

    /// Whether the last token that is no space is a special one.
    fn ends(&self, ids: &[u32], spans: &[Range<usize>], text: &str) -> bool {
        let blank = |span: &Range<usize>| text.get(span.clone()).is_some_and(|text| text.trim().is_empty());
        let last = (0..ids.len()).rev().find(|&at| !blank(&spans[at])).map(|at| ids[at]);
        last.is_some_and(|id| self.special.eos.contains(&id) || self.tokenizer.is_special(id))
    }
}

/// Something of each row, with its place; rows of which it cannot be had are reported together.
pub(super) fn each<T>(
    file: &str,
    examples: &[LmExample],
    mut of: impl FnMut(usize, &LmExample) -> Reason<T>,
) -> Result<Vec<T>> {
    let mut problems = Problems::new(file);
    let mut all = Vec::with_capacity(examples.len());
    for (at, example) in examples.iter().enumerate() {
        match of(at, example) {
            Ok(one) => all.push(one),
            Err(reason) => problems.push(usize::try_from(example.line).unwrap_or(usize::MAX), reason),
        }
    }
    problems.check()?;
    Ok(all)
}

/// For each span, whether it shares a byte with one of the ranges; both are in order.
fn overlap(spans: &[Range<usize>], ranges: &[Range<usize>]) -> Vec<bool> {
    let mut next = 0;
    let within = |span: &Range<usize>| {
        while ranges.get(next).is_some_and(|range| range.end <= span.start) {
            next += 1;
        }
        ranges.get(next).is_some_and(|range| range.start < span.end && span.start < span.end)
    };
    spans.iter().map(within).collect()
}
