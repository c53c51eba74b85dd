//! One JSON object a line.

use super::error::Result;
use super::format::{Format, Reader};
use super::input::{Input, RECORD_LIMIT};
use super::json::object;
use super::table::Builder;

/// The registry's line.
pub(super) const FORMAT: Format = Format {
    name: "jsonl",
    extensions: &["jsonl", "ndjson"],
    about: "one JSON object a line",
    fixed: false,
    read: Reader::Text(read),
};

fn read(input: &mut Input<'_>, builder: &mut Builder) -> Result<()> {
    let (mut line, mut number) = (Vec::new(), input.line);
    while input.line(&mut line, RECORD_LIMIT)? {
        if !line.trim_ascii().is_empty() {
            object(&line, number, builder);
        }
        number = input.line;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::format::read_text;
    use super::*;

    #[test]
    fn values_become_text_and_null_is_absent() {
        let table = read_text(
            "{\"a\":\"x\\ny\",\"b\":1}\r\n\n{\"b\":true,\"c\":null}\n{\"c\":1.50,\"a\":\"é\"}",
            &FORMAT,
        );
        let table = table.unwrap();
        assert_eq!(table.columns, ["a", "b", "c"]);
        let row = |at: usize| [0, 1, 2].map(|column| table.rows[at].get(column));
        assert_eq!(row(0), [Some("x\ny"), Some("1"), None]);
        assert_eq!(row(1), [None, Some("true"), None]);
        assert_eq!(row(2), [Some("é"), None, Some("1.5")]);
        assert_eq!(table.rows.iter().map(|row| row.line).collect::<Vec<_>>(), [1, 3, 4]);
    }

    #[test]
    fn bad_rows_are_named_together() {
        let first = b"{\"a\":[1]}\n{\"a\":{}}\n[]\n{\"a\":1,\"a\":2}\n".as_slice();
        let text = [first, b"{\"a\"\n{\"a\":\"\xff\"}\n{\"a\":1} {\"a\":2}\n7\n"].concat();
        let message = read_text(text, &FORMAT).unwrap_err().to_string();
        for line in [
            "8 rows",
            "line 1: `a` holds a list; a row's values are texts, numbers, true, false or null",
            "line 2: `a` holds an object",
            "line 3: not a JSON object",
            "line 4: `a` stands twice",
            "line 5: not a JSON object (EOF while parsing",
            "line 6: not UTF-8",
            "line 7: not a JSON object (trailing characters",
            "line 8: not a JSON object",
        ] {
            assert!(message.contains(line), "{line}: {message}");
        }
    }

    #[test]
    fn keys_without_end_do_not_fill_the_memory() {
        let text: String = (0..20_000).map(|row| format!("{{\"k{row}\":1}}\n")).collect();
        let message = read_text(text, &FORMAT).unwrap_err().to_string();
        assert!(message.contains("line 10001: more than 10000 different keys"), "{message}");
    }
}
