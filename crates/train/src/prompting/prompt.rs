//! What a model is asked about a text, in words.

use crate::data::Example;
use crate::instruct::Frame;
use crate::{Error, Result};
use offshoot_models::{Message, Tokenizer};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Between an example and what follows it.
pub(crate) const BETWEEN: &str = "\n\n";

/// The place of the text in a template.
pub(crate) const PLACE: &str = "{text}";

/// A prompt as it is saved: everything that is written around a text, and to classify, the words that answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prompt {
    /// What stands before the template, as the search found it; often nothing.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub trigger: String,
    /// The template, with `{text}` once.
    pub template: String,
    /// The classes, in their order; none for a language model.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// The word of each class.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub words: Vec<String>,
    /// Whether the score of an empty text is taken away, where there are classes.
    #[serde(default)]
    pub calibrate: bool,
    /// Examples that stand before every text; with `nearest`, those to choose from.
    #[serde(default)]
    pub examples: Vec<Demonstration>,
    /// So many examples are chosen for each text, those nearest to it; 0 shows all to every text.
    #[serde(default)]
    pub nearest: usize,
}

/// A text with its answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Demonstration {
    /// The text.
    pub text: String,
    /// The answer: a class's word, or what a language model should write.
    pub answer: String,
}

impl Prompt {
    /// A prompt without examples. `words` gives a class's word where it is not its name.
    ///
    /// # Errors
    /// If `words` names a class that there is not, or a word is empty.
    pub fn new(template: &str, labels: &[String], words: &BTreeMap<String, String>) -> Result<Self> {
        if let Some(unknown) = words.keys().find(|name| !labels.contains(name)) {
            let known = labels.join(", ");
            return Err(Error::invalid(format!("`labels` names `{unknown}`; the classes are {known}")));
        }
        let word = |label: &String| words.get(label).unwrap_or(label).trim().to_owned();
        let words: Vec<String> = labels.iter().map(word).collect();
        if let Some(class) = words.iter().position(String::is_empty) {
            let label = &labels[class];
            return Err(Error::invalid(format!("the class `{label}` has no word; give one in `labels`")));
        }
        // A space before the answer belongs to the answer's first token.
        let template = template.trim_end().replace("{labels}", &words.join(" or "));
        Ok(Self { template, labels: labels.to_vec(), words, calibrate: true, ..Self::default() })
    }

    /// A prompt of a language model, without examples.
    pub(super) fn plain(template: &str) -> Self {
        Self { template: template.to_owned(), ..Self::default() }
    }

    /// All of it as text for people, with `{text}` where the text goes. Through a chat template the parts of a
    /// language model's prompt are turns.
    pub fn text(&self) -> String {
        match self.nearest {
            0 => self.around(&self.examples, PLACE),
            some => {
                let all = self.examples.len();
                format!(
                    "({some} of {all} examples, those nearest to the text){BETWEEN}{}",
                    self.around(&[], PLACE)
                )
            }
        }
    }

    /// The examples that every text is shown: none where each has its own.
    pub(crate) fn fixed(&self) -> &[Demonstration] {
        if self.nearest == 0 { &self.examples } else { &[] }
    }

    /// How many examples a text is shown, if there is room.
    pub(crate) fn shots(&self) -> usize {
        if self.nearest == 0 { self.examples.len() } else { self.nearest }
    }

    /// A conversation as a language model is given it: the examples as earlier turns, the template around what
    /// the user says.
    ///
    /// # Errors
    /// If the examples are chosen for each text: a conversation grows.
    pub fn turns(&self, turns: &[Message]) -> Result<Vec<Message>> {
        match self.nearest {
            0 => Ok(Frame::of(self, &self.examples).turns(turns)),
            _ => Err(Error::invalid(
                "this prompt chooses its examples for each text, so it suits no conversation; use `offshoot generate`",
            )),
        }
    }

