//! Text files that are packed: gzip and Zstandard, by the ending after the format's own (`rows.csv.gz`).

use super::error::{Error, Result};
use flate2::read::MultiGzDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// How much more than its file a text may be. Texts become 3 to 20 times smaller; a file made to fill a memory
/// becomes a thousand times larger.
const RATIO: u64 = 100;
/// What every file may unpack to. A row takes more memory than its text, and the shortest is a byte.
const LEAST: u64 = 8 << 20;

/// The way that a file is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packing {
    None,
    Gzip,
    Zstandard,
}

/// A path without the ending of a packing, and which it was.
pub(super) fn packing(path: &Path) -> (PathBuf, Packing) {
    let ending = path.extension().and_then(|ending| ending.to_str()).map(str::to_ascii_lowercase);
    match ending.as_deref() {
        Some("gz") => (path.with_extension(""), Packing::Gzip),
        Some("zst" | "zstd") => (path.with_extension(""), Packing::Zstandard),
        _ => (path.to_owned(), Packing::None),
    }
}

/// The text of a file, unpacked while it is read.
///
/// # Errors
/// If the file is not packed as its name says.
pub(super) fn text(file: File, name: &str, packing: Packing) -> Result<Box<dyn Read>> {
    let failed = |source: io::Error| Error::Read { file: name.to_owned(), source };
    let size = file.metadata().map_err(failed)?.len();
    let file = BufReader::with_capacity(1 << 16, file);
    let unpacked: Box<dyn Read> = match packing {
        Packing::None => return Ok(Box::new(file)),
        Packing::Gzip => Box::new(MultiGzDecoder::new(file)),
        Packing::Zstandard => Box::new(Frames { source: file, decoder: FrameDecoder::new(), inside: false }),
    };
    Ok(Box::new(Bounded { inner: unpacked, left: size.saturating_mul(RATIO).max(LEAST) }))
}

/// The frames of a Zstandard file, one after the other; each is checked against its sum.
struct Frames<R> {
    source: R,
    decoder: FrameDecoder,
    /// Whether the decoder is in a frame.
    inside: bool,
}

impl<R: BufRead> Read for Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.inside || self.begin()? {
            let read = self.decoder.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            if self.decoder.is_finished() {
                self.end()?;
            } else {
                let block = BlockDecodingStrategy::UptoBlocks(1);
                self.decoder.decode_blocks(&mut self.source, block).map_err(damaged)?;
            }
        }
        Ok(0)
    }
}

impl<R: BufRead> Frames<R> {
    /// Begins the next frame; false at the end of the file.
    fn begin(&mut self) -> io::Result<bool> {
        while !self.source.fill_buf()?.is_empty() {
            match self.decoder.reset(&mut self.source) {
                Ok(()) => {
                    self.inside = true;
                    return Ok(true);
                }
                // Not data: what other programs keep beside it.
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    io::copy(&mut self.source.by_ref().take(u64::from(length)), &mut io::sink())?;
                }
                Err(error) => return Err(damaged(error)),
            }
        }
        Ok(false)
    }

    fn end(&mut self) -> io::Result<()> {
        self.inside = false;
        match (self.decoder.get_checksum_from_data(), self.decoder.get_calculated_checksum()) {
            (Some(written), Some(found)) if written != found => {
                Err(io::Error::other("its checksum is wrong"))
            }
            _ => Ok(()),
        }
    }
}

fn damaged(error: FrameDecoderError) -> io::Error {
    io::Error::other(error.to_string())
}

/// A reader that gives no more than so many bytes.
struct Bounded<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.left = self.left.checked_sub(read as u64).ok_or_else(|| {
            io::Error::other(format!("it unpacks to more than {RATIO} times its size; unpack it yourself"))
        })?;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::read_table;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};
    use std::fs;
    use std::io::Write;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(text: &[u8]) -> Vec<u8> {
        compress_to_vec(text, CompressionLevel::Fastest)
    }

    fn read(name: &str, bytes: &[u8]) -> Result<Vec<String>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        let table = read_table(&path)?;
        Ok(table.rows.iter().map(|row| row.get(0).unwrap().to_owned()).collect())
    }

    #[test]
    fn packed_rows_are_those_of_the_text() {
        let text = b"a,b\nx,1\ny,2\n";
        // A frame that decoders pass over: its magic number, its length, three bytes.
        let skipped = [&[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"abc"].concat();
        for (name, bytes) in [
            ("rows.csv.gz", gzip(text)),
            ("rows.CSV.GZ", [gzip(b"a,b\nx,1\n"), gzip(b"y,2\n")].concat()),
            ("rows.csv.zst", zstd(text)),
            ("rows.csv.zst", [zstd(b"a,b\nx,1\n"), skipped.clone(), zstd(b"y,2\n")].concat()),
        ] {
            assert_eq!(read(name, &bytes).unwrap(), ["x", "y"], "{name}");
        }
    }

    #[test]
    fn what_is_not_packed_so_is_refused() {
        for (name, bytes) in [
            ("rows.csv.gz", b"a,b\nx,1\n".to_vec()),
            ("rows.csv.zst", gzip(b"a,b\nx,1\n")),
            ("rows.csv.gz", gzip(b"a,b\nx,1\n")[..20].to_vec()),
        ] {
            let message = read(name, &bytes).unwrap_err().to_string();
            assert!(message.starts_with("cannot read ") && message.contains(name), "{message}");
        }
        assert!(read("rows.gz", &gzip(b"a")).unwrap_err().to_string().contains("format is not known"));
    }

    #[test]
    fn a_file_that_would_fill_the_memory_is_refused() {
        let bomb = gzip(&[b"a\n".as_slice(), &vec![b'\n'; 80 << 20]].concat());
        assert!(bomb.len() < 1 << 18);
        let message = read("rows.csv.gz", &bomb).unwrap_err().to_string();
        assert!(message.contains("more than 100 times its size"), "{message}");
    }
}
