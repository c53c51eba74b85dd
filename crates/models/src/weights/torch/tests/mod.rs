//! Files that torch wrote, files that are damaged, and files that are made to harm.

mod build;
mod damaged;
mod hostile;
mod real;

use super::*;
use std::fs;
use std::path::{Path, PathBuf};

/// A file that torch wrote (`scripts/torch/make.py`).
fn fixture(name: &str) -> Vec<u8> {
    fs::read(fixture_path(name)).unwrap()
}

fn fixture_path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/torch").join(name)
}

const FIXTURES: [&str; 3] = ["types.bin", "nested.pth", "before-1.6.bin"];

/// Name, shape and values, if they are of a type that is read.
type Read = (String, Vec<usize>, Option<Vec<f32>>);

/// Parses and reads every value, as a caller would.
fn read(file: &[u8]) -> Result<Vec<Read>, String> {
    let value = |entry: Entry| {
        let bytes = &file[entry.start..entry.end];
        let (dtype, shape) = (entry.info.dtype, entry.info.shape);
        let values = match &entry.strides {
            None => dtype.decode(bytes),
            Some(strides) => dtype.decode(&gather(bytes, dtype.bits() / 8, &shape, strides)),
        };
        (entry.name, shape, values)
    };
    Ok(parse(file)?.into_iter().map(value).collect())
}
