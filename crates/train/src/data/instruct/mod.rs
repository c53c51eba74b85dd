//! Rows for language models: an instruction and its answer, a prompt and its completion, a conversation, or
//! plain text. From JSON, JSON lines, CSV or TSV; no tokenizer here (see [`crate::instruct`]).

mod layout;
mod load;
mod messages;
mod split;
mod write;

pub use layout::Layout;
pub use load::{LmDataset, LmLoadOptions, load};
pub use split::{LmSplit, LmSummary};
pub use write::write_jsonl;

use offshoot_models::Message;

#[cfg(test)]
mod tests;

/// What a row says.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Content {
    /// An instruction, its input (may be empty) and the output that is asked for.
    Alpaca {
        /// What to do.
        instruction: String,
        /// What to do it with.
        input: String,
        /// The answer; empty in a row to generate for.
        output: String,
    },
    /// A prompt and what follows it.
    Completion {
        /// What is given.
        prompt: String,
        /// What follows; empty in a row to generate for.
        completion: String,
    },
    /// A conversation.
    Messages(Vec<Message>),
    /// Text without parts.
    Text(String),
}

impl Content {
    /// The text that a model should give for the row's prompt: the output, the completion, or the last turn
    /// if it is the assistant's. None for plain text and where there is none.
    pub fn reference(&self) -> Option<&str> {
        let text = match self {
            Self::Alpaca { output, .. } => output,
            Self::Completion { completion, .. } => completion,
            Self::Messages(turns) => &turns.last().filter(|turn| turn.is_assistant())?.content,
            Self::Text(_) => return None,
        };
        Some(text.as_str()).filter(|text| !text.trim().is_empty())
    }
}

/// A row for a language model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LmExample {
    /// What it says.
    pub content: Content,
    /// Which adapter to use for it, when there are several: its field `adapter`.
    pub adapter: Option<String>,
    /// The line of the file where the row begins, from 1.
    pub line: u64,
}
