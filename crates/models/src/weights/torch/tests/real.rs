//! What torch wrote is read as torch reads it.

use super::build::{archive_64, counted, dict, part, pickle, storage, tensor};
use super::*;
use crate::weights::{Checkpoint, Dtype, INDEX, Pickles, read_torch};
use serde_json::json;

/// Eighths from `start` on.
fn eighths(start: usize, count: usize) -> Vec<f32> {
    (start..start + count).map(|i| i as f32 / 8.0).collect()
}

#[test]
fn every_type_and_view_of_a_real_file() {
    let checkpoint = Checkpoint::open_torch(&fixture_path("types.bin"), Pickles::Allow).unwrap();
    let whole = eighths(0, 6);
    let at = |places: &[usize]| places.iter().map(|place| *place as f32 / 8.0).collect::<Vec<_>>();
    for (name, shape, values) in [
        ("whole", vec![2, 3], whole.clone()),
        ("transposed", vec![3, 2], at(&[0, 3, 1, 4, 2, 5])),
        ("row", vec![3], at(&[3, 4, 5])),
        ("column", vec![2], at(&[2, 5])),
        ("every_other", vec![2, 2], at(&[4, 6, 12, 14])),
        ("scalar", vec![], vec![1.5]),
        ("half", vec![2], eighths(1, 2)),
        ("bf16", vec![2], eighths(2, 2)),
        ("double", vec![2], eighths(3, 2)),
        ("parameter", vec![2], eighths(4, 2)),
    ] {
        assert_eq!(checkpoint.info(name).unwrap().shape, shape, "{name}");
        assert_eq!(checkpoint.read_f32(name).unwrap(), values, "{name}");
        assert_eq!(checkpoint.read_f32(name).unwrap(), values, "{name}, after its pages were given back");
    }
    for (name, dtype, bits) in [("long", "I64", 64), ("short_float", "F8_E4M3", 8)] {
        assert_eq!(checkpoint.info(name).unwrap().dtype, Dtype::Other { name: dtype, bits });
        assert!(checkpoint.read_f32(name).unwrap_err().to_string().contains(dtype));
    }
    assert_eq!(checkpoint.names().count(), 12, "the rest are no tensors");
    assert_eq!(checkpoint.info("half").unwrap().bytes, 4);
}

#[test]
fn nested_and_old_files_hold_the_same_layer() {
    for name in ["nested.pth", "before-1.6.bin"] {
        let refused = read_torch(&fixture_path(name), Pickles::Refuse).unwrap_err().to_string();
        assert!(refused.contains(name) && refused.contains("--allow-pickle"), "{refused}");
        let tensors = read_torch(&fixture_path(name), Pickles::Allow).unwrap();
        assert_eq!(tensors.keys().collect::<Vec<_>>(), ["bias", "weight"], "{name}");
        assert_eq!(tensors["weight"], (vec![2, 3], eighths(0, 6)), "{name}");
        assert_eq!(tensors["bias"], (vec![2], eighths(6, 2)), "{name}");
    }
}

#[test]
fn numbers_of_64_bits_are_read() {
    let view = tensor(&storage("FloatStorage", "0", 4), 0, &[2, 2], &[1, 2]);
    let content = pickle(&[&dict(&[("w", &view)])]);
    let file = archive_64(&[part("data.pkl", &content), part("data/0", &counted(4))]);
    assert_eq!(read(&file).unwrap(), [("w".into(), vec![2, 2], Some(vec![0.0, 2.0, 1.0, 3.0]))]);
    for at in 0..file.len() {
        let _ = read(&file[..at]).unwrap_err();
    }
}

#[test]
fn tied_weights_have_several_names() {
    let view = tensor(&storage("FloatStorage", "0", 6), 0, &[6], &[1]);
    let tied = ["in", "out", "third"].map(|name| (name, &view[..]));
    let tensors = read(&super::build::with_pickle(&pickle(&[&dict(&tied)]), &counted(6))).unwrap();
    assert_eq!(tensors.len(), 3);
    assert_eq!(tensors[0].2, tensors[2].2);
}

/// A model folder with torch's files, whole or in two shards.
fn folder(shards: &[(&str, &str)], index: Option<serde_json::Value>) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, fixture) in shards {
        fs::copy(fixture_path(fixture), folder.path().join(name)).unwrap();
    }
    if let Some(map) = index {
        let index = json!({ "metadata": {}, "weight_map": map }).to_string();
        fs::write(folder.path().join("pytorch_model.bin.index.json"), index).unwrap();
    }
    folder
}

#[test]
fn a_folder_with_torch_files_opens_only_where_that_is_allowed() {
    let single = folder(&[("pytorch_model.bin", "nested.pth")], None);
    assert!(Checkpoint::open(single.path()).unwrap_err().to_string().contains("--allow-pickle"));
    let checkpoint = Checkpoint::open_with(single.path(), Pickles::Allow).unwrap();
    assert_eq!(checkpoint.read_f32("bias").unwrap(), eighths(6, 2));

    let sharded = folder(
        &[("model-1.bin", "nested.pth"), ("model-2.bin", "types.bin")],
        Some(json!({ "bias": "model-1.bin", "whole": "model-2.bin" })),
    );
    assert!(Checkpoint::open(sharded.path()).unwrap_err().to_string().contains("--allow-pickle"));
    let checkpoint = Checkpoint::open_with(sharded.path(), Pickles::Allow).unwrap();
    assert_eq!(checkpoint.read_f32("weight").unwrap(), checkpoint.read_f32("whole").unwrap());
}

#[test]
fn safetensors_come_first_and_an_index_must_hold() {
    let both = folder(&[("pytorch_model.bin", "nested.pth")], None);
    let values = [1.0_f32];
    let ours = [("only".to_owned(), vec![1], &values[..])];
    crate::weights::write_safetensors(&both.path().join(crate::weights::SINGLE), &ours).unwrap();
    let checkpoint = Checkpoint::open_with(both.path(), Pickles::Allow).unwrap();
    assert_eq!(checkpoint.names().collect::<Vec<_>>(), ["only"]);

    let absent = folder(&[("m.bin", "nested.pth")], Some(json!({ "gone": "m.bin" })));
    let message = Checkpoint::open_with(absent.path(), Pickles::Allow).unwrap_err().to_string();
    assert!(message.contains("`gone` is not in m.bin"), "{message}");
    let empty = tempfile::tempdir().unwrap();
    let message = Checkpoint::open_with(empty.path(), Pickles::Allow).unwrap_err().to_string();
    assert!(message.contains(INDEX), "{message}");
}
