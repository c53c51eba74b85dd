//! Rows and prompts with what a prompt in words puts around them.

use super::LmRow;
use super::encoder::{LmEncoder, Reason, each};
use super::frame::Frame;
use super::render::{self, Prompt as Text};
use crate::Result;
use crate::data::instruct::{Content, LmExample};
use crate::prompting::{Demonstration, Prompt};

/// The examples of each row: its own where there are some, else the prompt's.
pub(super) type Shown<'a> = &'a [Vec<Demonstration>];

/// What a row begins with, up to the end of a prompt's trigger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// All tokens.
    pub(crate) ids: Vec<u32>,
    /// How many of them, the last, are the trigger's.
    pub(crate) trigger: usize,
}

impl LmEncoder<'_> {
    /// Whether rows go through a chat template.
    pub(crate) fn chats(&self) -> bool {
        self.template.is_some()
    }

    /// What a row asks of a prompt, for finding examples that are near to it.
    pub(crate) fn question(&self, example: &LmExample, prompt: &Prompt) -> String {
        render::asked(&example.content, self.chats(), &Frame::of(prompt, &[]))
    }

    /// Tokenises rows in a prompt, of which only their own completions are predicted. Each is shown as many of its
    /// examples, the last ones, as leave room for all of the row; the number is given beside it. Where not even
    /// the row fits, it is cut as [`rows`](Self::rows) are.
    ///
    /// # Errors
    /// As [`rows`](Self::rows).
    pub(crate) fn framed_rows(
        &self,
        file: &str,
        examples: &[LmExample],
        prompt: &Prompt,
        shown: Shown<'_>,
    ) -> Result<Vec<(LmRow, usize)>> {
        each(file, examples, |at, example| {
            fitting(shown.get(at).unwrap_or(&prompt.examples), |some| {
                let row = self.row(example, &Frame::of(prompt, some))?;
                let fits = !row.truncated;
                Ok((row, fits))
            })
        })
    }

    /// The tokens to generate from, for each row in a prompt: with as many of its examples as leave it no longer
    /// than `most`. Nothing is cut.
    ///
    /// # Errors
    /// As [`prompts`](Self::prompts).
    pub(crate) fn framed_prompts(
        &self,
        (file, examples): (&str, &[LmExample]),
        prompt: &Prompt,
        shown: Shown<'_>,
        most: usize,
    ) -> Result<Vec<Vec<u32>>> {
        each(file, examples, |at, example| {
            fitting(shown.get(at).unwrap_or(&prompt.examples), |some| {
                let ids = self.prompt(&example.content, &Frame::of(prompt, some))?;
                let fits = ids.len() <= most;
                Ok((ids, fits))
            })
            .map(|(ids, _)| ids)
        })
    }

    /// Where a prompt's trigger stands in a row; none where it shares a token with what is beside it, or the chat
    /// template writes it in another way.
    pub(crate) fn head(&self, example: &LmExample, prompt: &Prompt) -> Reason<Option<Head>> {
        let frame = Frame::of(prompt, &prompt.examples);
        let (mut ids, text) = self.text(&example.content, &frame)?;
        let first = match &example.content {
            Content::Messages(turns) => turns.iter().find(|turn| turn.role == "user"),
            _ => None,
        };
        let asked = first.map(|turn| turn.content.clone());
        let asked = asked.unwrap_or_else(|| render::asked(&example.content, self.chats(), &frame));
        // Chat templates take away spaces at the end.
        let found = text.find(frame.first(&asked).trim_end()).filter(|_| !frame.trigger().is_empty());
        let Some(start) = found else { return Ok(None) };
        let end = start + frame.trigger().len();
        let (tokens, spans) = self.tokenizer.encode_spans(&text).map_err(|error| error.to_string())?;
        let from = spans.iter().position(|span| span.start == start && !span.is_empty());
        let to = spans.iter().position(|span| span.end == end && !span.is_empty());
        Ok(from.zip(to).filter(|(from, to)| from <= to).map(|(from, to)| {
            ids.extend(&tokens[..=to]);
            Head { ids, trigger: to + 1 - from }
        }))
    }

    /// The last text that a row is tokenised from and holds its question, and the tokens before it.
    fn text(&self, content: &Content, frame: &Frame<'_>) -> Reason<(Vec<u32>, String)> {
        if let (Content::Messages(turns), Some(template)) = (content, self.template) {
            // The whole conversation at once, as such rows are tokenised.
            let whole = template.render(&frame.turns(turns), false).map_err(|error| error.to_string())?;
            return Ok((Vec::new(), whole));
        }
        match render::prompt(content, self.template, frame)? {
            Text::Templated(text) => Ok((Vec::new(), text)),
            Text::Raw(mut parts) => {
                let last = parts.pop().unwrap_or_default();
                Ok((self.raw(&parts)?, last))
            }
        }
    }
}

/// Something with as many of the examples, the last ones, as fit. With none of them it need not fit.
fn fitting<T>(
    examples: &[Demonstration],
    mut with: impl FnMut(&[Demonstration]) -> Reason<(T, bool)>,
) -> Reason<(T, usize)> {
    let all = examples.len();
    let (whole, fits) = with(examples)?;
    if fits || all == 0 {
        return Ok((whole, all));
    }
    let (mut best, mut low, mut high) = (with(&[])?.0, 0, all);
    while high - low > 1 {
        let middle = (low + high) / 2;
        match with(&examples[all - middle..])? {
            (some, true) => (best, low) = (some, middle),
            _ => high = middle,
        }
    }
    Ok((best, low))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_examples_are_shown_as_fit() {
        let example = |at: usize| Demonstration { text: at.to_string(), answer: String::new() };
        let examples: Vec<Demonstration> = (0..37).map(example).collect();
        for room in 0..40 {
            let with = |some: &[Demonstration]| {
                let first = some.first().map(|example| example.text.clone());
                Ok((first, some.len() <= room))
            };
            let (first, count) = fitting(&examples, with).unwrap();
            assert_eq!(count, room.min(37));
            assert_eq!(first, examples.get(37 - count).map(|example| example.text.clone()));
        }
        assert_eq!(fitting(&examples, |some| Ok((some.len(), false))).unwrap(), (0, 0), "not even alone");
    }
}
