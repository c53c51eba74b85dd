//! What a prompt in words puts around a row.

use super::render;
use crate::data::instruct::{Content, LmExample};
use crate::prompting::{BETWEEN, Demonstration, PLACE, Prompt};
use offshoot_models::Message;

/// What stands before and around what a row asks. Through a chat template, examples are earlier turns, and the
/// template stands around each of the user's own turns; in plain text all of it is blocks of text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame<'a> {
    /// Stands before the row's first question.
    trigger: &'a str,
    template: &'a str,
    examples: &'a [Demonstration],
}

impl Frame<'static> {
    /// Nothing.
    pub(super) const NONE: Self = Frame { trigger: "", template: PLACE, examples: &[] };
}

impl<'a> Frame<'a> {
    /// A prompt with some examples.
    pub(crate) fn of(prompt: &'a Prompt, examples: &'a [Demonstration]) -> Self {
        Self { trigger: &prompt.trigger, template: &prompt.template, examples }
    }

    /// The examples.
    pub(super) fn examples(&self) -> &'a [Demonstration] {
        self.examples
    }

    /// What stands before the row's first question.
    pub(super) fn trigger(&self) -> &'a str {
        self.trigger
    }

    /// Whether what is asked stays as it is.
    pub(super) fn keeps(&self) -> bool {
        self.template == PLACE
    }

    fn wrapped(&self, text: &str) -> String {
        self.template.replacen(PLACE, text, 1)
    }

    /// The row's first question.
    pub(super) fn first(&self, text: &str) -> String {
        let question = self.wrapped(text);
        if self.trigger.is_empty() { question } else { format!("{} {question}", self.trigger) }
    }

    /// A conversation: its system message, the examples, and the rest of it.
    pub(crate) fn turns(&self, turns: &[Message]) -> Vec<Message> {
        let system = turns.iter().take_while(|turn| turn.role == "system").count();
        let mut all = turns[..system].to_vec();
        for example in self.examples {
            all.extend([Message::user(self.wrapped(&example.text)), Message::assistant(&example.answer)]);
        }
        let mut first = true;
        for turn in &turns[system..] {
            let mut turn = turn.clone();
            if turn.role == "user" {
                turn.content = if first { self.first(&turn.content) } else { self.wrapped(&turn.content) };
                first = false;
            }
            all.push(turn);
        }
        all
    }

    /// Plain text, in parts that are tokenised apart as rows and their completions are. The last is the row's own.
    pub(super) fn raw(&self, text: &str) -> Vec<String> {
        let block = |example: &Demonstration| [self.wrapped(&example.text), example.answer.clone() + BETWEEN];
        self.examples.iter().flat_map(block).chain([self.first(text)]).collect()
    }
}

/// A row as it is shown to others: what it asks, and the answer. Of a conversation that is its first exchange, which
/// needs nothing before it; plain text has none.
pub(crate) fn demonstration(row: &LmExample, chat: bool, frame: &Frame<'_>) -> Option<Demonstration> {
    let (text, answer) = match &row.content {
        Content::Messages(turns) => {
            let pair = turns.windows(2).find(|pair| pair[0].role == "user" && pair[1].is_assistant())?;
            (pair[0].content.clone(), pair[1].content.as_str())
        }
        Content::Text(_) => return None,
        content => (render::asked(content, chat, frame), content.reference()?),
    };
    let answer = answer.to_owned();
    (!answer.trim().is_empty()).then_some(Demonstration { text, answer })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, answer: &str) -> Demonstration {
        Demonstration { text: text.into(), answer: answer.into() }
    }

    #[test]
    fn turns_follow_the_system_message_and_the_examples() {
        let prompt = Prompt { trigger: "so".into(), template: "Q: {text}".into(), ..Prompt::default() };
        let examples = [shown("a {text}", "b")];
        let frame = Frame::of(&prompt, &examples);
        let said = |turns: &[(&str, &str)]| -> Vec<Message> {
            turns.iter().map(|(role, content)| Message::new(*role, *content)).collect()
        };
        let row = said(&[("system", "s"), ("user", "c"), ("assistant", "d"), ("user", "e")]);
        let expected = [
            ("system", "s"),
            ("user", "Q: a {text}"),
            ("assistant", "b"),
            ("user", "so Q: c"),
            ("assistant", "d"),
            ("user", "Q: e"),
        ];
        assert_eq!(frame.turns(&row), said(&expected));
        assert_eq!(frame.raw("c"), ["Q: a {text}", "b\n\n", "so Q: c"]);
        assert_eq!((Frame::NONE.turns(&row), Frame::NONE.raw("c")), (row, vec!["c".to_owned()]));
    }

    #[test]
    fn a_row_is_shown_by_its_question_and_answer() {
        let row = |content| LmExample { content, adapter: None, line: 1 };
        let of = |content, chat| demonstration(&row(content), chat, &Frame::NONE);
        let alpaca = |input: &str| Content::Alpaca {
            instruction: "Add".into(),
            input: input.into(),
            output: "3".into(),
        };
        assert_eq!(of(alpaca("1 2"), true), Some(shown("Add\n1 2", "3")));
        let raw = of(alpaca("1 2"), false).unwrap();
        assert!(raw.text.starts_with("Below") && raw.text.ends_with("1 2\n\n### Response:"), "{raw:?}");
        let prompt = Prompt { template: "{text}=".into(), ..Prompt::default() };
        let framed = demonstration(&row(alpaca("")), false, &Frame::of(&prompt, &[]));
        assert_eq!(framed, Some(shown("Add", "3")), "a template stands in the place of Alpaca's");
        let turns = ["system", "user", "assistant", "user", "assistant"];
        let turns = turns.iter().enumerate().map(|(at, role)| Message::new(*role, at.to_string()));
        assert_eq!(of(Content::Messages(turns.collect()), true), Some(shown("1", "2")));
        assert_eq!(of(Content::Text("a".into()), true), None);
    }
}
