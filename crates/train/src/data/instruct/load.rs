//! From a file to rows for a language model, without copies.

use super::super::error::{Result, listed};
use super::super::problems::Problems;
use super::super::several;
use super::super::source::Source;
use super::super::summary::RowCounts;
use super::super::table::{Row, Table};
use super::layout::Layout;
use super::{Content, LmExample, messages};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What to take from a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LmLoadOptions {
    /// How its rows are laid out; default: guessed from the columns.
    pub layout: Option<Layout>,
    /// Whether rows that cannot be used are left out and counted; default: they are an error.
    pub skip_bad_rows: bool,
    /// Whether the rows are to generate for: what should be generated may be absent, and copies are kept.
    pub prompts_only: bool,
}

/// The rows of a file.
#[derive(Clone, Debug)]
pub struct LmDataset {
    /// The file, for messages.
    pub file: String,
    /// How its rows are laid out.
    pub layout: Layout,
    /// The rows, in the file's order.
    pub examples: Vec<LmExample>,
    /// A sentence about what was guessed and which columns are not read, if there is something to say.
    pub guess: Option<String>,
    /// How many rows were read, and what became of them.
    pub counts: RowCounts,
    pub(super) options: LmLoadOptions,
}

/// Loads rows. Rows that say the same are kept once (but with `prompts_only`).
///
/// # Errors
/// As [`super::super::read_table`]; columns that are no layout's; rows without a prompt or with nothing to
/// learn.
pub fn load(source: &Source, options: LmLoadOptions) -> Result<LmDataset> {
    let (table, mut problems) = several::read(source, true)?;
    let read = table.rows.len() + problems.count;
    let layout = Layout::of(&table, options.layout, options.prompts_only)?;
    let guess = sentence(&table, layout, options.layout.is_none());
    let mut examples = read_rows(&table, layout, options.prompts_only, &mut problems);
    let unusable = problems.count;
    if !options.skip_bad_rows || examples.is_empty() {
        problems.check()?;
    }
    let before = examples.len();
    if !options.prompts_only {
        let mut seen = BTreeSet::new();
        examples.retain(|example| seen.insert(example.content.clone()));
    }
    let counts = RowCounts { read, unusable, duplicates: before - examples.len(), ..RowCounts::default() };
    Ok(LmDataset { file: table.file, layout, examples, guess, counts, options })
}

impl LmDataset {
    /// Loads a test file that goes with these rows. Nothing is dropped from it but copies.
    ///
    /// # Errors
    /// As [`load`].
    pub fn load_test(&self, source: &Source) -> Result<Self> {
        load(source, LmLoadOptions { layout: Some(self.layout), ..self.options })
    }
}

fn sentence(table: &Table, layout: Layout, guessed: bool) -> Option<String> {
    let read = |column: &&str| *column == "adapter" || layout.columns().contains(column);
    let columns = table.columns.iter().map(String::as_str);
    let unread: Vec<&str> = columns.filter(|column| !read(column)).collect();
    let mut parts = Vec::new();
    if guessed {
        parts.push(format!(
            "the rows are laid out as {layout} ({}) (guessed; choose with --layout)",
            layout.about()
        ));
    }
    if !unread.is_empty() {
        parts.push(format!("not read: {}", listed(unread.into_iter())));
    }
    (!parts.is_empty()).then(|| parts.join("; "))
}

fn read_rows(table: &Table, layout: Layout, prompts: bool, problems: &mut Problems) -> Vec<LmExample> {
    let places = |name: &&str| table.columns.iter().position(|column| column == name);
    let columns: Vec<Option<usize>> = layout.columns().iter().map(places).collect();
    let adapter = places(&"adapter");
    let mut examples = Vec::with_capacity(table.rows.len());
    for row in &table.rows {
        let cells = Cells { row, columns: &columns };
        match cells.content(layout, prompts) {
            Ok(content) => {
                let adapter =
                    adapter.and_then(|at| row.get(at)).map(str::trim).filter(|name| !name.is_empty());
                examples.push(LmExample {
                    content,
                    adapter: adapter.map(str::to_owned),
                    line: row.line as u64,
                });
            }
            Err(reason) => problems.push(row.line, reason),
        }
    }
    examples
}

/// A part of a row, or why the row cannot be used.
type Reason<T> = std::result::Result<T, String>;

/// A row's cells in the order of the layout's columns.
struct Cells<'a> {
    row: &'a Row,
    columns: &'a [Option<usize>],
}

impl Cells<'_> {
    fn text(&self, at: usize) -> &str {
        self.columns[at].and_then(|column| self.row.get(column)).unwrap_or_default()
    }

    /// A cell that must say something.
    fn needed(&self, at: usize, name: &str) -> Reason<String> {
        let text = self.text(at);
        if text.trim().is_empty() { Err(format!("the {name} is empty")) } else { Ok(text.to_owned()) }
    }

    /// A cell that must say something unless it is to be generated.
    fn answer(&self, at: usize, name: &str, prompts: bool) -> Reason<String> {
        if prompts { Ok(self.text(at).to_owned()) } else { self.needed(at, name) }
    }

    fn content(&self, layout: Layout, prompts: bool) -> Reason<Content> {
        Ok(match layout {
            Layout::Alpaca => Content::Alpaca {
                instruction: self.needed(0, "instruction")?,
                input: self.text(1).to_owned(),
                output: self.answer(2, "output", prompts)?,
            },
            Layout::Completion => Content::Completion {
                prompt: self.needed(0, "prompt")?,
                completion: self.answer(1, "completion", prompts)?,
            },
            Layout::Messages => Content::Messages(self.messages(prompts)?),
            Layout::Text => Content::Text(self.needed(0, "text")?),
        })
    }

    fn messages(&self, prompts: bool) -> Reason<Vec<offshoot_models::Message>> {
        let cell = [0, 1].map(|at| self.text(at)).into_iter().find(|cell| !cell.is_empty());
        let turns = messages::parse(cell.ok_or("there are no messages")?)?;
        let says = |turn: &offshoot_models::Message| turn.is_assistant() && !turn.content.trim().is_empty();
        if !prompts && !turns.iter().any(says) {
            return Err("the assistant says nothing, so there is nothing to learn".to_owned());
        }
        Ok(turns)
    }
}
