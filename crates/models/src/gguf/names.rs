//! Tensor names of llama.cpp to those of Hugging Face files, and what its converter did to each tensor.

use super::architecture::Architecture;
use crate::weights::Stored;

/// A module of llama.cpp's and what transformers calls it, within a block or at the top.
type Names = &'static [(&'static str, &'static str)];

/// Outside blocks, in the families that are built like LLaMA.
const TOP: Names =
    &[("token_embd", "model.embed_tokens"), ("output_norm", "model.norm"), ("output", "lm_head")];

/// In a block of LLaMA, Qwen 2 and Qwen 3.
const BLOCK: Names = &[
    ("attn_norm", "input_layernorm"),
    ("attn_q", "self_attn.q_proj"),
    ("attn_k", "self_attn.k_proj"),
    ("attn_v", "self_attn.v_proj"),
    ("attn_output", "self_attn.o_proj"),
    ("attn_q_norm", "self_attn.q_norm"),
    ("attn_k_norm", "self_attn.k_norm"),
    ("ffn_norm", "post_attention_layernorm"),
    ("ffn_gate", "mlp.gate_proj"),
    ("ffn_up", "mlp.up_proj"),
    ("ffn_down", "mlp.down_proj"),
];

/// What Gemma 3 has instead, and besides.
const GEMMA_BLOCK: Names = &[
    ("post_attention_norm", "post_attention_layernorm"),
    ("ffn_norm", "pre_feedforward_layernorm"),
    ("post_ffw_norm", "post_feedforward_layernorm"),
];

const GPT2_TOP: Names = &[
    ("token_embd", "transformer.wte"),
    ("position_embd", "transformer.wpe"),
    ("output_norm", "transformer.ln_f"),
    ("output", "lm_head"),
];

const GPT2_BLOCK: Names = &[
    ("attn_norm", "ln_1"),
    ("attn_qkv", "attn.c_attn"),
    ("attn_output", "attn.c_proj"),
    ("ffn_norm", "ln_2"),
    ("ffn_up", "mlp.c_fc"),
    ("ffn_down", "mlp.c_proj"),
];

/// The Hugging Face name of a tensor and how it is stored; none for one that transformers does not have.
/// `heads` are those of queries and of keys.
pub(super) fn rename(
    architecture: Architecture,
    name: &str,
    (heads, kv_heads): (usize, usize),
) -> Option<(String, Stored)> {
    let (module, end) = name.rsplit_once('.')?;
    let (prefix, module) = match module.strip_prefix("blk.") {
        Some(rest) => {
            let (block, module) = rest.split_once('.')?;
            let number: usize = block.parse().ok()?;
            (Some(number), module)
        }
        None => (None, module),
    };
    let theirs = tables(architecture, prefix.is_some()).find(|(ours, _)| *ours == module)?.1;
    let blocks = blocks(architecture);
    let path = prefix.map_or(theirs.to_owned(), |number| format!("{blocks}.{number}.{theirs}"));
    Some((format!("{path}.{end}"), stored(architecture, (module, end), (heads, kv_heads))))
}

/// [`rename`] the other way: the name that llama.cpp's files have for a Hugging Face name, and how they store
/// the tensor.
pub(super) fn original(
    architecture: Architecture,
    name: &str,
    heads: (usize, usize),
) -> Option<(String, Stored)> {
    let (path, end) = name.rsplit_once('.')?;
    let in_block = path.strip_prefix(blocks(architecture)).and_then(|rest| rest.strip_prefix('.'));
    let (block, module) = match in_block {
        Some(rest) => {
            let (number, module) = rest.split_once('.')?;
            (Some(number.parse::<usize>().ok()?), module)
        }
        None => (None, path),
    };
    let ours = tables(architecture, block.is_some()).find(|(_, theirs)| *theirs == module)?.0;
    let path = block.map_or(ours.to_owned(), |number| format!("blk.{number}.{ours}"));
    Some((format!("{path}.{end}"), stored(architecture, (ours, end), heads)))
}

/// The modules of an architecture, in a block or outside, those that set it apart first.
fn tables(
    architecture: Architecture,
    in_block: bool,
) -> impl Iterator<Item = &'static (&'static str, &'static str)> {
    let tables: &[Names] = match (architecture, in_block) {
        (Architecture::Gpt2, false) => &[GPT2_TOP],
        (Architecture::Gpt2, true) => &[GPT2_BLOCK],
        (_, false) => &[TOP],
        (Architecture::Gemma3, true) => &[GEMMA_BLOCK, BLOCK],
        (_, true) => &[BLOCK],
    };
    tables.iter().copied().flatten()
}

