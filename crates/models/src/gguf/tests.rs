//! Files that are as they should be, and files that are not.

use std::path::PathBuf;
use std::sync::LazyLock;

use offshoot_core::Format;
use proptest::prelude::*;
use tempfile::{TempDir, tempdir};

use super::*;

fn scalars() -> Vec<(&'static str, Value<'static>)> {
    vec![
        ("general.architecture", Value::Text("llama".into())),
        ("a.u8", Value::U8(200)),
        ("a.i8", Value::I8(-3)),
        ("a.u16", Value::U16(60_000)),
        ("a.i16", Value::I16(-300)),
        ("a.u32", Value::U32(1 << 31)),
        ("a.i32", Value::I32(-70_000)),
        ("a.u64", Value::U64(1 << 60)),
        ("a.i64", Value::I64(-(1 << 60))),
        ("a.f32", Value::F32(1e-5)),
        ("a.f64", Value::F64(0.1)),
        ("a.bool", Value::Bool(true)),
        ("a.texts", Value::Array(Array::texts(&["", "Ġthe", "日本"]))),
        ("a.i32s", Value::Array(Array::i32s(&[1, -1]))),
        ("a.f32s", Value::Array(Array::f32s(&[0.5]))),
        ("a.none", Value::Array(Array::texts::<&str>(&[]))),
    ]
}

/// A file of some metadata and three tensors.
fn sample() -> (TempDir, PathBuf) {
    let folder = tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    let floats: Vec<u8> = [1.0_f32, -2.5, 3.0].iter().flat_map(|x| x.to_le_bytes()).collect();
    let tensors = [
        NamedTensor { name: "one".into(), shape: vec![3], format: Format::F32, bytes: &floats },
        NamedTensor { name: "two".into(), shape: vec![2, 64], format: Format::Q8_0, bytes: &[7; 136] },
        NamedTensor { name: "three".into(), shape: vec![2, 1, 2], format: Format::F16, bytes: &[9; 8] },
    ];
    write(&path, &scalars(), &tensors).unwrap();
    (folder, path)
}

/// The one message that opening gives.
fn refusal(bytes: &[u8]) -> String {
    let folder = tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    std::fs::write(&path, bytes).unwrap();
    let message = Gguf::open(&path).unwrap_err().to_string();
    assert!(message.starts_with(&path.display().to_string()), "{message}");
    message
}

/// A header with these counts and what follows it.
fn file(tensors: u64, entries: u64, rest: &[&[u8]]) -> Vec<u8> {
    let mut bytes = b"GGUF\x03\0\0\0".to_vec();
    bytes.extend(tensors.to_le_bytes());
    bytes.extend(entries.to_le_bytes());
    rest.iter().for_each(|part| bytes.extend_from_slice(part));
    bytes
}

fn text(text: &str) -> Vec<u8> {
    value::text_bytes(text)
}

/// A tensor's line: name, axes as the file has them (fastest first), format, offset; and 64 bytes of data.
fn tensor(name: &str, axes: &[u64], format: u32, offset: u64) -> Vec<u8> {
    let mut bytes = text(name);
    bytes.extend((axes.len() as u32).to_le_bytes());
    axes.iter().for_each(|axis| bytes.extend(axis.to_le_bytes()));
    bytes.extend(format.to_le_bytes());
    bytes.extend(offset.to_le_bytes());
    bytes
}

#[test]
fn what_is_written_is_read_again() {
    let (_folder, path) = sample();
    let gguf = Gguf::open(&path).unwrap();
    assert_eq!((gguf.version(), gguf.keys().count()), (3, scalars().len()));
    for (key, value) in scalars() {
        assert_eq!(gguf.get(key), Some(value.clone()), "{key}");
        if let Value::Array(array) = value {
            assert_eq!(gguf.get(key).unwrap().as_array().unwrap().iter().count(), array.len());
        }
    }
    let texts = gguf.get("a.texts").unwrap();
    let texts: Vec<_> = texts.as_array().unwrap().iter().collect();
    assert_eq!(texts, ["", "Ġthe", "日本"].map(|text| Value::Text(text.into())));
    let found: Vec<_> = gguf.tensors().iter().map(|t| (t.name.as_str(), t.shape.clone(), t.format)).collect();
    let expected = [
        ("one", vec![3], Format::F32),
        ("two", vec![2, 64], Format::Q8_0),
        ("three", vec![2, 1, 2], Format::F16),
    ];
    assert_eq!(found, expected);
    let file = std::fs::read(&path).unwrap();
    for (tensor, bytes) in gguf.tensors().iter().zip([&[0, 0, 128, 63][..], &[7; 136], &[9; 8]]) {
        assert_eq!(tensor.range.start % 32, 0);
        assert_eq!(&file[tensor.range.clone()][..bytes.len()], bytes);
    }
}