    /// What is asked about a text after some examples.
    pub(super) fn around(&self, examples: &[Demonstration], text: &str) -> String {
        let mut all = String::new();
        let between = if self.words.is_empty() { "\n" } else { " " };
        for example in examples {
            all += &self.template.replacen(PLACE, &example.text, 1);
            all = all + between + &example.answer + BETWEEN;
        }
        if !self.trigger.is_empty() {
            all = all + &self.trigger + " ";
        }
        all + &self.template.replacen(PLACE, text, 1)
    }

    /// The tokens of what is asked about a text, at most `most`: examples are left out first, from the first
    /// on, then the middle of the text.
    ///
    /// # Errors
    /// If the template alone is longer.
    pub(super) fn tokens(
        &self,
        tokenizer: &Tokenizer,
        examples: &[Demonstration],
        text: &str,
        most: usize,
    ) -> Result<Vec<u32>> {
        let (mut examples, mut text) = (examples, text.to_owned());
        loop {
            let mut ids = tokenizer.start_tokens()?;
            ids.extend(tokenizer.encode_plain(&self.around(examples, &text))?);
            if ids.len() <= most {
                return Ok(ids);
            }
            match examples.split_first() {
                Some((_, others)) => examples = others,
                None if text.is_empty() => {
                    let template = &self.template;
                    return Err(Error::invalid(format!(
                        "the template `{template}` is longer than {most} tokens"
                    )));
                }
                None => text = without_middle(&text, most as f64 / ids.len() as f64),
            }
        }
    }

    /// The tokens of each class's word after the template.
    ///
    /// # Errors
    /// If a word has no tokens of its own there, or two have the same.
    pub(super) fn answers(&self, tokenizer: &Tokenizer) -> Result<Vec<Vec<u32>>> {
        let empty = self.around(&[], "");
        let before = tokenizer.encode_plain(&empty)?;
        let mut answers: Vec<Vec<u32>> = Vec::new();
        for word in &self.words {
            let with = tokenizer.encode_plain(&format!("{empty} {word}"))?;
            let shared = with.iter().zip(&before).take_while(|(a, b)| a == b).count();
            let answer = with[shared..].to_vec();
            if answer.is_empty() || answers.contains(&answer) {
                return Err(Error::invalid(format!(
                    "the tokenizer has no tokens for `{word}` that tell it from the other classes; give another \
                     word in `labels`"
                )));
            }
            answers.push(answer);
        }
        Ok(answers)
    }
}

/// The text of a row; a pair's parts are lines.
pub(super) fn text_of(example: &Example) -> String {
    match &example.pair {
        Some(pair) => format!("{}\n{pair}", example.text),
        None => example.text.clone(),
    }
}

/// A text without its middle: a little less than the share `kept` is left, and always less than before.
fn without_middle(text: &str, kept: f64) -> String {
    let characters: Vec<char> = text.chars().collect();
    let left = ((characters.len() as f64 * kept * 0.9) as usize).min(characters.len().saturating_sub(1));
    let (head, tail) = (left.div_ceil(2), left / 2);
    characters[..head].iter().chain(&characters[characters.len() - tail..]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_is_what_is_written_around_a_text() {
        let words = BTreeMap::from([("1".to_owned(), "good".to_owned())]);
        let labels = ["0", "1"].map(str::to_owned);
        let mut prompt = Prompt::new("{text}\nIs it {labels}? ", &labels, &words).unwrap();
        assert_eq!(prompt.words, ["0", "good"]);
        prompt.trigger = "so it".into();
        prompt.examples = vec![Demonstration { text: "a {text}".into(), answer: "good".into() }];
        assert_eq!(prompt.text(), "a {text}\nIs it 0 or good? good\n\nso it {text}\nIs it 0 or good?");
        let unknown = BTreeMap::from([("2".to_owned(), "x".to_owned())]);
        assert!(Prompt::new("{text}:", &labels, &unknown).unwrap_err().to_string().contains("0, 1"));
    }

    #[test]
    fn the_middle_goes_and_every_cut_shortens() {
        assert_eq!(without_middle("abcdefghij", 0.5), "abij");
        assert_eq!(without_middle("ä", 1.0), "");
        assert_eq!(without_middle("abc", 5.0), "ac");
    }
}
