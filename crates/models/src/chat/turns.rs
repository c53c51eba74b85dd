//! Which parts of a rendered conversation the assistant says.

use std::ops::Range;

use super::engine::MARKS;
use super::{ChatTemplate, Message};
use crate::error::{Error, Result};

/// A conversation as one text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// The text.
    pub text: String,
    /// The assistant's parts: ranges of bytes of the text, in order, none empty.
    pub assistant: Vec<Range<usize>>,
}

/// Renders the messages and finds the assistant's parts.
pub(super) fn render(template: &ChatTemplate, messages: &[Message]) -> Result<Rendered> {
    if template.has_marks() { by_marks(template, messages) } else { by_prefixes(template, messages) }
}

fn by_marks(template: &ChatTemplate, messages: &[Message]) -> Result<Rendered> {
    let holds = |message: &Message| message.content.contains(MARKS) || message.role.contains(MARKS);
    if template.engine.holds_mark || messages.iter().any(holds) {
        return Err(undivided(
            template,
            "the noncharacters U+FDD0 and U+FDD1 are in the text; take them out",
        ));
    }
    let marked = template.run(messages, false, true)?;
    let (mut text, mut assistant, mut open) = (String::with_capacity(marked.len()), Vec::new(), None);
    for piece in marked.split_inclusive(MARKS) {
        let plain = piece.trim_end_matches(MARKS);
        text.push_str(plain);
        match (&piece[plain.len()..], open) {
            ("", _) => {}
            (mark, None) if mark.starts_with(MARKS[0]) => open = Some(text.len()),
            (mark, Some(start)) if mark.starts_with(MARKS[1]) => {
                assistant.push(start..text.len());
                open = None;
            }
            _ => return Err(undivided(template, "its {% generation %} blocks stand in each other")),
        }
    }
    if open.is_some() {
        return Err(undivided(template, "a {% generation %} block does not end"));
    }
    assistant.retain(|range| !range.is_empty());
    Ok(Rendered { text, assistant })
}

fn by_prefixes(template: &ChatTemplate, messages: &[Message]) -> Result<Rendered> {
    let whole = template.run(messages, false, false)?;
    let turns = (0..messages.len()).filter(|&turn| messages[turn].is_assistant());
    let assistant = turns.map(|turn| Turn { template, messages, whole: &whole, turn }.range());
    let mut assistant = assistant.collect::<Result<Vec<Range<usize>>>>()?;
    assistant.retain(|range| !range.is_empty());
    Ok(Rendered { text: whole, assistant })
}

/// One turn of the assistant, and the whole conversation.
struct Turn<'a> {
    template: &'a ChatTemplate,
    messages: &'a [Message],
    whole: &'a str,
    turn: usize,
}

impl Turn<'_> {
    /// From the end of the generation prompt to the end of the turn.
    fn range(&self) -> Result<Range<usize>> {
        let before = self.template.run(&self.messages[..self.turn], true, false);
        let before = before
            .map_err(|error| self.undivided(&format!("what stands before it cannot be rendered: {error}")))?;
        if !self.whole.starts_with(&before) {
            return Err(self.undivided("the conversation does not begin with its prompt for this turn"));
        }
        let upto = self.template.run(&self.messages[..=self.turn], false, false)?;
        let end = match self.whole.starts_with(&upto) && upto.len() >= before.len() {
            true => upto.len(),
            // Some templates write the last turn in another way than the earlier ones.
            false => self.probed_end(before.len())?,
        };
        Ok(before.len()..before.len() + self.whole[before.len()..end].trim_end().len())
    }

    /// The end of the turn where the text up to it is written differently without what follows. Two probes in
    /// the place of the content show where it stands, and what the template puts after a turn.
    fn probed_end(&self, start: usize) -> Result<usize> {
        let (pre, post) = self.around(self.messages)?;
        let (_, after) = self.around(&self.messages[..=self.turn])?;
        let after = after.trim_end();
        let end =
            self.whole.len().checked_sub(post.len()).filter(|&end| end >= pre.len() && pre.len() >= start);
        let found = end.filter(|&end| {
            self.whole.starts_with(&pre)
                && self.whole.ends_with(&post)
                && self.whole[end..].starts_with(after)
        });
        found.map(|end| end + after.len()).ok_or_else(|| self.undivided("where it ends cannot be told"))
    }

    /// What stands before and after the turn's content.
    fn around(&self, messages: &[Message]) -> Result<(String, String)> {
        let probe = |text: &str| {
            let mut messages = messages.to_vec();
            messages[self.turn].content = text.to_owned();
            self.template.run(&messages, false, false)
        };
        let (a, b) = (probe("A1A")?, probe("B2B")?);
        let pre: usize =
            a.chars().zip(b.chars()).take_while(|(a, b)| a == b).map(|(char, _)| char.len_utf8()).sum();
        let parts = (a.get(..pre), a[pre..].strip_prefix("A1A"), b[pre..].strip_prefix("B2B"));
        match parts {
            (Some(pre), Some(post), Some(same)) if post == same => Ok((pre.to_owned(), post.to_owned())),
            _ => Err(self.undivided("its content stands in more places than one, or in none")),
        }
    }

    fn undivided(&self, reason: &str) -> Error {
        undivided(self.template, &format!("message {}: {reason}", self.turn + 1))
    }
}

fn undivided(template: &ChatTemplate, reason: &str) -> Error {
    let origin = &template.origin;
    Error::Invalid(format!(
        "{origin}: what the assistant says cannot be told from the rest ({reason}); use rows of one prompt and \
         one completion, or a template with {{% generation %}} marks"
    ))
}
