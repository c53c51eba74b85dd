//! Torch's own files (`.bin`, `.pth`, `.pt`), read without running anything.
//!
//! Such a file is a program for Python's pickle machine that builds a dictionary, with the tensors' elements
//! beside it. In Python that program can do whatever the user can. Here it meets a list of instructions and a
//! list of names ([`globals`]), and what it builds is data: dictionaries, tuples, numbers, and views of
//! storages. Everything else is refused by name. Every length, offset, shape and stride is checked against the
//! file before anything is sized by it.
//!
//! | file | what |
//! | --- | --- |
//! | `zip` | the container since torch 1.6 |
//! | `legacy` | the one before |
//! | `opcode`, `machine` | the pickle's instructions, and their interpreter |
//! | `globals` | the names that it may ask for |
//! | `value` | what it builds |
//! | `state` | the dictionary's tensors by name |
//! | `layout` | a view of a storage, checked |

mod cursor;
mod globals;
mod layout;
mod legacy;
mod machine;
mod opcode;
mod state;
#[cfg(test)]
mod tests;
mod value;
mod zip;

pub(super) use layout::gather;

use std::ops::Range;

use super::header::Entry;
use cursor::Cursor;
use legacy::Legacy;
use machine::Pickle;
use zip::Archive;

/// Tied weights are there under several names. More names than that for one byte, and the file is made to
/// fill the memory of whoever reads them all.
const MOST_NAMES: usize = 8;

/// The tensors of a file, in the order of their names.
///
/// # Errors
/// A sentence; the caller adds the file.
pub(super) fn parse(file: &[u8]) -> Result<Vec<Entry>, String> {
    let entries = if file.starts_with(zip::START) {
        archive(file)?
    } else if file.starts_with(legacy::START) {
        let Legacy { content, storages } = Legacy::open(file)?;
        placed(&content, |key| storages.get(key).cloned())?
    } else {
        return Err(unknown(file));
    };
    let bytes = entries.iter().try_fold(0_usize, |sum, entry| sum.checked_add(entry.info.bytes));
    if bytes.is_none_or(|bytes| bytes / MOST_NAMES > file.len()) {
        return Err(format!(
            "its tensors together are more than {MOST_NAMES} times the file: made to fill the memory"
        ));
    }
    Ok(entries)
}

fn archive(file: &[u8]) -> Result<Vec<Entry>, String> {
    let archive = Archive::open(file)?;
    let read = |name: &str| archive.find(name).map(|place| &file[place]);
    if archive.has_below("code/") || archive.find("constants.pkl").is_some() {
        return Err("a TorchScript program, not weights: save the model's state_dict() instead".into());
    }
    if read("byteorder").is_some_and(|order| order != b"little") {
        return Err("it was written on a machine with another order of bytes; save it again there".into());
    }
    let pickle = read("data.pkl").ok_or("an archive without data.pkl, so torch did not write it")?;
    let mut cursor = Cursor::at(pickle, 0);
    let content = machine::interpret(&mut cursor)?;
    if cursor.left() > 0 {
        return Err("data.pkl goes on behind its end; the file is damaged, download it again".into());
    }
    placed(&content, |key| archive.find(&format!("data/{key}")))
}

/// Every tensor of the content, `find` telling where a storage lies.
fn placed(content: &Pickle<'_>, find: impl Fn(&str) -> Option<Range<usize>>) -> Result<Vec<Entry>, String> {
    let place = |(name, view): (&str, &value::Tensor<'_>)| {
        let storage = content.heap.storages.get(view.key);
        let (storage, data) = storage.zip(find(view.key)).ok_or_else(|| {
            format!("tensor `{name}`: its storage `{}` is not in the file; download it again", view.key)
        })?;
        layout::place(name.to_owned(), view, storage, &data)
    };
    state::tensors(content)?.into_iter().map(place).collect()
}

/// What is to be said of a file that is no torch file.
fn unknown(file: &[u8]) -> String {
    if file.starts_with(b"version https://git-lfs") {
        return "a Git LFS pointer, not the weights: run `git lfs pull` in its folder".into();
    }
    let size = file.len();
    format!("{size} bytes that do not begin as a torch file (a zip archive, or the format before torch 1.6)")
}
