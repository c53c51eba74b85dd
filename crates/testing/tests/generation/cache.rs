//! With a cache of keys and values the logits are those of the full forward pass.

use crate::fixture::{MODELS, distance, full_logits, grown, largest, methods, model, tokens};
use offshoot_core::{Batch, KvCache, Member, Pass};
use offshoot_train::LanguageModel;

/// Products of other sizes may sum in another order: a few roundings, relative to the largest logit.
const SAME: f32 = 1e-5;

/// The logits of a sequence that is computed in pieces of the given lengths.
fn in_pieces(
    grown: &LanguageModel,
    ids: &[u32],
    lengths: &[usize],
    cache: &KvCache,
    slot: usize,
) -> Vec<f32> {
    let mut logits = Vec::new();
    let mut done = 0;
    for &length in lengths {
        let mut batch = Batch::new();
        batch.push(&ids[done..done + length], None, 0).unwrap();
        done += length;
        let member = Member { adapter: grown.adapter.as_ref(), params: &grown.params, sequences: 1 };
        let mut pass = Pass::cached(&batch, &[member], cache, vec![slot]).unwrap();
        let real = |layout: &offshoot_core::Layout| layout.real(0).map(|row| row as u32).collect();
        logits.extend(grown.logits(&mut pass, real).unwrap().to_vec());
    }
    assert_eq!(done, ids.len());
    logits
}

/// Sequences are longer than Mistral's and Gemma's window of 6.
#[test]
fn pieces_have_the_logits_of_the_whole() {
    let ids = tokens(1, 20);
    let ways: [&[usize]; 4] = [&[20], &[1; 20], &[13, 1, 1, 1, 1, 1, 1, 1], &[2, 9, 1, 8]];
    for name in MODELS {
        let model = model(name);
        for method in methods(&model) {
            let grown = grown(&model, method, 3);
            let whole = full_logits(&grown, &ids);
            let cache = KvCache::new(3, 26);
            for lengths in ways {
                let pieces = in_pieces(&grown, &ids, lengths, &cache, 1);
                let moved = distance(&whole, &pieces) / largest(&whole);
                assert!(moved < SAME, "{name}, {method}, {lengths:?}: {moved}");
                cache.truncate(1, 0);
            }
        }
    }
}

#[test]
fn a_truncated_sequence_continues_as_if_the_rest_had_never_been() {
    let (ids, other) = (tokens(1, 16), [tokens(1, 9), tokens(2, 7)].concat());
    for name in MODELS {
        let model = model(name);
        for method in ["lora", "prefix", "prompt", "llama-adapter"] {
            let grown = grown(&model, method, 3);
            let cache = KvCache::new(1, 26);
            let vocab = model.backbone.shape().vocab;
            in_pieces(&grown, &ids, &[16], &cache, 0);
            let before = grown.adapter.prompt_tokens() + grown.adapter.prefix_tokens();
            cache.truncate(0, before + 9);
            let rest = in_pieces(&grown, &other[9..], &[1, 6], &cache, 0);
            let whole = full_logits(&grown, &other);
            assert!(distance(&whole[9 * vocab..], &rest) / largest(&whole) < SAME, "{name}, {method}");
        }
    }
}
