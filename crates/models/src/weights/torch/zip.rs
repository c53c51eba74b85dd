//! The container of torch's files: a zip archive whose entries are stored and not compressed, so that they can
//! be read where they lie.
//!
//! The central directory decides; a local header must agree with it in name and method. Directory and end
//! records must lie behind one another up to the end of the file, entries before them without overlap: this
//! is how torch writes, and it leaves no room for two readings of one file. Checksums are not compared: torch
//! does not either, and can be told not to write them.

use std::collections::BTreeMap;
use std::ops::Range;

use super::cursor::Cursor;

/// The first bytes of a file with at least one entry.
pub(super) const START: &[u8] = b"PK\x03\x04";

const LOCAL: [u8; 4] = *b"PK\x03\x04";
const CENTRAL: [u8; 4] = *b"PK\x01\x02";
const END: [u8; 4] = *b"PK\x05\x06";
const END_64: [u8; 4] = *b"PK\x06\x06";
const LOCATOR_64: [u8; 4] = *b"PK\x06\x07";
/// Sizes without names, comments and extra fields.
const END_SIZE: usize = 22;
const LOCATOR_SIZE: usize = 20;
const CENTRAL_SIZE: usize = 46;
/// The longest comment that the end record can announce.
const LONGEST_COMMENT: usize = 0xffff;
/// The extra field with sizes of 64 bits.
const EXTRA_64: u16 = 1;

/// The entries of a checked archive.
#[derive(Debug)]
pub(super) struct Archive<'a> {
    /// The folder that all entries lie in.
    folder: &'a str,
    /// Bytes from the file's start, by full name.
    entries: BTreeMap<&'a str, Range<usize>>,
}

impl<'a> Archive<'a> {
    /// Reads and checks the directory.
    pub(super) fn open(file: &'a [u8]) -> Result<Self, String> {
        let directory = Directory::find(file)?;
        let mut archive = Self { folder: "", entries: BTreeMap::new() };
        let mut places = Vec::new();
        let mut cursor = Cursor::at(&file[..directory.end], directory.start);
        for index in 0..directory.count {
            let record = Record::read(&mut cursor)?;
            let data = record.data(file, directory.start)?;
            archive.folder = folder(record.name, (index > 0).then_some(archive.folder))?;
            places.push((record.header, data.end, record.name));
            if archive.entries.insert(record.name, data).is_some() {
                return Err(format!("the entry `{}` is there twice; {AGAIN}", record.name));
            }
        }
        if cursor.left() > 0 {
            return Err(format!("{} bytes more in the directory than its entries; {AGAIN}", cursor.left()));
        }
        apart(places)?;
        Ok(archive)
    }

    /// An entry by its name inside the archive's folder.
    pub(super) fn find(&self, name: &str) -> Option<Range<usize>> {
        self.entries.get(format!("{}/{name}", self.folder).as_str()).cloned()
    }

    /// Whether some entry's name, inside the archive's folder, starts so.
    pub(super) fn has_below(&self, start: &str) -> bool {
        let start = format!("{}/{start}", self.folder);
        self.entries.keys().any(|name| name.starts_with(&start))
    }
}

/// What to do about a damaged file.
const AGAIN: &str = "the file is damaged, download it again";

/// Where the central directory lies.
struct Directory {
    start: usize,
    end: usize,
    count: usize,
}

impl Directory {
    fn find(file: &[u8]) -> Result<Self, String> {
        let end = end_record(file).ok_or(
            "it starts as a torch archive and has no end record: cut off, download it again".to_owned(),
        )?;
        let damaged = || format!("its end record does not fit the file; {AGAIN}");
        let short = Totals::read_short(file, end).ok_or_else(damaged)?;
        let (totals, end) = match locator(file, end) {
            Some(at) => (Totals::read_long(file, at, end).filter(|t| t.agrees_with(&short)), at),
            None => (Some(short), end),
        };
        let totals = totals.ok_or_else(damaged)?;
        totals.directory(end).ok_or_else(damaged)
    }
}

/// What an end record says: how many entries, and the directory's size and place.
struct Totals {
    disks: [u32; 2],
    counts: [u64; 2],
    size: u64,
    offset: u64,
}

impl Totals {
    fn read_short(file: &[u8], at: usize) -> Option<Self> {
        let mut cursor = Cursor::at(file, at + END.len());
        let disks = [cursor.u16()?.into(), cursor.u16()?.into()];
        let counts = [cursor.u16()?.into(), cursor.u16()?.into()];
        Some(Self { disks, counts, size: cursor.u32()?.into(), offset: cursor.u32()?.into() })
    }

