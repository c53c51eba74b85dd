//! The tensors of a file or a folder, as they are stored.

use crate::table::table;
use crate::text::{bytes, count, some};
use offshoot::models::gguf::Gguf;
use offshoot::models::weights::Checkpoint;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Every tensor.
#[derive(Default)]
pub(super) struct Listing {
    tensors: Vec<Stored>,
}

/// One tensor.
struct Stored {
    name: String,
    dtype: String,
    shape: Vec<usize>,
    bytes: u64,
}

impl Listing {
    /// In the order of the names.
    pub(super) fn of(checkpoint: &Checkpoint) -> Self {
        let stored = |name: &str| {
            let info = checkpoint.info(name)?;
            let (dtype, shape, bytes) = (info.dtype.to_string(), info.shape.clone(), info.bytes as u64);
            Some(Stored { name: name.to_owned(), dtype, shape, bytes })
        };
        Self { tensors: checkpoint.names().filter_map(stored).collect() }
    }

    /// In the order of the file, under its own names.
    pub(super) fn of_gguf(file: &Gguf) -> Self {
        let stored = |tensor: &offshoot::models::gguf::GgufTensor| Stored {
            name: tensor.name.clone(),
            dtype: tensor.format.to_string(),
            shape: tensor.shape.clone(),
            bytes: tensor.range.len() as u64,
        };
        Self { tensors: file.tensors().iter().map(stored).collect() }
    }

    /// Adds another's tensors.
    pub(super) fn extend(&mut self, other: Self) {
        self.tensors.extend(other.tensors);
    }

    /// The names of the tensors.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.iter().map(|tensor| tensor.name.as_str())
    }

    fn bytes(&self) -> u64 {
        self.tensors.iter().map(|tensor| tensor.bytes).sum()
    }

    /// Number and bytes of the tensors of each type.
    fn dtypes(&self) -> BTreeMap<&str, (usize, u64)> {
        let mut dtypes = BTreeMap::new();
        for tensor in &self.tensors {
            let (number, bytes) = dtypes.entry(tensor.dtype.as_str()).or_insert((0, 0));
            *number += 1;
            *bytes += tensor.bytes;
        }
        dtypes
    }

    /// `weights   22,713,728 in 104 tensors, 90.9 MB`, and a line for each type.
    pub(super) fn lines(&self) -> Vec<String> {
        // No element takes less than a bit, so that what a file holds cannot overflow.
        let values: usize = self.tensors.iter().map(|tensor| tensor.shape.iter().product::<usize>()).sum();
        let tensors = some(self.tensors.len(), "tensor");
        let mut lines = vec![format!("weights   {} in {tensors}, {}", count(values), bytes(self.bytes()))];
        for (dtype, (number, size)) in self.dtypes() {
            lines.push(format!("type      {dtype}: {}, {}", some(number, "tensor"), bytes(size)));
        }
        lines
    }

    /// A row for each tensor.
    pub(super) fn table(&self) -> String {
        let row = |tensor: &Stored| {
            vec![
                tensor.name.clone(),
                tensor.dtype.clone(),
                format!("{:?}", tensor.shape),
                bytes(tensor.bytes),
            ]
        };
        table(&["tensor", "type", "shape", "size"], self.tensors.iter().map(row), 3)
    }

    /// Adds what is known of the tensors to an object, and each of them if `all`.
    pub(super) fn describe(&self, object: &mut Value, all: bool) {
        let dtypes = self.dtypes();
        let counts: BTreeMap<_, _> = dtypes.iter().map(|(dtype, (number, _))| (*dtype, *number)).collect();
        let sizes: BTreeMap<_, _> = dtypes.iter().map(|(dtype, (_, bytes))| (*dtype, *bytes)).collect();
        object["tensors"] = json!(self.tensors.len());
        object["bytes"] = json!(self.bytes());
        object["dtypes"] = json!(counts);
        object["dtype_bytes"] = json!(sizes);
        if all {
            let tensor =
                |t: &Stored| json!({ "name": t.name, "dtype": t.dtype, "shape": t.shape, "bytes": t.bytes });
            object["tensor_list"] = self.tensors.iter().map(tensor).collect();
        }
    }
}
