//! Every operation's backward against central differences of its forward.
//!
//! A new operation is one line in [`cases`]; [`every_operation_has_a_case`] fails without it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

use offshoot_core::{
    Activation, AttentionDropout, Device, Format, Heads, Mask, OutputHead, Params, Quantized, Result, Rng,
    Rotation, Span, Step, Tape, Tensor, concat_rows, cross_entropy, linear_cross_entropy,
    weighted_cross_entropy,
};
use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// The step of a difference. The inputs are of order 1, so the quotient's error is `h² f''' / 6`, below 1e-4
/// here, plus a rounding of about 1e-7 in each output over `2 h`, which is 1e-5.
const STEP: f32 = 1e-2;

/// Four times the largest deviation of any case (5e-5, relative to gradients of order 1), which is what the
/// step explains.
const TOLERANCE: f64 = 2e-4;

/// One operation on inputs of given shapes.
struct Case {
    op: &'static str,
    shapes: &'static [&'static [usize]],
    run: fn(&[Tensor]) -> Result<Tensor>,
}

const fn case(
    op: &'static str,
    shapes: &'static [&'static [usize]],
    run: fn(&[Tensor]) -> Result<Tensor>,
) -> Case {
    Case { op, shapes, run }
}

fn weighted(x: &[Tensor]) -> Result<Tensor> {
    weighted_cross_entropy(&x[0], (&[4, 0, 2], &[0.5, 1.0, 3.0, 0.1, 2.0]), 0.2)
}

/// Products with a weight.
fn projections() -> Vec<Case> {
    vec![
        case("linear", &[&[3, 4], &[5, 4]], |x| x[0].linear(&x[1])),
        case("linear", &[&[2, 3, 4], &[5, 4]], |x| x[0].linear(&x[1])),
        case("linear_quantized", &[&[3, 32]], |x| x[0].linear_quantized(&blocks(5))),
        case("linear_quantized", &[&[7, 32]], |x| x[0].linear_quantized(&blocks(3))),
        case("affine", &[&[3, 4], &[5, 4], &[5]], |x| x[0].affine(OutputHead::Dense(&x[1]), Some(&x[2]))),
        case("affine", &[&[3, 32], &[5]], |x| x[0].affine(OutputHead::Quantized(&blocks(5)), Some(&x[1]))),
        case("add_linear", &[&[3, 5], &[3, 4], &[5, 4]], |x| x[0].clone().add_linear(&x[1], &x[2])),
    ]
}