    /// Reads the record of 64 bits at `at`, which must reach up to the locator before `end`.
    fn read_long(file: &[u8], at: usize, end: usize) -> Option<Self> {
        let mut cursor = Cursor::at(file, at);
        let signed = cursor.array()? == END_64;
        let length = usize::try_from(cursor.u64()?).ok()?;
        let reaches = cursor.position().checked_add(length)? == end.checked_sub(LOCATOR_SIZE)?;
        if !signed || !reaches {
            return None;
        }
        cursor.take(4)?; // versions
        let disks = [cursor.u32()?, cursor.u32()?];
        Some(Self {
            disks,
            counts: [cursor.u64()?, cursor.u64()?],
            size: cursor.u64()?,
            offset: cursor.u64()?,
        })
    }

    /// Whether the short record says the same, or leaves it to this one.
    fn agrees_with(&self, short: &Self) -> bool {
        let same = |long: u64, short: u64, open: u64| short == open || long == short;
        same(self.counts[1], short.counts[1], 0xffff)
            && same(self.size, short.size, 0xffff_ffff)
            && same(self.offset, short.offset, 0xffff_ffff)
    }

    /// The directory, if it lies just before the end records and can hold so many entries.
    fn directory(&self, end: usize) -> Option<Directory> {
        let start = usize::try_from(self.offset).ok()?;
        let size = usize::try_from(self.size).ok()?;
        let count = usize::try_from(self.counts[1]).ok()?;
        let whole = self.disks == [0, 0] && self.counts[0] == self.counts[1];
        let fits = start.checked_add(size)? == end && count >= 1 && count <= size / CENTRAL_SIZE;
        (whole && fits).then_some(Directory { start, end, count })
    }
}

/// The last place that can be an end record: behind it there is its comment and nothing else.
fn end_record(file: &[u8]) -> Option<usize> {
    let last = file.len().checked_sub(END_SIZE)?;
    let first = last.saturating_sub(LONGEST_COMMENT);
    let ends = |at: &usize| {
        let mut cursor = Cursor::at(file, *at);
        let signed = cursor.array() == Some(END);
        let comment = Cursor::at(file, *at + END_SIZE - 2).u16();
        signed && comment.is_some_and(|length| at + END_SIZE + usize::from(length) == file.len())
    };
    (first..=last).rev().find(ends)
}

/// Where the record of 64 bits is, if there is one.
fn locator(file: &[u8], end: usize) -> Option<usize> {
    let mut cursor = Cursor::at(file, end.checked_sub(LOCATOR_SIZE)?);
    if cursor.array()? != LOCATOR_64 {
        return None;
    }
    let _disk = cursor.u32()?;
    usize::try_from(cursor.u64()?).ok()
}

/// What the directory says of one entry.
struct Record<'a> {
    name: &'a str,
    /// Where its local header is.
    header: usize,
    size: usize,
}

impl<'a> Record<'a> {
    fn read(cursor: &mut Cursor<'a>) -> Result<Self, String> {
        let raw = Raw::read(cursor).ok_or_else(|| format!("its directory does not hold; {AGAIN}"))?;
        let name = entry_name(raw.name)?;
        plain(name, raw.flags, raw.method)?;
        let sizes = raw.wide().filter(|wide| wide.packed == wide.size && wide.disk == 0);
        let wide = sizes.ok_or_else(|| format!("the entry `{name}` has sizes that do not hold; {AGAIN}"))?;
        let fit = |number: u64| {
            usize::try_from(number).map_err(|_| format!("the entry `{name}` is behind the file; {AGAIN}"))
        };
        Ok(Self { name, header: fit(wide.header)?, size: fit(wide.size)? })
    }

    /// Where its bytes are: behind its local header, before the directory.
    fn data(&self, file: &[u8], directory: usize) -> Result<Range<usize>, String> {
        let name = self.name;
        let damaged = || format!("the entry `{name}` is not where the directory says; {AGAIN}");
        let mut cursor = Cursor::at(&file[..directory], self.header);
        let header = Local::read(&mut cursor).filter(|header| header.name == name.as_bytes());
        let header = header.ok_or_else(damaged)?;
        plain(name, header.flags, header.method)?;
        let start = cursor.position();
        cursor.take(self.size).ok_or_else(damaged)?;
        Ok(start..cursor.position())
    }
}

/// A record of the directory as it stands in the file.
struct Raw<'a> {
    flags: u16,
    method: u16,
    packed: u32,
    size: u32,
    disk: u16,
    header: u32,
    name: &'a [u8],
    extra: &'a [u8],
}

