//! Pickles that are made to run something, to fill the memory, or never to end.

use super::build::{
    counted, dict, global, int, ints, pickle, single, storage, tensor, text, tuple, with_pickle,
};
use super::*;

fn refusal(body: &[&[u8]]) -> String {
    read(&with_pickle(&pickle(body), &counted(4))).unwrap_err()
}

#[test]
fn no_name_outside_the_list_is_even_looked_up() {
    for (module, name) in [
        ("os", "system"),
        ("posix", "system"),
        ("nt", "system"),
        ("builtins", "eval"),
        ("builtins", "exec"),
        ("builtins", "getattr"),
        ("__builtin__", "eval"),
        ("subprocess", "Popen"),
        ("runpy", "run_path"),
        ("torch.hub", "load"),
        ("torch", "load"),
        ("torch", "FloatStorage.from_file"),
        ("torch._utils", "_rebuild_tensor_v2.__globals__"),
        ("torch._utils", "_rebuild_qtensor"),
        ("collections", "OrderedDict.fromkeys"),
        ("collections.OrderedDict", ""),
        ("", ""),
    ] {
        let full = format!("{module}.{name}");
        let called = [&global(module, name)[..], &tuple(&[&text("id")]), b"R"].concat();
        let stacked = [&text(module)[..], &text(name), b"\x93"].concat();
        for body in [&called, &global(module, name), &stacked, &dict(&[("w", &called)])] {
            let message = refusal(&[body]);
            assert!(
                message.contains(&format!("{full:?}")) && message.contains("Nothing was run"),
                "{message}"
            );
        }
    }
    let escape = refusal(&[&global("os\u{1b}[2J", "system")]);
    assert!(!escape.contains('\u{1b}'), "{escape}");
    let long = refusal(&[&global(&"x".repeat(100_000), "y")]);
    assert!(long.len() < 500, "{long}");
}

#[test]
fn a_name_on_the_list_is_called_in_one_way_only() {
    let float = storage("FloatStorage", "0", 4);
    let rebuild = global("torch._utils", "_rebuild_tensor_v2");
    let parameter = global("torch._utils", "_rebuild_parameter");
    let ordered = global("collections", "OrderedDict");
    let view = |metadata: &[u8]| tuple(&[&float, &int(0), &ints(&[4]), &ints(&[1]), b"\x89", b"}", metadata]);
    let negated = dict(&[("neg", b"\x88")]);
    for (what, body) in [
        ("a text", [&text("os.system")[..], &tuple(&[&text("id")]), b"R"].concat()),
        ("a list", [b"]", &tuple(&[])[..], b"R"].concat()),
        ("a storage type", [&global("torch", "FloatStorage")[..], b")R"].concat()),
        ("an element type", [&global("torch", "float32")[..], b")R"].concat()),
        ("no tuple", [&ordered[..], b"]R"].concat()),
        ("entries", [&ordered[..], &tuple(&[b"]"]), b"R"].concat()),
        ("too few", [&rebuild[..], &tuple(&[&float]), b"R"].concat()),
        ("too many", [&rebuild[..], &tuple(&[&b"N"[..]; 9]), b"R"].concat()),
        ("values to negate", [&rebuild[..], &view(&negated), b"R"].concat()),
        ("no storage", [&rebuild[..], &tuple(&[b"}", &int(0), b")", b")", b"\x89", b"}"]), b"R"].concat()),
        ("no tensor", [&parameter[..], &tuple(&[b"}", b"\x88", b"}"]), b"R"].concat()),
        ("a state that is none", b"}Nb".to_vec()),
        ("a state of a tensor", [&tensor(&float, 0, &[4], &[1])[..], b"}b"].concat()),
        ("a storage that is none", [&tuple(&[&text("module"), b"N", b"N", b"N", b"N"])[..], b"Q"].concat()),
        ("an id that is none", b"NQ".to_vec()),
        ("two storages of one key", [&float[..], b"0", &storage("HalfStorage", "0", 4)].concat()),
    ] {
        let message = refusal(&[&body]);
        assert!(message.contains("does not fit what is there"), "{what}: {message}");
    }
    let plain = [&rebuild[..], &view(b"N"), b"R"].concat();
    assert!(read(&with_pickle(&pickle(&[&dict(&[("w", &plain)])]), &counted(4))).is_ok());
}

#[test]
fn instructions_that_make_objects_or_that_nobody_knows_are_refused() {
    for code in *b"\x81\x92i\x6f\x82\x83\x84PVSILFgpd\x8f\x90\x91\x96\x97\x98\xff" {
        let message = refusal(&[&[code], &[0; 16]]);
        assert!(message.contains(&format!("{code:#04x}")), "{message}");
    }
    for protocol in [0, 1, 6, 255] {
        let message = read(&with_pickle(&[0x80, protocol, b'N', b'.'], &[])).unwrap_err();
        assert!(message.contains("protocol 2 to 5"), "{message}");
    }
}