/// Every operation, by its method's name; operations with settings more than once.
fn cases() -> Vec<Case> {
    use Activation::{Gelu, GeluTanh, Relu, Sigmoid, Silu, Tanh};
    let mut cases = projections();
    cases.extend([
        case("matmul", &[&[3, 4], &[4, 5]], |x| x[0].matmul(&x[1])),
        case("add", &[&[3, 4], &[3, 4]], |x| x[0].add(&x[1])),
        case("sub", &[&[3, 4], &[3, 4]], |x| x[0].sub(&x[1])),
        case("mul", &[&[3, 4], &[3, 4]], |x| x[0].mul(&x[1])),
        case("scale", &[&[3, 4]], |x| Ok(x[0].scale(-1.7))),
        case("add_scalar", &[&[3, 4]], |x| Ok(x[0].add_scalar(0.6))),
        case("add_row", &[&[3, 4], &[4]], |x| x[0].add_row(&x[1])),
        case("mul_row", &[&[3, 4], &[4]], |x| x[0].mul_row(&x[1])),
        case("recip", &[&[3, 4]], |x| Ok(positive(&x[0])?.recip())),
        case("sqrt", &[&[3, 4]], |x| Ok(positive(&x[0])?.sqrt())),
        case("sum_rows", &[&[3, 4]], |x| Ok(x[0].sum_rows())),
        case("sum", &[&[3, 4]], |x| Ok(x[0].sum())),
        case("activation", &[&[3, 4]], |x| Ok(x[0].activation(Relu))),
        case("activation", &[&[3, 4]], |x| Ok(x[0].activation(Gelu))),
        case("activation", &[&[3, 4]], |x| Ok(x[0].activation(GeluTanh))),
        case("activation", &[&[3, 4]], |x| Ok(x[0].activation(Silu))),
        case("activation", &[&[3, 4]], |x| Ok(x[0].activation(Tanh))),
        case("activation", &[&[3, 4]], |x| Ok(x[0].activation(Sigmoid))),
        case("gated", &[&[3, 4], &[3, 4]], |x| x[0].gated(&x[1], Silu)),
        case("gated", &[&[3, 4], &[3, 4]], |x| x[0].gated(&x[1], GeluTanh)),
        case("relu", &[&[3, 4]], |x| Ok(x[0].relu())),
        case("tanh", &[&[3, 4]], |x| Ok(x[0].tanh())),
        case("sigmoid", &[&[3, 4]], |x| Ok(x[0].sigmoid())),
        case("softmax", &[&[3, 5]], |x| Ok(x[0].softmax())),
        case("layer_norm", &[&[3, 5], &[5], &[5]], |x| x[0].layer_norm(&x[1], &x[2], 1e-5)),
        case("rms_norm", &[&[3, 5], &[5]], |x| x[0].rms_norm(&x[1], 1e-5)),
        case("gather_rows", &[&[4, 3]], |x| x[0].gather_rows(&[2, 0, 2, 3, 2])),
        case("row_range", &[&[5, 3]], |x| x[0].row_range(1..4)),
        case("columns", &[&[3, 5]], |x| x[0].columns(1..3)),
        case("segment_mean", &[&[6, 3]], |x| x[0].segment_mean(&[0..2, 2..2, 3..6])),
        case("concat_rows", &[&[2, 3], &[1, 3], &[3, 3]], |x| concat_rows(&[&x[0], &x[1], &x[2]])),
        case("reshape", &[&[3, 4]], |x| x[0].reshape(&[2, 6])),
        case("dropout", &[&[4, 5]], |x| x[0].dropout(0.4, vec![3, 1, 4, 5])),
        case("attention", &[&[5, 4], &[5, 4], &[5, 4]], |x| attention(x, 2, &FULL, Mask::Full)),
        case("attention", &[&[5, 4], &[5, 4], &[5, 4]], |x| attention(x, 2, &FULL, CAUSAL)),
        case("attention", &[&[5, 4], &[5, 4], &[5, 4]], |x| attention(x, 2, &FULL, WINDOW)),
        case("attention", &[&[5, 8], &[5, 4], &[5, 4]], |x| attention(x, 4, &FULL, CAUSAL)),
        case("attention", &[&[3, 4], &[5, 4], &[5, 4]], |x| attention(x, 2, &PREFIX, Mask::Full)),
        case("attention", &[&[3, 4], &[5, 4], &[5, 4]], |x| attention(x, 2, &PREFIX, CAUSAL)),
        case("attention", &[&[6, 4], &[8, 4], &[8, 4]], |x| attention(x, 2, &RAGGED, CAUSAL)),
        case("attention", &[&[6, 8], &[8, 4], &[8, 4]], |x| attention(x, 4, &RAGGED, Mask::Full)),
        case("attention", &[&[6, 8], &[8, 4], &[8, 4]], attention_with_dropout),
        case("cross_entropy", &[&[3, 5]], |x| cross_entropy(&x[0], &[4, 0, 2], 0.0)),
        case("cross_entropy", &[&[3, 5]], |x| cross_entropy(&x[0], &[4, 0, 2], 0.2)),
        case("weighted_cross_entropy", &[&[3, 5]], weighted),
        case("linear_cross_entropy", &[&[3, 4], &[5, 4]], |x| {
            Ok(linear_cross_entropy(&x[0], OutputHead::Dense(&x[1]), &[4, 0, 2])?.1)
        }),
        case("linear_cross_entropy", &[&[3, 32]], |x| {
            Ok(linear_cross_entropy(&x[0], OutputHead::Quantized(&blocks(6)), &[5, 0, 2])?.1)
        }),
        case("rotate", &[&[3, 8]], |x| x[0].rotate(&Arc::new(Rotation::new(&[0, 3, 7], &[1.0, 0.3], 1.0)))),
    ]);
    cases
}