/// Sizes and places, whether they stood in 32 or in 64 bits.
struct Wide {
    size: u64,
    packed: u64,
    header: u64,
    disk: u32,
}

impl<'a> Raw<'a> {
    fn read(cursor: &mut Cursor<'a>) -> Option<Self> {
        if cursor.array()? != CENTRAL {
            return None;
        }
        cursor.take(4)?; // versions
        let (flags, method) = (cursor.u16()?, cursor.u16()?);
        cursor.take(8)?; // time, date, checksum
        let (packed, size) = (cursor.u32()?, cursor.u32()?);
        let [name, extra, comment] = [cursor.u16()?, cursor.u16()?, cursor.u16()?].map(usize::from);
        let disk = cursor.u16()?;
        cursor.take(6)?; // attributes
        let header = cursor.u32()?;
        let (name, extra) = (cursor.take(name)?, cursor.take(extra)?);
        cursor.take(comment)?;
        Some(Self { flags, method, packed, size, disk, header, name, extra })
    }

    /// The numbers that are all ones stand in the extra field, in this order.
    fn wide(&self) -> Option<Wide> {
        let mut extra = Cursor::at(self.extra_64().unwrap_or_default(), 0);
        let mut number = |short: u32| match short {
            u32::MAX => extra.u64(),
            short => Some(short.into()),
        };
        let (size, packed, header) = (number(self.size)?, number(self.packed)?, number(self.header)?);
        let disk = match self.disk {
            u16::MAX => extra.u32()?,
            disk => disk.into(),
        };
        Some(Wide { size, packed, header, disk })
    }

    fn extra_64(&self) -> Option<&'a [u8]> {
        let mut cursor = Cursor::at(self.extra, 0);
        loop {
            let (kind, length) = (cursor.u16()?, cursor.u16()?);
            let field = cursor.take(length.into())?;
            if kind == EXTRA_64 {
                return Some(field);
            }
        }
    }
}

/// An entry's local header; its sizes may be left open, so they are not read.
struct Local<'a> {
    flags: u16,
    method: u16,
    name: &'a [u8],
}

impl<'a> Local<'a> {
    /// Reads it with its extra field: the data follows.
    fn read(cursor: &mut Cursor<'a>) -> Option<Self> {
        if cursor.array()? != LOCAL {
            return None;
        }
        cursor.take(2)?; // version
        let (flags, method) = (cursor.u16()?, cursor.u16()?);
        cursor.take(16)?; // time, date, checksum, sizes
        let (name, extra) = (cursor.u16()?, cursor.u16()?);
        let name = cursor.take(name.into())?;
        cursor.take(extra.into())?;
        Some(Self { flags, method, name })
    }
}

/// Refuses what is encrypted or compressed.
fn plain(name: &str, flags: u16, method: u16) -> Result<(), String> {
    if flags & 1 != 0 {
        return Err(format!("the entry `{name}` is encrypted, which torch's files are not"));
    }
    match method {
        0 => Ok(()),
        method => Err(format!(
            "the entry `{name}` is compressed (method {method}), which torch's files are not; load it in \
             torch and save it again"
        )),
    }
}

/// A name that means one place below a folder, whoever reads it.
fn entry_name(bytes: &[u8]) -> Result<&str, String> {
    let ordinary = |part: &str| !part.is_empty() && part != "." && part != "..";
    let name = std::str::from_utf8(bytes).ok().filter(|name| {
        name.split('/').all(ordinary) && !name.contains('\\') && !name.chars().any(char::is_control)
    });
    name.ok_or_else(|| {
        let name = String::from_utf8_lossy(bytes);
        format!("an entry has the name {name:?}, which leads nowhere; {AGAIN}")
    })
}

/// The folder of a name, which must be the `known` one if there is one.
fn folder<'a>(name: &'a str, known: Option<&'a str>) -> Result<&'a str, String> {
    let own = name.split_once('/').map(|(folder, _)| folder);
    match (own, known) {
        (Some(own), None) => Ok(own),
        (Some(own), Some(known)) if own == known => Ok(known),
        _ => Err(format!("the entry `{name}` is not in the archive's one folder, so torch did not write it")),
    }
}

/// Checks that no two entries share a byte.
fn apart(mut places: Vec<(usize, usize, &str)>) -> Result<(), String> {
    places.sort_unstable();
    match places.windows(2).find(|pair| pair[1].0 < pair[0].1) {
        Some(pair) => Err(format!("the entries `{}` and `{}` overlap; {AGAIN}", pair[0].2, pair[1].2)),
        None => Ok(()),
    }
}
