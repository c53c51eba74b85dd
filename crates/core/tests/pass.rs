//! A pass hands each adapter the rows of its own sequences, whatever stands beside them in the batch.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

use offshoot_core::nn::{Base, Linear, Norm};
use offshoot_core::{
    Adapter, Addition, AttentionSite, Batch, Context, Counter, Device, Heads, KeyValue, Kind, Mask, Member,
    Mode, NoAdapter, ParamId, Params, Part, Pass, Place, ProjectKv, Result, Rng, Site, Slot, Step, Sublayer,
    Tape, Tensor, Weight,
};

/// An adapter that uses every hook that takes rows, so simply that its effect can be computed by hand.
#[derive(Default)]
struct Stub {
    /// Virtual tokens and how many.
    prompt: Option<(ParamId, usize)>,
    /// Prefix keys, which are the values too, and how many.
    prefix: Option<(ParamId, usize)>,
    /// What it adds to inputs of projections, and multiplies outputs by.
    factor: f32,
    /// What it adds to attention, and where.
    addition: Option<fn(Tensor) -> Addition>,
}

impl Adapter for Stub {
    fn prompt_tokens(&self) -> usize {
        self.prompt.map_or(0, |(_, tokens)| tokens)
    }

    fn prefix_tokens(&self) -> usize {
        self.prefix.map_or(0, |(_, tokens)| tokens)
    }

    fn prompt(&self, step: &Step<'_>) -> Result<Option<Tensor>> {
        Ok(self.prompt.map(|(id, _)| step.param(id)))
    }

    fn prefix(&self, step: &Step<'_>, _layer: usize) -> Result<Option<KeyValue>> {
        Ok(self.prefix.map(|(id, _)| KeyValue { key: step.param(id), value: step.param(id) }))
    }

    fn input(&self, _step: &Step<'_>, _site: Site, x: Tensor) -> Result<Tensor> {
        Ok(x.add_scalar(self.factor))
    }

    fn linear(&self, step: &Step<'_>, site: Site, x: &Tensor, y: Tensor, _base: &Base<'_>) -> Result<Tensor> {
        let rows = if site.slot == Slot::Pooler { step.layout().sequences() } else { step.layout().rows() };
        assert_eq!((x.rows(), y.rows()), (rows, rows), "the step's layout is that of the rows it comes with");
        Ok(y.scale(self.factor))
    }

    fn attention(
        &self,
        _: &Step<'_>,
        _: usize,
        query: &Tensor,
        _: &dyn ProjectKv,
    ) -> Result<Option<Addition>> {
        Ok(self.addition.map(|place| place(query.add_scalar(self.factor))))
    }

    fn sublayer(
        &self,
        _: &Step<'_>,
        _: (usize, Sublayer),
        x: &Tensor,
        y: Tensor,
        _: Option<&dyn Norm>,
    ) -> Result<Tensor> {
        y.add(&x.scale(self.factor))
    }
}

/// One head of size `dim` whose queries and keys are not looked at when the scale is 0.
struct OneHead {
    dim: usize,
    scale: f32,
}

impl ProjectKv for OneHead {
    fn project(&self, prompt: &Tensor) -> Result<KeyValue> {
        Ok(KeyValue { key: prompt.clone(), value: prompt.clone() })
    }

    fn heads(&self) -> Heads {
        Heads { query: 1, key_value: 1, dim: self.dim, scale: self.scale }
    }
}

fn site(kv: &OneHead, mask: Mask, dropout: f32) -> AttentionSite<'_> {
    AttentionSite { layer: 0, kv, mask, dropout, dropout_site: 3 }
}

fn at(slot: Slot) -> Site {
    Site { layer: 0, slot }
}

/// Where sequences of 2, 1, 3 and 1 tokens stand; the ids of their data rows are 70, 71, 72 and 73.
fn batch() -> Batch {
    let mut batch = Batch::new();
    batch.push(&[10, 11], Some(&[0, 1]), 70).unwrap();
    batch.push(&[20], None, 71).unwrap();
    batch.push(&[30, 31, 32], Some(&[0, 1, 1]), 72).unwrap();
    batch.push(&[40], None, 73).unwrap();
    batch
}

/// A batch of the given data rows and numbers of tokens.
fn batch_of(rows: &[(u64, usize)]) -> Batch {
    let mut batch = Batch::new();
    rows.iter().for_each(|&(id, tokens)| batch.push(&vec![1; tokens], None, id).unwrap());
    batch
}

/// A column `[n, 1]`.
fn column(values: &[f32]) -> Tensor {
    Tensor::new(&Device::cpu(), &[values.len(), 1], values).unwrap()
}

