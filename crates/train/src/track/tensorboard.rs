//! TensorBoard's event files: records of TensorFlow (a length, its checksum, a message, its checksum) that hold
//! `Event` messages of protocol buffers, of which scalars need four fields.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// How its files are called.
pub(super) const PREFIX: &str = "events.out.tfevents.";

/// A file that TensorBoard finds by its name.
pub(super) struct EventFile(BufWriter<File>);

impl EventFile {
    /// A new file in a folder; TensorBoard reads all that are there as one run.
    pub(super) fn create(folder: &Path) -> io::Result<Self> {
        let (now, process) = (seconds(), std::process::id());
        let name = format!("{PREFIX}{}.offshoot.{process}", now as u64);
        let mut file = Self(BufWriter::new(File::create(folder.join(name))?));
        file.record(&[double(1, now), bytes(3, b"brain.Event:2")].concat())?;
        file.flush()?;
        Ok(file)
    }

    /// A number with its name at a step.
    pub(super) fn scalar(&mut self, tag: &str, step: u64, value: f32) -> io::Result<()> {
        let value = [bytes(1, tag.as_bytes()), float(2, value)].concat();
        let summary = bytes(1, &value);
        self.record(&[double(1, seconds()), integer(2, step), bytes(5, &summary)].concat())
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }

    fn record(&mut self, message: &[u8]) -> io::Result<()> {
        let length = (message.len() as u64).to_le_bytes();
        self.0.write_all(&length)?;
        self.0.write_all(&masked(&length).to_le_bytes())?;
        self.0.write_all(message)?;
        self.0.write_all(&masked(message).to_le_bytes())
    }
}

fn seconds() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// The kinds of a field's encoding.
const VARINT: u64 = 0;
const EIGHT_BYTES: u64 = 1;
const LENGTH: u64 = 2;
const FOUR_BYTES: u64 = 5;

fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

fn key(field: u64, kind: u64) -> Vec<u8> {
    varint(field << 3 | kind)
}

fn integer(field: u64, number: u64) -> Vec<u8> {
    [key(field, VARINT), varint(number)].concat()
}

fn double(field: u64, number: f64) -> Vec<u8> {
    [key(field, EIGHT_BYTES), number.to_le_bytes().to_vec()].concat()
}

fn float(field: u64, number: f32) -> Vec<u8> {
    [key(field, FOUR_BYTES), number.to_le_bytes().to_vec()].concat()
}

fn bytes(field: u64, value: &[u8]) -> Vec<u8> {
    [key(field, LENGTH), varint(value.len() as u64), value.to_vec()].concat()
}

/// The checksum as records have it: a checksum of data that has checksums in it must not come out as zero.
fn masked(data: &[u8]) -> u32 {
    crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// CRC-32C (Castagnoli), bit by bit: events are short.
fn crc32c(data: &[u8]) -> u32 {
    const POLYNOMIAL: u32 = 0x82f6_3b78;
    let bit = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ POLYNOMIAL } else { crc >> 1 };
    !data.iter().fold(!0, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), bit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_the_standard() {
        // RFC 3720, appendix B.4, and the check value of the polynomial.
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn fields_are_those_of_the_standard() {
        assert_eq!(integer(1, 150), [0x08, 0x96, 0x01]);
        assert_eq!(bytes(2, b"testing"), *b"\x12\x07testing");
        assert_eq!(float(2, 1.0), [0x15, 0, 0, 0x80, 0x3f]);
    }
}
