//! What happens to a row of scores between the products. Rows are [`PAD`]ded, so that they divide into whole
//! vectors.

use super::Dropout;
use super::pack::PAD;
use crate::dropout::{Keep, row_key};
use crate::math::exp;
use std::ops::Range;

/// `scores` become their softmax over the `visible` columns, 0 in the others. Returns the logarithm of the
/// sum of their exponentials; 0 where nothing is visible.
#[inline(always)]
pub(super) fn softmax(scores: &mut [f32], visible: Range<usize>) -> f32 {
    if visible.is_empty() {
        scores.fill(0.0);
        return 0.0;
    }
    fill_outside(scores, visible, f32::NEG_INFINITY);
    let blocks = scores.as_chunks_mut::<PAD>().0;
    let peak = peak(blocks);
    let total = exponentials(blocks, peak);
    let r = 1.0 / total;
    scores.iter_mut().for_each(|p| *p *= r);
    peak + total.ln()
}

/// The largest element.
#[inline(always)]
fn peak(blocks: &[[f32; PAD]]) -> f32 {
    let mut peaks = [f32::NEG_INFINITY; PAD];
    for block in blocks {
        peaks.iter_mut().zip(block).for_each(|(p, &x)| *p = larger(*p, x));
    }
    fold(peaks, larger)
}

#[inline(always)]
fn larger(a: f32, b: f32) -> f32 {
    if b > a { b } else { a }
}

/// `x = exp(x - peak)` for every element; returns their sum.
#[inline(always)]
fn exponentials(blocks: &mut [[f32; PAD]], peak: f32) -> f32 {
    let mut sums = [0.0; PAD];
    for block in blocks {
        for (x, sum) in block.iter_mut().zip(&mut sums) {
            *x = exp(*x - peak);
            *sum += *x;
        }
    }
    fold(sums, std::ops::Add::add)
}

/// `sum_j a[j] b[j]` of two short rows: one head's columns.
#[inline(always)]
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<PAD>(), b.as_chunks::<PAD>());
    let mut sums = [0.0; PAD];
    for (a, b) in a.iter().zip(b) {
        sums.iter_mut().zip(a.iter().zip(b)).for_each(|(s, (a, b))| *s = a.mul_add(*b, *s));
    }
    sums.iter_mut().zip(a_rest.iter().zip(b_rest)).for_each(|(s, (a, b))| *s = a.mul_add(*b, *s));
    fold(sums, std::ops::Add::add)
}

/// All lanes to one: half onto half.
#[inline(always)]
fn fold(mut lanes: [f32; PAD], f: impl Fn(f32, f32) -> f32) -> f32 {
    let mut half = PAD / 2;
    while half > 0 {
        for i in 0..half {
            lanes[i] = f(lanes[i], lanes[i + half]);
        }
        half /= 2;
    }
    lanes[0]
}

/// Sets every column that is not `inside`.
#[inline(always)]
pub(super) fn fill_outside(row: &mut [f32], inside: Range<usize>, value: f32) {
    row[..inside.start].fill(value);
    row[inside.end..].fill(value);
}

/// The dropout of one row of probabilities.
#[derive(Clone, Copy)]
pub(super) struct RowDropout {
    keep: Keep,
    key: u64,
    /// The row's first column in its span.
    first: u32,
}

impl RowDropout {
    /// For query row `row` (of all) and `head`, on scores that begin with key `first` of the span.
    pub(super) fn new(dropout: Dropout<'_>, row: usize, head: usize, first: usize) -> Self {
        let key = row_key(dropout.row_keys[row], &[head as u64]);
        Self { keep: Keep::new(dropout.p), key, first: first as u32 }
    }

    /// `row[j]` times 1 / (1 - p) or 0.
    #[inline(always)]
    pub(super) fn apply(self, row: &mut [f32]) {
        for (j, x) in (self.first..).zip(row) {
            *x *= self.keep.factor(self.key, j);
        }
    }
}

/// The backward of one row. `scores` become the probabilities after dropout and `dprobs` (gradients of those)
/// the gradients of the scores times `scale`: with p = exp(score - log_sum) and the dropout factor f, `p f`
/// and `scale p (f dprob - delta)`.
#[inline(always)]
pub(super) fn gradients(
    scores: &mut [f32],
    dprobs: &mut [f32],
    visible: Range<usize>,
    (log_sum, delta, scale): (f32, f32, f32),
    dropout: Option<RowDropout>,
) {
    scores.iter_mut().for_each(|s| *s = exp(*s - log_sum));
    fill_outside(scores, visible, 0.0);
    match dropout {
        None => scores.iter().zip(dprobs).for_each(|(p, d)| *d = scale * p * (*d - delta)),
        Some(RowDropout { keep, key, first }) => {
            for (j, (p, d)) in (first..).zip(scores.iter_mut().zip(dprobs)) {
                let f = keep.factor(key, j);
                *d = scale * *p * (f * *d - delta);
                *p *= f;
            }
        }
    }
}
