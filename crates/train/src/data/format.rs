//! The registry of formats, and reading a file by its extension.

use super::error::{Error, Result};
use super::input::Input;
use super::packed::{self, Packing, packing};
use super::problems::Problems;
use super::several;
use super::source::Source;
use super::table::{Builder, Table};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

/// A format of data files.
#[derive(Debug)]
pub struct Format {
    /// Its name.
    pub name: &'static str,
    /// The files' extensions, in lower case; the first is the usual one.
    pub extensions: &'static [&'static str],
    /// What such a file looks like, in a line.
    pub about: &'static str,
    /// Whether a file names its columns once, for all rows.
    pub(super) fixed: bool,
    /// Reads all rows. A row that cannot be used goes into the builder's problems; an error ends the reading.
    pub(super) read: Reader,
}

/// How a format is read.
#[derive(Debug)]
pub(super) enum Reader {
    /// As a text, from its beginning to its end; it may be packed, or come from standard input.
    Text(fn(&mut Input<'_>, &mut Builder) -> Result<()>),
    /// From a file, here and there.
    File(fn(File, &mut Builder) -> Result<()>),
}

/// Every format.
pub static FORMATS: &[Format] = &[
    super::csv::FORMAT,
    super::tsv::FORMAT,
    super::jsonl::FORMAT,
    super::json::FORMAT,
    super::lines::FORMAT,
    super::parquet::FORMAT,
];

impl Format {
    /// The format of that name, or with that extension, in any case.
    ///
    /// # Errors
    /// An unknown one: the message lists the known.
    pub fn named(name: &str) -> Result<&'static Self> {
        Self::find(name).ok_or_else(|| unknown(name))
    }

    /// The format of a file, by its extension.
    ///
    /// # Errors
    /// An unknown or missing extension: the message lists the known.
    pub fn of(path: &Path) -> Result<&'static Self> {
        let extension = path.extension().and_then(|extension| extension.to_str());
        extension.and_then(Self::find).ok_or_else(|| unknown(&path.display().to_string()))
    }

    /// The same for a file that may be packed.
    pub(super) fn of_file(path: &Path) -> Result<&'static Self> {
        Self::of(&packing(path).0).map_err(|_| unknown(&path.display().to_string()))
    }

    /// The format of a text, by its first line; where that may be several, none is taken.
    pub(super) fn guessed(line: &[u8]) -> Result<&'static Self> {
        let text = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line).trim_ascii_start();
        match (text.first(), text.contains(&b'\t'), text.contains(&b',')) {
            (Some(b'{'), ..) => Ok(&super::jsonl::FORMAT),
            (Some(b'['), ..) => Ok(&super::json::FORMAT),
            (_, true, false) => Ok(&super::tsv::FORMAT),
            (_, false, true) => Ok(&super::csv::FORMAT),
            (None, ..) => Err(Error::Empty(Source::STANDARD_INPUT_NAME.to_owned())),
            _ => Err(Error::Setting(
                "standard input: its first line does not say the format; name it, as in --format csv"
                    .to_owned(),
            )),
        }
    }

    fn find(name: &str) -> Option<&'static Self> {
        let name = name.to_ascii_lowercase();
        FORMATS.iter().find(|format| format.name == name || format.extensions.contains(&name.as_str()))
    }
}

fn unknown(asked: &str) -> Error {
    let known = FORMATS.iter().map(|format| format!("{} (.{})", format.name, format.extensions.join(", .")));
    let known = known.collect::<Vec<_>>().join(", ");
    Error::Format { asked: asked.to_owned(), known: format!("{known}; texts also packed (.gz, .zst)") }
}

/// Reads the rows of a file, or of several as [`Source::open`] finds them; an extension says the format.
///
/// # Errors
/// A file that cannot be read, an unknown extension, no rows, or rows that cannot be used (up to 10 named).
pub fn read_table(path: &Path) -> Result<Table> {
    read_source(&Source::open(path, None)?)
}

/// Reads the rows of a source.
///
/// # Errors
/// As [`read_table`].
pub fn read_source(source: &Source) -> Result<Table> {
    let (table, problems) = several::read(source, false)?;
    problems.check().map(|()| table)
}

/// Reads a file. With `nested` its rows may hold lists and objects: they are kept as their JSON.
pub(super) fn read_file(
    path: &Path,
    format: Option<&'static Format>,
    nested: bool,
) -> Result<(Table, Problems)> {
    let name = path.display().to_string();
    let format = format.map_or_else(|| Format::of_file(path), Ok)?;
    let packing = packing(path).1;
    let file = File::open(path).map_err(|source| Error::Read { file: name.clone(), source })?;
    match (&format.read, packing) {
        (Reader::File(read), Packing::None) => {
            let mut builder = Builder::new(&name);
            builder.nested = nested;
            read(file, &mut builder)?;
            builder.finish()
        }
        _ => {
            let text = packed::text(file, &name, packing)?;
            read_stream(Box::new(BufReader::with_capacity(1 << 16, text)), format, &name, nested)
        }
    }
}

