//! Exact match and ROUGE-L of what a language model writes for the prompts of rows.

use crate::data::instruct::LmExample;
use crate::generate::{Decode, Generator, Output, Request, Sampling, Stop};
use crate::instruct::cut_prompt;
use crate::text_metrics::TextMetrics;
use crate::text_rows::TextRows;
use crate::{Error, LanguageModel, Result};
use serde::{Deserialize, Serialize};

/// Whether texts are generated, which is slow, to be compared with the rows' own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Generate {
    /// For so many rows, the first ones. Default 0: none.
    pub rows: usize,
    /// The most tokens to write for a row. Default 128.
    pub max_tokens: usize,
}

impl Default for Generate {
    fn default() -> Self {
        Self { rows: 0, max_tokens: 128 }
    }
}

/// How many tokens a pass may have: what texts need that are near each other.
const TOKENS: usize = 8192;

impl TextRows<'_> {
    /// Writes greedily from the prompts of the first rows that have an answer, and compares with it; nothing if no
    /// row is asked for. `begun` is told of each row as it begins to be written.
    ///
    /// # Errors
    /// If no row has an answer, as plain text has none; as the model fails on a row.
    pub fn generate(
        &self,
        grown: &LanguageModel,
        settings: Generate,
        begun: &mut dyn FnMut(usize),
    ) -> Result<Option<TextMetrics>> {
        if settings.rows == 0 {
            return Ok(None);
        }
        let answered = |row: &&LmExample| row.content.reference().is_some();
        let rows: Vec<LmExample> =
            self.examples.iter().filter(answered).take(settings.rows).cloned().collect();
        if rows.is_empty() {
            return Err(Error::invalid(format!(
                "{}: no test row has a prompt with an answer to generate from; rows of plain text have none, so leave \
                 --generate out",
                self.file
            )));
        }
        let texts = TextRows { examples: &rows, ..*self }.written(grown, settings.max_tokens, begun)?;
        let pairs = texts.iter().zip(&rows);
        let pairs = pairs.map(|(text, row)| (text.as_str(), row.content.reference().unwrap_or_default()));
        Ok(Some(TextMetrics::of(pairs)))
    }

    /// What is written for each row.
    pub(crate) fn written(
        &self,
        grown: &LanguageModel,
        max_tokens: usize,
        begun: &mut dyn FnMut(usize),
    ) -> Result<Vec<String>> {
        let virtual_tokens = grown.adapter.prompt_tokens() + grown.adapter.prefix_tokens();
        let room = grown.backbone.shape().positions.saturating_sub(virtual_tokens);
        // Of a model with few positions, half are for the prompt.
        let most = self.settings.max_length.min(room.saturating_sub(max_tokens).max(room / 2));
        let stop = Stop { eos: self.tools.special.eos.clone(), max_tokens, strings: Vec::new() };
        let mut prompts = self.prompts(Some(grown), most, TOKENS)?;
        for ids in &mut prompts {
            cut_prompt(ids, most);
        }
        let request = |(prompt, row): (Vec<u32>, &LmExample)| Request {
            row: row.line,
            prompt,
            adapter: Some(0),
            stop: stop.clone(),
        };
        let requests: Vec<Request> = prompts.into_iter().zip(self.examples).map(request).collect();
        let mut started = vec![false; requests.len()];
        let mut written = |row: usize, _: &str| {
            if let Some(started) = started.get_mut(row).filter(|started| !**started) {
                *started = true;
                begun(row);
            }
            Ok(())
        };
        let decode = || -> Box<dyn Decode + '_> { Box::new(self.tools.tokenizer.stream(true)) };
        let mut output = Output { decode: &decode, written: &mut written };
        let generator = Generator::new(grown.backbone.as_ref(), vec![grown])?;
        let generated = generator.run(&requests, &Sampling::default(), &mut output)?;
        Ok(generated.into_iter().map(|one| one.text).collect())
    }
}
