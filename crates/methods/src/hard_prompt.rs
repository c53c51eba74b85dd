//! A hard prompt: the words around the text that make the frozen decoder answer best, found by search.
//!
//! Templates are tried on labelled rows; then a few trigger tokens before the best are searched for with the
//! gradient, AutoPrompt, Shin et al. 2020, <https://arxiv.org/abs/2010.15980>, section 2.2: of all tokens `v`
//! those with the largest `-e_v · dL/de_t` are tried in place of trigger token `t`, and one is kept if the loss
//! falls. Classes are scored as by `in-context`; a language model's loss is that of the rows' completions. The method
//! itself only says "frozen, with these settings"; whoever has the texts searches.
//!
//! By default two classes take about 730 passes of a prompt: 6 templates x 33 (32 rows and an empty text), 18 to start
//! the search, 6 steps x 81 (6 candidates x 9, and 27 for the gradient), 33 to judge what was found. A language model
//! takes about 540 passes of a row: 5 templates x 32, 16, 6 steps x 56 (6 candidates x 8, and 8), 32.

use crate::{Info, Merging, Method, Saves, Target, check_size, setting};
use offshoot_core::{Adapter, NoAdapter, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How `hard-prompt` presents itself.
pub const INFO: Info = Info {
    name: "hard-prompt",
    summary: "nothing trained: the best words around the text",
    paper: "Shin et al. 2020, https://arxiv.org/abs/2010.15980",
    // Nothing is stepped.
    learning_rate: 0.0,
    saves: Saves::Prompt,
    starts_as_identity: true,
    merging: Merging::Never("it asks in words and changes no weight"),
};

/// Settings of `hard-prompt`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Templates that are tried beside the built-in ones: `{text}` once, and `{labels}` for the words of all
    /// classes. For a language model `{text}` is the row's prompt: what the user says, where the model has a
    /// chat template. Default none.
    pub templates: Vec<String>,
    /// The most rows that templates are tried on. Default 32.
    pub rows: usize,
    /// Steps of the search for trigger tokens. Default 6; 0 only chooses a template.
    pub search_steps: usize,
    /// Tokens that are tried in a step. Default 6.
    pub candidates: usize,
    /// Trigger tokens. Default 3.
    pub trigger_tokens: usize,
    /// Training rows that the search looks at. Default 8.
    pub search_rows: usize,
    /// The word of a class, where it is not the class's name. For classification alone.
    pub labels: BTreeMap<String, String>,
    /// Whether the score of an empty text is taken away. Default yes. For classification alone.
    pub calibrate: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            templates: Vec::new(),
            rows: 32,
            search_steps: 6,
            candidates: 6,
            trigger_tokens: 3,
            search_rows: 8,
            labels: BTreeMap::new(),
            calibrate: true,
        }
    }
}

impl Method for Config {
    fn build(&self, _target: &mut Target<'_>) -> Result<Box<dyn Adapter>> {
        for (name, value) in [
            ("rows", self.rows),
            ("candidates", self.candidates),
            ("trigger_tokens", self.trigger_tokens),
            ("search_rows", self.search_rows),
        ] {
            check_size(INFO.name, name, value, 1..=crate::MOST)?;
        }
        self.templates.iter().try_for_each(|template| check_template(INFO.name, "templates", template))?;
        Ok(Box::new(NoAdapter))
    }
}

/// Checks that a template has a place for the text, once, and words beside it.
pub(crate) fn check_template(method: &str, name: &str, template: &str) -> Result<()> {
    let places = template.matches("{text}").count();
    if places != 1 {
        let problem = format!("has `{template}` with {places} places for the text; write {{text}} once");
        return Err(setting(method, name, problem));
    }
    match template.replacen("{text}", "", 1).trim().is_empty() {
        true => Err(setting(method, name, format!("has `{template}`, which says nothing beside the text"))),
        false => Ok(()),
    }
}
