//! From a file to what a model is made of.

use std::path::Path;

use serde_json::{Map, Value as Json};

use super::architecture::Architecture;
use super::file::{Gguf, GgufTensor};
use super::names::rename;
use crate::error::{Error, Result};
use crate::weights::{Checkpoint, GgufEntry, Stored};

/// A model in a GGUF file, as if it were a Hugging Face folder.
#[derive(Debug)]
pub struct GgufModel {
    /// config.json.
    pub config: Map<String, Json>,
    /// The weights, under the names of Hugging Face files. Matrices stay in the file until they are used.
    pub checkpoint: Checkpoint,
    /// The Jinja text that makes a conversation one text, if the file has one.
    pub chat_template: Option<String>,
    /// The file, which has the tokenizer.
    pub file: Gguf,
}

/// Opens a GGUF file as a model.
///
/// # Errors
/// If the file is damaged, of an architecture that is not supported, or asks for something that is not.
pub fn open(path: &Path) -> Result<GgufModel> {
    let file = Gguf::open(path)?;
    let architecture = Architecture::of(&file)?;
    let mut config = architecture.config(&file)?;
    let entries = entries(&file, architecture, &mut config)?;
    let checkpoint = Checkpoint::of_gguf(file.map(), entries)?;
    let chat_template = file.chat_template();
    Ok(GgufModel { config, checkpoint, chat_template, file })
}

/// Every tensor under its Hugging Face name; one that transformers does not have keeps its own.
fn entries(
    gguf: &Gguf,
    architecture: Architecture,
    config: &mut Map<String, Json>,
) -> Result<Vec<GgufEntry>> {
    let number = |key: &str| config.get(key).and_then(Json::as_u64).unwrap_or(1) as usize;
    let heads = (number("num_attention_heads"), number("num_key_value_heads"));
    let tied = architecture == Architecture::Gpt2 && repeats_table(gguf);
    if tied {
        config.insert("tie_word_embeddings".into(), true.into());
    }
    let mut entries = Vec::new();
    for tensor in gguf.tensors() {
        let known = match tensor.name.as_str() {
            "rope_freqs.weight" => continue,
            "output.weight" if tied => continue,
            name => rename(architecture, name, heads),
        };
        let (name, stored) = known.unwrap_or_else(|| (tensor.name.clone(), Stored::Same));
        entries.push(entry(gguf, tensor, name, stored)?);
    }
    Ok(entries)
}

fn entry(gguf: &Gguf, tensor: &GgufTensor, name: String, stored: Stored) -> Result<GgufEntry> {
    let GgufTensor { format, range, .. } = tensor.clone();
    let mut shape = tensor.shape.clone();
    let fits = match stored {
        Stored::Interleaved { heads } => shape.first().is_some_and(|rows| rows % (2 * heads) == 0),
        Stored::Transposed => {
            shape.reverse();
            shape.len() == 2
        }
        _ => true,
    };
    if fits {
        return Ok(GgufEntry { name, format, shape, range, stored });
    }
    let reason =
        format!("tensor `{}` has the shape {:?}, which its heads do not fit", tensor.name, tensor.shape);
    Err(Error::checkpoint(gguf.path(), reason))
}

/// Whether the output head repeats the token table, as GPT-2's converter writes it.
fn repeats_table(gguf: &Gguf) -> bool {
    let find = |name: &str| gguf.tensors().iter().find(|tensor| tensor.name == name);
    let (Some(head), Some(table)) = (find("output.weight"), find("token_embd.weight")) else {
        return false;
    };
    head.shape == table.shape && head.format == table.format && gguf.bytes(head) == gguf.bytes(table)
}

#[cfg(test)]
mod tests;