/// The path of the blocks for transformers.
fn blocks(architecture: Architecture) -> &'static str {
    if architecture == Architecture::Gpt2 { "transformer.h" } else { "model.layers" }
}

/// What the converter did to the tensor of a module of llama.cpp's.
fn stored(
    architecture: Architecture,
    (module, end): (&str, &str),
    (heads, kv_heads): (usize, usize),
) -> Stored {
    match (architecture, module, end) {
        (Architecture::Llama, "attn_q", _) => Stored::Interleaved { heads },
        (Architecture::Llama, "attn_k", _) => Stored::Interleaved { heads: kv_heads },
        (Architecture::Gemma3, module, _) if module.ends_with("_norm") => Stored::PlusOne,
        (Architecture::Gpt2, "attn_qkv" | "attn_output" | "ffn_up" | "ffn_down", "weight") => {
            Stored::Transposed
        }
        _ => Stored::Same,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn renamed(architecture: Architecture, name: &str) -> Option<(String, Stored)> {
        rename(architecture, name, (8, 2))
    }

    fn is(architecture: Architecture, name: &str, expected: &str, stored: Stored) {
        assert_eq!(renamed(architecture, name), Some((expected.to_owned(), stored)));
        assert_eq!(original(architecture, expected, (8, 2)), Some((name.to_owned(), stored)));
    }

    #[test]
    fn llama_rotates_neighbours() {
        use Architecture::{Llama, Qwen2, Qwen3};
        let (q, k) = (Stored::Interleaved { heads: 8 }, Stored::Interleaved { heads: 2 });
        is(Llama, "blk.11.attn_q.weight", "model.layers.11.self_attn.q_proj.weight", q);
        is(Llama, "blk.0.attn_k.bias", "model.layers.0.self_attn.k_proj.bias", k);
        is(Llama, "blk.0.attn_v.weight", "model.layers.0.self_attn.v_proj.weight", Stored::Same);
        is(Llama, "output.weight", "lm_head.weight", Stored::Same);
        is(Llama, "output_norm.weight", "model.norm.weight", Stored::Same);
        is(Qwen2, "blk.3.attn_q.bias", "model.layers.3.self_attn.q_proj.bias", Stored::Same);
        is(Qwen3, "blk.3.attn_q_norm.weight", "model.layers.3.self_attn.q_norm.weight", Stored::Same);
    }

    #[test]
    fn gemma_has_more_norms_all_plus_one() {
        use Architecture::Gemma3;
        let is = |name, expected: &str| is(Gemma3, name, expected, Stored::PlusOne);
        is("output_norm.weight", "model.norm.weight");
        is("blk.2.attn_norm.weight", "model.layers.2.input_layernorm.weight");
        is("blk.2.post_attention_norm.weight", "model.layers.2.post_attention_layernorm.weight");
        is("blk.2.ffn_norm.weight", "model.layers.2.pre_feedforward_layernorm.weight");
        is("blk.2.post_ffw_norm.weight", "model.layers.2.post_feedforward_layernorm.weight");
        is("blk.2.attn_k_norm.weight", "model.layers.2.self_attn.k_norm.weight");
    }

    #[test]
    fn gpt2_has_its_projections_the_other_way_round() {
        use Architecture::Gpt2;
        is(Gpt2, "blk.1.attn_qkv.weight", "transformer.h.1.attn.c_attn.weight", Stored::Transposed);
        is(Gpt2, "blk.1.attn_qkv.bias", "transformer.h.1.attn.c_attn.bias", Stored::Same);
        is(Gpt2, "blk.1.ffn_down.weight", "transformer.h.1.mlp.c_proj.weight", Stored::Transposed);
        is(Gpt2, "position_embd.weight", "transformer.wpe.weight", Stored::Same);
        is(Gpt2, "output_norm.bias", "transformer.ln_f.bias", Stored::Same);
    }

    #[test]
    fn what_transformers_does_not_have_keeps_its_name() {
        for name in ["rope_freqs.weight", "blk.x.attn_q.weight", "blk.1.ffn_gate_exps.weight", "blk.1", "x"] {
            assert_eq!(renamed(Architecture::Llama, name), None, "{name}");
        }
        for name in
            ["transformer.h.0.attn.c_attn.weight", "model.layers.x.mlp.up_proj.weight", "model.layers", "x"]
        {
            assert_eq!(original(Architecture::Llama, name, (8, 2)), None, "{name}");
        }
    }
}
