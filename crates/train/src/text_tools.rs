//! What turns text into tokens for a language model, and back.

use crate::prepare::open_tokenizer;
use crate::{Error, Result};
use offshoot_models::chat::Date;
use offshoot_models::gguf::Gguf;
use offshoot_models::{ChatTemplate, Model, SpecialTokens, Task, Tokenizer};
use std::path::Path;

/// A model's tokenizer, its chat template if it has one, and its special tokens.
pub struct TextTools {
    /// The tokenizer.
    pub tokenizer: Tokenizer,
    /// The checkpoint's own chat template.
    pub template: Option<ChatTemplate>,
    /// Tokens with a meaning for generation.
    pub special: SpecialTokens,
}

impl TextTools {
    /// Opens the tools of a model that was loaded from `folder` as a language model.
    ///
    /// # Errors
    /// If one of them is absent where it is needed, or damaged.
    pub fn open(model: &Model, folder: &Path) -> Result<Self> {
        if model.task != Task::LanguageModel {
            return Err(Error::invalid("the model was loaded for classification, not as a language model"));
        }
        let tokenizer = open_tokenizer(model, folder)?;
        let (template, special) = match model.source().gguf() {
            Some(file) => of_file(file, &tokenizer)?,
            None => (ChatTemplate::open(folder)?, SpecialTokens::open(folder, &tokenizer)?),
        };
        Ok(Self { tokenizer, template, special })
    }

    /// The same tools, the chat template told the date. Where it asks for one, the date stands in prompts: a run
    /// that is to be repeated needs the same. Without one most templates write a fixed date.
    #[must_use]
    pub fn dated(mut self, date: Option<Date>) -> Self {
        if let Some(date) = date {
            self.template = self.template.map(|template| template.with_date(date));
        }
        self
    }

    /// The date that the chat template writes into prompts, if it asks for one and was told.
    pub fn date(&self) -> Option<Date> {
        self.template.as_ref().and_then(ChatTemplate::date)
    }
}

/// The chat template and the special tokens that a GGUF file carries.
fn of_file(file: &Gguf, tokenizer: &Tokenizer) -> Result<(Option<ChatTemplate>, SpecialTokens)> {
    let special = file.special_tokens();
    let text = |id: Option<u32>| id.and_then(|id| tokenizer.token(id));
    let (bos, eos) = (text(special.bos), text(special.eos.first().copied()));
    let template = file.chat_template();
    let template =
        template.map(|source| ChatTemplate::new(&source, bos.as_deref(), eos.as_deref())).transpose()?;
    Ok((template, special))
}
