//! A steady training step asks the operating system for no memory.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

use offshoot_core::optim::{AdamW, Settings};
use offshoot_core::{
    Activation, Device, Heads, Mask, Params, Result, Rng, Span, Step, Tape, Tensor, cross_entropy,
};
use std::ops::Range;

const HIDDEN: usize = 32;
const FFN: usize = 64;
const CLASSES: usize = 3;
const SETTINGS: Settings = Settings { lr: 1e-3, beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.01 };

/// What is trained: attention over tokens, then two layers, then a head on each sequence's mean.
struct Model {
    params: Params,
    optimizer: AdamW,
    device: Device,
}

impl Model {
    fn new() -> Self {
        let (device, mut rng, mut params) = (Device::cpu(), Rng::new(5), Params::new());
        let shapes: [(&str, &[usize]); 8] = [
            ("query", &[HIDDEN, HIDDEN]),
            ("key", &[HIDDEN, HIDDEN]),
            ("value", &[HIDDEN, HIDDEN]),
            ("norm", &[HIDDEN]),
            ("bias", &[HIDDEN]),
            ("up", &[FFN, HIDDEN]),
            ("down", &[HIDDEN, FFN]),
            ("head", &[CLASSES, HIDDEN]),
        ];
        for (name, shape) in shapes {
            params.insert(name, rng.normal_tensor(&device, shape, 0.1)).unwrap();
        }
        let optimizer = AdamW::new(&params);
        Self { params, optimizer, device }
    }

    /// The summed loss of tokens `[n, d]` in the given sequences.
    fn loss(&self, tape: &Tape, tokens: &Tensor, sequences: &[Range<usize>]) -> Result<Tensor> {
        let step = Step::tracked(&self.params, tape);
        let weight = |name: &str| step.param(self.params.find(name).unwrap());
        let x = tokens.layer_norm(&weight("norm"), &weight("bias"), 1e-5)?;
        let [q, k, v] = ["query", "key", "value"].map(|name| x.linear(&weight(name)));
        let spans: Vec<Span> =
            sequences.iter().map(|r| Span { queries: r.clone(), keys: r.clone() }).collect();
        let heads = Heads { query: 4, key_value: 4, dim: HIDDEN / 4, scale: 0.35 };
        let x = x.add(&q?.attention(&k?, &v?, heads, &spans, Mask::Full, None)?)?;
        let wide = x.linear(&weight("up"))?.activation(Activation::Gelu);
        let x = x.add(&wide.linear(&weight("down"))?)?;
        let logits = x.segment_mean(sequences)?.linear(&weight("head"))?;
        let labels: Vec<u32> = (0..sequences.len()).map(|s| (s % CLASSES) as u32).collect();
        cross_entropy(&logits, &labels, 0.1)
    }

    /// One optimizer step on sequences of the given lengths; returns the loss per sequence.
    fn train(&mut self, lengths: &[usize], rng: &mut Rng) -> f32 {
        let mut end = 0;
        let mut place = |length: &usize| {
            end += length;
            end - length..end
        };
        let sequences: Vec<Range<usize>> = lengths.iter().map(&mut place).collect();
        self.device.begin(end);
        let tokens = rng.normal_tensor(&self.device, &[end, HIDDEN], 1.0);
        let tape = Tape::new();
        let loss = self.loss(&tape, &tokens, &sequences).unwrap();
        let weight = 1.0 / lengths.len() as f32;
        tape.backward(&loss, weight).unwrap();
        self.optimizer.step(&mut self.params, &SETTINGS, 1.0).unwrap();
        loss.value() * weight
    }
}

#[test]
fn steps_of_one_shape_allocate_nothing_after_the_first() {
    let (mut model, mut rng) = (Model::new(), Rng::new(9));
    let mut step = || {
        let loss = model.train(&[11, 40, 7, 23], &mut rng);
        assert!(loss.is_finite());
        model.device.pool_stats().allocations
    };
    let first = step();
    assert!(first > 30, "a first step allocates: {first}");
    for later in 2..8 {
        assert_eq!(step(), first, "step {later}");
    }
}

#[test]
fn epochs_of_varying_lengths_allocate_little_after_the_first() {
    let (mut model, mut rng) = (Model::new(), Rng::new(9));
    let batches: Vec<Vec<usize>> = (0..40).map(|_| (0..4).map(|_| 4 + rng.below(60)).collect()).collect();
    let mut epoch = || {
        for batch in rng.permutation(batches.len()) {
            model.train(&batches[batch], &mut rng);
        }
        model.device.pool_stats().allocations
    };
    let mut before = epoch();
    for later in 2..8 {
        let after = epoch();
        // An epoch asks for some 1,400 buffers. The memory held is bounded, and lengths differ by a factor of 15.
        assert!(after - before < 100, "epoch {later}: {} allocations", after - before);
        before = after;
    }
}