/// An adapter with its own parameters: virtual tokens and prefix keys of the given values.
fn stub(prompt: &[f32], prefix: &[f32]) -> (Stub, Params) {
    let mut params = Params::new();
    let mut register = |name: &str, values: &[f32]| {
        (!values.is_empty()).then(|| (params.insert(name, column(values)).unwrap(), values.len()))
    };
    let (prompt, prefix) = (register("prompt", prompt), register("prefix", prefix));
    (Stub { prompt, prefix, ..Stub::default() }, params)
}

/// Three adapters with virtual tokens and prefixes of different lengths.
fn stubs() -> [(Stub, Params); 3] {
    [stub(&[1.0, 2.0], &[]), stub(&[], &[100.0]), stub(&[5.0], &[7.0, 9.0])]
}

/// Each adapter on one sequence, and none on the last.
fn members<'a>(stubs: &'a [(Stub, Params); 3]) -> Vec<Member<'a>> {
    let own = stubs.iter().map(|(adapter, params)| Member { adapter, params, sequences: 1 });
    own.chain([Member { adapter: &NoAdapter, params: &stubs[0].1, sequences: 1 }]).collect()
}

/// The rows of a mixed batch, words and virtual tokens.
const ROWS: [f32; 10] = [1.0, 2.0, 10.0, 11.0, 20.0, 5.0, 30.0, 31.0, 32.0, 40.0];

#[test]
fn prompts_of_different_lengths_join_their_own_sequences() {
    let (batch, stubs) = (batch(), stubs());
    let pass = Pass::mixed(&batch, &members(&stubs), Mode::Evaluate).unwrap();
    let words = column(&[10.0, 11.0, 20.0, 30.0, 31.0, 32.0, 40.0]);
    assert_eq!(pass.join_prompts(words).unwrap().to_vec(), ROWS);
    assert_eq!([0, 1, 2, 3].map(|s| pass.layout().sequence(s)), [0..4, 4..5, 5..9, 9..10]);
    assert_eq!([0, 1, 2, 3].map(|s| pass.layout().real(s)), [2..4, 4..5, 6..9, 9..10]);
    assert_eq!(pass.layout().first_rows(), [0, 4, 5, 9]);
}

#[test]
fn positions_count_prefix_keys_and_types_of_virtual_tokens_are_zero() {
    let (batch, stubs) = (batch(), stubs());
    let pass = Pass::mixed(&batch, &members(&stubs), Mode::Evaluate).unwrap();
    assert_eq!(pass.positions(), [0, 1, 2, 3, 1, 2, 3, 4, 5, 0]);
    assert_eq!(pass.types(), [0, 0, 0, 1, 0, 0, 0, 1, 1, 0]);
}

#[test]
fn prefixes_of_different_lengths_are_seen_by_their_own_sequences() {
    let (batch, stubs) = (batch(), stubs());
    let pass = Pass::mixed(&batch, &members(&stubs), Mode::Evaluate).unwrap();
    // A scale of 0 gives every visible key the same probability: the context is the mean of their values.
    let kv = OneHead { dim: 1, scale: 0.0 };
    let x = column(&ROWS);
    let context = |mask| {
        let found = pass.attention(&site(&kv, mask, 0.0), &x, x.clone(), x.clone()).unwrap();
        assert!(found.after.is_none());
        found.context.to_vec()
    };
    let full = [6.0, 6.0, 6.0, 6.0, 60.0, 19.0, 19.0, 19.0, 19.0, 40.0];
    let causal = [1.0, 1.5, 13.0 / 3.0, 6.0, 60.0, 7.0, 12.75, 16.4, 19.0, 40.0];
    assert_close(&context(Mask::Full), &full);
    assert_close(&context(Mask::Causal { window: None }), &causal);
}

#[test]
fn sequences_that_share_a_prompt_sum_its_gradients() {
    let batch = batch();
    let [first, second] = [stub(&[1.0, 2.0], &[]), stub(&[3.0], &[])];
    let member = |of: &'static str, sequences| {
        let (adapter, params) = if of == "first" { &first } else { &second };
        Member { adapter: adapter as &dyn Adapter, params, sequences }
    };
    let tape = Tape::new();
    let members = [member("first", 3), member("second", 1)];
    let pass = Pass::mixed(&batch, &members, Mode::Train(tape.clone(), None)).unwrap();
    let x = pass.join_prompts(column(&[0.0; 7])).unwrap();
    assert_eq!(x.rows(), 14);
    tape.backward(&x.sum(), 1.0).unwrap();
    let gradient = |params: &Params| params.iter().next().unwrap().gradient().unwrap();
    assert_eq!(gradient(&first.1), [3.0, 3.0]);
    assert_eq!(gradient(&second.1), [1.0]);
}

