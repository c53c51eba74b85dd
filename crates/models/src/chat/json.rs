//! `tojson` as transformers defines it: Python's `json.dumps`, which leaves HTML and other letters alone.

use std::fmt::Write;

use minijinja::value::{Kwargs, Value, ValueKind};
use minijinja::{Error, ErrorKind, State};

/// How deep a value may be nested.
const DEEPEST: usize = 64;

/// The filter: `value | tojson(indent=…, ensure_ascii=…, separators=…, sort_keys=…)`.
pub(super) fn tojson(state: &State<'_, '_>, value: &Value, options: Kwargs) -> Result<Value, Error> {
    let indent: Option<usize> = options.get("indent")?;
    let separators: Option<(String, String)> = separators(options.get("separators")?)?;
    let default = if indent.is_some() { "," } else { ", " };
    let (item, key) = separators.unwrap_or_else(|| (default.to_owned(), ": ".to_owned()));
    let ascii = options.get::<Option<bool>>("ensure_ascii")?.unwrap_or(false);
    let sorted = options.get::<Option<bool>>("sort_keys")?.unwrap_or(false);
    options.assert_all_used()?;
    // No indentation is that wide; more would only fill the memory.
    let indent = indent.map(|width| width.min(32));
    let mut writer = Writer { state, text: String::new(), indent, item, key, ascii, sorted };
    writer.value(value, 0)?;
    Ok(Value::from(writer.text))
}

fn separators(value: Option<Value>) -> Result<Option<(String, String)>, Error> {
    let Some(value) = value.filter(|value| !value.is_none()) else { return Ok(None) };
    let parts: Vec<Value> = value.try_iter()?.take(3).collect();
    match parts.as_slice() {
        [item, key] => Ok(Some((item.to_string(), key.to_string()))),
        _ => Err(refused("separators must be two texts")),
    }
}

fn refused(reason: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, format!("tojson: {}", reason.into()))
}

struct Writer<'a, 'b, 'c> {
    state: &'a State<'b, 'c>,
    text: String,
    indent: Option<usize>,
    item: String,
    key: String,
    ascii: bool,
    sorted: bool,
}

impl Writer<'_, '_, '_> {
    fn value(&mut self, value: &Value, depth: usize) -> Result<(), Error> {
        self.state.consume_fuel(1)?;
        if depth > DEEPEST {
            return Err(refused(format!("the value is nested deeper than {DEEPEST}")));
        }
        match value.kind() {
            ValueKind::None => self.text.push_str("null"),
            ValueKind::Bool => self.text.push_str(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number => self.text.push_str(&value.to_string()),
            ValueKind::String => self.string(value.as_str().unwrap_or_default())?,
            ValueKind::Seq | ValueKind::Iterable => {
                let items = value.try_iter()?.map(|item| (None, item));
                self.container(items, ['[', ']'], depth)?;
            }
            ValueKind::Map => {
                let mut keys: Vec<Value> = value.try_iter()?.collect();
                if self.sorted {
                    keys.sort();
                }
                let item = |key: Value| (Some(key.to_string()), value.get_item(&key).unwrap_or_default());
                self.container(keys.into_iter().map(item), ['{', '}'], depth)?;
            }
            other => return Err(refused(format!("a value of type {other} cannot be written"))),
        }
        Ok(())
    }

    fn container(
        &mut self,
        items: impl Iterator<Item = (Option<String>, Value)>,
        brackets: [char; 2],
        depth: usize,
    ) -> Result<(), Error> {
        self.text.push(brackets[0]);
        let mut first = true;
        for (key, item) in items {
            // Both may be long, and stand between any number of items.
            let between = self.item.len() + self.key.len() + self.indent.unwrap_or(0) * (depth + 1);
            self.state.consume_fuel(between as u64 / 16)?;
            if !first {
                self.text.push_str(&self.item);
            }
            first = false;
            self.line(depth + 1);
            if let Some(key) = key {
                self.string(&key)?;
                self.text.push_str(&self.key);
            }
            self.value(&item, depth + 1)?;
        }
        if !first {
            self.line(depth);
        }
        self.text.push(brackets[1]);
        Ok(())
    }

    fn line(&mut self, depth: usize) {
        if let Some(width) = self.indent {
            self.text.push('\n');
            self.text.extend(std::iter::repeat_n(' ', width * depth));
        }
    }

    fn string(&mut self, text: &str) -> Result<(), Error> {
        // Before it is made: one byte may become six, and a fuel pays for 64.
        self.state.consume_fuel(text.len() as u64 / 8)?;
        self.text.push('"');
        for char in text.chars() {
            match char {
                '"' => self.text.push_str("\\\""),
                '\\' => self.text.push_str("\\\\"),
                '\n' => self.text.push_str("\\n"),
                '\r' => self.text.push_str("\\r"),
                '\t' => self.text.push_str("\\t"),
                '\u{8}' => self.text.push_str("\\b"),
                '\u{c}' => self.text.push_str("\\f"),
                char if char < ' ' || (self.ascii && !(' '..='~').contains(&char)) => {
                    for unit in char.encode_utf16(&mut [0; 2]) {
                        // Writing to a text cannot fail.
                        let _ = write!(self.text, "\\u{unit:04x}");
                    }
                }
                char => self.text.push(char),
            }
        }
        self.text.push('"');
        Ok(())
    }
}
