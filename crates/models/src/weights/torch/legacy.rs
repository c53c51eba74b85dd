//! Torch's format before 1.6: five pickles behind one another (a magic number, a version, facts about the
//! machine, the content, the list of storages), then each storage: its number of elements, its bytes.

use std::collections::BTreeMap;
use std::ops::Range;

use super::cursor::Cursor;
use super::machine::{Pickle, interpret};
use super::value::{Object, Value};

/// The first pickle, which holds a number that torch chose.
pub(super) const START: &[u8] = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";
/// The only version there has been.
const VERSION: i64 = 1001;

/// The content, and where each of its storages lies.
pub(super) struct Legacy<'a> {
    pub(super) content: Pickle<'a>,
    pub(super) storages: BTreeMap<&'a str, Range<usize>>,
}

impl<'a> Legacy<'a> {
    /// Reads a file that begins with [`START`].
    pub(super) fn open(file: &'a [u8]) -> Result<Self, String> {
        let mut cursor = Cursor::at(file, START.len());
        let version = interpret(&mut cursor)?;
        if version.root != Value::Int(VERSION) {
            return Err("a torch file of a version that never was; it is damaged, download it again".into());
        }
        little_endian(&interpret(&mut cursor)?)?;
        let content = interpret(&mut cursor)?;
        let keys = interpret(&mut cursor)?;
        let storages = storages(&content, &keys, &mut cursor)?;
        Ok(Self { content, storages })
    }
}

fn little_endian(machine: &Pickle<'_>) -> Result<(), String> {
    let facts = machine.heap.dict(machine.root).unwrap_or_default();
    match facts.contains(&(Value::Text("little_endian"), Value::Bool(true))) {
        true => Ok(()),
        false => Err("it was written on a machine with another order of bytes; save it again there".into()),
    }
}

/// Reads the storages in the order of their keys; they must fill the file up to its end.
fn storages<'a>(
    content: &Pickle<'a>,
    keys: &Pickle<'a>,
    cursor: &mut Cursor<'a>,
) -> Result<BTreeMap<&'a str, Range<usize>>, String> {
    let damaged = || "its storages are not those that it lists; it is damaged, download it again".to_owned();
    let Some(Object::List(keys)) = keys.heap.get(keys.root) else { return Err(damaged()) };
    let mut found = BTreeMap::new();
    for key in keys {
        let Value::Text(key) = key else { return Err(damaged()) };
        let storage = content.heap.storages.get(key).ok_or_else(damaged)?;
        let elements = cursor.u64().ok_or_else(damaged)?;
        let bytes = storage.elements.checked_mul(storage.dtype.bits() / 8).ok_or_else(damaged)?;
        let start = cursor.position();
        cursor.take(bytes).ok_or_else(damaged)?;
        if elements != storage.elements as u64 || found.insert(*key, start..start + bytes).is_some() {
            return Err(damaged());
        }
    }
    if cursor.left() > 0 {
        return Err(damaged());
    }
    Ok(found)
}
