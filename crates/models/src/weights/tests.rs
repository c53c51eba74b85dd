use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::tempdir;

use super::*;

/// The bytes of a safetensors file with this header and so much data.
fn bytes(header: &str, data: usize) -> Vec<u8> {
    let data = (0..data).map(|i| i as u8);
    (header.len() as u64).to_le_bytes().into_iter().chain(header.bytes()).chain(data).collect()
}

fn file(header: &Value, data: usize) -> (tempfile::TempDir, std::path::PathBuf) {
    raw(&bytes(&header.to_string(), data))
}

fn raw(bytes: &[u8]) -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempdir().unwrap();
    let path = folder.path().join(SINGLE);
    fs::write(&path, bytes).unwrap();
    (folder, path)
}

fn floats(name: &str, shape: &[usize], from: usize) -> (String, Value) {
    let end = from + 4 * shape.iter().product::<usize>();
    (name.to_owned(), json!({"dtype": "F32", "shape": shape, "data_offsets": [from, end]}))
}

fn header(entries: &[(String, Value)]) -> Value {
    Value::Object(entries.iter().cloned().collect())
}

/// The one message that opening gives.
fn refusal(bytes: &[u8]) -> String {
    let (_folder, path) = raw(bytes);
    let message = Checkpoint::open_file(&path).unwrap_err().to_string();
    assert!(message.starts_with(&path.display().to_string()), "{message}");
    message
}

#[test]
fn what_is_written_is_read_again() {
    let folder = tempdir().unwrap();
    let path = folder.path().join(SINGLE);
    let (a, b, c) = ([1.5_f32, -2.0, f32::MIN_POSITIVE, 0.0, 3.0, 4.0], [7.0_f32], vec![0.25_f32; 5000]);
    let tensors = [
        ("z.weight".to_owned(), vec![2, 3], &a[..]),
        ("a.scalar".to_owned(), vec![], &b[..]),
        ("m \"quoted\"".to_owned(), vec![5000], &c[..]),
    ];
    write_safetensors(&path, &tensors).unwrap();
    let read = read_tensors(&path).unwrap();
    assert_eq!(read.keys().collect::<Vec<_>>(), ["a.scalar", "m \"quoted\"", "z.weight"]);
    for (name, shape, values) in &tensors {
        assert_eq!(read[name], (shape.clone(), values.to_vec()));
    }
    let file = fs::read(&path).unwrap();
    let length = u64::from_le_bytes(file[..8].try_into().unwrap());
    assert_eq!(length % 8, 0);
    let header: Value = serde_json::from_slice(&file[8..8 + length as usize]).unwrap();
    assert_eq!(header["__metadata__"], json!({"format": "pt"}));
    assert_eq!(header["a.scalar"]["data_offsets"], json!([0, 4]), "data in the order of the names");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file is left");
}

#[test]
fn a_header_may_be_longer_than_a_format_is_wide() {
    let folder = tempdir().unwrap();
    let path = folder.path().join(SINGLE);
    let names: Vec<String> = (0..1500).map(|n| format!("layers.{n}.adapter.weight")).collect();
    let tensors: Vec<_> = names.iter().map(|name| (name.clone(), vec![1], &[1.0_f32][..])).collect();
    write_safetensors(&path, &tensors).unwrap();
    assert!(u64::from_le_bytes(fs::read(&path).unwrap()[..8].try_into().unwrap()) > u64::from(u16::MAX));
    assert_eq!(read_tensors(&path).unwrap().len(), 1500);
}

#[test]
fn a_tensor_without_elements_is_refused() {
    for shape in [[1_usize << 50, 0], [0, 4]] {
        let (_folder, path) = file(&header(&[floats("a", &[1], 0), floats("b", &shape, 4)]), 4);
        let message = read_tensors(&path).unwrap_err().to_string();
        assert!(message.contains("`b`") && message.contains("no elements"), "{message}");
    }
}