#[test]
fn additions_to_attention_stand_at_their_own_rows() {
    let batch = batch();
    let mut stubs = [stub(&[], &[]), stub(&[], &[]), stub(&[], &[])];
    stubs[0].0 = Stub { factor: 1.0, addition: Some(Addition::AfterOutput), ..Stub::default() };
    stubs[1].0 = Stub { factor: 2.0, addition: Some(Addition::BeforeOutput), ..Stub::default() };
    stubs[2].0 = Stub { factor: 3.0, addition: Some(Addition::AfterOutput), ..Stub::default() };
    let pass = Pass::mixed(&batch, &members(&stubs), Mode::Evaluate).unwrap();
    let (kv, zeros) = (OneHead { dim: 1, scale: 1.0 }, column(&[0.0; 7]));
    let Context { context, after } =
        pass.attention(&site(&kv, Mask::Full, 0.0), &zeros, zeros.clone(), zeros.clone()).unwrap();
    assert_eq!(context.to_vec(), [0.0, 0.0, 2.0, 0.0, 0.0, 0.0, 0.0]);
    assert_eq!(after.unwrap().to_vec(), [1.0, 1.0, 0.0, 3.0, 3.0, 3.0, 0.0]);
}

#[test]
fn a_sequence_gets_the_same_bits_alone_and_in_a_mixed_batch() {
    const D: usize = 64;
    let rows = [(70, 9), (71, 1), (72, 17)];
    let (mixed, no_params) = (batch_of(&rows), Params::new());
    let stubs = [0.5, -2.0, 3.0].map(|factor| Stub { factor, ..Stub::default() });
    let member = |adapter| Member { adapter, params: &no_params, sequences: 1 };
    let members: Vec<_> = stubs.iter().map(|s| member(s as &dyn Adapter)).collect();
    let together = Pass::mixed(&mixed, &members, Mode::Evaluate).unwrap();
    let linear = frozen_linear(D, 48);
    let x = Rng::new(4).normal_tensor(&Device::cpu(), &[27, D], 1.0);
    let all = outputs(&together, &linear, &x);
    for (s, stub) in stubs.iter().enumerate() {
        let alone = batch_of(&rows[s..=s]);
        let pass = Pass::new(&alone, stub, &no_params, Mode::Evaluate).unwrap();
        let range = together.layout().sequence(s);
        let single = outputs(&pass, &linear, &x.row_range(range.clone()).unwrap());
        for (hook, (single, all)) in single.iter().zip(&all).enumerate() {
            assert_eq!(single.to_vec(), all.row_range(range.clone()).unwrap().to_vec(), "hook {hook}, {s}");
        }
    }
}

/// What the hooks that take rows give for `x` `[n, d]`.
fn outputs(pass: &Pass<'_>, linear: &Linear, x: &Tensor) -> [Tensor; 3] {
    let kv = OneHead { dim: x.cols(), scale: 0.1 };
    let attention = pass.attention(&site(&kv, Mask::Full, 0.0), x, x.clone(), x.clone()).unwrap();
    let sublayer = pass.sublayer((0, Sublayer::Attention), x, x.tanh(), None).unwrap();
    [pass.linear(at(Slot::Query), linear, x).unwrap(), attention.context, sublayer]
}

#[test]
fn the_pooler_has_one_row_per_sequence() {
    let (batch, no_params) = (batch(), Params::new());
    let stubs = [1.0, 10.0].map(|factor| Stub { factor, ..Stub::default() });
    let members = [(&stubs[0], 1), (&stubs[1], 3)].map(|(adapter, sequences)| Member {
        adapter,
        params: &no_params,
        sequences,
    });
    let pass = Pass::mixed(&batch, &members, Mode::Evaluate).unwrap();
    let place = Place { part: Part::Pooler, kind: Kind::Matrix };
    let weight = Weight::frozen("pooler", place, column(&[2.0]));
    let linear = Linear { weight, bias: None, inputs: 1, outputs: 1, input_major: false };
    let y = pass.linear(at(Slot::Pooler), &linear, &column(&[1.0, 2.0, 3.0, 4.0])).unwrap();
    assert_eq!(y.to_vec(), [4.0, 240.0, 260.0, 280.0], "factor (2 (x + factor))");
}

#[test]
fn adapters_must_cover_the_batch() {
    let (batch, params) = (batch(), Params::new());
    for counts in [vec![], vec![3], vec![2, 3]] {
        let member = |&sequences: &usize| Member { adapter: &NoAdapter, params: &params, sequences };
        let members: Vec<_> = counts.iter().map(member).collect();
        assert!(Pass::mixed(&batch, &members, Mode::Evaluate).is_err(), "{counts:?}");
    }
}

