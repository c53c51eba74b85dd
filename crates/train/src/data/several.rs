//! Several files read as one.

use super::error::{Error, Result, listed};
use super::format::{Format, read_file, read_stream};
use super::input::RECORD_LIMIT;
use super::problems::Problems;
use super::source::Source;
use super::table::{Builder, Files, MOST_COLUMNS, Table};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Cursor, Read, stdin};
use std::path::Path;

/// Reads a source's rows, with those that cannot be used apart. With `nested` they may hold lists and objects,
/// which are kept as their JSON.
///
/// # Errors
/// A file that cannot be read, or whose columns are others than the first file's; no row at all.
pub(super) fn read(source: &Source, nested: bool) -> Result<(Table, Problems)> {
    match source.files.as_slice() {
        [] => standard_input(source.format, nested),
        [file] => read_file(file, source.format, nested),
        files => {
            let mut all = Together::new(&source.name);
            files.iter().try_for_each(|file| all.read(file, source.format, nested))?;
            all.finish()
        }
    }
}

fn standard_input(format: Option<&'static Format>, nested: bool) -> Result<(Table, Problems)> {
    let name = Source::STANDARD_INPUT_NAME;
    let mut reader = BufReader::with_capacity(1 << 16, stdin());
    let mut head = Vec::new();
    // What the format is guessed from: the first line that is not blank.
    while head.trim_ascii().is_empty() && head.len() < RECORD_LIMIT {
        let read = reader.by_ref().take(RECORD_LIMIT as u64).read_until(b'\n', &mut head);
        if read.map_err(|source| Error::Read { file: name.to_owned(), source })? == 0 {
            break;
        }
    }
    let format = format.map_or_else(|| Format::guessed(head.trim_ascii_start()), Ok)?;
    read_stream(Box::new(Cursor::new(head).chain(reader)), format, name, nested)
}

/// The rows of the files so far.
struct Together {
    all: Builder,
    files: Files,
    /// A file whose first line names its columns, and these, sorted.
    columns: Option<(String, BTreeSet<String>)>,
    /// The last line of the last file, as they are counted.
    lines: usize,
}

impl Together {
    fn new(name: &str) -> Self {
        Self { all: Builder::new(name), files: Files::default(), columns: None, lines: 0 }
    }

    fn read(&mut self, path: &Path, format: Option<&'static Format>, nested: bool) -> Result<()> {
        let (table, problems) = match read_file(path, format, nested) {
            // One of many shards may well be empty.
            Err(Error::Empty(_)) => return Ok(()),
            read => read?,
        };
        if format.map_or_else(|| Format::of_file(path), Ok)?.fixed {
            self.same_columns(&table)?;
        }
        self.add(table, problems)
    }

    /// Checks that a table has the columns of those before.
    fn same_columns(&mut self, table: &Table) -> Result<()> {
        let own: BTreeSet<String> = table.columns.iter().cloned().collect();
        let Some((first, columns)) = &self.columns else {
            self.columns = Some((table.file.clone(), own));
            return Ok(());
        };
        if *columns == own {
            return Ok(());
        }
        Err(Error::OtherColumns {
            file: table.file.clone(),
            columns: table.listed_columns(),
            first: first.clone(),
            expected: listed(columns.iter().map(String::as_str)),
        })
    }

    /// Adds a file's rows below the others; its lines are counted on.
    fn add(&mut self, table: Table, problems: Problems) -> Result<()> {
        let before = self.lines;
        let place = |name: &String| {
            let reason =
                format!("with the files before it there are more than {MOST_COLUMNS} different keys");
            self.all.column(name).ok_or(Error::Broken { file: table.file.clone(), line: 1, reason })
        };
        let places = table.columns.iter().map(place).collect::<Result<Vec<usize>>>()?;
        self.lines += table.rows.last().map_or(0, |row| row.line).max(problems.last);
        table.rows.into_iter().for_each(|row| self.all.push(row.moved(before, &places)));
        self.all.problems.add(problems, before);
        self.files.push(before, table.file);
        Ok(())
    }

    fn finish(mut self) -> Result<(Table, Problems)> {
        self.all.problems.files = self.files.clone();
        let (table, problems) = self.all.finish()?;
        Ok((Table { files: self.files, ..table }, problems))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn read_all(files: &[(&str, &str)]) -> std::result::Result<(Table, Problems), String> {
        let folder = tempfile::tempdir().unwrap();
        files.iter().for_each(|(name, text)| fs::write(folder.path().join(name), text).unwrap());
        let source = Source::open(&folder.path().join("*"), None).unwrap();
        let place = format!("{}/", folder.path().display());
        read(&source, false).map_err(|error| error.to_string().replace(&place, ""))
    }

    fn place(table: &Table, line: usize) -> (String, usize) {
        let (file, line) = table.place(line).unwrap();
        (Path::new(file).file_name().unwrap().to_string_lossy().into_owned(), line)
    }

    #[test]
    fn rows_of_several_files_stand_below_each_other() {
        let files = [
            ("b.tsv", "label\ttext\n0\tb1\n1\tb2\n"),
            ("a.csv", "text,label\na1,0\n\n\"a\n2\",1\n"),
            ("c.csv", "text,label\n"),
            ("d.jsonl", "{\"text\":\"d1\",\"source\":\"x\"}\n"),
        ];
        let (table, problems) = read_all(&files).unwrap();
        assert_eq!(
            (table.columns.clone(), problems.count),
            (vec!["text".into(), "label".into(), "source".into()], 0)
        );
        let cells: Vec<_> = table.rows.iter().map(|row| [0, 1, 2].map(|at| row.get(at))).collect();
        assert_eq!(cells[0], [Some("a1"), Some("0"), None]);
        assert_eq!(cells[2], [Some("b1"), Some("0"), None]);
        assert_eq!(cells[4], [Some("d1"), None, Some("x")]);
        let lines: Vec<usize> = table.rows.iter().map(|row| row.line).collect();
        assert!(lines.windows(2).all(|pair| pair[0] < pair[1]), "no line twice: {lines:?}");
        let places: Vec<_> = lines.iter().map(|line| place(&table, *line)).collect();
        let expected = [("a.csv", 2), ("a.csv", 4), ("b.tsv", 2), ("b.tsv", 3), ("d.jsonl", 1)];
        assert_eq!(places, expected.map(|(file, line)| (file.to_owned(), line)));
    }

    #[test]
    fn a_file_with_other_columns_is_named() {
        let message = read_all(&[("a.csv", "text,label\na,0\n"), ("b.csv", "text,mood\nb,0\n")]).unwrap_err();
        assert_eq!(
            message,
            "b.csv has the columns `text`, `mood`, but a.csv has `label`, `text`; files that are read as one must \
             have the same columns"
        );
    }

    #[test]
    fn rows_that_cannot_be_used_are_named_with_their_file() {
        let (_, problems) = read_all(&[("a.csv", "a,b\n1\n2,2\n3\n"), ("b.csv", "a,b\n1,1\n4\n")]).unwrap();
        assert_eq!(problems.count, 3);
        let message = problems.check().unwrap_err().to_string();
        for (file, line) in [("a.csv", 2), ("a.csv", 4), ("b.csv", 3)] {
            assert!(message.contains(&format!("{file}, line {line}: 1 fields")), "{message}");
        }
        assert!(read_all(&[("a.csv", ""), ("b.csv", "")]).unwrap_err().contains("holds no rows"));
    }
}