#[test]
fn numbers_of_any_type_are_read_as_numbers() {
    assert_eq!(Value::I8(3).as_u64(), Some(3));
    assert_eq!((Value::I64(-1).as_u64(), Value::F32(1.0).as_u64()), (None, None));
    assert_eq!((Value::F32(0.5).as_f64(), Value::U8(1).as_f64()), (Some(0.5), None));
}

#[test]
fn what_cannot_be_read_again_is_not_written() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    let tensor = |shape: &[usize]| NamedTensor {
        name: "t".into(),
        shape: shape.to_vec(),
        format: Format::F32,
        bytes: &[0; 8],
    };
    for tensors in [vec![tensor(&[3])], vec![tensor(&[])], vec![tensor(&[2]), tensor(&[2])]] {
        assert!(write(&path, &[], &tensors).is_err(), "{tensors:?}");
    }
    let twice = [("a", Value::U8(1)), ("a", Value::U8(2))];
    assert!(write(&path, &twice, &[]).unwrap_err().to_string().contains("`a` is there twice"));
    assert!(!path.exists());
}

#[test]
fn a_file_that_was_cut_off_is_refused_wherever_it_was_cut() {
    let (_folder, path) = sample();
    let whole = std::fs::read(&path).unwrap();
    let end = Gguf::open(&path).unwrap().tensors().iter().map(|t| t.range.end).max().unwrap();
    for length in 0..end {
        let message = refusal(&whole[..length]);
        assert!(message.contains("cut off") || message.contains("no GGUF"), "{length}: {message}");
    }
}

#[test]
fn counts_that_the_file_does_not_fill_are_refused() {
    let huge = (1_u64 << 60).to_le_bytes();
    let entry = |kind: u32, rest: &[u8]| [&text("k")[..], &kind.to_le_bytes(), rest].concat();
    let cases = [
        (file(1 << 60, 0, &[]), "the name of a tensor"),
        (file(0, 1 << 60, &[]), "a metadata key"),
        (file(u64::MAX, u64::MAX, &[]), "a metadata key"),
        (file(0, 1, &[&huge]), "a metadata key"),
        (file(0, 1, &[&entry(8, &huge)]), "`k`"),
        (file(0, 1, &[&entry(9, &[&4_u32.to_le_bytes()[..], &huge].concat())]), "elements"),
        (file(0, 1, &[&entry(9, &[&10_u32.to_le_bytes()[..], &[255; 8]].concat())]), "elements"),
        (file(0, 1, &[&entry(9, &[&8_u32.to_le_bytes()[..], &huge].concat())]), "elements"),
        (file(0, 1, &[&entry(9, &[&9_u32.to_le_bytes()[..], &huge].concat())]), "elements"),
        (file(0, 1, &[&entry(13, &[])]), "unknown type 13"),
        (file(0, 1, &[&entry(7, &[2])]), "truth value 2"),
        (file(0, 1, &[&[1, 0, 0, 0, 0, 0, 0, 0, 255]]), "UTF-8"),
    ];
    for (bytes, expected) in cases {
        let message = refusal(&bytes);
        let expected = expected.trim_matches('`');
        assert!(message.contains(expected), "{expected}: {message}");
    }
}

#[test]
fn nested_arrays_end() {
    let nested = |depth: usize| {
        let mut value = Vec::new();
        for _ in 0..depth {
            value.extend(9_u32.to_le_bytes());
            value.extend(1_u64.to_le_bytes());
        }
        value.extend(0_u32.to_le_bytes());
        value.extend(0_u64.to_le_bytes());
        file(0, 1, &[&text("k"), &9_u32.to_le_bytes(), &value])
    };
    let folder = tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    std::fs::write(&path, nested(3)).unwrap();
    assert!(matches!(Gguf::open(&path).unwrap().get("k"), Some(Value::Array(_))));
    for depth in [4, 100_000] {
        assert!(refusal(&nested(depth)).contains("deep"), "{depth}");
    }
}

