//! LoRA adapters as llama.cpp loads them: two factors under the name of each tensor that they change, and one
//! alpha for all. llama.cpp scales each update by `alpha / rank`.

use std::path::Path;

use offshoot_core::Format;

use super::architecture::Architecture;
use super::names::original;
use super::value::Value;
use super::write::{NamedTensor, write};
use crate::error::{Error, Result};
use crate::weights::Stored;

/// The update of one projection: `alpha / rank B A`.
#[derive(Clone, Debug)]
pub struct LoraFactors {
    /// The projection's path in Hugging Face files: `model.layers.0.self_attn.q_proj`.
    pub module: String,
    /// Rows of A, columns of B.
    pub rank: usize,
    /// A `[rank, in]`, row-major.
    pub a: Vec<f32>,
    /// B `[out, rank]`, row-major, its rows in the order of Hugging Face files.
    pub b: Vec<f32>,
}

/// Writes an adapter, whole or not at all. `family` is the base's `model_type`, `heads` are its query and its
/// key heads: where llama.cpp interleaves the rows of queries and keys, those of B are too.
///
/// # Errors
/// If llama.cpp has no such architecture or projection here, a factor does not fit its rank, or the file cannot
/// be written.
pub fn write_lora(
    path: &Path,
    (family, heads): (&str, (usize, usize)),
    alpha: f32,
    factors: &[LoraFactors],
) -> Result<()> {
    let refuse = |reason: String| Error::checkpoint(path, reason);
    let architecture = Architecture::of_family(family)
        .ok_or_else(|| refuse(format!("llama.cpp's adapters for a {family} model are not written here")))?;
    let tensors = factors.iter().map(|factors| factors.tensors(architecture, heads));
    let tensors: Vec<Owned> =
        tensors.collect::<Result<Vec<_>, String>>().map_err(refuse)?.into_iter().flatten().collect();
    let tensors: Vec<NamedTensor<'_>> = tensors.iter().map(Owned::lend).collect();
    let text = |text: &'static str| Value::Text(text.into());
    let metadata = [
        ("general.architecture", text(architecture.name())),
        ("general.type", text("adapter")),
        ("adapter.type", text("lora")),
        ("adapter.lora.alpha", Value::F32(alpha)),
    ];
    write(path, &metadata, &tensors)
}

/// A tensor with its bytes.
struct Owned {
    name: String,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Owned {
    fn new(name: String, shape: [usize; 2], values: &[f32]) -> Self {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Self { name, shape: shape.to_vec(), bytes }
    }

    fn lend(&self) -> NamedTensor<'_> {
        NamedTensor {
            name: self.name.clone(),
            shape: self.shape.clone(),
            format: Format::F32,
            bytes: &self.bytes,
        }
    }
}

impl LoraFactors {
    fn tensors(&self, architecture: Architecture, heads: (usize, usize)) -> Result<[Owned; 2], String> {
        let Self { module, rank, a, b } = self;
        let known = original(architecture, &format!("{module}.weight"), heads);
        let (name, stored) = known.ok_or_else(|| format!("llama.cpp has no counterpart of {module}"))?;
        if *rank == 0 || !a.len().is_multiple_of(*rank) || !b.len().is_multiple_of(*rank) {
            return Err(format!(
                "{module}: factors of {} and {} values have no rank {rank}",
                a.len(),
                b.len()
            ));
        }
        let (inputs, outputs) = (a.len() / rank, b.len() / rank);
        let b = match stored {
            Stored::Interleaved { heads } if heads == 0 || !outputs.is_multiple_of(2 * heads) => {
                return Err(format!("{module}: {outputs} rows do not fit {heads} heads"));
            }
            Stored::Interleaved { heads } => interleaved(b, *rank, outputs / heads),
            _ => b.clone(),
        };
        Ok([
            Owned::new(format!("{name}.lora_a"), [*rank, inputs], a),
            Owned::new(format!("{name}.lora_b"), [outputs, *rank], &b),
        ])
    }
}

