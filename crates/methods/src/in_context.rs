//! In-context learning: the frozen decoder is shown a few rows with their answers before the text. A classifier
//! answers with the class whose word it finds likeliest, a language model writes the answer.
//!
//! Brown et al. 2020, <https://arxiv.org/abs/2005.14165>, section 2. With the tokens `w_1 ... w_n` of a
//! class's word, the class scores `1/n sum_i log p(w_i | prompt, w_<i)`; calibration, Zhao et al. 2021,
//! <https://arxiv.org/abs/2102.09690>, takes away what it scores when the text is empty. The nearest examples
//! are those of Liu et al. 2022, <https://arxiv.org/abs/2101.06804>, by the model's own mean hidden states.
//! The method itself only says "frozen, with these settings"; whoever has the texts asks.

use crate::{Info, Merging, Method, Saves, Target, check_size, hard_prompt};
use offshoot_core::{Adapter, NoAdapter, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How `in-context` presents itself.
pub const INFO: Info = Info {
    name: "in-context",
    summary: "nothing trained: rows with their answers before the text",
    paper: "Brown et al. 2020, https://arxiv.org/abs/2005.14165",
    // Nothing is stepped.
    learning_rate: 0.0,
    saves: Saves::Prompt,
    starts_as_identity: true,
    merging: Merging::Never("it asks in words and changes no weight"),
};

/// Settings of `in-context`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Rows that are shown with their answers before each text. Default 4; 0 asks without any.
    pub shots: usize,
    /// Which training rows they are. Default `random`.
    pub examples: Examples,
    /// How a text is asked about, with `{text}` once. Default `Text: {text}\nLabel:` to classify; a language
    /// model is given the row's prompt as it is.
    pub template: Option<String>,
    /// The word of a class, where it is not the class's name. For classification alone.
    pub labels: BTreeMap<String, String>,
    /// Whether the score of an empty text is taken away. Default yes. For classification alone.
    pub calibrate: bool,
}

/// Which training rows are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Examples {
    /// The same for all texts, drawn by the seed; where there are classes, as many of each as can be.
    #[default]
    Random,
    /// Those nearest to each text, the nearest last.
    Nearest,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            shots: 4,
            examples: Examples::default(),
            template: None,
            labels: BTreeMap::new(),
            calibrate: true,
        }
    }
}

impl Method for Config {
    fn build(&self, _target: &mut Target<'_>) -> Result<Box<dyn Adapter>> {
        check_size(INFO.name, "shots", self.shots, 0..=1024)?;
        let mut template = self.template.iter();
        template.try_for_each(|template| hard_prompt::check_template(INFO.name, "template", template))?;
        Ok(Box::new(NoAdapter))
    }
}
