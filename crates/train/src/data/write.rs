//! Writing rows as CSV, which [`super::csv`] and other programs read back as they were.

use super::error::Result;
use super::labels::Labels;
use super::load::Example;
use crate::files::atomic_write;
use std::io::{self, Write};
use std::path::Path;

/// Writes rows as CSV with the columns `text`, `text_pair` (if the rows are pairs) and `label` (its name), so
/// that another program can be given the same rows. An existing file is replaced in one step.
///
/// # Errors
/// A folder that is missing or cannot be written to, a full disk; a class that `labels` does not name.
pub fn write_csv(path: &Path, examples: &[Example], labels: &Labels) -> Result<()> {
    let pairs = examples.iter().any(|example| example.pair.is_some());
    atomic_write(path, |writer| {
        fn fields<'a>(pairs: bool, text: &'a str, pair: &'a str, label: &'a str) -> Vec<&'a str> {
            if pairs { vec![text, pair, label] } else { vec![text, label] }
        }
        write_csv_record(writer, &fields(pairs, "text", "text_pair", "label"))?;
        for Example { text, pair, label, .. } in examples {
            let unnamed = || io::Error::other(format!("class {label:?} has no name"));
            let label = label.written(&labels.names).ok_or_else(unnamed)?;
            write_csv_record(writer, &fields(pairs, text, pair.as_deref().unwrap_or_default(), &label))?;
        }
        Ok(())
    })?;
    Ok(())
}

/// Writes one CSV record; a field is quoted where that is needed to read it back.
///
/// # Errors
/// A writer that fails.
pub fn write_csv_record(writer: &mut dyn Write, fields: &[&str]) -> io::Result<()> {
    for (at, field) in fields.iter().enumerate() {
        if at > 0 {
            writer.write_all(b",")?;
        }
        // An empty field alone would be a blank line, and some readers cut spaces off where there are no
        // quotes.
        let plain =
            !field.is_empty() && field.trim().len() == field.len() && !field.contains([',', '"', '\n', '\r']);
        match plain {
            true => writer.write_all(field.as_bytes())?,
            false => write!(writer, "\"{}\"", field.replace('"', "\"\""))?,
        }
    }
    writer.write_all(b"\n")
}

#[cfg(test)]
mod tests {
    use super::super::format::read_text;
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_text_is_read_back(
            rows in prop::collection::vec(prop::array::uniform2("[a,\"\r\n\t é\u{feff}]{0,6}"), 1..6),
        ) {
            let mut bytes = b"x,y\n".to_vec();
            for row in &rows {
                write_csv_record(&mut bytes, &row.each_ref().map(String::as_str)).unwrap();
            }
            let table = read_text(&bytes, &super::super::csv::FORMAT).unwrap();
            prop_assert_eq!(table.rows.len(), rows.len());
            for (read, written) in table.rows.iter().zip(&rows) {
                let written = written.each_ref().map(|text| Some(text.as_str()));
                prop_assert_eq!([0, 1].map(|at| read.get(at)), written);
            }
        }
    }

    #[test]
    fn a_split_can_be_handed_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("train.csv");
        let labels = Labels { names: vec!["no".into(), "yes, sir".into()] };
        let example = |pair: Option<&str>| Example {
            text: "a\nb".into(),
            pair: pair.map(str::to_owned),
            label: 1.into(),
            line: 2,
        };
        write_csv(&path, &[example(None)], &labels).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "text,label\n\"a\nb\",\"yes, sir\"\n");
        write_csv(&path, &[example(Some("c"))], &labels).unwrap();
        assert!(std::fs::read_to_string(&path).unwrap().starts_with("text,text_pair,label\n"));
    }

    #[test]
    fn a_missing_folder_is_named() {
        let message = write_csv(Path::new("no/such/a.csv"), &[], &Labels::default()).unwrap_err().to_string();
        assert_eq!(message, "cannot write no/such/a.csv: there is no folder no/such; make it first");
    }
}
