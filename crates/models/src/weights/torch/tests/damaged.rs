//! Damage of any kind is an error or harmless, never a panic.

use super::build::{
    archive, central, counted, dict, finish, local, old, part, pickle, single, storage, tensor,
};
use super::*;
use proptest::prelude::*;

/// The message of a file that must be refused.
fn refusal(file: &[u8]) -> String {
    read(file).unwrap_err()
}

fn assert_refused(what: &str, file: &[u8], part: &str) {
    let message = refusal(file);
    assert!(message.contains(part), "{what}: {message}");
}

#[test]
fn a_file_cut_off_anywhere_is_refused() {
    for name in FIXTURES {
        let file = fixture(name);
        for length in 0..file.len() {
            assert!(read(&file[..length]).is_err(), "{name} cut to {length} bytes");
        }
        assert_refused(name, &[&file[..], b"more"].concat(), "download it again");
    }
}

proptest! {
    /// Any few bits of any file.
    #[test]
    fn flipped_bits_never_panic(
        name in prop::sample::select(&FIXTURES[..]),
        flips in prop::collection::vec((any::<prop::sample::Index>(), 0..8), 1..4),
    ) {
        let mut file = fixture(name);
        for (at, bit) in flips {
            let at = at.index(file.len());
            file[at] ^= 1_u8 << bit;
        }
        let _ = read(&file);
    }

    /// Any bytes where the pickle should be.
    #[test]
    fn any_pickle_never_panics(body in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(&super::build::with_pickle(&pickle(&[&body]), &counted(4)));
        let _ = read(&old(&pickle(&[&body]), &[], &[]));
    }

    /// Allowed instructions in any order, which get further than any bytes do.
    #[test]
    fn any_order_of_instructions_never_panics(
        picks in prop::collection::vec(any::<prop::sample::Index>(), 0..60),
    ) {
        let float = storage("FloatStorage", "0", 4);
        let view = tensor(&float, 0, &[2, 2], &[1, 2]);
        let pieces: [&[u8]; 22] = [
            b"(", b"0", b"N", b"\x88", b")", b"]", b"}", b"t", b"\x85", b"\x86", b"a", b"e", b"s", b"u",
            b"q\x01", b"h\x01", b"\x94", b"R", b"b", b"K\x02", &float, &view,
        ];
        let body: Vec<&[u8]> = picks.iter().map(|pick| pieces[pick.index(pieces.len())]).collect();
        let _ = read(&super::build::with_pickle(&pickle(&body), &counted(4)));
    }
}

#[test]
fn every_single_flipped_bit_of_a_small_file_is_harmless() {
    let file = single(4, 0, &[2, 2], &[1, 2], 4);
    for at in 0..file.len() * 8 {
        let mut file = file.clone();
        file[at / 8] ^= 1 << (at % 8);
        let _ = read(&file);
    }
}

