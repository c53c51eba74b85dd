//! The logits after import.

use super::files::{litgpt, model, open, original, write};
use super::reference::{HEADS, HIDDEN, LAYERS, Prompt, Reference, Tensors, Turn, random_weights};
use offshoot_core::{Batch, Layout, Mode, Pass};
use offshoot_models::weights::Pickles;
use offshoot_train::LanguageModel;
use offshoot_train::checkpoint::load_language_model;
use std::path::Path;

/// Logits here are of order 1, and f32 over three blocks rounds at about a millionth.
const SAME: f64 = 1e-5;
/// What a wrong gate, order or rotation moves is larger than this.
const DIFFERENT: f64 = 1e-2;
const IDS: [u32; 9] = [3, 41, 7, 7, 0, 29, 12, 49, 18];

fn ours(grown: &LanguageModel) -> Vec<f64> {
    let mut batch = Batch::new();
    batch.push(&IDS, None, 0).unwrap();
    let mut pass = Pass::new(&batch, grown.adapter.as_ref(), &grown.params, Mode::Evaluate).unwrap();
    let real = |layout: &Layout| layout.real(0).map(|row| row as u32).collect();
    grown.logits(&mut pass, real).unwrap().to_vec().into_iter().map(f64::from).collect()
}

fn distance(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

/// Loads the file as a person's adapter and compares; also that each part of the formula has a say in it.
fn check(kv_heads: usize, turn: Turn, (file, prompts): (Tensors, Vec<Option<Prompt>>), name: &str) {
    let (folder, weights) = (tempfile::tempdir().unwrap(), random_weights(kv_heads));
    let model = model(folder.path(), &weights, kv_heads);
    let path = tempfile::tempdir().unwrap();
    let path = path.path().join(name);
    write(&path, &file);
    let loaded = load_language_model(&path, &model, Pickles::Refuse).unwrap();
    let ours = ours(&loaded.grown);

    let mut reference = Reference { weights: &weights, kv_heads, turn, prompts };
    let theirs = reference.logits(&IDS);
    let apart = distance(&ours, &theirs);
    assert!(apart < SAME, "{name}, {kv_heads} heads of keys: {apart}");
    // The comparison would see a gate of another head, another layer's prompt, and no adapter at all.
    let differs = |reference: &Reference<'_>, what: &str| {
        let moved = distance(&ours, &reference.logits(&IDS));
        assert!(moved > DIFFERENT, "{what} moves a logit by {moved} only");
    };
    reference.prompts.iter_mut().flatten().for_each(|prompt| prompt.gates.rotate_left(1));
    differs(&reference, "another order of the gates");
    reference.prompts.iter_mut().flatten().for_each(|prompt| prompt.gates.rotate_right(1));
    reference.prompts.swap(LAYERS - 2, LAYERS - 1);
    differs(&reference, "another order of the layers");
    reference.prompts.iter_mut().for_each(|prompt| *prompt = None);
    differs(&reference, "the adapter");
}

#[test]
fn the_original_computes_what_its_authors_code_does() {
    // Their models turn neighbouring columns, and their checkpoints' rows are in that order.
    check(HEADS, Turn::Neighbours, original(), "adapter.safetensors");
    check(HEADS / 2, Turn::Neighbours, original(), "adapter.safetensors");
}

#[test]
fn litgpt_s_file_computes_what_litgpt_does() {
    for kv_heads in [HEADS, HEADS / 2] {
        check(kv_heads, Turn::Halves, litgpt(LAYERS, HIDDEN, HEADS), "litgpt.safetensors");
    }
}

/// Both programs leave the keys of a prompt as the projection gives them. Where a model normalises keys that is
/// another adapter than ours, so its file is refused instead of meaning something else.
#[test]
fn a_model_that_normalises_keys_refuses_both() {
    for name in ["qwen3-lm", "gemma3-lm"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/models").join(name);
        let model = open(&folder);
        let shape = *model.backbone.shape();
        let (litgpt, _) = litgpt(shape.layers, shape.hidden, shape.heads);
        for (file, kind) in [(litgpt, "litgpt's"), (original().0, "the original LLaMA-Adapter's")] {
            let path = tempfile::tempdir().unwrap();
            let path = path.path().join("adapter.safetensors");
            write(&path, &file);
            let result = load_language_model(&path, &model, Pickles::Refuse);
            let message = result.err().map(|error| error.to_string()).unwrap_or_default();
            let family = model.backbone.family();
            assert!(message.contains(kind) && message.contains(family), "{message}");
            assert!(message.contains("normalises its keys"), "{message}");
        }
    }
}