/// Rows of `cols` values, in each head of so many rows taken from its two halves in turn.
fn interleaved(values: &[f32], cols: usize, head: usize) -> Vec<f32> {
    let mut ordered = Vec::with_capacity(values.len());
    for head in values.chunks_exact(head * cols) {
        let (first, second) = head.split_at(head.len() / 2);
        for (a, b) in first.chunks_exact(cols).zip(second.chunks_exact(cols)) {
            ordered.extend_from_slice(a);
            ordered.extend_from_slice(b);
        }
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gguf::Gguf;
    use crate::weights::{Dtype, TensorInfo};

    fn counted(count: usize) -> Vec<f32> {
        (0..count).map(|i| i as f32 + 0.5).collect()
    }

    fn factors(module: &str) -> LoraFactors {
        LoraFactors { module: module.to_owned(), rank: 2, a: counted(2 * 8), b: counted(16 * 2) }
    }

    fn written(family: &str, factors: &[LoraFactors]) -> Result<(tempfile::TempDir, Gguf)> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("adapter.gguf");
        write_lora(&path, (family, (2, 4)), 7.0, factors)?;
        Ok((folder, Gguf::open(&path).unwrap()))
    }

    fn tensor(file: &Gguf, name: &str, stored: Stored) -> (Vec<usize>, Vec<f32>) {
        let tensor = file.tensors().iter().find(|tensor| tensor.name == name).unwrap();
        let info = TensorInfo { dtype: Dtype::F32, shape: tensor.shape.clone(), bytes: tensor.range.len() };
        let bytes = stored.rows(&info, file.bytes(tensor));
        (tensor.shape.clone(), Dtype::F32.decode(&bytes).unwrap())
    }

    #[test]
    fn an_adapter_is_read_back_in_the_order_of_its_base() {
        let modules = [
            "model.layers.1.self_attn.q_proj",
            "model.layers.1.self_attn.k_proj",
            "model.layers.0.mlp.down_proj",
        ];
        let (_folder, file) = written("mistral", &modules.map(factors)).unwrap();
        let text = |key: &str| file.get(key).unwrap().as_text().unwrap().to_owned();
        assert_eq!(
            ["general.architecture", "general.type", "adapter.type"].map(text),
            ["llama", "adapter", "lora"]
        );
        assert_eq!(file.get("adapter.lora.alpha"), Some(Value::F32(7.0)));
        let orders = [
            ("blk.1.attn_q.weight", Stored::Interleaved { heads: 2 }),
            ("blk.1.attn_k.weight", Stored::Interleaved { heads: 4 }),
            ("blk.0.ffn_down.weight", Stored::Same),
        ];
        for (name, stored) in orders {
            assert_eq!(tensor(&file, &format!("{name}.lora_a"), Stored::Same), (vec![2, 8], counted(16)));
            assert_eq!(
                tensor(&file, &format!("{name}.lora_b"), stored),
                (vec![16, 2], counted(32)),
                "{name}"
            );
        }
        // Row 1 of a head of eight is the first of its second half: row 4.
        assert_eq!(tensor(&file, "blk.1.attn_q.weight.lora_b", Stored::Same).1[2..4], [8.5, 9.5]);
    }

    #[test]
    fn other_families_keep_their_rows() {
        for (family, module, name) in [
            ("qwen2", "model.layers.0.self_attn.q_proj", "blk.0.attn_q.weight"),
            ("gemma3_text", "model.layers.0.self_attn.k_proj", "blk.0.attn_k.weight"),
            ("gpt2", "transformer.h.0.attn.c_attn", "blk.0.attn_qkv.weight"),
        ] {
            let (_folder, file) = written(family, &[factors(module)]).unwrap();
            assert_eq!(tensor(&file, &format!("{name}.lora_b"), Stored::Same).1, counted(32), "{family}");
        }
    }

    #[test]
    fn what_llama_cpp_does_not_have_is_refused() {
        let refusal =
            |family: &str, factors: LoraFactors| written(family, &[factors]).unwrap_err().to_string();
        assert!(refusal("bert", factors("x")).contains("for a bert model are not written"));
        assert!(refusal("llama", factors("model.layers.0.x")).contains("no counterpart of model.layers.0.x"));
        let odd = LoraFactors { b: counted(6), ..factors("model.layers.0.self_attn.q_proj") };
        assert!(refusal("llama", odd).contains("3 rows do not fit 2 heads"));
        let odd = LoraFactors { rank: 3, ..factors("model.layers.0.mlp.up_proj") };
        assert!(refusal("llama", odd).contains("no rank 3"));
    }
}
