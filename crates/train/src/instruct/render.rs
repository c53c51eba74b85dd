//! From what a row says to the texts that are tokenised.

use super::frame::Frame;
use crate::data::instruct::Content;
use offshoot_models::{ChatTemplate, Message};

/// The text before the completion.
pub(super) enum Prompt {
    /// Through a template: its special tokens are in the text.
    Templated(String),
    /// As it is, in parts that are tokenised apart: the tokenizer's first tokens go before them.
    Raw(Vec<String>),
}

/// The text that a row's completion follows.
pub(super) fn prompt(
    content: &Content,
    template: Option<&ChatTemplate>,
    frame: &Frame<'_>,
) -> Result<Prompt, String> {
    let ask = |template: &ChatTemplate, turns: &[Message]| {
        template.render(&frame.turns(turns), true).map(Prompt::Templated).map_err(|error| error.to_string())
    };
    match (content, template) {
        (Content::Messages(turns), Some(template)) => {
            let answered = turns.last().is_some_and(Message::is_assistant);
            ask(template, &turns[..turns.len() - usize::from(answered)])
        }
        (Content::Messages(_), None) => Err(NO_TEMPLATE.to_owned()),
        (Content::Text(text), _) => Ok(Prompt::Raw(frame.raw(text))),
        (content, Some(template)) => ask(template, &[Message::user(asked(content, true, frame))]),
        (content, None) => Ok(Prompt::Raw(frame.raw(&asked(content, false, frame)))),
    }
}

/// What a row asks, in the place of a frame's `{text}`; of a conversation, all that the user says.
pub(super) fn asked(content: &Content, chat: bool, frame: &Frame<'_>) -> String {
    match content {
        // Another template stands in the place of Alpaca's.
        Content::Alpaca { instruction, input, .. } if !chat && frame.keeps() => alpaca(instruction, input),
        Content::Alpaca { instruction, input, .. } => question(instruction, input),
        Content::Completion { prompt, .. } => prompt.clone(),
        Content::Messages(turns) => {
            let said = turns.iter().filter(|turn| turn.role == "user").map(|turn| turn.content.as_str());
            said.collect::<Vec<_>>().join("\n")
        }
        Content::Text(text) => text.clone(),
    }
}

/// Why messages cannot be used.
pub(super) const NO_TEMPLATE: &str = "messages need a chat template, and the model has none \
     (chat_template.jinja, or chat_template in tokenizer_config.json)";

fn question(instruction: &str, input: &str) -> String {
    if input.is_empty() { instruction.to_owned() } else { format!("{instruction}\n{input}") }
}

/// The prompt that Alpaca (Taori et al. 2023) was trained with.
fn alpaca(instruction: &str, input: &str) -> String {
    if input.is_empty() {
        format!(
            "Below is an instruction that describes a task. Write a response that appropriately completes the \
             request.\n\n### Instruction:\n{instruction}\n\n### Response:"
        )
    } else {
        format!(
            "Below is an instruction that describes a task, paired with an input that provides further context. \
             Write a response that appropriately completes the request.\n\n### Instruction:\n{instruction}\n\n\
             ### Input:\n{input}\n\n### Response:"
        )
    }
}
