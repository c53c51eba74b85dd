//! A checkpoint's chat template: from a list of messages to the one text that the model was trained on.
//!
//! Templates are Jinja, written for Python; minijinja renders them, set up as transformers sets up jinja2
//! (`trim_blocks`, `lstrip_blocks`, loop controls, Python's string methods, its JSON). A template comes from a
//! model's folder and may be hostile: `scan` bounds its source, fuel bounds its steps and the bytes it makes,
//! and it runs on a stack of its own (see `engine`).

mod date;
mod engine;
mod json;
mod scan;
mod source;
mod tag;
mod turns;
mod values;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

pub use date::Date;
use engine::{Engine, Request};
pub use turns::Rendered;

/// One turn of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Message {
    /// Who speaks: `system`, `user`, `assistant`, or what else the template knows.
    pub role: String,
    /// What is said.
    pub content: String,
}

impl Message {
    /// A message.
    pub fn new(role: impl Into<String>, content: impl Into<String>) -> Self {
        Self { role: role.into(), content: content.into() }
    }

    /// A message of the user.
    pub fn user(content: impl Into<String>) -> Self {
        Self::new("user", content)
    }

    /// A message of the model.
    pub fn assistant(content: impl Into<String>) -> Self {
        Self::new("assistant", content)
    }

    /// Whether the model speaks.
    pub fn is_assistant(&self) -> bool {
        self.role == "assistant"
    }
}

/// A chat template, ready to render. Cheap to clone.
#[derive(Clone)]
pub struct ChatTemplate {
    engine: Arc<Engine>,
    /// What the template sees beside the messages, such as `bos_token`.
    tokens: BTreeMap<String, String>,
    date: Option<Date>,
    /// For messages: the file it came from.
    origin: String,
}

impl std::fmt::Debug for ChatTemplate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChatTemplate").field("origin", &self.origin).field("tokens", &self.tokens).finish()
    }
}

impl ChatTemplate {
    /// The template of a model's folder: `chat_template.jinja`, else `chat_template` in
    /// `tokenizer_config.json` (a text, or a list of named ones: `default`, or the only one). None if the
    /// folder has neither.
    ///
    /// # Errors
    /// A file that cannot be read or holds something else; a template that does not compile.
    pub fn open(folder: &Path) -> Result<Option<Self>> {
        let Some(found) = source::find(folder)? else { return Ok(None) };
        let origin = found.path.display().to_string();
        Self::compile(&found.source, found.tokens, origin).map(Some)
    }

    /// A template from its source, such as a GGUF file's. `bos` and `eos` are the texts of the tokens that
    /// begin and end a sequence.
    ///
    /// # Errors
    /// A template that does not compile: the line and what is wrong there.
    pub fn new(source: &str, bos: Option<&str>, eos: Option<&str>) -> Result<Self> {
        let named = [("bos_token", bos), ("eos_token", eos)];
        let tokens = named.into_iter().filter_map(|(name, text)| Some((name.to_owned(), text?.to_owned())));
        Self::compile(source, tokens.collect(), "the chat template".to_owned())
    }

    fn compile(source: &str, tokens: BTreeMap<String, String>, origin: String) -> Result<Self> {
        let engine =
            Engine::compile(source).map_err(|reason| Error::Invalid(format!("{origin}: {reason}")))?;
        Ok(Self { engine: Arc::new(engine), tokens, date: None, origin })
    }

    /// The same template, told today's date. Some templates put it into the system message; without one
    /// `strftime_now` is not defined, and most then fall back to a fixed date, as training wants.
    #[must_use]
    pub fn with_date(mut self, date: Date) -> Self {
        self.date = Some(date);
        self
    }

    /// Whether it may write the date into prompts.
    pub fn asks_for_date(&self) -> bool {
        self.engine.asks_for_date
    }

    /// The date that it was told and may write into prompts; none where it does not ask for one.
    pub fn date(&self) -> Option<Date> {
        self.date.filter(|_| self.asks_for_date())
    }

    /// The conversation as one text. `add_generation_prompt` ends it with what the model continues from.
    /// Special tokens are in the text: tokenise it without adding any.
    ///
    /// # Errors
    /// What the template itself objects to (`raise_exception`), an error in it, or a template that takes more
    /// steps or memory than any real one.
    pub fn render(&self, messages: &[Message], add_generation_prompt: bool) -> Result<String> {
        self.run(messages, add_generation_prompt, false)
    }

    /// The conversation, and which parts of it the model is to say: every assistant turn with its end-of-turn
    /// token (without the line break that may follow it). They are found by `{% generation %}` marks if the
    /// template has them, else by rendering the conversation up to each turn; never by searching for texts.
    ///
    /// # Errors
    /// As [`ChatTemplate::render`], and a template that cannot be divided so.
    pub fn render_masked(&self, messages: &[Message]) -> Result<Rendered> {
        turns::render(self, messages)
    }

    /// Whether the template marks the assistant's part itself.
    fn has_marks(&self) -> bool {
        self.engine.has_marks
    }

    fn run(&self, messages: &[Message], prompt: bool, marks: bool) -> Result<String> {
        let request = Request { messages, tokens: &self.tokens, date: self.date, prompt, marks };
        let rendered = Engine::render(&self.engine, request);
        rendered.map_err(|reason| Error::Invalid(format!("{}: {reason}", self.origin)))
    }
}

#[cfg(test)]
mod hostile;
#[cfg(test)]
mod tests;