#[test]
fn what_is_no_torch_file_is_said() {
    assert_refused("empty", b"", "do not begin as a torch file");
    assert_refused("text", b"hello", "5 bytes");
    assert_refused("a pointer", b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull");
    assert_refused("an archive's start", b"PK\x03\x04", "cut off");
}

#[test]
fn entries_that_torch_does_not_write_are_refused() {
    let good = [part("data.pkl", b""), part("data/0", b"")];
    let with = |change: &dyn Fn(&mut build::Part)| {
        let mut parts = good.clone();
        change(&mut parts[1]);
        archive(&parts)
    };
    assert_refused("deflated", &with(&|part| part.method = 8), "compressed (method 8)");
    assert_refused("encrypted", &with(&|part| part.flags = 1), "encrypted");
    for name in ["../data", "data//0", "data\\0", "./0", "data/..", "data/\n"] {
        assert_refused(name, &with(&|part| part.name = name.into()), "leads nowhere");
    }
    assert_refused("twice", &with(&|part| part.name = "data.pkl".into()), "there twice");
    let program = archive(&[part("constants.pkl", b""), part("code/m.py", b"")]);
    assert_refused("TorchScript", &program, "state_dict()");
    assert_refused("no pickle", &archive(&[part("data/0", b"")]), "without data.pkl");
    let big = archive(&[part("byteorder", b"big"), part("data.pkl", b"")]);
    assert_refused("other order", &big, "order of bytes");
}

#[test]
fn local_headers_must_agree_with_the_directory() {
    let parts = [part("data.pkl", b"abc"), part("data/0", b"defg")];
    let build = |locals: [&build::Part; 2], sizes: [u32; 2], moved: usize| {
        let (mut file, mut directory) = (Vec::new(), Vec::new());
        for ((own, said), size) in locals.iter().zip(&parts).zip(sizes) {
            let header = (file.len() + moved) as u32;
            local(&mut file, own);
            central(&mut directory, said, [size, header], &[]);
        }
        finish(file, &directory, 2)
    };
    let right = [&parts[0], &parts[1]];
    assert_refused("as it should be", &build(right, [3, 4], 0), "does not begin as a pickle");
    assert_refused("moved", &build(right, [3, 4], 1), "not where the directory says");
    assert_refused("larger", &build(right, [3, 5], 0), "not where the directory says");
    assert_refused("huge", &build(right, [3, u32::MAX], 0), "sizes that do not hold");
    assert_refused("overlapping", &build(right, [4, 4], 0), "overlap");
    assert_refused("other names", &build([&parts[1], &parts[0]], [3, 4], 0), "not where the directory says");
    let deflated = build::Part { method: 8, ..parts[1].clone() };
    assert_refused("deflated after all", &build([&parts[0], &deflated], [3, 4], 0), "compressed");
    let mut twice = Vec::new();
    local(&mut twice, &parts[0]);
    let mut directory = Vec::new();
    central(&mut directory, &parts[0], [3, 0], &[]);
    central(&mut directory, &part("data.pkl", b""), [3, 0], &[]);
    assert_refused("one place twice", &finish(twice, &directory, 2), "there twice");
}

#[test]
fn an_end_record_must_hold() {
    let file = archive(&[part("data.pkl", b""), part("data/0", b"")]);
    let end = file.len() - 22;
    let set = |at: usize, bytes: &[u8]| {
        let mut file = file.clone();
        file[end + at..end + at + bytes.len()].copy_from_slice(bytes);
        file
    };
    for (what, at, bytes) in [
        ("a disk", 4, &[1, 0][..]),
        ("the directory's disk", 6, &[1, 0]),
        ("entries on this disk", 8, &[1, 0]),
        ("no entries", 8, &[0, 0, 0, 0]),
        ("more entries than fit", 8, &[0xff, 0xff, 0xff, 0xff]),
        ("another size", 12, &[1, 0, 0, 0]),
        ("a huge size", 12, &[0xff; 4]),
        ("another place", 16, &[0, 0, 0, 0]),
        ("a huge place", 16, &[0xff; 4]),
    ] {
        assert_refused(what, &set(at, bytes), "end record does not fit");
    }
    assert_refused("fewer entries", &set(8, &[1, 0, 1, 0]), "more in the directory");
    assert_refused("a comment that is not there", &set(20, &[1, 0]), "no end record");
    assert_refused("outside", &set(0, b"PK\x05\x05"), "no end record");
}

#[test]
fn storages_and_views_must_fit() {
    let huge = i64::MAX;
    for (what, file, part) in [
        (
            "a storage too short",
            single(4, 0, &[4], &[1], 3),
            "should have 4 elements of F32, and has 12 bytes",
        ),
        ("a storage too long", single(4, 0, &[4], &[1], 5), "has 20 bytes"),
        ("a storage that overflows", single(huge, 0, &[4], &[1], 4), "should have"),
        ("a negative storage", single(-1, 0, &[4], &[1], 4), "does not fit"),
        ("a view too long", single(4, 0, &[5], &[1], 4), "does not lie in its storage"),
        ("a view too late", single(4, 1, &[4], &[1], 4), "does not lie in its storage"),
        ("a stride too long", single(4, 0, &[2, 2], &[3, 1], 4), "does not lie in its storage"),
        ("a huge shape", single(4, 0, &[huge, huge], &[1, 1], 4), "does not lie in its storage"),
        ("a huge shape of stride 0", single(4, 0, &[1 << 40], &[0], 4), "does not lie in its storage"),
        ("a huge stride", single(4, 0, &[2], &[huge], 4), "does not lie in its storage"),
        ("huge strides", single(4, 0, &[huge, 2, 2], &[huge, huge, huge], 4), "does not lie in its storage"),
        ("a huge offset", single(4, huge, &[1], &[1], 4), "does not lie in its storage"),
        ("a negative shape", single(4, 0, &[-1], &[1], 4), "does not fit"),
        ("a negative stride", single(4, 3, &[4], &[-1], 4), "does not fit"),
        ("a negative offset", single(4, -1, &[1], &[1], 4), "does not fit"),
        ("strides of another rank", single(4, 0, &[2, 2], &[1], 4), "does not fit"),
        ("too many axes", single(4, 0, &[1; 65], &[1; 65], 4), "does not fit"),
    ] {
        assert_refused(what, &file, part);
    }
    assert_eq!(read(&single(4, 0, &[4], &[0], 4)).unwrap()[0].2, Some(vec![0.0; 4]), "a broadcast that fits");
    assert_eq!(read(&single(4, 9, &[1 << 40, 0], &[1, 1], 4)).unwrap()[0].2, Some(vec![]), "no elements");
    let empty = single(4, 0, &[0, 1 << 40, 1 << 40], &[1, 1 << 40, 1], 4);
    assert_eq!(read(&empty).unwrap()[0].2, Some(vec![]), "no elements on axes that would overflow");
    let absent = tensor(&storage("FloatStorage", "7", 1), 0, &[1], &[1]);
    let file = build::with_pickle(&pickle(&[&dict(&[("w", &absent)])]), &counted(1));
    assert_refused("an absent storage", &file, "storage `7` is not in the file");
}

#[test]
fn old_files_must_hold_what_they_list() {
    let content = |kind: &str, elements| {
        pickle(&[&dict(&[("w", &tensor(&storage(kind, "k", elements), 0, &[2], &[1]))])])
    };
    let data = [&2_u64.to_le_bytes()[..], &counted(2)].concat();
    let good = content("FloatStorage", 2);
    assert_eq!(read(&old(&good, &["k"], &[&data])).unwrap()[0].2, Some(vec![0.0, 1.0]));
    let other = [&3_u64.to_le_bytes()[..], &counted(2)].concat();
    for (what, file, part) in [
        ("cut off", old(&good, &["k"], &[&data[..15]]), "storages are not those"),
        ("joined", old(&good, &["k"], &[&data, b"x"]), "storages are not those"),
        ("another count", old(&good, &["k"], &[&other]), "storages are not those"),
        ("an unknown key", old(&good, &["q"], &[&data]), "storages are not those"),
        ("twice", old(&good, &["k", "k"], &[&data, &data]), "storages are not those"),
        ("none", old(&good, &[], &[]), "storage `k` is not in the file"),
        ("huge", old(&content("FloatStorage", i64::MAX), &["k"], &[&data]), "storages are not those"),
        ("another type", old(&content("DoubleStorage", 2), &["k"], &[&data]), "storages are not those"),
    ] {
        assert_refused(what, &file, part);
    }
    let version = [legacy::START, &pickle(&[&build::int(1002)])].concat();
    assert_refused("another version", &version, "version that never was");
    let facts = pickle(&[b"}", &build::text("little_endian"), b"\x89s"]);
    let big = [legacy::START, &pickle(&[&build::int(1001)]), &facts].concat();
    assert_refused("another order of bytes", &big, "order of bytes");
}