#[cfg(unix)]
#[test]
fn a_written_file_can_be_read_by_others() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempdir().unwrap();
    write_safetensors(&folder.path().join("ours"), &[]).unwrap();
    fs::write(folder.path().join("plain"), "").unwrap();
    let mode = |name| fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
    assert_eq!(mode("ours"), mode("plain"));
}

#[test]
fn tensors_that_can_not_be_written_are_refused_and_leave_the_old_file() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("old");
    fs::write(&path, "old").unwrap();
    let one = |name: &str, shape: &[usize]| (name.to_owned(), shape.to_vec(), &[1.0_f32][..]);
    for (tensors, part) in [
        (vec![one("a", &[2])], "`a`"),
        (vec![one("a", &[1]), one("a", &[1])], "two tensors"),
        (vec![one("__metadata__", &[1])], "__metadata__"),
        (vec![one("a", &[usize::MAX, 2])], "`a`"),
    ] {
        let message = write_safetensors(&path, &tensors).unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
    }
    let full = |_: &mut dyn std::io::Write| Err(std::io::ErrorKind::StorageFull.into());
    assert!(write_file(&path, full).unwrap_err().to_string().contains("cannot write"));
    assert_eq!(fs::read_to_string(&path).unwrap(), "old");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    let nowhere = folder.path().join("no/such/file");
    let message = write_safetensors(&nowhere, &[]).unwrap_err().to_string();
    assert!(message.contains("no/such/file"), "{message}");
}

#[test]
fn every_float_type_is_read_at_any_alignment() {
    let data: Vec<u8> = [0_u8]
        .into_iter()
        .chain(1.5_f32.to_le_bytes())
        .chain((-2.5_f64).to_le_bytes())
        .chain(half::f16::from_f32(0.5).to_le_bytes())
        .chain(half::bf16::from_f32(-8.0).to_le_bytes())
        .collect();
    let entry =
        |dtype: &str, at: usize, to: usize| json!({"dtype": dtype, "shape": [1], "data_offsets": [at, to]});
    let header = json!({
        "u": entry("U8", 0, 1), "f": entry("F32", 1, 5), "d": entry("F64", 5, 13), "h": entry("F16", 13, 15),
        "b": entry("BF16", 15, 17)
    });
    let (_folder, path) = raw(&[&bytes(&header.to_string(), 0), &data[..]].concat());
    let checkpoint = Checkpoint::open_file(&path).unwrap();
    for (name, value) in [("f", 1.5), ("d", -2.5), ("h", 0.5), ("b", -8.0)] {
        assert_eq!(checkpoint.read_f32(name).unwrap(), [value], "{name}");
        assert_eq!(checkpoint.read_f32(name).unwrap(), [value], "{name}, after its pages were given back");
    }
    assert_eq!(checkpoint.total_bytes(), 17);
    assert_eq!(checkpoint.info("h"), Some(&TensorInfo { dtype: Dtype::F16, shape: vec![1], bytes: 2 }));
    let message = checkpoint.read_f32("u").unwrap_err().to_string();
    assert!(message.contains("`u` is U8") && message.contains("BF16"), "{message}");
    assert!(checkpoint.read_f32("x").is_err());
}

