//! Plain text: each line is a text. Without labels, so for prediction alone.

use super::error::Result;
use super::format::{Format, Reader};
use super::input::{Input, RECORD_LIMIT};
use super::table::{Builder, Row};

/// The registry's line.
pub(super) const FORMAT: Format = Format {
    name: "lines",
    extensions: &["txt"],
    about: "plain text, one text a line, without labels",
    fixed: true,
    read: Reader::Text(read),
};

/// A blank line is a row too: line by line, what is read and what is answered stay side by side.
fn read(input: &mut Input<'_>, builder: &mut Builder) -> Result<()> {
    let (mut line, mut number) = (Vec::new(), input.line);
    while input.line(&mut line, RECORD_LIMIT)? {
        let body = line.strip_suffix(b"\n").unwrap_or(&line);
        match std::str::from_utf8(body.strip_suffix(b"\r").unwrap_or(body)) {
            Ok(text) => builder.push(Row::new(number, vec![(0, text.to_owned())])),
            Err(_) => builder.problems.push(number, "not UTF-8 text; save the file as UTF-8"),
        }
        number = input.line;
    }
    builder.column("text");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::format::read_text;
    use super::*;

    #[test]
    fn each_line_is_a_text() {
        let table = read_text("\u{feff}one, \"two\"\r\n\nthree", &FORMAT).unwrap();
        assert_eq!(table.columns, ["text"]);
        let texts: Vec<_> = table.rows.iter().map(|row| (row.line, row.get(0).unwrap())).collect();
        assert_eq!(texts, [(1, "one, \"two\""), (2, ""), (3, "three")]);
    }

    #[test]
    fn a_line_that_is_not_utf8_is_named() {
        let message = read_text(b"a\n\xff\n", &FORMAT).unwrap_err().to_string();
        assert!(message.contains("1 row that") && message.contains("line 2: not UTF-8"), "{message}");
    }
}
