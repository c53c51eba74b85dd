//! A cursor over a file that may claim anything: every read is checked against what is left.

use super::value::Kind;

/// Arrays of arrays of ... more levels than this are no metadata that anybody writes.
const DEEPEST: usize = 4;

/// The bytes that are left, and where they start. Errors are sentences; the caller adds the file.
#[derive(Clone, Copy)]
pub(super) struct Bytes<'a> {
    file: &'a [u8],
    at: usize,
}

impl<'a> Bytes<'a> {
    /// From a place in the file; one behind its end leaves nothing.
    pub(super) fn at(file: &'a [u8], at: usize) -> Self {
        Self { file, at }
    }

    /// Bytes from the start of the file.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    /// How many bytes there are still.
    pub(super) fn left(&self) -> usize {
        self.file.len().saturating_sub(self.at)
    }

    /// The next `count` bytes.
    pub(super) fn take(&mut self, count: u64, what: &str) -> Result<&'a [u8], String> {
        let end = usize::try_from(count).ok().and_then(|count| self.at.checked_add(count));
        let bytes = end.and_then(|end| self.file.get(self.at..end));
        let cut = || {
            let (at, size) = (self.at, self.file.len());
            format!("{what} at byte {at} needs {count} bytes, the file has {size}: cut off or damaged")
        };
        let bytes = bytes.ok_or_else(cut)?;
        self.at += bytes.len();
        Ok(bytes)
    }

    pub(super) fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N], String> {
        let bytes = self.take(N as u64, what)?;
        // `take` gave exactly N bytes.
        Ok(bytes.first_chunk().copied().unwrap_or([0; N]))
    }

    pub(super) fn u32(&mut self, what: &str) -> Result<u32, String> {
        self.array(what).map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self, what: &str) -> Result<u64, String> {
        self.array(what).map(u64::from_le_bytes)
    }

    /// A length and so many bytes of UTF-8.
    pub(super) fn text(&mut self, what: &str) -> Result<&'a str, String> {
        let (at, length) = (self.at, self.u64(what)?);
        let bytes = self.take(length, what)?;
        std::str::from_utf8(bytes).map_err(|_| format!("{what} at byte {at} is not UTF-8: damaged file"))
    }

    pub(super) fn kind(&mut self, what: &str) -> Result<Kind, String> {
        let (at, tag) = (self.at, self.u32(what)?);
        Kind::of(tag).ok_or_else(|| format!("{what} at byte {at} has the unknown type {tag}: damaged file"))
    }

    /// Steps over a value of a kind, all of it checked.
    pub(super) fn skip(&mut self, kind: Kind, what: &str) -> Result<(), String> {
        self.skip_nested(kind, what, 0)
    }

    fn skip_nested(&mut self, kind: Kind, what: &str, depth: usize) -> Result<(), String> {
        match kind {
            Kind::Text => self.text(what).map(drop),
            Kind::Bool => match self.array::<1>(what)? {
                [0 | 1] => Ok(()),
                [byte] => Err(format!("{what} is the truth value {byte}: damaged file")),
            },
            Kind::Array if depth == DEEPEST => {
                Err(format!("{what} has arrays more than {DEEPEST} deep, which no model file has"))
            }
            Kind::Array => {
                let (kind, count) = (self.kind(what)?, self.u64(what)?);
                self.skip_elements(kind, count, what, depth + 1)
            }
            _ => self.take(kind.least_bytes(), what).map(drop),
        }
    }

    pub(super) fn skip_elements(
        &mut self,
        kind: Kind,
        count: u64,
        what: &str,
        depth: usize,
    ) -> Result<(), String> {
        let least = count.checked_mul(kind.least_bytes()).filter(|&least| least <= self.left() as u64);
        if least.is_none() {
            let left = self.left();
            return Err(format!("{what} claims {count} elements, {left} bytes are left: cut off or damaged"));
        }
        match kind {
            Kind::Text | Kind::Bool | Kind::Array => {
                (0..count).try_for_each(|_| self.skip_nested(kind, what, depth))
            }
            _ => self.take(least.unwrap_or(0), what).map(drop),
        }
    }
}
