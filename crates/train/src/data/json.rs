//! A JSON list of objects.
//!
//! The list is cut into its objects here, byte by byte, so that each has its line and a bound on its length,
//! and one that is broken inside is a bad row among good ones.

use super::error::{Result, shown};
use super::format::{Format, Reader};
use super::input::{Input, RECORD_LIMIT};
use super::table::{Builder, Row};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::Value;
use std::fmt;

/// The registry's line.
pub(super) const FORMAT: Format = Format {
    name: "json",
    extensions: &["json"],
    about: "a JSON list of objects",
    fixed: false,
    read: Reader::Text(read),
};

const EXPECTED: &str = "expected a list of objects: [{…}, {…}]";

fn read(input: &mut Input<'_>, builder: &mut Builder) -> Result<()> {
    expect(input, builder, b"[")?;
    if next(input)? == Some(b']') {
        input.take(b']');
        return end(input, builder);
    }
    let mut bytes = Vec::new();
    let mut line = 0;
    loop {
        // In a list without line breaks rows are told apart by their number: what begins on the line of the
        // row before it counts as the next line.
        line = cut(input, builder, &mut bytes)?.max(line + 1);
        object(&bytes, line, builder);
        if expect(input, builder, b",]")? == b']' {
            return end(input, builder);
        }
    }
}

/// Cuts the next `{…}` out into `bytes`; the line where it begins.
fn cut(input: &mut Input<'_>, builder: &Builder, bytes: &mut Vec<u8>) -> Result<usize> {
    bytes.clear();
    expect(input, builder, b"{")?;
    let line = input.line;
    bytes.push(b'{');
    let (mut depth, mut text, mut escaped) = (1_usize, false, false);
    while depth > 0 {
        let Some(byte) = input.peek()? else {
            return Err(builder.broken(line, "the file ends inside the object that begins here"));
        };
        if bytes.len() == RECORD_LIMIT {
            return Err(input.too_long(line));
        }
        input.take(byte);
        bytes.push(byte);
        match byte {
            _ if escaped => escaped = false,
            b'\\' if text => escaped = true,
            b'"' => text = !text,
            b'{' if !text => depth += 1,
            b'}' if !text => depth -= 1,
            _ => {}
        }
    }
    Ok(line)
}

/// The next byte that is not a space.
fn next(input: &mut Input<'_>) -> Result<Option<u8>> {
    loop {
        match input.peek()? {
            Some(space @ (b' ' | b'\t' | b'\r' | b'\n')) => input.take(space),
            other => return Ok(other),
        }
    }
}

/// Takes the next byte that is not a space, which must be one of `bytes`.
fn expect(input: &mut Input<'_>, builder: &Builder, bytes: &[u8]) -> Result<u8> {
    match next(input)? {
        Some(byte) if bytes.contains(&byte) => {
            input.take(byte);
            Ok(byte)
        }
        Some(byte) => {
            Err(builder
                .broken(input.line, format!("{EXPECTED}, found {}", shown(&char::from(byte).to_string()))))
        }
        None => Err(builder.broken(input.line, format!("{EXPECTED}, but the file ends"))),
    }
}

fn end(input: &mut Input<'_>, builder: &Builder) -> Result<()> {
    match next(input)? {
        Some(_) => {
            Err(builder.broken(input.line, "there is more after the list's end; one list is one file"))
        }
        None => Ok(()),
    }
}

/// Adds the row of one JSON object, or its problem.
pub(super) fn object(bytes: &[u8], line: usize, builder: &mut Builder) {
    match row(bytes, line, builder) {
        Ok(row) => builder.push(row),
        Err(reason) => builder.problems.push(line, reason),
    }
}

