//! Reading a configuration of somebody else: every field is honoured, known to have no effect, or refused by
//! name.

use offshoot_core::{Error, Result};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// The fields of one JSON object. Whoever asks for a field makes it known; [`finish`](Self::finish) refuses
/// the others, except those whose value can have no effect (`null`, `false`, empty), and reports every
/// problem at once.
pub(crate) struct Fields<'a> {
    what: String,
    object: &'a Map<String, Value>,
    known: BTreeSet<&'static str>,
    problems: Vec<String>,
}

impl<'a> Fields<'a> {
    /// The fields of `value`; `what` names it in messages.
    pub(crate) fn new(what: impl Into<String>, value: &'a Value) -> Result<Self> {
        let what = what.into();
        let Some(object) = value.as_object() else {
            return Err(Error::invalid(format!("{what}: a JSON object is needed, this is {}", brief(value))));
        };
        Ok(Self { what, object, known: BTreeSet::new(), problems: Vec::new() })
    }

    /// The value of a field, which is known from now on; `None` if it is absent or null.
    pub(crate) fn get(&mut self, name: &'static str) -> Option<&'a Value> {
        self.known.insert(name);
        self.object.get(name).filter(|value| !value.is_null())
    }

    /// Fields without any effect on what a trained adapter computes.
    pub(crate) fn inert(&mut self, names: &[&'static str]) {
        self.known.extend(names);
    }

    /// A whole number, or `default`.
    pub(crate) fn count(&mut self, name: &'static str, default: usize) -> usize {
        let read = |value: &Value| value.as_u64().and_then(|n| usize::try_from(n).ok());
        self.read(name, "a whole number", read).unwrap_or(default)
    }

    /// A finite number, or `default`.
    pub(crate) fn number(&mut self, name: &'static str, default: f64) -> f64 {
        let read = |value: &Value| value.as_f64().filter(|n| n.is_finite());
        self.read(name, "a number", read).unwrap_or(default)
    }

    /// `true` or `false`, or `default`.
    pub(crate) fn flag(&mut self, name: &'static str, default: bool) -> bool {
        self.read(name, "true or false", Value::as_bool).unwrap_or(default)
    }

    /// A text, or `default`.
    pub(crate) fn text(&mut self, name: &'static str, default: &'a str) -> &'a str {
        self.read(name, "a text", Value::as_str).unwrap_or(default)
    }

    /// A list of texts, or nothing.
    pub(crate) fn texts(&mut self, name: &'static str) -> Vec<String> {
        let text = |value: &Value| value.as_str().map(str::to_string);
        let read = |value: &Value| value.as_array()?.iter().map(text).collect::<Option<Vec<_>>>();
        self.read(name, "a list of texts", read).unwrap_or_default()
    }

    /// A list of whole numbers, or nothing.
    pub(crate) fn counts(&mut self, name: &'static str) -> Vec<usize> {
        let count = |value: &Value| value.as_u64().and_then(|n| usize::try_from(n).ok());
        let read = |value: &Value| value.as_array()?.iter().map(count).collect::<Option<Vec<_>>>();
        self.read(name, "a list of whole numbers", read).unwrap_or_default()
    }

    /// A table in the order of the file, or nothing. `expected` says what each value must be.
    pub(crate) fn table<T>(
        &mut self,
        name: &'static str,
        expected: &str,
        entry: impl Fn(&Value) -> Option<T>,
    ) -> Vec<(String, T)> {
        let read = |value: &'a Value| {
            let entries = value.as_object()?.iter().map(|(key, value)| Some((key.clone(), entry(value)?)));
            entries.collect::<Option<Vec<_>>>()
        };
        self.read(name, expected, read).unwrap_or_default()
    }

    /// A field that must have this value where it is given, because `reason`.
    pub(crate) fn must_be(&mut self, name: &'static str, expected: impl Into<Value>, reason: &str) {
        let expected = expected.into();
        if let Some(value) = self.get(name)
            && *value != expected
        {
            self.refuse(name, &format!("must be {expected}: {reason}"));
        }
    }

    /// Notes that a field's value cannot be accepted.
    pub(crate) fn refuse(&mut self, name: &str, problem: &str) {
        let value = self.object.get(name).map_or("absent".to_string(), brief);
        self.problems.push(format!("`{name}` ({value}) {problem}"));
    }

    /// Reports everything that was refused, and every field that nobody knows and that could have an effect.
    ///
    /// # Errors
    /// If there is any such field.
    pub(crate) fn finish(mut self) -> Result<()> {
        let unknown = self
            .object
            .iter()
            .filter(|(name, value)| !self.known.contains(name.as_str()) && !has_no_effect(value));
        let unknown: Vec<_> = unknown.map(|(name, value)| format!("`{name}` ({})", brief(value))).collect();
        if !unknown.is_empty() {
            let known = self.known.iter().copied().collect::<Vec<_>>().join(", ");
            let unknown = unknown.join(", ");
            self.problems.push(format!("{unknown} is not supported; the supported fields are {known}"));
        }
        match self.problems.is_empty() {
            true => Ok(()),
            false => Err(Error::invalid(format!("{}: {}", self.what, self.problems.join("; ")))),
        }
    }

    fn read<T>(
        &mut self,
        name: &'static str,
        expected: &str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Option<T> {
        let value = self.get(name)?;
        let read = read(value);
        if read.is_none() {
            self.refuse(name, &format!("must be {expected}"));
        }
        read
    }
}

/// Whether a value switches nothing on, whatever its field means.
fn has_no_effect(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(true) | Value::Number(_) => false,
    }
}

/// A value for a message, cut where it is long.
fn brief(value: &Value) -> String {
    const LONGEST: usize = 60;
    let text = value.to_string();
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_problem_is_reported_at_once() {
        let config =
            json!({ "r": -1, "alpha": "x", "new_trick": true, "off": false, "none": null, "empty": [] });
        let mut fields = Fields::new("adapter_config.json", &config).unwrap();
        assert_eq!(fields.count("r", 8), 8);
        assert_eq!(fields.number("alpha", 1.0), 1.0);
        let message = fields.finish().unwrap_err().to_string();
        assert!(message.contains("`r` (-1) must be a whole number"), "{message}");
        assert!(message.contains("`alpha` (\"x\") must be a number"), "{message}");
        assert!(message.contains("`new_trick` (true) is not supported"), "{message}");
        assert!(message.contains("supported fields are alpha, r"), "{message}");
        assert!(!message.contains("`off`") && !message.contains("`empty`"), "{message}");
    }

    #[test]
    fn a_field_that_was_asked_for_or_is_inert_is_known() {
        let config = json!({ "r": 4, "revision": "main", "fan_in_fan_out": true });
        let mut fields = Fields::new("config", &config).unwrap();
        assert_eq!(fields.count("r", 8), 4);
        fields.inert(&["revision"]);
        fields.must_be("fan_in_fan_out", false, "weights are stored [out, in]");
        let message = fields.finish().unwrap_err().to_string();
        assert_eq!(message, "config: `fan_in_fan_out` (true) must be false: weights are stored [out, in]");
    }

    #[test]
    fn only_an_object_has_fields() {
        assert!(Fields::new("config", &json!([1])).is_err());
    }

    #[test]
    fn a_long_value_is_cut_at_a_character() {
        let text = "ü".repeat(200);
        assert!(brief(&json!(text)).chars().count() < 70);
    }
}