#[test]
fn tensors_must_be_what_their_line_says() {
    let data = [0; 96];
    let one = |axes: &[u64], format: u32, offset: u64| {
        let mut bytes = file(1, 0, &[&tensor("t", axes, format, offset)]);
        bytes.resize(bytes.len().next_multiple_of(32), 0);
        [&bytes[..], &data].concat()
    };
    let cases = [
        (one(&[1 << 60], 0, 0), "after the file"),
        (one(&[1 << 62], 0, 0), "no size in bytes"),
        (one(&[1 << 32, 1 << 32], 0, 0), "no size in bytes"),
        (one(&[u64::MAX, u64::MAX, u64::MAX, u64::MAX], 0, 0), "no size in bytes"),
        (one(&[0, 1 << 60], 0, 0), "no size in bytes"),
        (one(&[], 0, 0), "no size in bytes"),
        (one(&[31], 8, 0), "whole blocks of 32"),
        (one(&[1; 5], 0, 0), "5 axes"),
        (one(&[8], 0, 8), "aligned"),
        (one(&[8], 0, 96), "after the file"),
        (one(&[25], 0, 0), "after the file"),
        (one(&[8], 0, u64::MAX - 31), "after the file"),
        (one(&[8], 11, 0), "Q3_K"),
        (one(&[8], 99, 0), "unknown type 99"),
    ];
    for (bytes, expected) in cases {
        let message = refusal(&bytes);
        assert!(message.contains(expected) && message.contains("`t`"), "{expected}: {message}");
    }
    let two = |names: [&str; 2], offset: u64| {
        let lines = [tensor(names[0], &[12], 0, 0), tensor(names[1], &[4], 0, offset)].concat();
        let mut bytes = file(2, 0, &[&lines]);
        bytes.resize(bytes.len().next_multiple_of(32), 0);
        [&bytes[..], &data].concat()
    };
    assert!(refusal(&two(["a", "a"], 64)).contains("twice"));
    assert!(refusal(&two(["a", "b"], 32)).contains("overlap"));
    let folder = tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    std::fs::write(&path, two(["a", "b"], 64)).unwrap();
    assert_eq!(Gguf::open(&path).unwrap().tensors().len(), 2);
}

#[test]
fn other_files_are_named() {
    assert!(refusal(b"PK\x03\x04 and more").contains("no GGUF file"));
    assert!(refusal(b"GGUF\x01\0\0\0").contains("version 1"));
    assert!(refusal(b"GGUF\0\0\0\x03").contains("big-endian"));
    assert!(refusal(&[b"GGUF\x02\0\0\0".as_slice(), &[0; 8]].concat()).contains("metadata entries"));
    let alignment = |value: u32| {
        let entry = [&text("general.alignment")[..], &4_u32.to_le_bytes(), &value.to_le_bytes()].concat();
        file(0, 1, &[&entry])
    };
    for wrong in [0, 3, 48, 1 << 31] {
        assert!(refusal(&alignment(wrong)).contains("power of two"), "{wrong}");
    }
    let repeated = [&text("k")[..], &[0; 4], &[1]].concat().repeat(2);
    assert!(refusal(&file(0, 2, &[&repeated])).contains("`k` is there twice"));
}

/// The bytes of [`sample`], written once.
static SAMPLE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let (_folder, path) = sample();
    std::fs::read(path).unwrap()
});

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..Default::default() })]

    /// Any bits may be wrong: the file opens or is refused, and what opens can be read.
    #[test]
    fn flipped_bits_do_no_harm(flips in prop::collection::vec((0_usize..2000, 0_u8..8), 1..8)) {
        let folder = tempdir().unwrap();
        let path = folder.path().join("model.gguf");
        let mut bytes = SAMPLE.clone();
        for (at, bit) in flips {
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
        }
        std::fs::write(&path, &bytes).unwrap();
        if let Ok(gguf) = Gguf::open(&path) {
            for key in gguf.keys() {
                prop_assert!(gguf.get(key).is_some());
            }
            for tensor in gguf.tensors() {
                prop_assert!(bytes.get(tensor.range.clone()).is_some());
            }
        }
    }

    /// Nothing about the file need be right.
    #[test]
    fn any_bytes_after_the_mark_do_no_harm(rest in prop::collection::vec(any::<u8>(), 0..200)) {
        let folder = tempdir().unwrap();
        let path = folder.path().join("model.gguf");
        std::fs::write(&path, [b"GGUF\x03\0\0\0".as_slice(), &rest].concat()).unwrap();
        let _ = Gguf::open(&path);
    }
}