fn row(bytes: &[u8], line: usize, builder: &mut Builder) -> std::result::Result<Row, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "not UTF-8 text; save the file as UTF-8")?;
    let Fields(fields) =
        serde_json::from_str(text).map_err(|error| format!("not a JSON object ({error})"))?;
    let mut cells = Vec::with_capacity(fields.len());
    for (key, value) in fields {
        let column = builder
            .column(&key)
            .ok_or_else(|| format!("more than {} different keys in the file", super::table::MOST_COLUMNS))?;
        if cells.iter().any(|(at, _)| *at == column) {
            return Err(format!("{} stands twice", shown(&key)));
        }
        if let Some(text) = cell(&key, value, builder.nested)? {
            cells.push((column, text));
        }
    }
    Ok(Row::new(line, cells))
}

pub(super) fn cell(key: &str, value: Value, keep: bool) -> std::result::Result<Option<String>, String> {
    let nested = |what| {
        Err(format!("{} holds {what}; a row's values are texts, numbers, true, false or null", shown(key)))
    };
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text)),
        Value::Number(number) => Ok(Some(number.to_string())),
        Value::Bool(bool) => Ok(Some(bool.to_string())),
        Value::Array(_) | Value::Object(_) if keep => Ok(Some(value.to_string())),
        Value::Array(_) => nested("a list"),
        Value::Object(_) => nested("an object"),
    }
}

/// An object's entries, those with the same key too (a map would keep one of them in silence).
struct Fields(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_map(Entries)
    }
}

struct Entries;

impl<'de> Visitor<'de> for Entries {
    type Value = Fields;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> std::result::Result<Fields, M::Error> {
        let mut fields = Vec::new();
        while let Some(entry) = map.next_entry()? {
            fields.push(entry);
            if fields.len() > super::table::MOST_COLUMNS {
                return Err(M::Error::custom("too many keys"));
            }
        }
        Ok(Fields(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::super::format::read_text;
    use super::*;

    fn error(text: &str) -> String {
        read_text(text, &FORMAT).unwrap_err().to_string()
    }

    #[test]
    fn objects_keep_their_lines() {
        let text = "\n[ {\"a\": \"}\\\"{\",\n \"b\": 2},\n\n{\"a\": null}]\n";
        let table = read_text(text, &FORMAT).unwrap();
        assert_eq!(table.rows.iter().map(|row| row.line).collect::<Vec<_>>(), [2, 5]);
        assert_eq!([table.rows[0].get(0), table.rows[0].get(1)], [Some("}\"{"), Some("2")]);
        assert_eq!(table.rows[1].get(0), None);
    }

    #[test]
    fn rows_of_one_line_are_told_apart_by_their_number() {
        let table = read_text("[{\"a\":1},{\"a\":2},{\"a\":3}]", &FORMAT).unwrap();
        assert_eq!(table.rows.iter().map(|row| row.line).collect::<Vec<_>>(), [1, 2, 3]);
    }

    #[test]
    fn a_broken_object_is_a_bad_row_among_good_ones() {
        let message = error("[{\"a\":1},\n{\"a\":[]},\n{a:1},\n{\"a\":2}]");
        assert!(message.contains("2 rows") && message.contains("line 2: `a` holds a list"), "{message}");
        assert!(message.contains("line 3: not a JSON object (key must be a string"), "{message}");
    }

    #[test]
    fn what_is_not_a_list_of_objects_is_refused() {
        assert_eq!(error("[]"), "data holds no rows");
        assert!(
            error("{\"data\": []}").contains("line 1: expected a list of objects: [{…}, {…}], found `{`")
        );
        assert!(error("[{\"a\":1}\n7]").contains("line 2: expected a list"));
        assert!(error("[{\"a\":1},]").contains("found `]`"));
        assert!(error("[{\"a\":1}").contains("but the file ends"));
        assert!(error("[\n{\"a\":\"").contains("line 2: the file ends inside"));
        assert!(error("[{\"a\":1}]\n[]").contains("line 2: there is more"));
    }

    #[test]
    fn deep_nesting_is_a_bad_row() {
        let text = format!("[{{\"a\":{}1{}}}]", "[".repeat(100_000), "]".repeat(100_000));
        assert!(error(&text).contains("line 1: not a JSON object (recursion limit"));
    }
}
