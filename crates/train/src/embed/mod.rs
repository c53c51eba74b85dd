//! Embeddings of rows, in files that other programs read.
//!
//! Rows are embedded a window at a time and written as they come, so the memory does not grow with them. A row's
//! embedding does not depend on its neighbours: the parts that several processes write, one after the other, are
//! the bytes that one process writes.

mod npy;
mod parquet;
mod safetensors;

use crate::classifier::Classifier;
use crate::data::Example;
use crate::prepare::encode;
use crate::{Error, Result, files};
use offshoot_methods::MethodConfig;
use offshoot_models::{Model, Tokenizer};
use serde_json::json;
use std::io::{self, BufWriter, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Rows that are embedded at a time.
const WINDOW: usize = 2048;

/// A row to embed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Embedded {
    /// Its text, or texts.
    pub example: Example,
    /// What its label column says, if there is one.
    pub label: Option<String>,
}

/// One of several parts of equal size, which together are all rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Which, from 0.
    pub index: usize,
    /// Of how many.
    pub count: usize,
}

impl Shard {
    /// Everything.
    pub const WHOLE: Self = Self { index: 0, count: 1 };

    /// The rows of the part, of so many.
    pub fn range(self, rows: usize) -> Range<usize> {
        let at = |index: usize| (rows as u128 * index as u128 / self.count.max(1) as u128) as usize;
        at(self.index)..at(self.index + 1)
    }
}

/// How embeddings are computed.
pub struct Embedder<'a> {
    classifier: Classifier,
    tokenizer: &'a Tokenizer,
    /// Rows are cut to so many tokens.
    pub max_length: usize,
    /// Most tokens at a time.
    pub tokens: usize,
}

impl<'a> Embedder<'a> {
    /// The embeddings of a model, pooled as it was loaded.
    ///
    /// # Errors
    /// If the model cannot be read for it.
    pub fn new(
        model: &Model,
        tokenizer: &'a Tokenizer,
        (max_length, tokens): (usize, usize),
    ) -> Result<Self> {
        let method = MethodConfig::named("features")?;
        let classifier = Classifier::new(model, &method, 2, 0)?;
        Ok(Self { classifier, tokenizer, max_length, tokens })
    }

    /// The width of an embedding.
    pub fn width(&self) -> usize {
        self.classifier.backbone.shape().hidden
    }

    /// Writes the embeddings of rows to a file, whose ending says the format: `.parquet`, `.npy` or
    /// `.safetensors`. The latter two have the rows themselves in a file of lines beside them. `done` is told how
    /// many more rows are embedded. Returns the files.
    ///
    /// # Errors
    /// An unknown ending; as the model fails on a row; if a file cannot be written.
    pub fn write(&self, path: &Path, rows: &[Embedded], mut done: impl FnMut(usize)) -> Result<Vec<PathBuf>> {
        let form = Form::of(path)?;
        let mut failure = None;
        let written = files::atomic_write(path, |out| {
            self.fill(form.begin(out, rows.len(), self.width())?, rows, &mut done).map_err(|error| {
                let text = error.to_string();
                failure = Some(error);
                io::Error::other(text)
            })
        });
        // A row that cannot be embedded is not the file's fault.
        if let Some(error) = failure {
            return Err(error);
        }
        written?;
        let beside = form.beside().then(|| lines(path, rows)).transpose()?;
        Ok(std::iter::once(path.to_owned()).chain(beside).collect())
    }

    fn fill(
        &self,
        mut sink: Box<dyn Sink + '_>,
        rows: &[Embedded],
        done: &mut dyn FnMut(usize),
    ) -> Result<()> {
        let failed = |error: io::Error| Error::invalid(format!("the embeddings cannot be written: {error}"));
        for window in rows.chunks(WINDOW) {
            let examples: Vec<Example> = window.iter().map(|row| row.example.clone()).collect();
            let tokens = encode(self.tokenizer, &examples, self.max_length)?;
            let embeddings = self.classifier.features(&tokens, self.tokens, &mut *done)?;
            sink.rows(window, &embeddings).map_err(failed)?;
        }
        sink.finish().map_err(failed)
    }
}

/// Writes the rows themselves, a JSON object a line, in the order of their embeddings.
fn lines(path: &Path, rows: &[Embedded]) -> Result<PathBuf> {
    let path = path.with_extension("rows.jsonl");
    files::atomic_write(&path, |out| {
        let mut out = BufWriter::new(out);
        for row in rows {
            let Example { text, pair, line, .. } = &row.example;
            let mut object = json!({ "line": line, "text": text });
            if let Some(pair) = pair {
                object["text_pair"] = json!(pair);
            }
            if let Some(label) = &row.label {
                object["label"] = json!(label);
            }
            writeln!(out, "{object}")?;
        }
        out.flush()
    })?;
    Ok(path)
}

/// A format of embeddings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Parquet,
    Npy,
    Safetensors,
}

impl Form {
    fn of(path: &Path) -> Result<Self> {
        let ending = path.extension().and_then(|ending| ending.to_str()).map(str::to_ascii_lowercase);
        match ending.as_deref() {
            Some("parquet") => Ok(Self::Parquet),
            Some("npy") => Ok(Self::Npy),
            Some("safetensors") => Ok(Self::Safetensors),
            _ => Err(Error::invalid(format!(
                "{}: end the name in .parquet, .npy or .safetensors",
                path.display()
            ))),
        }
    }

    /// Whether the rows themselves stand in a file beside it.
    fn beside(self) -> bool {
        self != Self::Parquet
    }

    fn begin<'w>(
        self,
        out: &'w mut (dyn Write + Send),
        rows: usize,
        width: usize,
    ) -> io::Result<Box<dyn Sink + 'w>> {
        let out = BufWriter::with_capacity(1 << 18, out);
        Ok(match self {
            Self::Parquet => Box::new(parquet::Rows::begin(out)?),
            Self::Npy => Box::new(Values::begin(out, npy::header(rows, width))?),
            Self::Safetensors => Box::new(Values::begin(out, safetensors::header(rows, width))?),
        })
    }
}

/// Where embeddings go, a window at a time.
trait Sink {
    fn rows(&mut self, rows: &[Embedded], embeddings: &[Vec<f32>]) -> io::Result<()>;

    fn finish(self: Box<Self>) -> io::Result<()>;
}

/// A header, and then nothing but values.
struct Values<W>(W);

impl<W: Write> Values<W> {
    fn begin(mut out: W, header: Vec<u8>) -> io::Result<Self> {
        out.write_all(&header)?;
        Ok(Self(out))
    }
}

impl<W: Write> Sink for Values<W> {
    fn rows(&mut self, _: &[Embedded], embeddings: &[Vec<f32>]) -> io::Result<()> {
        let mut values = embeddings.iter().flatten();
        values.try_for_each(|value| self.0.write_all(&value.to_le_bytes()))
    }

    fn finish(mut self: Box<Self>) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_all_rows_in_order_and_of_one_size() {
        for (rows, count) in [(10, 3), (2, 5), (0, 2), (7, 7)] {
            let ranges: Vec<Range<usize>> =
                (0..count).map(|index| Shard { index, count }.range(rows)).collect();
            assert_eq!((ranges[0].start, ranges[count - 1].end), (0, rows));
            assert!(ranges.windows(2).all(|pair| pair[0].end == pair[1].start));
            let sizes = ranges.iter().map(Range::len);
            assert!(sizes.clone().max().unwrap() - sizes.min().unwrap() <= 1, "{ranges:?}");
        }
    }
}
