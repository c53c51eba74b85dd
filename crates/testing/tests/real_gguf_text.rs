//! Real GGUF files as language models, with their own tokenizers, against what transformers 5.23 computes in
//! f32 on the same weights (scripts/reference). Without the files under `assets/` these tests say that they
//! did not run.
#![allow(clippy::unwrap_used, reason = "a helper of a test fails the test")]

use offshoot_core::{Batch, Device, Layout, Mode, Pass};
use offshoot_methods::MethodConfig;
use offshoot_models::{LoadOptions, Model, Task};
use offshoot_train::{LanguageModel, open_tokenizer};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const SMOLLM2: &str = "SmolLM2-135M-Instruct.Q4_1.gguf";
const GEMMA3: &str = "gemma3-270m-q4_k_m.gguf";

/// Of a logit: thirty layers of f32 in another order, on logits of about 20.
const LOGIT: f32 = 2e-3;

/// Of the perplexity, relative: what a rounding of the weights to bf16 would exceed.
const PERPLEXITY: f64 = 5e-4;

#[derive(Deserialize)]
struct Reference {
    /// What the tokenizer puts before every text.
    before: Vec<u32>,
    /// Texts with their ids.
    texts: Vec<(String, Vec<u32>)>,
    greedy: Vec<Greedy>,
    blocks: Vec<Block>,
    perplexity: f64,
}

/// What follows a prompt if the most likely token is taken each time.
#[derive(Deserialize)]
struct Greedy {
    prompt: String,
    ids: Vec<u32>,
    new_ids: Vec<u32>,
    /// The ten best tokens after the prompt.
    logits: Vec<(u32, f32)>,
}

/// A piece of text with the sum of the losses of all its tokens but the first.
#[derive(Deserialize)]
struct Block {
    ids: Vec<u32>,
    loss: f64,
}

struct Real {
    path: PathBuf,
    reference: Reference,
}

fn real(name: &str) -> Option<Real> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets").join(name);
    if !path.exists() {
        eprintln!("not run: {} is absent", path.display());
        return None;
    }
    let mut references: BTreeMap<String, Reference> =
        serde_json::from_str(include_str!("gguf/text.json")).unwrap();
    Some(Real { path, reference: references.remove(name).unwrap() })
}

impl Real {
    fn model(&self) -> Model {
        let options = LoadOptions { task: Task::LanguageModel, ..LoadOptions::default() };
        Model::open(&self.path, &options, &Device::cpu()).unwrap()
    }
}

fn tokens_are_those_of_transformers(name: &str) {
    let Some(real) = real(name) else { return };
    let model = real.model();
    let tokenizer = open_tokenizer(&model, &real.path).unwrap();
    assert_eq!(tokenizer.vocab_size(), model.backbone.shape().vocab);
    let Reference { before, texts, greedy, .. } = &real.reference;
    assert!(texts.len() > 40);
    for (text, ids) in texts {
        let found = tokenizer.encode(text, None, 100_000).unwrap();
        assert_eq!(found.ids, [before.as_slice(), ids].concat(), "{text:?}");
    }
    for prompt in greedy {
        assert_eq!(tokenizer.encode(&prompt.prompt, None, 512).unwrap().ids, prompt.ids);
    }
}

/// Every prompt with what is to follow it in one batch: if each token is the most likely one after those
/// before it, then so it is when they are chosen one by one.
fn greedy_texts_are_those_of_transformers(name: &str) {
    let Some(real) = real(name) else { return };
    let model = real.model();
    let model = LanguageModel::new(&model, &MethodConfig::named("head").unwrap(), 0).unwrap();
    let prompts = &real.reference.greedy;
    assert_eq!(prompts.len(), 6);
    let mut batch = Batch::new();
    for (prompt, id) in prompts.iter().zip(0..) {
        batch.push(&[prompt.ids.as_slice(), &prompt.new_ids].concat(), None, id).unwrap();
    }
    let mut pass = Pass::new(&batch, model.adapter.as_ref(), &model.params, Mode::Evaluate).unwrap();
    let predicting = |layout: &Layout| {
        let rows = |(s, prompt): (usize, &Greedy)| {
            let first = layout.real(s).start + prompt.ids.len() - 1;
            (first..first + prompt.new_ids.len()).map(|row| row as u32)
        };
        prompts.iter().enumerate().flat_map(rows).collect()
    };
    let logits = model.logits(&mut pass, predicting).unwrap();
    let (vocab, logits) = (logits.shape()[1], logits.to_vec());
    let mut rows = logits.chunks(vocab);
    for prompt in prompts {
        let rows: Vec<&[f32]> = rows.by_ref().take(prompt.new_ids.len()).collect();
        for (id, expected) in &prompt.logits {
            let found = rows[0][*id as usize];
            assert!((found - expected).abs() < LOGIT, "{}: {id} {found} {expected}", prompt.prompt);
        }
        let best: Vec<u32> = rows.iter().map(|row| most_likely(row)).collect();
        assert_eq!(best, prompt.new_ids, "{}", prompt.prompt);
    }
}

fn most_likely(logits: &[f32]) -> u32 {
    (0..).zip(logits).max_by(|a, b| a.1.total_cmp(b.1)).unwrap().0
}

fn perplexity_is_that_of_transformers(name: &str) {
    let Some(real) = real(name) else { return };
    let model = real.model();
    let model = LanguageModel::new(&model, &MethodConfig::named("head").unwrap(), 0).unwrap();
    let (mut loss, mut expected, mut count) = (0.0, 0.0, 0);
    for block in &real.reference.blocks {
        let mut batch = Batch::new();
        batch.push(&block.ids, None, 0).unwrap();
        let mut pass = Pass::new(&batch, model.adapter.as_ref(), &model.params, Mode::Evaluate).unwrap();
        let (_, losses) = model.loss(&mut pass, &[&vec![true; block.ids.len()]]).unwrap();
        assert_eq!(losses.len(), block.ids.len() - 1);
        loss += losses.iter().map(|&loss| f64::from(loss)).sum::<f64>();
        expected += block.loss;
        count += losses.len();
    }
    let (found, theirs) = ((loss / count as f64).exp(), (expected / count as f64).exp());
    assert!((theirs / real.reference.perplexity - 1.0).abs() < 1e-6, "the reference agrees with itself");
    assert!((found / theirs - 1.0).abs() < PERPLEXITY, "{found} {theirs}");
    eprintln!("{name}: perplexity {found:.5}, transformers {theirs:.5}");
}

#[test]
fn smollm2_cuts_texts_as_transformers_does() {
    tokens_are_those_of_transformers(SMOLLM2);
}

#[test]
fn gemma3_cuts_texts_as_transformers_does() {
    tokens_are_those_of_transformers(GEMMA3);
}

#[test]
fn smollm2_continues_prompts_as_transformers_does() {
    greedy_texts_are_those_of_transformers(SMOLLM2);
}

#[test]
fn gemma3_continues_prompts_as_transformers_does() {
    greedy_texts_are_those_of_transformers(GEMMA3);
}

#[test]
fn smollm2_has_the_perplexity_of_transformers() {
    perplexity_is_that_of_transformers(SMOLLM2);
}

#[test]
fn gemma3_has_the_perplexity_of_transformers() {
    perplexity_is_that_of_transformers(GEMMA3);
}
