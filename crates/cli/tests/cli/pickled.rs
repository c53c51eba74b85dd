//! A base model whose weights are in torch's own format.

use crate::place::Place;
use offshoot::models::weights::{Tensors, read_tensors};
use std::fs;
use std::path::Path;

/// The first pickle of torch's format before 1.6, which holds a number that torch chose.
const MAGIC: &[u8] = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";

fn text(text: &str) -> Vec<u8> {
    [b"X", &(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat()
}

fn int(number: usize) -> Vec<u8> {
    [&[0x8a, 8][..], &(number as u64).to_le_bytes()].concat()
}

fn ints(numbers: &[usize]) -> Vec<u8> {
    [b"(", &numbers.iter().flat_map(|&number| int(number)).collect::<Vec<_>>()[..], b"t"].concat()
}

fn pickle(body: &[u8]) -> Vec<u8> {
    [b"\x80\x02", body, b"."].concat()
}

/// A tensor over a storage that has its name.
fn tensor(name: &str, shape: &[usize]) -> Vec<u8> {
    let strides: Vec<usize> = (0..shape.len()).map(|axis| shape[axis + 1..].iter().product()).collect();
    let id = [&b"("[..], &text("storage"), b"ctorch\nFloatStorage\n", &text(name), &text("cpu")].concat();
    let storage = [&id[..], &int(shape.iter().product()), b"N", b"tQ"].concat();
    let view = [&storage[..], &int(0), &ints(shape), &ints(&strides), b"\x89"].concat();
    [b"ctorch._utils\n_rebuild_tensor_v2\n(", &view[..], b"ccollections\nOrderedDict\n)RtR"].concat()
}

/// The tensors as `torch.save` wrote them before 1.6.
fn torch_file(tensors: &Tensors) -> Vec<u8> {
    let entry =
        |(name, (shape, _)): (&String, &(Vec<usize>, Vec<f32>))| [text(name), tensor(name, shape)].concat();
    let content = [&b"}("[..], &tensors.iter().flat_map(entry).collect::<Vec<u8>>(), b"u"].concat();
    let keys = [&b"]("[..], &tensors.keys().flat_map(|name| text(name)).collect::<Vec<u8>>(), b"e"].concat();
    let storage = |values: &Vec<f32>| -> Vec<u8> {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes());
        (values.len() as u64).to_le_bytes().into_iter().chain(bytes).collect()
    };
    let facts = [&b"}"[..], &text("little_endian"), b"\x88s"].concat();
    let storages: Vec<u8> = tensors.values().flat_map(|(_, values)| storage(values)).collect();
    [MAGIC, &pickle(&int(1001)), &pickle(&facts), &pickle(&content), &pickle(&keys), &storages].concat()
}

/// Has the folder's weights in torch's format instead.
fn pickled(folder: &Path) {
    let tensors = read_tensors(&folder.join("model.safetensors")).unwrap();
    fs::write(folder.join("pytorch_model.bin"), torch_file(&tensors)).unwrap();
    fs::remove_file(folder.join("model.safetensors")).unwrap();
}

#[test]
fn every_command_reads_a_pickled_base_where_it_is_allowed() {
    let place = Place::new();
    let train = "--method lora --epochs 1 --set train.weight_decay=0.0";
    let evaluate = |flag: &str, name: &str| format!("evaluate rows.csv --adapter {name} {flag} --json");
    place.train(&format!("{train} --output plain")).ok();
    let plain = place.run(&evaluate("", "plain")).ok().json();
    pickled(&place.path("model"));
    place.train(&format!("{train} --output out")).fails(1, &["pytorch_model.bin", "--allow-pickle"]);
    place.train(&format!("{train} --output out --allow-pickle")).ok();
    assert!(!place.read("out/recipe.toml").contains("pickle"), "the permission is a person's");
    place.run(&evaluate("", "out")).fails(1, &["pytorch_model.bin", "--allow-pickle"]);
    let same = place.run(&evaluate("--allow-pickle", "out")).ok().json();
    assert_eq!(same["accuracy"], plain["accuracy"]);
    place.run("predict rows.csv --adapter out --allow-pickle").ok();
    place.run("inspect model --allow-pickle").ok();
}

#[test]
fn a_pickled_language_model_generates_where_it_is_allowed() {
    let place = crate::language_place::place();
    let generate = "generate --model model --max-tokens 4 --greedy";
    let before = place.run(&format!("{generate} abc")).ok().stdout;
    pickled(&place.path("model"));
    place.run(&format!("{generate} abc")).fails(1, &["pytorch_model.bin", "--allow-pickle"]);
    assert_eq!(place.run(&format!("{generate} --allow-pickle abc")).ok().stdout, before);
}
