//! Writes torch files as a test wants them, right or wrong.

use super::super::legacy;

/// One entry of an archive.
#[derive(Clone)]
pub(super) struct Part {
    pub(super) name: String,
    pub(super) data: Vec<u8>,
    pub(super) method: u16,
    pub(super) flags: u16,
}

pub(super) fn part(name: &str, data: &[u8]) -> Part {
    Part { name: name.to_owned(), data: data.to_vec(), method: 0, flags: 0 }
}

/// An archive of these entries in the folder `a`, as torch lays it out but for the alignment.
pub(super) fn archive(parts: &[Part]) -> Vec<u8> {
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    for part in parts {
        let header = file.len() as u32;
        local(&mut file, part);
        central(&mut directory, part, [part.data.len() as u32, header], &[]);
    }
    finish(file, &directory, parts.len())
}

/// The same with every number in its 64-bit place.
pub(super) fn archive_64(parts: &[Part]) -> Vec<u8> {
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    for part in parts {
        let (header, size) = (file.len() as u64, part.data.len() as u64);
        local(&mut file, part);
        let other = [9, 0, 2, 0, 7, 7];
        let wide = [&[1, 0, 24, 0][..], &size.to_le_bytes(), &size.to_le_bytes(), &header.to_le_bytes()];
        central(&mut directory, part, [u32::MAX; 2], &[&other[..], &wide.concat()].concat());
    }
    let (start, count) = (file.len() as u64, parts.len() as u64);
    file.extend(&directory);
    let record = file.len() as u64;
    file.extend([&b"PK\x06\x06"[..], &44_u64.to_le_bytes(), &[45, 0, 45, 0], &[0; 8]].concat());
    for number in [count, count, directory.len() as u64, start] {
        file.extend(number.to_le_bytes());
    }
    file.extend([&b"PK\x06\x07"[..], &[0; 4], &record.to_le_bytes(), &[1, 0, 0, 0]].concat());
    file.extend([&b"PK\x05\x06"[..], &[0; 4], &[0xff; 12], &[0; 2]].concat());
    file
}

pub(super) fn local(file: &mut Vec<u8>, part: &Part) {
    let name = format!("a/{}", part.name);
    let size = (part.data.len() as u32).to_le_bytes();
    file.extend(b"PK\x03\x04\x00\x00");
    file.extend([part.flags.to_le_bytes(), part.method.to_le_bytes()].concat());
    file.extend([&[0; 8][..], &size, &size].concat());
    file.extend([(name.len() as u16).to_le_bytes(), [3, 0]].concat());
    file.extend([name.as_bytes(), b"pad", &part.data].concat());
}

pub(super) fn central(directory: &mut Vec<u8>, part: &Part, [size, header]: [u32; 2], extra: &[u8]) {
    let name = format!("a/{}", part.name);
    directory.extend(b"PK\x01\x02\x00\x00\x00\x00");
    directory.extend([part.flags.to_le_bytes(), part.method.to_le_bytes()].concat());
    directory.extend([&[0; 8][..], &size.to_le_bytes(), &size.to_le_bytes()].concat());
    directory.extend([(name.len() as u16).to_le_bytes(), (extra.len() as u16).to_le_bytes()].concat());
    directory.extend([&[0; 10][..], &header.to_le_bytes(), name.as_bytes(), extra].concat());
}

pub(super) fn finish(mut file: Vec<u8>, directory: &[u8], count: usize) -> Vec<u8> {
    let (start, count) = (file.len() as u32, (count as u16).to_le_bytes());
    file.extend(directory);
    file.extend([&b"PK\x05\x06"[..], &[0; 4], &count, &count].concat());
    file.extend([&(directory.len() as u32).to_le_bytes()[..], &start.to_le_bytes(), &[0, 0]].concat());
    file
}

/// An archive with this pickle and, as the storage `0`, these bytes.
pub(super) fn with_pickle(pickle: &[u8], storage: &[u8]) -> Vec<u8> {
    archive(&[part("data.pkl", pickle), part("data/0", storage)])
}

/// A pickle of protocol 2.
pub(super) fn pickle(body: &[&[u8]]) -> Vec<u8> {
    [&[0x80, 2][..], &body.concat(), b"."].concat()
}

pub(super) fn text(text: &str) -> Vec<u8> {
    [b"X", &(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat()
}

pub(super) fn int(number: i64) -> Vec<u8> {
    [&[0x8a, 8][..], &number.to_le_bytes()].concat()
}

pub(super) fn global(module: &str, name: &str) -> Vec<u8> {
    format!("c{module}\n{name}\n").into_bytes()
}

pub(super) fn tuple(items: &[&[u8]]) -> Vec<u8> {
    [b"(", &items.concat()[..], b"t"].concat()
}

pub(super) fn ints(numbers: &[i64]) -> Vec<u8> {
    [b"(", &numbers.iter().flat_map(|number| int(*number)).collect::<Vec<_>>()[..], b"t"].concat()
}

/// The storage `key` of so many elements.
pub(super) fn storage(kind: &str, key: &str, elements: i64) -> Vec<u8> {
    let kind = global("torch", kind);
    let id = tuple(&[&text("storage"), &kind, &text(key), &text("cpu"), &int(elements)]);
    [&id[..], b"Q"].concat()
}

/// A view of a storage.
pub(super) fn tensor(storage: &[u8], offset: i64, shape: &[i64], strides: &[i64]) -> Vec<u8> {
    let arguments = tuple(&[
        storage,
        &int(offset),
        &ints(shape),
        &ints(strides),
        b"\x89",
        &global(ORDERED.0, ORDERED.1),
        b")R",
    ]);
    [&global("torch._utils", "_rebuild_tensor_v2")[..], &arguments, b"R"].concat()
}

const ORDERED: (&str, &str) = ("collections", "OrderedDict");

/// A dictionary.
pub(super) fn dict(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let entries: Vec<u8> = entries.iter().flat_map(|(key, value)| [&text(key)[..], value].concat()).collect();
    [b"}(", &entries[..], b"u"].concat()
}

/// A file with one tensor `w` over a storage of floats `0, 1, ...`.
pub(super) fn single(elements: i64, offset: i64, shape: &[i64], strides: &[i64], floats: usize) -> Vec<u8> {
    let view = tensor(&storage("FloatStorage", "0", elements), offset, shape, strides);
    with_pickle(&pickle(&[&dict(&[("w", &view)])]), &counted(floats))
}

pub(super) fn counted(floats: usize) -> Vec<u8> {
    (0..floats).flat_map(|i| (i as f32).to_le_bytes()).collect()
}

/// A file of the format before torch 1.6, around a content and its storages' keys and bytes.
pub(super) fn old(content: &[u8], keys: &[&str], storages: &[&[u8]]) -> Vec<u8> {
    let facts = pickle(&[b"}", &text("little_endian"), b"\x88s"]);
    let keys: Vec<u8> = keys.iter().flat_map(|key| text(key)).collect();
    let keys = pickle(&[b"](", &keys, b"e"]);
    [legacy::START, &pickle(&[&int(1001)]), &facts, content, &keys, &storages.concat()].concat()
}
