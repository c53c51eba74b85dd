//! What is to be continued: from the command line, from standard input or from a file, as tokens.

use crate::flags::source;
use crate::language::Language;
use anyhow::{Context, Result, bail};
use offshoot::models::Message;
use offshoot::train::data::instruct::{Content, LmExample, LmLoadOptions, load};
use offshoot::train::instruct::LmSettings;
use offshoot::train::{TextRows, TrainSettings};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

/// The longest prompt that is read from standard input.
const MOST: u64 = 16 << 20;

/// Whether prompts go through the model's chat template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Templating {
    /// All of them.
    Always,
    /// None.
    Never,
    /// Conversations, and what is for an adapter that was trained so.
    AsTrained,
}

/// Prompts with what is known of them.
pub(crate) struct Prompts {
    /// Where they come from, for messages.
    file: String,
    rows: Vec<LmExample>,
}

/// A prompt, ready.
pub(crate) struct Prompt {
    /// The row as it was given.
    pub(crate) said: Value,
    pub(crate) line: u64,
    pub(crate) adapter: Option<usize>,
    pub(crate) ids: Vec<u32>,
}

impl Prompts {
    /// One prompt; `-` reads it from standard input.
    ///
    /// # Errors
    /// If standard input cannot be read, or is no text.
    pub(crate) fn one(text: &str) -> Result<Self> {
        let (file, text) = match text {
            "-" => ("standard input", standard_input()?),
            _ => ("the prompt", text.to_owned()),
        };
        let row = LmExample { content: Content::Text(text), adapter: None, line: 1 };
        Ok(Self { file: file.to_owned(), rows: vec![row] })
    }

    /// The rows of a file, and what was guessed of it.
    ///
    /// # Errors
    /// Rows that cannot be read.
    pub(crate) fn file(path: &Path) -> Result<(Self, Option<String>)> {
        let dataset =
            load(&source(path, None)?, LmLoadOptions { prompts_only: true, ..LmLoadOptions::default() })?;
        Ok((Self { file: dataset.file, rows: dataset.examples }, dataset.guess))
    }

    /// Turns them into tokens, with what a saved prompt puts around them. A row without an adapter's name uses the
    /// adapter if there is only one. `written` is how many tokens are to follow.
    ///
    /// # Errors
    /// Rows that name no adapter where there are several, or one that is not there; templates that refuse.
    pub(crate) fn encode(
        self,
        language: &Language,
        templating: Templating,
        written: usize,
    ) -> Result<Vec<Prompt>> {
        if templating == Templating::Always && language.tools.template.is_none() {
            bail!("{} has no chat template, which --chat asks for; leave it out", language.name);
        }
        let mut rows = Vec::with_capacity(self.rows.len());
        for row in self.rows {
            let at = |error: anyhow::Error| error.context(format!("{}, line {}", self.file, row.line));
            let adapter = choose(language, row.adapter.as_deref()).map_err(at)?;
            rows.push(Asked::new(language, row, adapter, templating));
        }
        let positions = language.model.backbone.shape().positions;
        let most = positions.saturating_sub(written).max(positions / 2);
        // Rows of one kind together: what is needed to find examples near to them is computed once.
        let mut kinds: BTreeMap<(Option<usize>, bool), Vec<usize>> = BTreeMap::new();
        for (at, row) in rows.iter().enumerate() {
            kinds.entry((row.adapter, row.turns)).or_default().push(at);
        }
        let mut prompts: Vec<Option<Prompt>> = rows.iter().map(|_| None).collect();
        for ((adapter, turns), places) in kinds {
            let examples: Vec<LmExample> = places.iter().map(|&at| rows[at].row.clone()).collect();
            let kind = Kind { language, adapter, turns, most };
            for (at, ids) in places.into_iter().zip(kind.ids(&self.file, &examples)?) {
                prompts[at] =
                    Some(Prompt { said: rows[at].said.clone(), line: rows[at].row.line, adapter, ids });
            }
        }
        Ok(prompts.into_iter().flatten().collect())
    }
}

/// A row, and how it is to be asked.
struct Asked {
    row: LmExample,
    said: Value,
    adapter: Option<usize>,
    /// Whether it goes through the chat template.
    turns: bool,
}

impl Asked {
    fn new(language: &Language, mut row: LmExample, adapter: Option<usize>, templating: Templating) -> Self {
        let turns = match templating {
            Templating::Always => true,
            Templating::Never => false,
            Templating::AsTrained => {
                matches!(row.content, Content::Messages(_))
                    || adapter.is_some_and(|adapter| language.adapters[adapter].turns)
            }
        };
        let said = said(&row.content);
        if let (true, Content::Text(prompt)) = (turns, &mut row.content) {
            // Plain text would be taken as it is: as a turn it is a prompt without its completion.
            let prompt = std::mem::take(prompt);
            row.content = Content::Completion { prompt, completion: String::new() };
        }
        Self { row, said, adapter, turns }
    }
}

/// Rows that are asked in one way.
struct Kind<'a> {
    language: &'a Language,
    adapter: Option<usize>,
    turns: bool,
    /// Examples of a saved prompt are left out where there are more tokens.
    most: usize,
}

impl Kind<'_> {
    /// The tokens of each row.
    fn ids(&self, file: &str, examples: &[LmExample]) -> Result<Vec<Vec<u32>>> {
        let tools = &self.language.tools;
        let settings = LmSettings { max_length: usize::MAX, train_on_prompt: false };
        let rows = TextRows { tools, chat: self.turns, file, examples, settings };
        let grown = self.adapter.map(|adapter| &self.language.adapters[adapter].grown);
        let mut all = rows.prompts(grown, self.most, TrainSettings::default().batch_tokens)?;
        for ids in all.iter_mut().filter(|ids| ids.is_empty()) {
            // A text from nothing: many models have no token of their own that begins one.
            ids.extend(tools.special.bos.or(tools.special.eos.first().copied()));
        }
        Ok(all)
    }
}

fn choose(language: &Language, name: Option<&str>) -> Result<Option<usize>> {
    match (name, language.adapters.len()) {
        (Some(name), _) => language.adapter(name),
        (None, 0) => Ok(None),
        (None, 1) => Ok(Some(0)),
        (None, count) => bail!(
            "there are {count} adapters, and the row has no field `adapter` that names one ({}, none)",
            language.adapters.iter().map(|adapter| adapter.name.as_str()).collect::<Vec<_>>().join(", ")
        ),
    }
}

/// A row's prompt, for the result.
fn said(content: &Content) -> Value {
    let turn = |turn: &Message| json!({ "role": turn.role, "content": turn.content });
    match content {
        Content::Alpaca { instruction, input, .. } if input.is_empty() => json!(instruction),
        Content::Alpaca { instruction, input, .. } => json!(format!("{instruction}\n{input}")),
        Content::Completion { prompt, .. } => json!(prompt),
        Content::Messages(turns) => turns.iter().map(turn).collect(),
        Content::Text(text) => json!(text),
    }
}

fn standard_input() -> Result<String> {
    let mut text = String::new();
    std::io::stdin().take(MOST + 1).read_to_string(&mut text).context("standard input cannot be read")?;
    if text.len() as u64 > MOST {
        bail!("standard input has more than {} MiB; use --file for many prompts", MOST >> 20);
    }
    Ok(text)
}