/// Reads a text; `name` stands for it in messages.
pub(super) fn read_stream(
    reader: Box<dyn BufRead + '_>,
    format: &Format,
    name: &str,
    nested: bool,
) -> Result<(Table, Problems)> {
    let mut builder = Builder::new(name);
    builder.nested = nested;
    match format.read {
        Reader::Text(read) => read(&mut Input::new(reader, name)?, &mut builder)?,
        Reader::File(_) => {
            return Err(builder.broken(1, format!("{} is read from a file that is not packed", format.name)));
        }
    }
    builder.finish()
}

/// A table from text, for the tests of the formats.
#[cfg(test)]
pub(super) fn read_text(text: impl AsRef<[u8]>, format: &Format) -> Result<Table> {
    let (table, problems) = read_stream(Box::new(text.as_ref()), format, "data", false)?;
    problems.check().map(|()| table)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Read;

    /// The formats that are texts.
    fn texts() -> impl Iterator<Item = &'static Format> {
        FORMATS.iter().filter(|format| matches!(format.read, Reader::Text(_)))
    }

    proptest! {
        #[test]
        fn no_bytes_make_a_reader_panic(text in "[\\[\\]{}\":,\\\\a1\r\n\u{feff}é]{0,40}", cut in 0_usize..3) {
            // Cut anywhere, in a character too.
            let bytes = &text.as_bytes()[..text.len().saturating_sub(cut)];
            for format in texts() {
                if let Ok(table) = read_text(bytes, format) {
                    prop_assert!(!table.rows.is_empty());
                    prop_assert!(table.rows.windows(2).all(|rows| rows[0].line <= rows[1].line));
                }
            }
        }
    }

    #[test]
    fn an_extension_gives_the_format() {
        assert_eq!(Format::of(Path::new("a/b.CSV")).unwrap().name, "csv");
        assert_eq!(Format::of(Path::new("b.ndjson")).unwrap().name, "jsonl");
    }

    #[test]
    fn an_unknown_extension_lists_the_known() {
        for name in ["rows.xlsx", "rows", "rows.gz"] {
            let message = read_table(Path::new(name)).unwrap_err().to_string();
            assert!(message.starts_with(&format!("{name}: the format is not known")), "{message}");
            assert!(
                message.contains("csv (.csv)") && message.contains("jsonl (.jsonl, .ndjson)"),
                "{message}"
            );
        }
    }

    #[test]
    fn the_first_line_gives_the_format_where_it_can_be_only_one() {
        let guess = |text: &[u8]| Format::guessed(text).map(|format| format.name);
        for (text, format) in [
            ("{\"a\": 1}", "jsonl"),
            (" [{\"a\": 1}]", "json"),
            ("\u{feff}text,label\n", "csv"),
            ("text\tlabel\n", "tsv"),
        ] {
            assert_eq!(guess(text.as_bytes()).unwrap(), format);
        }
        for text in ["text\n", "a\tb,c\n"] {
            assert!(guess(text.as_bytes()).unwrap_err().to_string().contains("--format csv"), "{text}");
        }
        assert!(guess(b" \n").unwrap_err().to_string().contains("standard input holds no rows"));
    }

    #[test]
    fn names_and_extensions_are_all_different() {
        let mut names: Vec<&str> =
            FORMATS.iter().flat_map(|format| format.extensions.iter().copied()).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn a_missing_file_and_a_folder_are_named() {
        let message = read_table(Path::new("no/such.csv")).unwrap_err().to_string();
        assert!(message.starts_with("cannot read no/such.csv: "), "{message}");
        let folder = tempfile::Builder::new().suffix(".csv").tempdir().unwrap();
        assert!(matches!(read_table(folder.path()), Err(Error::Folder(_))));
    }

    #[test]
    fn an_empty_file_and_utf16_are_refused_in_every_format() {
        for format in texts() {
            assert_eq!(read_text("", format).unwrap_err().to_string(), "data holds no rows");
            assert_eq!(read_text("\u{feff}", format).unwrap_err().to_string(), "data holds no rows");
            let utf16 = read_text(b"\xff\xfea\0b\0", format).unwrap_err().to_string();
            assert!(utf16.contains("UTF-16; save it as UTF-8"), "{utf16}");
        }
    }

    #[test]
    fn an_endless_record_is_refused_in_every_format() {
        for (format, start) in [("csv", "a,b\n1,\""), ("tsv", "a\tb\n"), ("jsonl", "{\"a\":\""), ("txt", "x")]
        {
            let endless = BufReader::new(start.as_bytes().chain(std::io::repeat(b'a')));
            let error =
                read_stream(Box::new(endless), Format::named(format).unwrap(), "x", false).unwrap_err();
            assert!(error.to_string().contains("longer than 16 MiB"), "{error}");
        }
        let endless = BufReader::new(b"[{\"a\":\"".as_slice().chain(std::io::repeat(b'\n')));
        let error = read_stream(Box::new(endless), Format::named("json").unwrap(), "x", false).unwrap_err();
        assert!(error.to_string().starts_with("x, line 1: the row that begins here is longer"), "{error}");
    }
}