#[test]
fn damaged_files_are_refused_with_one_clear_message() {
    let good = bytes(&header(&[floats("w", &[2], 0)]).to_string(), 8);
    let with = |entries: &[(String, Value)], data| bytes(&header(entries).to_string(), data);
    let custom = |entry: Value, data| with(&[("w".to_owned(), entry)], data);
    let huge = [&(1_u64 << 60).to_le_bytes()[..], b"{}"].concat();
    let claim = r#""w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}"#;
    for (what, bytes, part) in [
        ("empty", Vec::new(), "only 0 bytes"),
        ("a pointer", b"version https://git-lfs.github.com/spec/v1\n".to_vec(), "git lfs pull"),
        ("cut in the data", good[..good.len() - 1].to_vec(), "`w` ends after the file"),
        ("cut in the header", good[..20].to_vec(), "cut off"),
        ("joined", [&good[..], b"more"].concat(), "4 bytes after the last tensor"),
        ("2^60", huge, "claims 1152921504606846976 bytes, the file has 10"),
        ("all ones", vec![0xff; 64], "claims 18446744073709551615 bytes"),
        ("no JSON", bytes("{\"w\": [", 0), "damaged header"),
        ("a list", bytes("[]", 0), "damaged header"),
        ("no UTF-8", [&2_u64.to_le_bytes()[..], &[0xff, 0xfe]].concat(), "damaged header"),
        ("nested", bytes(&"[".repeat(100_000), 0), "damaged header"),
        (
            "negative",
            custom(json!({"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}), 4),
            "damaged header",
        ),
        ("unknown dtype", custom(json!({"dtype": "F31", "shape": [1], "data_offsets": [0, 4]}), 4), "`F31`"),
        (
            "half a byte",
            custom(json!({"dtype": "F4", "shape": [1], "data_offsets": [0, 1]}), 1),
            "no size in bytes",
        ),
        (
            "overflow",
            custom(json!({"dtype": "F32", "shape": [1_u64 << 40, 1_u64 << 40], "data_offsets": [0, 4]}), 4),
            "no size in bytes",
        ),
        ("backwards", custom(json!({"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}), 4), "not 4..0"),
        (
            "wrong size",
            custom(json!({"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}), 4),
            "8 bytes, not 0..4",
        ),
        ("far away", with(&[floats("w", &[1], 1 << 60)], 4), "ends after the file"),
        ("at the end", with(&[floats("w", &[0], usize::MAX)], 4), "ends after the file"),
        ("overlap", with(&[floats("a", &[2], 0), floats("b", &[2], 4)], 12), "`b` overlaps"),
        ("hole", with(&[floats("a", &[1], 0), floats("b", &[1], 8)], 12), "`b` leaves a hole"),
        ("twice", bytes(&format!("{{{claim}, {claim}}}"), 4), "`w` is there twice"),
    ] {
        let message = refusal(&bytes);
        assert!(message.contains(part), "{what}: {message}");
    }
    let (_folder, path) = raw(&good);
    Checkpoint::open_file(&path).unwrap();
}

/// Two shards and their index, changed by the test.
fn sharded(index: &Value) -> tempfile::TempDir {
    let folder = tempdir().unwrap();
    let write = |name: &str, tensor: &str| {
        write_safetensors(&folder.path().join(name), &[(tensor.to_owned(), vec![1], &[1.0])]).unwrap();
    };
    write("model-1.safetensors", "a");
    write("model-2.safetensors", "b");
    fs::write(folder.path().join(INDEX), json!({"metadata": {}, "weight_map": index}).to_string()).unwrap();
    folder
}

#[test]
fn shards_are_one_checkpoint() {
    let folder = sharded(&json!({"a": "model-1.safetensors", "b": "model-2.safetensors"}));
    let checkpoint = Checkpoint::open(folder.path()).unwrap();
    assert_eq!(checkpoint.names().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(checkpoint.read_f32("b").unwrap(), [1.0]);
    assert_eq!(checkpoint.total_bytes(), 8);
}

#[test]
fn an_index_that_does_not_hold_is_refused() {
    for (index, part) in [
        (json!({"a": "../model-1.safetensors"}), "`../model-1.safetensors`"),
        (json!({"a": "/etc/passwd"}), "`/etc/passwd`"),
        (json!({"a": ".."}), "`..`"),
        (json!({"a": "sub/model-1.safetensors"}), "`sub/model-1.safetensors`"),
        (json!({"a": "model-3.safetensors"}), "model-3.safetensors"),
        (
            json!({"a": "model-2.safetensors", "c": "model-1.safetensors"}),
            "`a` is not in model-2.safetensors (and 1 more",
        ),
        (json!({}), "names no tensor"),
        (json!([1]), "JSON"),
    ] {
        let message = Checkpoint::open(sharded(&index).path()).unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
    }
    let folder = sharded(&json!({"a": "model-1.safetensors", "b": "model-2.safetensors"}));
    fs::copy(folder.path().join("model-1.safetensors"), folder.path().join("model-2.safetensors")).unwrap();
    let message = Checkpoint::open(folder.path()).unwrap_err().to_string();
    assert!(message.contains("`a` is also in"), "{message}");
}

#[test]
fn a_folder_without_weights_says_what_to_do() {
    let folder = tempdir().unwrap();
    let message = |folder: &Path| Checkpoint::open(folder).unwrap_err().to_string();
    assert!(message(folder.path()).contains("expected model.safetensors"));
    fs::write(folder.path().join("pytorch_model.bin"), "x").unwrap();
    let pickled = message(folder.path());
    for part in ["pytorch_model.bin", "--allow-pickle", "python -c"] {
        assert!(pickled.contains(part), "{pickled}");
    }
}

#[test]
fn a_family_finds_its_tensors_under_every_spelling() {
    let tensors = [
        floats("bert.embeddings.LayerNorm.gamma", &[2], 0),
        floats("bert.embeddings.LayerNorm.beta", &[2], 8),
        floats("bert.dense.weight", &[2, 2], 16),
        floats("classifier.bias", &[1], 32),
        floats("cls.predictions.bias", &[1], 36),
    ];
    let (_folder, path) = file(&header(&tensors), 40);
    let checkpoint = Checkpoint::open_file(&path).unwrap();
    let mut take = Take::new(&checkpoint, &["bert."]);
    assert_eq!(take.tensor("embeddings.LayerNorm.weight", &[2]).len(), 2);
    assert_eq!(take.tensor("embeddings.LayerNorm.bias", &[2]).len(), 2);
    assert_eq!(take.tensor("dense.weight", &[2, 2]).len(), 4);
    assert_eq!(take.shape("classifier.bias"), Some(&[1][..]));
    assert_eq!(take.optional("classifier.bias", &[1]).unwrap().len(), 1);
    assert_eq!(take.optional("classifier.weight", &[1]), None);
    assert_eq!(take.finish().unwrap().unexpected, ["cls.predictions.bias"]);
}

#[test]
fn every_problem_of_a_checkpoint_is_told_at_once() {
    let integers = ("ids".to_owned(), json!({"dtype": "I64", "shape": [1], "data_offsets": [8, 16]}));
    let (_folder, path) = file(&header(&[floats("w", &[2], 0), integers, floats("extra", &[1], 16)]), 20);
    let checkpoint = Checkpoint::open_file(&path).unwrap();
    let mut take = Take::new(&checkpoint, &["bert."]);
    assert_eq!(take.tensor("w", &[1, 2]), [0.0; 0]);
    assert_eq!(take.tensor("ids", &[1]), [0.0; 0]);
    assert_eq!(take.tensor("gone", &[3, 4]), [0.0; 0]);
    assert_eq!(take.optional("w", &[5]), None);
    let message = take.finish().unwrap_err().to_string();
    for part in
        ["`w` has the shape [2], expected [1, 2]", "`ids` is I64", "`gone` [3, 4] is missing", "extra", "[5]"]
    {
        assert!(message.contains(part), "{part} in {message}");
    }

    let mut take = Take::new(&checkpoint, &[]);
    for layer in 0..50 {
        take.tensor(&format!("layer.{layer}"), &[1]);
    }
    let message = take.finish().unwrap_err().to_string();
    assert!(message.contains("`layer.19`") && !message.contains("`layer.20`"), "{message}");
    assert!(message.contains("and 30 more"), "{message}");
}