/// Graphs rather than operations: a gradient that arrives from several places is the sum.
fn graphs() -> Vec<Case> {
    vec![
        case("one tensor on both sides of add", &[&[3, 4]], |x| x[0].add(&x[0])),
        case("one tensor on both sides of mul", &[&[3, 4]], |x| x[0].mul(&x[0])),
        case("one tensor on both sides of matmul", &[&[3, 3]], |x| x[0].matmul(&x[0])),
        case("one tensor joined to itself", &[&[3, 4]], |x| concat_rows(&[&x[0], &x[0]])),
        case("one tensor as query, key and value", &[&[5, 4]], |x| {
            attention(&[x[0].clone(), x[0].clone(), x[0].clone()], 2, &FULL, CAUSAL)
        }),
        case("two outputs of one tensor", &[&[3, 4]], |x| {
            let middle = x[0].tanh();
            middle.scale(2.0).add(&middle.sigmoid())
        }),
        case("a tensor and its own reshape", &[&[3, 4]], |x| x[0].mul(&x[0].tanh().reshape(&[3, 4, 1])?)),
        case("an output that the loss does not use", &[&[3, 4]], |x| {
            let _unused = x[0].softmax();
            Ok(x[0].tanh())
        }),
    ]
}

/// One span: its query rows and its key rows.
type Rows = (Range<usize>, Range<usize>);

const FULL: [Rows; 1] = [(0..5, 0..5)];
/// Two keys before those of the queries themselves.
const PREFIX: [Rows; 1] = [(0..3, 0..5)];
/// Three sequences, the middle one with two prefix keys.
const RAGGED: [Rows; 3] = [(0..2, 0..2), (2..3, 2..5), (3..6, 5..8)];
const CAUSAL: Mask = Mask::Causal { window: None };
const WINDOW: Mask = Mask::Causal { window: Some(2) };

/// A Q8_0 matrix `[rows, 32]` of uneven values below 1.
fn blocks(rows: usize) -> Quantized {
    // A scale of 1/128, the half 0x2000, and signed bytes.
    let block = |row: usize| (0..32).map(move |i| (37 * i + 101 * row + 11) as u8);
    let bytes: Vec<u8> = (0..rows).flat_map(|row| [0x00, 0x20].into_iter().chain(block(row))).collect();
    let all = 0..bytes.len();
    Quantized::new(&Device::cpu(), Format::Q8_0, [rows, 32], Arc::new(bytes), all).unwrap()
}

/// Attention of `x` = q `[nq, h 2]`, k and v `[nk, 2 2]`.
fn attention(x: &[Tensor], query: usize, rows: &[Rows], mask: Mask) -> Result<Tensor> {
    x[0].attention(&x[1], &x[2], heads(query), &spans(rows), mask, None)
}

fn attention_with_dropout(x: &[Tensor]) -> Result<Tensor> {
    let dropout = AttentionDropout { p: 0.3, row_keys: (10..16).collect() };
    x[0].attention(&x[1], &x[2], heads(4), &spans(&RAGGED), CAUSAL, Some(dropout))
}

fn heads(query: usize) -> Heads {
    Heads { query, key_value: 2, dim: 2, scale: 0.7 }
}

fn spans(rows: &[Rows]) -> Vec<Span> {
    rows.iter().map(|(queries, keys)| Span { queries: queries.clone(), keys: keys.clone() }).collect()
}

/// Inputs lie in (-1.4, 1.4); this moves them to where 1/x and sqrt(x) are smooth.
fn positive(x: &Tensor) -> Result<Tensor> {
    Ok(x.add_scalar(2.5))
}

