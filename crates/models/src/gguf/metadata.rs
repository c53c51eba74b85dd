//! An architecture's metadata, read so that every key is honoured or refused by name, all problems at once.

use std::collections::BTreeSet;

use serde_json::{Number, Value as Json};

use super::file::Gguf;
use super::value::Value;
use crate::error::{Error, Result};

/// No dimension of a model is larger, so that products of a few of them can be trusted not to overflow.
const LARGEST: u64 = 1 << 28;

/// The keys under one architecture's name.
pub(super) struct Metadata<'a> {
    gguf: &'a Gguf,
    prefix: String,
    asked: BTreeSet<String>,
    problems: Vec<String>,
}

impl<'a> Metadata<'a> {
    /// Starts reading `{architecture}.*`.
    pub(super) fn new(gguf: &'a Gguf, architecture: &str) -> Self {
        let prefix = format!("{architecture}.");
        Self { gguf, prefix, asked: BTreeSet::new(), problems: Vec::new() }
    }

    /// The file.
    pub(super) fn gguf(&self) -> &'a Gguf {
        self.gguf
    }

    /// A value; from now on its key counts as known.
    pub(super) fn get(&mut self, name: &str) -> Option<Value<'a>> {
        let key = format!("{}{name}", self.prefix);
        let value = self.gguf.get(&key);
        self.asked.insert(key);
        value
    }

    /// A whole number that must be there: at least 1, at most 2^28. Stands in with 1 where it is not.
    pub(super) fn size(&mut self, name: &str) -> usize {
        self.optional_size(name).unwrap_or_else(|| {
            if self.get(name).is_none() {
                self.problem(name, "is missing");
            }
            1
        })
    }

    /// A whole number from 1 to 2^28, or none if absent.
    pub(super) fn optional_size(&mut self, name: &str) -> Option<usize> {
        let value = self.get(name)?;
        let size = value.as_u64().filter(|size| (1..=LARGEST).contains(size));
        if size.is_none() {
            self.problem(name, &format!("is {}; it must be one whole number up to {LARGEST}", shown(&value)));
        }
        size.and_then(|size| usize::try_from(size).ok())
    }

    /// A finite number above 0 in the fewest digits that give the file's, or none if absent.
    pub(super) fn number(&mut self, name: &str) -> Option<Number> {
        let value = self.get(name)?;
        let number = decimal(&value);
        if number.is_none() {
            self.problem(name, &format!("is {}; it must be a number above 0", shown(&value)));
        }
        number
    }

    /// A number that must be there.
    pub(super) fn required(&mut self, name: &str) -> Json {
        let number = self.number(name);
        if number.is_none() && self.get(name).is_none() {
            self.problem(name, "is missing");
        }
        number.map_or(Json::Null, Json::Number)
    }

    /// A key that is supported at one whole number only; absent passes.
    pub(super) fn only(&mut self, name: &str, expected: usize) {
        if let Some(value) = self.get(name)
            && value.as_u64() != Some(expected as u64)
        {
            self.problem(name, &format!("is {}; only {expected} is supported", shown(&value)));
        }
    }

    /// Keys that change nothing here.
    pub(super) fn ignore(&mut self, names: &[&str]) {
        names.iter().for_each(|name| drop(self.get(name)));
    }

    /// Notes what is wrong with a key.
    pub(super) fn problem(&mut self, name: &str, what: &str) {
        self.problems.push(format!("`{}{name}` {what}", self.prefix));
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// One error with every problem, keys that nobody asked for among them.
    pub(super) fn finish(mut self) -> Result<()> {
        let ours = |key: &&str| key.starts_with(&self.prefix) && !self.asked.contains(*key);
        for key in self.gguf.keys().filter(ours) {
            let what = "is not known for this architecture, so what it asks for would be lost";
            self.problems.push(format!("`{key}` {what}"));
        }
        if self.problems.is_empty() {
            return Ok(());
        }
        let reason = format!("metadata that cannot be honoured:\n  - {}", self.problems.join("\n  - "));
        Err(Error::checkpoint(self.gguf.path(), reason))
    }
}

/// A positive number without the digits that an f32 gains as f64.
fn decimal(value: &Value<'_>) -> Option<Number> {
    let number = match value {
        Value::F32(x) => x.to_string().parse().ok(),
        other => other.as_f64().or_else(|| other.as_u64().map(|x| x as f64)),
    };
    number.filter(|x: &f64| *x > 0.0).and_then(Number::from_f64)
}

/// A value for a message: a hostile one may be long.
fn shown(value: &Value<'_>) -> String {
    match value {
        Value::Array(array) => format!("an array of {}", array.len()),
        Value::Text(text) => format!("\"{}\"", text.chars().take(80).collect::<String>()),
        Value::Bool(value) => value.to_string(),
        other => {
            let float = other.as_f64().map(|x| x.to_string());
            float.or_else(|| other.as_u64().map(|x| x.to_string())).unwrap_or_else(|| "negative".into())
        }
    }
}