#[test]
fn an_adapter_without_sequences_changes_nothing() {
    let (batch, no_params) = (batch(), Params::new());
    let idle = Stub { factor: 9.0, ..Stub::default() };
    let only = Stub { factor: 2.0, ..Stub::default() };
    let member = |adapter, sequences| Member { adapter, params: &no_params, sequences };
    let members = [member(&only, 2), member(&idle, 0), member(&only, 2)];
    let pass = Pass::mixed(&batch, &members, Mode::Evaluate).unwrap();
    let alone = Pass::new(&batch, &only, &no_params, Mode::Evaluate).unwrap();
    let (linear, x) = (frozen_linear(4, 4), Rng::new(1).normal_tensor(&Device::cpu(), &[7, 4], 1.0));
    for (one, other) in outputs(&pass, &linear, &x).iter().zip(outputs(&alone, &linear, &x)) {
        assert_eq!(one.to_vec(), other.to_vec());
    }
}

#[test]
fn dropout_does_not_depend_on_the_place_in_the_batch() {
    let rows = [(70, 2), (71, 3), (72, 1)];
    let (here, there) = (masks(&rows), masks(&[rows[2], rows[0], rows[1]]));
    for (id, masks) in &here {
        let other = &there.iter().find(|(other, _)| other == id).unwrap().1;
        assert_eq!(masks, other, "row {id}");
    }
    assert_ne!(here[0].1[0][..16], here[1].1[0][..16], "rows have masks of their own");
    let sites = &here[0].1;
    assert_ne!(sites[0], sites[1], "and so have sites");
}

/// For each data row, what the backbone's dropout, that of a method, and that of attention leave of ones.
fn masks(rows: &[(u64, usize)]) -> Vec<(u64, [Vec<f32>; 3])> {
    let (batch, kv) = (batch_of(rows), OneHead { dim: 16, scale: 0.0 });
    let mut params = Params::new();
    let ones = Tensor::full(&Device::cpu(), &[batch.tokens(), 16], 1.0);
    let id = params.insert("ones", ones).unwrap();
    let mode = Mode::Train(Tape::new(), Some(Counter { seed: 1, step: 2 }));
    let pass = Pass::new(&batch, &NoAdapter, &params, mode).unwrap();
    let x = pass.step().param(id);
    let backbone = pass.dropout(x.clone(), 0.5, 1).unwrap();
    let method = pass.step().dropout(&x, 0.5, 2).unwrap();
    let attention = pass.attention(&site(&kv, Mask::Full, 0.5), &x, x.clone(), x.clone()).unwrap().context;
    let part = |x: &Tensor, s| x.row_range(batch.sequence(s)).unwrap().to_vec();
    let of = |s| [part(&backbone, s), part(&method, s), part(&attention, s)];
    rows.iter().enumerate().map(|(s, &(id, _))| (id, of(s))).collect()
}

#[test]
fn the_backbones_dropout_acts_only_where_gradients_flow() {
    let (batch, mut params) = (batch_of(&[(70, 4)]), Params::new());
    let id = params.insert("ones", Tensor::full(&Device::cpu(), &[4, 16], 1.0)).unwrap();
    let counter = Some(Counter { seed: 1, step: 2 });
    let dropped = |mode: Mode, detach: bool| {
        let pass = Pass::new(&batch, &NoAdapter, &params, mode).unwrap();
        let x = pass.step().param(id);
        let x = if detach { x.detach() } else { x };
        pass.dropout(x, 0.5, 0).unwrap().to_vec().contains(&0.0)
    };
    assert!(dropped(Mode::Train(Tape::new(), counter), false));
    assert!(!dropped(Mode::Train(Tape::new(), counter), true), "below everything that is trained");
    assert!(!dropped(Mode::Train(Tape::new(), None), false));
    assert!(!dropped(Mode::Evaluate, false));
}

/// A projection `[out, in]` of fixed random weights, with a bias.
fn frozen_linear(inputs: usize, outputs: usize) -> Linear {
    let (device, mut rng) = (Device::cpu(), Rng::new(8));
    let place = |kind| Place { part: Part::Block(0), kind };
    let weight = rng.normal_tensor(&device, &[outputs, inputs], 0.1);
    let bias = rng.normal_tensor(&device, &[outputs], 0.1);
    Linear {
        weight: Weight::frozen("weight", place(Kind::Matrix), weight),
        bias: Some(Weight::frozen("bias", place(Kind::Bias), bias)),
        inputs,
        outputs,
        input_major: false,
    }
}

fn assert_close(ours: &[f32], expected: &[f32]) {
    /// Means of up to six values of order 100, in f32.
    const TOLERANCE: f32 = 1e-4;
    let close = ours.iter().zip(expected).all(|(a, b)| (a - b).abs() < TOLERANCE);
    assert!(close && ours.len() == expected.len(), "{ours:?}, not {expected:?}");
}
