//! Reading a saved prompt back.

use super::prompt::{PLACE, Prompt};
use crate::checkpoint::read_json_up_to;
use crate::{Error, Result};
use std::path::Path;

/// The largest file of a prompt: with examples to choose from, it holds all training rows.
pub(crate) const LARGEST: u64 = 256 << 20;

impl Prompt {
    /// Reads a prompt from a file; `labels` are the classes that it must have, none for a language model.
    ///
    /// # Errors
    /// If there is no such file, or it is damaged or of another task.
    pub(crate) fn read(path: &Path, labels: &[String]) -> Result<Self> {
        let failed = |reason: String| Error::invalid(format!("{}: {reason}", path.display()));
        if !path.exists() {
            return Err(failed("there is no such file, and without it there is no prompt".into()));
        }
        let value = read_json_up_to(path, LARGEST)?;
        let prompt: Self =
            serde_json::from_value(value).map_err(|error| failed(format!("is no prompt: {error}")))?;
        prompt.check(labels).map_err(failed)?;
        Ok(prompt)
    }

    /// What would make it useless.
    fn check(&self, labels: &[String]) -> Result<(), String> {
        if self.labels != labels {
            let list = |labels: &[String]| if labels.is_empty() { "none".into() } else { labels.join(", ") };
            let (own, other) = (list(&self.labels), list(labels));
            return Err(format!("its labels are {own}, and those of the adapter's card {other}"));
        }
        if self.words.len() != labels.len() {
            return Err(format!("it has {} words for {} labels", self.words.len(), labels.len()));
        }
        if !self.template.contains(PLACE) {
            return Err("its template has no place {text} for the text".into());
        }
        match self.nearest > self.examples.len() {
            true => Err(format!("{} examples are too few to choose {}", self.examples.len(), self.nearest)),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read(value: &Value, labels: &[&str]) -> Result<Prompt, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("prompt.json");
        std::fs::write(&path, value.to_string()).unwrap();
        let labels: Vec<String> = labels.iter().map(ToString::to_string).collect();
        Prompt::read(&path, &labels).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_wrong_with_a_prompt_is_said() {
        let good =
            json!({ "template": "{text}:", "examples": [{ "text": "a", "answer": "b" }], "nearest": 1 });
        assert_eq!(read(&good, &[]).unwrap().examples[0].answer, "b");
        let with = |key: &str, value: Value| {
            let mut changed = good.clone();
            changed[key] = value;
            read(&changed, &[]).unwrap_err()
        };
        for (error, says) in [
            (with("nearest", json!(2)), "too few"),
            (with("template", json!("no place")), "{text}"),
            (with("words", json!(["x"])), "1 words for 0 labels"),
            (with("labels", json!(["x"])), "its labels are x"),
            (with("tempo", json!(1)), "tempo"),
            (with("examples", json!([{ "text": "a" }])), "answer"),
            (read(&good, &["yes"]).unwrap_err(), "yes"),
            (read(&json!([]), &[]).unwrap_err(), "no prompt"),
        ] {
            assert!(error.contains("prompt.json") && error.contains(says), "{error}");
        }
        let none = Prompt::read(Path::new("nowhere/prompt.json"), &[]).unwrap_err().to_string();
        assert!(none.contains("no such file"), "{none}");
    }
}
