//! Parquet, as data sets on the hub are stored. A row's number stands for its line.

use super::error::Result;
use super::format::{Format, Reader};
use super::json::cell;
use super::table::{Builder, Row};
use ::parquet::errors::ParquetError;
use ::parquet::file::reader::{FileReader, SerializedFileReader};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::File;

/// The registry's line.
pub(super) const FORMAT: Format = Format {
    name: "parquet",
    extensions: &["parquet"],
    about: "columns in binary, as data sets on the hub have them",
    fixed: true,
    read: Reader::File(read),
};

/// Bytes of text a byte of the file: encodings that repeat a value give a few hundred, a file made to fill a
/// memory millions.
const RATIO: u64 = 200;
/// What every file may hold.
const LEAST: u64 = 8 << 20;
/// What a row takes beside its texts.
const ROW: u64 = 96;

/// Names of numbered classes, by column.
type Classes = BTreeMap<String, Vec<String>>;

fn read(file: File, builder: &mut Builder) -> Result<()> {
    let size = file.metadata().map_or(0, |about| about.len());
    // The library is not written for hostile files everywhere, and a panic must reach nobody.
    match offshoot_core::guarded(|| rows(file, size, builder)) {
        Some(done) => {
            done.map_err(|reason| builder.broken(1, format!("not a Parquet file, or damaged ({reason})")))
        }
        None => Err(builder.broken(1, "the Parquet file contradicts itself; write it again")),
    }
}

fn rows(file: File, size: u64, builder: &mut Builder) -> std::result::Result<(), ParquetError> {
    let reader = SerializedFileReader::new(file)?;
    let classes = classes(&reader);
    let mut left = size.saturating_mul(RATIO).max(LEAST);
    for (number, row) in reader.get_row_iter(None)?.enumerate() {
        let (row, line) = (row?, number + 1);
        let mut cells = Vec::new();
        let mut fault = None;
        for (name, field) in row.get_column_iter() {
            let Some(column) = builder.column(name) else { break };
            let value = named(name, field.to_json_value(), &classes);
            match cell(name, value, builder.nested) {
                Ok(Some(text)) => cells.push((column, text)),
                Ok(None) => {}
                Err(reason) => fault = Some(reason),
            }
        }
        let bytes = ROW + cells.iter().map(|(_, text)| text.len() as u64 + 32).sum::<u64>();
        left = left
            .checked_sub(bytes)
            .ok_or_else(|| ParquetError::General(format!("it holds more than {RATIO} times its size")))?;
        match fault {
            Some(reason) => builder.problems.push(line, reason),
            None => builder.push(Row::new(line, cells)),
        }
    }
    Ok(())
}

/// A numbered class by its name, where the file has names.
fn named(column: &str, value: Value, classes: &Classes) -> Value {
    let name = |number: u64| classes.get(column)?.get(usize::try_from(number).ok()?);
    match value.as_u64().and_then(name) {
        Some(name) => Value::String(name.clone()),
        None => value,
    }
}

/// The names that the `datasets` library writes into a file's metadata for its class columns.
fn classes(reader: &SerializedFileReader<File>) -> Classes {
    let metadata = reader.metadata().file_metadata().key_value_metadata();
    let entry = metadata.into_iter().flatten().find(|entry| entry.key == "huggingface");
    let about: Option<Value> = entry.and_then(|entry| serde_json::from_str(entry.value.as_deref()?).ok());
    let features = about.as_ref().and_then(|about| about["info"]["features"].as_object());
    let names = |feature: &Value| -> Option<Vec<String>> {
        let names = feature.get("names")?.as_array()?;
        names.iter().map(|name| name.as_str().map(str::to_owned)).collect()
    };
    let named = |(column, feature): (&String, &Value)| Some((column.clone(), names(feature)?));
    features.into_iter().flatten().filter_map(named).collect()
}

#[cfg(test)]
mod tests {
    use super::super::format::{read_file, read_table};
    use std::fs;
    use std::path::{Path, PathBuf};

    /// Three rows that pyarrow wrote, with names of classes as the `datasets` library writes them:
    /// `scripts/fixtures/parquet.py` makes it.
    fn fixture() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("src/data/fixtures/reviews.parquet")
    }

    #[test]
    fn rows_of_pyarrow_are_read_with_the_names_of_their_classes() {
        let (table, problems) = read_file(&fixture(), None, true).unwrap();
        assert_eq!(problems.count, 0);
        assert_eq!(table.columns, ["text", "label", "stars", "turns"]);
        let row = |at: usize| [0, 1, 2, 3].map(|column| table.rows[at].get(column));
        let turn = r#"[{"role":"user","content":"hello"}]"#;
        assert_eq!(row(0), [Some("good, \"really\"\nso"), Some("pos"), Some("4.5"), Some(turn)]);
        assert_eq!(row(1), [Some("schlecht ü"), Some("neg"), None, Some("[]")]);
        assert_eq!(row(2)[..2], [None, Some("pos")]);
        assert_eq!(table.rows.iter().map(|row| row.line).collect::<Vec<_>>(), [1, 2, 3]);
        let message = read_table(&fixture()).unwrap_err().to_string();
        assert!(message.contains("line 1: `turns` holds a list"), "{message}");
    }

    #[test]
    fn no_damage_makes_the_reader_panic() {
        let whole = fs::read(fixture()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.parquet");
        let mut refused = 0;
        for at in (0..whole.len()).step_by(7) {
            let mut flipped = whole.clone();
            flipped[at] ^= 0x55;
            for bytes in [&flipped, &whole[..at].to_vec()] {
                fs::write(&path, bytes).unwrap();
                refused += usize::from(read_file(&path, None, true).is_err());
            }
        }
        assert!(refused > whole.len() / 7, "{refused} of {}", 2 * whole.len() / 7);
    }
}
