//! Parquet: a row's line, text, label and embedding, as a list of floats.

use super::{Embedded, Sink};
use ::parquet::basic::Compression;
use ::parquet::data_type::{ByteArray, ByteArrayType, FloatType, Int64Type};
use ::parquet::errors::ParquetError;
use ::parquet::file::properties::WriterProperties;
use ::parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use ::parquet::schema::parser::parse_message_type;
use std::io::{self, Write};
use std::sync::Arc;

const SCHEMA: &str = "message rows {
    required int64 line;
    required binary text (UTF8);
    optional binary text_pair (UTF8);
    optional binary label (UTF8);
    required group embedding (LIST) { repeated group list { required float element; } }
}";

/// A file of rows; a window is a row group.
pub(super) struct Rows<W: Write + Send>(SerializedFileWriter<W>);

impl<W: Write + Send> Rows<W> {
    pub(super) fn begin(out: W) -> io::Result<Self> {
        let schema = parse_message_type(SCHEMA).map_err(failed)?;
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        let writer = SerializedFileWriter::new(out, Arc::new(schema), Arc::new(properties));
        Ok(Self(writer.map_err(failed)?))
    }
}

impl<W: Write + Send> Sink for Rows<W> {
    fn rows(&mut self, rows: &[Embedded], embeddings: &[Vec<f32>]) -> io::Result<()> {
        let mut group = self.0.next_row_group().map_err(failed)?;
        let written = columns(&mut group, rows, embeddings);
        written.and_then(|()| group.close().map(drop)).map_err(failed)
    }

    fn finish(self: Box<Self>) -> io::Result<()> {
        self.0.close().map(drop).map_err(failed)
    }
}

/// The columns in the order of the schema.
fn columns<W: Write + Send>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    rows: &[Embedded],
    embeddings: &[Vec<f32>],
) -> Result<(), ParquetError> {
    let lines: Vec<i64> = rows.iter().map(|row| row.example.line as i64).collect();
    if let Some(mut column) = group.next_column()? {
        column.typed::<Int64Type>().write_batch(&lines, None, None)?;
        column.close()?;
    }
    let present = |text: &String| Some(ByteArray::from(text.as_bytes().to_vec()));
    texts(group, rows.iter().map(|row| present(&row.example.text)).collect(), false)?;
    texts(group, rows.iter().map(|row| row.example.pair.as_ref().and_then(present)).collect(), true)?;
    texts(group, rows.iter().map(|row| row.label.as_ref().and_then(present)).collect(), true)?;
    let Some(mut column) = group.next_column()? else { return Ok(()) };
    let values: Vec<f32> = embeddings.iter().flatten().copied().collect();
    // The first of a row begins a list, the others go on with it.
    let begins = |row: &Vec<f32>| (0..row.len()).map(|at| i16::from(at > 0)).collect::<Vec<_>>();
    let repetition: Vec<i16> = embeddings.iter().flat_map(begins).collect();
    column.typed::<FloatType>().write_batch(&values, Some(&vec![1; values.len()]), Some(&repetition))?;
    column.close()
}

fn texts<W: Write + Send>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    texts: Vec<Option<ByteArray>>,
    optional: bool,
) -> Result<(), ParquetError> {
    let Some(mut column) = group.next_column()? else { return Ok(()) };
    let there: Vec<i16> = texts.iter().map(|text| i16::from(text.is_some())).collect();
    let values: Vec<ByteArray> = texts.into_iter().flatten().collect();
    column.typed::<ByteArrayType>().write_batch(&values, optional.then_some(&there[..]), None)?;
    column.close()
}

fn failed(error: ParquetError) -> io::Error {
    io::Error::other(error.to_string())
}
