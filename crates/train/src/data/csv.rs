//! Comma-separated values: the first record names the columns (RFC 4180, a quoted field may hold line ends).
//!
//! A reader of our own, because a message must name the right line (also after `\r\n` and blank lines), a
//! quote that is never closed must not swallow the rest of the file in silence, and no record may be endless.

use super::error::{Result, listed};
use super::format::{Format, Reader};
use super::input::{Input, RECORD_LIMIT};
use super::table::{Builder, MOST_COLUMNS, Row};
use std::mem;

/// The registry's line.
pub(super) const FORMAT: Format = Format {
    name: "csv",
    extensions: &["csv"],
    about: "comma-separated values; the first line names the columns",
    fixed: true,
    read: Reader::Text(|input, builder| read(input, builder, b',')),
};

/// Reads a table whose fields are separated by `delimiter`.
pub(super) fn read(input: &mut Input<'_>, builder: &mut Builder, delimiter: u8) -> Result<()> {
    let mut parser = Parser::new(delimiter);
    let Some(header) = parser.record(input, builder)? else { return Ok(()) };
    name_columns(header, builder)?;
    while let Some(record) = parser.record(input, builder)? {
        let line = record.line;
        match record.row(builder.columns()) {
            Ok(row) => builder.push(row),
            Err(reason) => builder.problems.push(line, reason),
        }
    }
    Ok(())
}

fn name_columns(header: Record, builder: &mut Builder) -> Result<()> {
    let broken = |reason: String, builder: &Builder| Err(builder.broken(header.line, reason));
    if let Some(fault) = header.fault {
        return broken(fault.to_owned(), builder);
    }
    if header.count > MOST_COLUMNS {
        return broken(format!("{} columns, but at most {MOST_COLUMNS} are read", header.count), builder);
    }
    let names: Vec<&str> = header.fields.iter().map(|name| name.trim()).collect();
    let mut twice: Vec<&str> = Vec::new();
    for name in names {
        let before = builder.columns();
        builder.column(name);
        if builder.columns() == before {
            twice.push(name);
        }
    }
    if twice.is_empty() {
        return Ok(());
    }
    broken(format!("columns named more than once: {}; rename them", listed(twice.into_iter())), builder)
}

/// One record: its fields as text.
#[derive(Default)]
struct Record {
    /// The line where it begins.
    line: usize,
    fields: Vec<String>,
    /// How many fields there were; those beyond [`MOST_COLUMNS`] are not kept.
    count: usize,
    fault: Option<&'static str>,
}

impl Record {
    fn row(self, columns: usize) -> std::result::Result<Row, String> {
        if let Some(fault) = self.fault {
            return Err(fault.to_owned());
        }
        if self.count != columns {
            return Err(format!("{} fields where the first line has {columns}", self.count));
        }
        Ok(Row::new(self.line, self.fields.into_iter().enumerate().collect()))
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// At the beginning of a field.
    Start,
    /// In a field without quotes.
    Plain,
    /// In a quoted field.
    Quoted,
    /// After a quote in a quoted field: its end, or the first of two.
    Quote,
}

struct Parser {
    delimiter: u8,
    state: State,
    line: Vec<u8>,
    field: Vec<u8>,
    record: Record,
}

impl Parser {
    fn new(delimiter: u8) -> Self {
        Self {
            delimiter,
            state: State::Start,
            line: Vec::new(),
            field: Vec::new(),
            record: Record::default(),
        }
    }

    /// The next record that is not a blank line; nothing at the end of the file.
    fn record(&mut self, input: &mut Input<'_>, builder: &Builder) -> Result<Option<Record>> {
        let (mut begin, mut room) = (input.line, RECORD_LIMIT);
        loop {
            let more = input.line(&mut self.line, room);
            // The line that is too long may be the last of many in one record.
            if !more.map_err(|error| if room < RECORD_LIMIT { input.too_long(begin) } else { error })? {
                break;
            }
            if self.state == State::Start && matches!(self.line.as_slice(), b"\n" | b"\r\n") {
                begin = input.line;
                continue;
            }
            self.feed();
            if self.state != State::Quoted {
                return Ok(Some(self.end_record(begin)));
            }
            room -= self.line.len();
        }
        match self.state {
            State::Quoted => {
                Err(builder.broken(begin, "a quote in the row that begins here is never closed"))
            }
            _ => Ok(None),
        }
    }

