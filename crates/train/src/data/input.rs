//! A bounded way to read a file that may be hostile, counting its lines.

use super::error::{Error, Result};
use std::io::{self, BufRead, Cursor, Read};

/// The most bytes that one record may have: 16 MiB.
pub(super) const RECORD_LIMIT: usize = 16 << 20;

/// A file being read: its bytes after any byte order mark, and the line they stand on.
pub(super) struct Input<'a> {
    reader: Box<dyn BufRead + 'a>,
    file: String,
    /// The line of the next byte, from 1.
    pub(super) line: usize,
}

impl<'a> Input<'a> {
    /// Starts to read; the name is for messages.
    ///
    /// # Errors
    /// A reader that fails, UTF-16, or no bytes at all.
    pub(super) fn new(mut reader: impl BufRead + 'a, file: &str) -> Result<Self> {
        let mut head = Vec::new();
        let failed = |source| Error::Read { file: file.to_owned(), source };
        reader.by_ref().take(3).read_to_end(&mut head).map_err(failed)?;
        match head.as_slice() {
            [0xef, 0xbb, 0xbf] => head.clear(),
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => {
                let reason = "the file is UTF-16; save it as UTF-8".to_owned();
                return Err(Error::Broken { file: file.to_owned(), line: 1, reason });
            }
            _ => {}
        }
        let mut input =
            Self { reader: Box::new(Cursor::new(head).chain(reader)), file: file.to_owned(), line: 1 };
        if input.peek()?.is_none() {
            return Err(Error::Empty(input.file));
        }
        Ok(input)
    }

    /// Reads the next line, with its end, into `line`; false at the end of the file.
    ///
    /// # Errors
    /// A line that does not fit in `room` bytes, or a reader that fails.
    pub(super) fn line(&mut self, line: &mut Vec<u8>, room: usize) -> Result<bool> {
        line.clear();
        let most = room as u64 + 1;
        let read = self.reader.by_ref().take(most).read_until(b'\n', line);
        if read.map_err(|source| self.failed(source))? > room {
            return Err(self.too_long(self.line));
        }
        self.line += usize::from(line.ends_with(b"\n"));
        Ok(!line.is_empty())
    }

    /// The next byte, which is not taken; nothing at the end of the file.
    pub(super) fn peek(&mut self) -> Result<Option<u8>> {
        loop {
            match self.reader.fill_buf() {
                Ok(bytes) => return Ok(bytes.first().copied()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => {
                    return Err(Error::Read { file: self.file.clone(), source });
                }
            }
        }
    }

    /// Takes the byte that [`Input::peek`] showed.
    pub(super) fn take(&mut self, byte: u8) {
        self.line += usize::from(byte == b'\n');
        self.reader.consume(1);
    }

    /// The error for the record that begins on `line`.
    pub(super) fn too_long(&self, line: usize) -> Error {
        let reason = format!(
            "the row that begins here is longer than {} MiB; is a quote left open, or is it not a text file?",
            RECORD_LIMIT >> 20
        );
        Error::Broken { file: self.file.clone(), line, reason }
    }

    fn failed(&self, source: io::Error) -> Error {
        Error::Read { file: self.file.clone(), source }
    }
}