#[test]
fn every_backward_matches_central_differences() {
    let mut wrong = Vec::new();
    for case in cases().iter().chain(&graphs()) {
        wrong.extend(case.deviations());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn only_tracked_inputs_get_a_gradient_and_it_does_not_depend_on_the_others() {
    for case in cases() {
        let device = dirty_device();
        let params = case.params(&device);
        let (_, together) = case.gradients(&params, |_| true);
        for alone in 0..case.shapes.len() {
            let (_, gradients) = case.gradients(&params, |input| input == alone);
            for (input, gradient) in gradients.iter().enumerate() {
                let expected = if input == alone { &together[input] } else { &None };
                assert_eq!(gradient, expected, "{}: input {input} when only {alone} is tracked", case.op);
            }
        }
    }
}

#[test]
fn tracking_changes_no_value() {
    for case in cases() {
        let params = case.params(&dirty_device());
        let (tracked, _) = case.gradients(&params, |_| true);
        let untracked = case.output(&params.iter().map(|p| p.value().clone()).collect::<Vec<_>>());
        assert!(!untracked.is_tracked(), "{}", case.op);
        assert_eq!(tracked, untracked.to_vec(), "{}", case.op);
    }
}

#[test]
fn every_operation_has_a_case() {
    let tested: BTreeSet<String> = cases().iter().map(|case| case.op.to_owned()).collect();
    let missing: Vec<_> = operations().difference(&tested).cloned().collect();
    assert!(missing.is_empty(), "add a line to `cases` for {missing:?}");
}

#[test]
fn the_fused_loss_is_the_loss_of_the_logits() {
    let (device, mut rng) = (Device::cpu(), Rng::new(5));
    let (x, head) = (rng.normal_tensor(&device, &[7, 6], 1.0), rng.normal_tensor(&device, &[11, 6], 1.0));
    let labels = [0, 10, 3, 3, 7, 1, 5];
    let (losses, total) = linear_cross_entropy(&x, OutputHead::Dense(&head), &labels).unwrap();
    let plain = cross_entropy(&x.linear(&head).unwrap(), &labels, 0.0).unwrap();
    // A few roundings of losses of order 10.
    assert!((total.value() - plain.value()).abs() < 1e-4);
    assert!((losses.iter().sum::<f32>() - plain.value()).abs() < 1e-4);
    assert!(linear_cross_entropy(&x, OutputHead::Dense(&head), &[11; 7]).is_err(), "no such token");
    assert!(linear_cross_entropy(&x, OutputHead::Dense(&head), &labels[..3]).is_err(), "too few labels");
}

#[test]
fn no_rows_are_fine() {
    let empty = Tensor::zeros(&Device::cpu(), &[0, 4]);
    let heads = Heads { query: 2, key_value: 2, dim: 2, scale: 1.0 };
    let weight = Tensor::zeros(empty.device(), &[3, 4]);
    let row = Tensor::zeros(empty.device(), &[4]);
    let outputs = [
        empty.linear(&weight),
        empty.add(&empty),
        empty.mul(&empty),
        empty.add_row(&row),
        empty.mul_row(&row),
        Ok(empty.activation(Activation::Gelu)),
        Ok(empty.softmax()),
        empty.layer_norm(&row, &row, 1e-5),
        empty.rms_norm(&row, 1e-5),
        empty.gather_rows(&[]),
        empty.row_range(0..0),
        empty.columns(0..2),
        empty.segment_mean(&[]),
        empty.dropout(0.1, Vec::new()),
        concat_rows(&[&empty, &empty]),
        empty.attention(&empty, &empty, heads, &[], Mask::Full, None),
    ];
    for output in outputs {
        assert_eq!(output.unwrap().rows(), 0);
    }
    assert_eq!(cross_entropy(&empty, &[], 0.0).unwrap().value(), 0.0);
}

impl Case {
    /// One parameter per input, of uneven values at least 0.2 from zero, where ReLU has its kink.
    fn params(&self, device: &Device) -> Params {
        let mut rng = Rng::new(11);
        let mut value = || {
            let size = 0.2 + 1.2 * rng.uniform() as f32;
            if rng.below(2) == 0 { size } else { -size }
        };
        let mut params = Params::new();
        for (index, shape) in self.shapes.iter().enumerate() {
            let values: Vec<f32> = (0..shape.iter().product()).map(|_| value()).collect();
            params.insert(format!("input{index}"), Tensor::new(device, shape, &values).unwrap()).unwrap();
        }
        params
    }

    fn output(&self, inputs: &[Tensor]) -> Tensor {
        (self.run)(inputs).unwrap_or_else(|error| panic!("{}: {error}", self.op))
    }

    /// The output and each input's gradient, through the tape, when only some inputs are tracked.
    fn gradients(
        &self,
        params: &Params,
        tracked: impl Fn(usize) -> bool,
    ) -> (Vec<f32>, Vec<Option<Vec<f32>>>) {
        let tape = Tape::new();
        let (training, frozen) = (Step::tracked(params, &tape), Step::detached(params));
        let input = |(index, name): (usize, &str)| {
            let id = params.find(name).unwrap();
            if tracked(index) { training.param(id) } else { frozen.param(id) }
        };
        let inputs: Vec<Tensor> = params.iter().map(|p| p.name()).enumerate().map(input).collect();
        let output = self.output(&inputs);
        let weights = Tensor::new(output.device(), output.shape(), &weights(output.len())).unwrap();
        tape.backward(&output.mul(&weights).unwrap().sum(), 1.0).unwrap();
        let gradients = params.iter().map(|p| p.gradient()).collect();
        params.clear_gradients();
        (output.to_vec(), gradients)
    }

    /// Central differences of the loss in every value of one input.
    fn differences(&self, params: &Params, input: usize) -> Vec<f64> {
        let mut inputs: Vec<Tensor> = params.iter().map(|p| p.value().clone()).collect();
        let values = inputs[input].to_vec();
        let mut loss = |index: usize, step: f32| {
            let mut moved = values.clone();
            moved[index] += step;
            inputs[input] = Tensor::new(inputs[input].device(), self.shapes[input], &moved).unwrap();
            let output = self.output(&inputs).to_vec();
            let terms = output.iter().zip(weights(output.len()));
            terms.map(|(y, w)| f64::from(*y) * f64::from(w)).sum::<f64>()
        };
        // The step that was taken, after rounding, not the one that was meant.
        let taken = |value: f32| f64::from(value + STEP) - f64::from(value - STEP);
        (0..values.len()).map(|i| (loss(i, STEP) - loss(i, -STEP)) / taken(values[i])).collect()
    }

    /// What deviates, in words.
    fn deviations(&self) -> Vec<String> {
        let params = self.params(&dirty_device());
        let (_, gradients) = self.gradients(&params, |_| true);
        let mut wrong = Vec::new();
        for (input, gradient) in gradients.iter().enumerate() {
            let Some(gradient) = gradient else {
                wrong.push(format!("{}: input {input} got no gradient", self.op));
                continue;
            };
            for (at, (&ours, theirs)) in gradient.iter().zip(self.differences(&params, input)).enumerate() {
                // Written so that NaN deviates too.
                let fits = (f64::from(ours) - theirs).abs() <= TOLERANCE * (1.0 + theirs.abs());
                if !fits {
                    wrong.push(format!("{}: input {input} at {at}: {ours}, not {theirs}", self.op));
                }
            }
        }
        wrong
    }
}

/// Uneven weights of the outputs, so that no two gradients cancel.
fn weights(len: usize) -> Vec<f32> {
    (0..len).map(|i| 0.3 + 0.7 * (1.3 * i as f32 + 0.5).sin()).collect()
}

/// A device whose pool hands out NaN, so that a backward that leaves a part of its buffer as it was is seen.
fn dirty_device() -> Device {
    let device = Device::cpu();
    let _freed = [[64]; 48].map(|shape| Tensor::full(&device, &shape, f32::NAN));
    device
}

/// The public functions of `src/ops`: an operation added there without a case is seen.
fn operations() -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/ops");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let text: String = files.map(|path| std::fs::read_to_string(path).unwrap()).collect();
    let name =
        |line: &str| line.trim_start().strip_prefix("pub fn ")?.split(['(', '<']).next().map(str::to_owned);
    let names: BTreeSet<String> = text.lines().filter_map(name).collect();
    assert!(names.contains("linear"), "this test no longer finds the operations");
    names
}
