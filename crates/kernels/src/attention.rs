//! Scaled dot-product attention over packed sequences, forward and backward: one kernel for encoders, causal and windowed
//! decoders, grouped heads, prefix keys and adaption prompts.

use crate::dropout::{Keep, row_key};
use std::ops::Range;

/// How a row of queries, keys or values divides into heads.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Heads {
    /// Number of query heads; a multiple of `key_value`.
    pub query: usize,
    /// Number of key and value heads; query head h reads key head `h key_value / query`.
    pub key_value: usize,
    /// Columns of one head.
    pub dim: usize,
    /// Factor on the products of queries and keys, usually `1 / sqrt(dim)`.
    pub scale: f32,
}

/// A sequence: its query rows see its key rows and no others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// Rows of `q` and `out`. Spans never share one.
    pub queries: Range<usize>,
    /// Rows of `k` and `v`. Spans never share one.
    pub keys: Range<usize>,
}

/// Which keys of its span a query sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mask {
    /// All of them.
    Full,
    /// The last query is aligned with the last key: query i of nq sees keys `j <= i + nk - nq`.
    Causal {
        /// With a window w, a query sees only the last w of those: also `j > i + nk - nq - w`.
        window: Option<usize>,
    },
}

/// Dropout of attention probabilities.
#[derive(Clone, Copy, Debug)]
pub struct Dropout<'a> {
    /// Probability of dropping one, in [0, 1].
    pub p: f32,
    /// [nq]: one key per query row; combined with the head, and with the key's place in its span as the column.
    pub row_keys: &'a [u64],
}

/// Everything about an attention but its tensors.
#[derive(Clone, Copy, Debug)]
pub struct Attention<'a> {
    /// Numbers of heads and their size.
    pub heads: Heads,
    /// The sequences.
    pub spans: &'a [Span],
    /// Which keys a query sees.
    pub mask: Mask,
    /// None in evaluation.
    pub dropout: Option<Dropout<'a>>,
}

/// The gradients that [`backward`] is to compute.
#[derive(Debug, Default)]
pub struct Grads<'a> {
    /// [nq, query * dim].
    pub dq: Option<&'a mut [f32]>,
    /// [nk, key_value * dim].
    pub dk: Option<&'a mut [f32]>,
    /// [nk, key_value * dim].
    pub dv: Option<&'a mut [f32]>,
}

impl Mask {
    /// The keys that query `i` of `nq` sees among `nk`.
    fn visible(self, i: usize, nq: usize, nk: usize) -> Range<usize> {
        match self {
            Mask::Full => 0..nk,
            Mask::Causal { window } => {
                let end = (i + nk + 1).saturating_sub(nq).min(nk);
                window.map_or(0, |w| end.saturating_sub(w))..end
            }
        }
    }
}

/// `out = dropout(softmax(scale q k^T)) v` per span and head.
///
/// `out` and `q` [nq, query * dim]; `k` and `v` [nk, key_value * dim]; `log_sum` [nq, query] receives the logarithm of the sum of
/// the exponentials of each query's scores, which [`backward`] needs. A query that sees no key, and a row of no span, gives zeros.
pub fn forward(out: &mut [f32], log_sum: &mut [f32], q: &[f32], k: &[f32], v: &[f32], a: &Attention<'_>) {
    let Heads { query, key_value, dim, scale } = a.heads;
    out.fill(0.0);
    log_sum.fill(0.0);
    for_each_query(a, |row, head, keys, first| {
        let kv = head * key_value / query;
        let q = &q[(row * query + head) * dim..][..dim];
        let scores: Vec<f32> =
            keys.clone().map(|j| scale * dot(q, &k[(j * key_value + kv) * dim..][..dim])).collect();
        let peak = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let total: f32 = scores.iter().map(|s| (s - peak).exp()).sum();
        let sum = peak + total.ln();
        log_sum[row * query + head] = sum;
        for (j, s) in keys.zip(scores) {
            let p = (s - sum).exp() * factor(a, row, head, j - first);
            let out = &mut out[(row * query + head) * dim..][..dim];
            out.iter_mut().zip(&v[(j * key_value + kv) * dim..][..dim]).for_each(|(o, v)| *o += p * v);
        }
    });
}

fn factor(a: &Attention<'_>, row: usize, head: usize, column: usize) -> f32 {
    a.dropout.map_or(1.0, |d| Keep::new(d.p).factor(row_key(d.row_keys[row], &[head as u64]), column as u32))
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn for_each_query(a: &Attention<'_>, mut f: impl FnMut(usize, usize, Range<usize>, usize)) {
    for span in a.spans {
        for i in 0..span.queries.len() {
            let keys = a.mask.visible(i, span.queries.len(), span.keys.len());
            for head in 0..a.heads.query {
                if !keys.is_empty() {
                    let rows = span.keys.start + keys.start..span.keys.start + keys.end;
                    f(span.queries.start + i, head, rows, span.keys.start);
                }
            }
        }
    }
}

/// Gradients of [`forward`], each only if asked for, from its inputs, its output and `log_sum`; `dout` [nq, query * dim]. Rows
/// that no span covers get zeros.
#[expect(clippy::too_many_arguments, reason = "the gradients, and what the forward took and gave")]
pub fn backward(
    grads: Grads<'_>,
    dout: &[f32],
    out: &[f32],
    q: &[f32],
    k: &[f32],
    v: &[f32],
    log_sum: &[f32],
    a: &Attention<'_>,
) {
    let Heads { query, key_value, dim, scale } = a.heads;
    let Grads { mut dq, mut dk, mut dv } = grads;
    for grad in [&mut dq, &mut dk, &mut dv].into_iter().flatten() {
        grad.fill(0.0);
    }
    for_each_query(a, |row, head, keys, first| {
        let kv = head * key_value / query;
        let at = (row * query + head) * dim..(row * query + head + 1) * dim;
        let (q, dout) = (&q[at.clone()], &dout[at.clone()]);
        let delta = dot(dout, &out[at.clone()]);
        for j in keys {
            let kat = (j * key_value + kv) * dim..(j * key_value + kv + 1) * dim;
            let p = (scale * dot(q, &k[kat.clone()]) - log_sum[row * query + head]).exp();
            let f = factor(a, row, head, j - first);
            let ds = scale * p * (f * dot(dout, &v[kat.clone()]) - delta);
            if let Some(dv) = &mut dv {
                dv[kat.clone()].iter_mut().zip(dout).for_each(|(g, d)| *g += p * f * d);
            }
            if let Some(dq) = &mut dq {
                dq[at.clone()].iter_mut().zip(&k[kat.clone()]).for_each(|(g, k)| *g += ds * k);
            }
            if let Some(dk) = &mut dk {
                dk[kat].iter_mut().zip(q).for_each(|(g, q)| *g += ds * q);
            }
        }
    });
}