#[test]
fn a_stack_is_not_left_below() {
    for body in [
        &b"0"[..],
        b"t",
        b"\x85",
        b"a",
        b"e",
        b"s",
        b"u",
        b"R",
        b"b",
        b"Q",
        b"q\x00",
        b"\x94",
        b"h\x00",
        b"\x93",
        b"N(0",
        b"N(\x85",
        b"]N(a",
        b"}N(Ns",
        b"](NNe(",
        b"NN",
        b"",
        b"}(Nu",
        b"}(NNNu",
        b"\x95\xff\xff\xff\xff\xff\xff\xff\xff",
        b"N]NNu",
    ] {
        let message = refusal(&[body]);
        assert!(message.contains("does not fit what is there"), "{body:?}: {message}");
    }
}

#[test]
fn nesting_costs_no_stack() {
    // Open at the same time, and closed again and again.
    let open = refusal(&[&vec![b'('; 1_000_000]]);
    assert!(open.contains("are open"), "{open}");
    let listed = refusal(&[&vec![b']'; 1_000_000]]);
    assert!(listed.contains("are open"), "{listed}");
    let tuples = refusal(&[b")", &vec![0x85; 1_000_000]]);
    assert!(tuples.contains("no dictionary of tensors"), "{tuples}");
    let dicts = b"}N".repeat(60_000);
    let dicts = refusal(&[&dicts]);
    assert!(dicts.contains("are open"), "{dicts}");
}

#[test]
fn a_billion_laughs_are_a_few_references() {
    // Each list holds the one before ten times.
    let mut body = b"]q\x00".to_vec();
    for level in 0..40_u8 {
        body.extend([b']', b'q', level + 1, b'(']);
        body.extend([b'h', level].repeat(10));
        body.extend(b"e");
    }
    body.extend(b"0".repeat(40));
    let message = refusal(&[&body]);
    assert!(message.contains("no dictionary of tensors"), "{message}");
}

#[test]
fn one_dictionary_under_many_names_is_read_once() {
    let inner: Vec<u8> = (0..20_000).flat_map(|i| [&int(i)[..], b"N"].concat()).collect();
    let inner = [b"}q\x07(", &inner[..], b"u0"].concat();
    let outer: Vec<u8> = (0..20_000).flat_map(|i| [&int(i)[..], b"h\x07"].concat()).collect();
    let message = refusal(&[&inner, b"}(", &outer, b"u"]);
    assert!(message.contains("no tensor in its dictionary"), "{message}");
}

#[test]
fn a_dictionary_in_itself_ends() {
    let view = tensor(&storage("FloatStorage", "0", 4), 0, &[4], &[1]);
    let itself = [b"}q\x00", &text("w")[..], &view, b"s", &text("self"), b"h\x00s"].concat();
    let message = refusal(&[&itself]);
    assert!(message.contains("`w` is there twice"), "{message}");
}

#[test]
fn steps_are_counted() {
    let message = refusal(&[&b"N0".repeat(3 << 20)]);
    assert!(message.contains("instructions"), "{message}");
    let memo: Vec<u8> =
        (0..1_000_000_u32).flat_map(|i| [&b"r"[..], &(u32::MAX - i).to_le_bytes()].concat()).collect();
    assert!(refusal(&[b"N", &memo]).contains("no dictionary of tensors"));
}

#[test]
fn lengths_that_lie_allocate_nothing() {
    for body in [
        &b"X\xff\xff\xff\xff"[..],
        b"\x8d\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x8e\xff\xff\xff\xff\xff\xff\xff\x7f",
        b"\x8b\xff\xff\xff\xff",
        b"B\xff\xff\xff\x7f",
        b"X\x02\x00\x00\x00\xff\xfe",
        b"cno newline",
    ] {
        let message = refusal(&[body]);
        assert!(message.contains("ends in the middle"), "{body:?}: {message}");
    }
    assert!(read(&single(1 << 60, 0, &[1 << 60], &[1], 4)).is_err());
}

#[test]
fn many_names_for_few_bytes_are_refused() {
    let view = tensor(&storage("FloatStorage", "0", 4000), 0, &[4000], &[1]);
    let mut body = [b"}(", &text("first")[..], &view, b"q\x01"].concat();
    for name in 0..100 {
        body.extend([&text(&format!("n{name}"))[..], b"h\x01"].concat());
    }
    body.extend(b"u");
    let message = read(&with_pickle(&pickle(&[&body]), &counted(4000))).unwrap_err();
    assert!(message.contains("made to fill the memory"), "{message}");
}

#[test]
fn what_holds_no_weights_says_so() {
    let view = tensor(&storage("FloatStorage", "0", 4), 0, &[4], &[1]);
    for (what, body, part) in [
        ("a tensor", view.clone(), "no dictionary of tensors"),
        ("nothing", b"N".to_vec(), "no dictionary of tensors"),
        ("an empty dictionary", b"}".to_vec(), "no tensor in its dictionary"),
        ("too deep", dict(&[("a", &dict(&[("b", &dict(&[("w", &view)]))]))]), "no tensor in its dictionary"),
        ("a number for a name", [b"}", &int(0)[..], &view, b"s"].concat(), "no name but a number"),
        ("one name twice", dict(&[("w", &view), ("w", &view)]), "`w` is there twice"),
        (
            "one name in two parts",
            dict(&[("model", &dict(&[("w", &view)])), ("average", &dict(&[("w", &view)]))]),
            "`w` is there twice",
        ),
    ] {
        let message = refusal(&[&body]);
        assert!(message.contains(part), "{what}: {message}");
    }
}
