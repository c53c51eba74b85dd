//! Models, methods and a decoder that the tests share.

use offshoot_core::{Batch, Device, Kind, Mode, Pass, Rng};
use offshoot_methods::{Info, MethodConfig, Saves, Sizes};
use offshoot_models::{LoadOptions, Model, Task};
use offshoot_train::generate::{Decode, Generated, Generator, Output, Request, Sampling, Stop};
use offshoot_train::{LanguageModel, Result};
use std::path::Path;

pub(crate) const MODELS: [&str; 5] = ["llama-lm", "gpt2-lm", "qwen3-lm", "gemma3-lm", "mistral-lm"];

pub(crate) fn model(name: &str) -> Model {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("golden/models/{name}"));
    let options = LoadOptions { task: Task::LanguageModel, ..LoadOptions::default() };
    Model::open(&folder, &options, &Device::cpu()).unwrap()
}

/// A method in a small size, with every trained value moved, so that no path is closed by a zero.
pub(crate) fn grown(model: &Model, method: &str, seed: u64) -> LanguageModel {
    let sizes = Sizes { tokens: Some(5), layers: Some(2), width: Some(6), rank: Some(3) };
    let config = MethodConfig::with_sizes(method, &sizes).unwrap();
    let mut grown = LanguageModel::new(model, &config, seed).unwrap();
    let mut rng = Rng::new(seed + 100);
    for param in grown.params.iter_mut() {
        let values = param.value().to_vec();
        let values: Vec<f32> = values.iter().map(|x| x + (rng.normal() * 0.1) as f32).collect();
        param.set(&values).unwrap();
    }
    grown
}

/// Every method that has a meaning for a language model, and for this one: LLaMA has no biases for BitFit.
pub(crate) fn methods(model: &Model) -> Vec<&'static str> {
    let is_bias = |kind| matches!(kind, Kind::Bias | Kind::NormBias);
    let biases = model.backbone.weights().iter().any(|weight| is_bias(weight.place().kind));
    let fits = |info: &&Info| {
        !matches!(info.saves, Saves::Features | Saves::Fitted | Saves::Prompt)
            && (biases || info.name != "bitfit")
    };
    let methods: Vec<_> = MethodConfig::ALL.iter().filter(fits).map(|info| info.name).collect();
    assert!(methods.len() >= 15);
    methods
}

/// Some tokens of a small vocabulary, which no other number gives.
pub(crate) fn tokens(seed: u64, count: usize) -> Vec<u32> {
    let mut rng = Rng::new(seed);
    (0..count).map(|_| 3 + rng.below(100) as u32).collect()
}

/// The logits `[tokens, vocab]` of a sequence in one pass without a cache.
pub(crate) fn full_logits(grown: &LanguageModel, ids: &[u32]) -> Vec<f32> {
    let mut batch = Batch::new();
    batch.push(ids, None, 0).unwrap();
    let mut pass = Pass::new(&batch, grown.adapter.as_ref(), &grown.params, Mode::Evaluate).unwrap();
    let real = |layout: &offshoot_core::Layout| layout.real(0).map(|row| row as u32).collect();
    grown.logits(&mut pass, real).unwrap().to_vec()
}

pub(crate) fn distance(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

pub(crate) fn largest(values: &[f32]) -> f32 {
    values.iter().fold(0.0, |most, x| x.abs().max(most))
}

/// Writes each token as its number and a dot.
pub(crate) struct Numbers;

impl Decode for Numbers {
    fn push(&mut self, id: u32) -> Result<String> {
        Ok(format!("{id}."))
    }

    fn finish(self: Box<Self>) -> Result<String> {
        Ok(String::new())
    }
}

pub(crate) fn request(row: u64, prompt: Vec<u32>, adapter: Option<usize>, max_tokens: usize) -> Request {
    Request { row, prompt, adapter, stop: Stop { max_tokens, ..Stop::default() } }
}

/// Runs, and checks that the pieces of each row are its text.
pub(crate) fn run(
    generator: &Generator<'_>,
    requests: &[Request],
    sampling: &Sampling,
) -> Result<Vec<Generated>> {
    let mut pieces = vec![String::new(); requests.len()];
    let mut output = Output {
        decode: &|| Box::new(Numbers),
        written: &mut |row, piece| {
            pieces[row] += piece;
            Ok(())
        },
    };
    let results = generator.run(requests, sampling, &mut output)?;
    assert!(results.iter().map(|result| &result.text).eq(&pieces), "what was streamed is the text");
    Ok(results)
}