    /// Takes one line; afterwards the state is `Quoted` if the record goes on in the next.
    fn feed(&mut self) {
        let line = mem::take(&mut self.line);
        let body = line.strip_suffix(b"\n").unwrap_or(&line);
        let body = body.strip_suffix(b"\r").unwrap_or(body);
        body.iter().for_each(|&byte| self.byte(byte));
        if self.state == State::Quoted {
            self.field.extend_from_slice(&line[body.len()..]);
        }
        self.line = line;
    }

    fn byte(&mut self, byte: u8) {
        self.state = match (self.state, byte) {
            (State::Start, b'"') => State::Quoted,
            (State::Quoted, b'"') => State::Quote,
            (State::Start | State::Plain | State::Quote, byte) if byte == self.delimiter => {
                self.end_field();
                State::Start
            }
            (state, byte) => {
                self.field.push(byte);
                match (state, byte) {
                    (State::Quoted, _) | (State::Quote, b'"') => State::Quoted,
                    (State::Quote, _) => {
                        self.record.fault = Some("text after a closing quote; write a quote in a text twice");
                        State::Plain
                    }
                    _ => State::Plain,
                }
            }
        };
    }

    fn end_field(&mut self) {
        self.record.count += 1;
        if self.record.count <= MOST_COLUMNS {
            match std::str::from_utf8(&self.field) {
                Ok(text) => self.record.fields.push(text.to_owned()),
                Err(_) => self.record.fault = Some("not UTF-8 text; save the file as UTF-8"),
            }
        }
        self.field.clear();
    }

    fn end_record(&mut self, line: usize) -> Record {
        self.end_field();
        self.state = State::Start;
        Record { line, ..mem::take(&mut self.record) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::format::read_text;
    use super::*;

    fn cells(text: &str) -> Vec<(usize, Vec<String>)> {
        let table = read_text(text, &FORMAT).unwrap();
        let cells = |row: &Row| (0..table.columns.len()).map(|at| row.get(at).unwrap().to_owned()).collect();
        table.rows.iter().map(|row| (row.line, cells(row))).collect()
    }

    fn error(text: impl AsRef<[u8]>) -> String {
        read_text(text, &FORMAT).unwrap_err().to_string()
    }

    #[test]
    fn quotes_line_ends_and_lines_are_read_as_written() {
        let rows = cells("\u{feff}a, b \r\n1,\"x, \"\"y\"\"\r\nz\"\r\n\r\n5\" disk,\r\n\"\",end");
        let row = |line, a: &str, b: &str| (line, vec![a.to_owned(), b.to_owned()]);
        assert_eq!(rows, [row(2, "1", "x, \"y\"\r\nz"), row(5, "5\" disk", ""), row(6, "", "end")]);
        assert_eq!(read_text("\u{feff}a, b \n1,2\n", &FORMAT).unwrap().columns, ["a", "b"]);
    }

    #[test]
    fn bad_rows_are_named_together() {
        let message = error(b"a,b\n1\n1,2\n1,2,3\n\"x\"y,2\nx,\xff\n");
        for line in [
            "4 rows",
            "line 2: 1 fields where the first line has 2",
            "line 4: 3 fields",
            "line 5: text after a closing quote",
            "line 6: not UTF-8",
        ] {
            assert!(message.contains(line), "{message}");
        }
    }

    #[test]
    fn an_open_quote_is_found_where_it_begins() {
        let message = error("a,b\n1,2\n3,\"x\n4,5\n6,7\n");
        assert_eq!(message, "data, line 3: a quote in the row that begins here is never closed");
    }

    #[test]
    fn a_header_must_name_each_column_once() {
        assert_eq!(error("a,b,a ,b\n"), "data, line 1: columns named more than once: `a`, `b`; rename them");
        assert!(error(b"a,\xff\n1,2\n").starts_with("data, line 1: not UTF-8"));
        assert!(error(",".repeat(20_000)).contains("20001 columns, but at most 10000"));
    }

    #[test]
    fn a_header_alone_holds_no_rows() {
        assert_eq!(error("a,b\n\n"), "data holds no rows");
        assert_eq!(error("\n\r\n"), "data holds no rows");
    }
}
