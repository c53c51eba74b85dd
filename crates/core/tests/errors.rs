//! A call that does not fit is an error that names the operation, never a panic.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

use offshoot_core::{
    AttentionDropout, Device, Error, Heads, Mask, Params, Result, Span, Tape, Tensor, concat_rows,
    cross_entropy, weighted_cross_entropy,
};

/// Tensors of the shapes that the cases need, on one device.
fn zeros(shape: &[usize]) -> Tensor {
    Tensor::zeros(&Device::cpu(), shape)
}

/// Attention of 3 queries over 3 keys with one head of size 2, with one thing wrong.
fn attention(heads: Heads, spans: &[Span], dropout: Option<AttentionDropout>) -> Result<Tensor> {
    let x = zeros(&[3, 2]);
    x.attention(&x, &x, heads, spans, Mask::Full, dropout)
}

const HEADS: Heads = Heads { query: 1, key_value: 1, dim: 2, scale: 1.0 };

fn whole() -> Span {
    Span { queries: 0..3, keys: 0..3 }
}

/// Calls that do not fit, each with the name that its error must begin with.
fn misfits() -> Vec<(&'static str, Result<Tensor>)> {
    let x = zeros(&[3, 2]);
    let wide = zeros(&[3, 5]);
    let row = zeros(&[3]);
    let keys = |row_keys: Vec<u64>, p| Some(AttentionDropout { p, row_keys });
    let grouped = Heads { query: 2, dim: 1, key_value: 3, ..HEADS };
    let overlapping = [whole(), Span { queries: 0..0, keys: 1..2 }];
    vec![
        ("tensor", Tensor::new(&Device::cpu(), &[2, 2], &[0.0; 3])),
        ("reshape", x.reshape(&[4])),
        ("linear", x.linear(&wide)),
        ("matmul", x.matmul(&wide)),
        ("add", x.add(&wide)),
        ("add", x.add(&zeros(&[2, 3]))),
        ("sub", x.sub(&wide)),
        ("mul", x.mul(&wide)),
        ("add_row", x.add_row(&row)),
        ("mul_row", x.mul_row(&row)),
        ("layer_norm", x.layer_norm(&row, &zeros(&[2]), 1e-5)),
        ("layer_norm", x.layer_norm(&zeros(&[2]), &row, 1e-5)),
        ("rms_norm", x.rms_norm(&row, 1e-5)),
        ("gather_rows", x.gather_rows(&[0, 3])),
        ("row_range", x.row_range(2..4)),
        ("columns", x.columns(1..3)),
        ("segment_mean", x.segment_mean(&[0..1, 2..4])),
        ("concat_rows", concat_rows(&[&x, &wide])),
        ("concat_rows", concat_rows(&[])),
        ("dropout", x.dropout(0.1, vec![1, 2])),
        ("dropout", x.dropout(1.5, vec![1, 2, 3])),
        ("dropout", x.dropout(f32::NAN, vec![1, 2, 3])),
        ("cross_entropy", cross_entropy(&x, &[0, 1], 0.0)),
        ("cross_entropy", cross_entropy(&x, &[0, 1, 2], 0.0)),
        ("cross_entropy", weighted_cross_entropy(&x, (&[0, 1, 1], &[1.0]), 0.0)),
        ("attention", attention(Heads { dim: 3, ..HEADS }, &[whole()], None)),
        ("attention", attention(grouped, &[whole()], None)),
        ("attention", attention(Heads { key_value: 0, ..HEADS }, &[whole()], None)),
        ("attention", attention(Heads { query: 0, dim: 0, ..HEADS }, &[whole()], None)),
        ("attention", x.attention(&wide, &wide, HEADS, &[whole()], Mask::Full, None)),
        ("attention", x.attention(&x, &zeros(&[4, 2]), HEADS, &[whole()], Mask::Full, None)),
        ("attention", attention(HEADS, &[Span { keys: 0..4, ..whole() }], None)),
        ("attention", attention(HEADS, &[Span { queries: 0..4, ..whole() }], None)),
        ("attention", attention(HEADS, &overlapping, None)),
        ("attention", attention(HEADS, &[whole()], keys(vec![1, 2], 0.1))),
        ("attention", attention(HEADS, &[whole()], keys(vec![1, 2, 3], -0.1))),
    ]
}

#[test]
fn an_error_names_its_operation() {
    for (index, (op, result)) in misfits().into_iter().enumerate() {
        let message = result.err().unwrap_or_else(|| panic!("call {index}, {op}, went well")).to_string();
        assert!(message.starts_with(&format!("{op}: ")), "call {index}, {op}: {message}");
    }
}

#[test]
fn a_backwards_range_is_an_error() {
    let x = zeros(&[3, 2]);
    #[expect(clippy::reversed_empty_ranges, reason = "that is the point")]
    let results = [
        x.row_range(2..1),
        x.columns(2..1),
        x.segment_mean(&[0..1, 2..1]),
        attention(HEADS, &[Span { queries: 2..1, keys: 0..0 }], None),
    ];
    assert!(results.iter().all(Result::is_err));
}

#[test]
fn shapes_that_differ_by_axes_of_one_fit() {
    let column = zeros(&[3, 1]);
    assert_eq!(zeros(&[3]).add(&column).unwrap().shape(), [3]);
    assert_eq!(column.mul(&zeros(&[1, 3])).unwrap().shape(), [3, 1]);
    assert_eq!(zeros(&[2, 3]).add_row(&column).unwrap().shape(), [2, 3]);
}

#[test]
fn a_loss_is_one_tracked_value() {
    let tape = Tape::new();
    let shapes = tape.backward(&zeros(&[2]), 1.0).unwrap_err();
    assert_eq!(shapes.to_string(), "backward: the shapes [2] and [1] do not fit together");
    assert!(matches!(tape.backward(&zeros(&[1]), 1.0), Err(Error::Untracked)));
}

#[test]
fn parameters_say_what_does_not_fit() {
    let mut params = Params::new();
    let id = params.insert("w", zeros(&[2, 2])).unwrap();
    assert_eq!(params.insert("w", zeros(&[1])).unwrap_err().to_string(), "two parameters are named `w`");
    let message = params.get_mut(id).set(&[0.0; 3]).unwrap_err().to_string();
    assert_eq!(message, "set: the shapes [2, 2] and [3] do not fit together");
    let message = params.restore(&[]).unwrap_err().to_string();
    assert_eq!(message, "restore: the shapes [4] and [] do not fit together");
}
