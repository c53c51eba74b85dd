use super::{Attention, Dropout, Grads, Heads, Mask, Span, backward, forward};
use crate::dropout::Keep;
use crate::dropout::row_key;
use crate::gemm::Arithmetic;
use crate::testing::{assert_close, assert_same_on_threads, differences, noise, weigh, wide};
use std::ops::Range;

/// Relative to 1 + |expected|: sums of some hundred terms of size 1 in f32.
const TOLERANCE: f64 = 2e-5;

fn heads(query: usize, key_value: usize, dim: usize) -> Heads {
    Heads { query, key_value, dim, scale: 1.3 / (dim as f32).sqrt() }
}

/// Spans one after the other, (queries, keys) rows each, with a row left out before each.
fn spans(lengths: &[(usize, usize)]) -> Vec<Span> {
    let (mut query, mut key) = (0, 0);
    let span = |&(nq, nk): &(usize, usize)| {
        let span = Span { queries: query + 1..query + 1 + nq, keys: key + 1..key + 1 + nk };
        (query, key) = (span.queries.end, span.keys.end);
        span
    };
    lengths.iter().map(span).collect()
}

/// Inputs of an attention: the last row of each is outside every span too.
struct Case {
    heads: Heads,
    spans: Vec<Span>,
    mask: Mask,
    arithmetic: Arithmetic,
    /// The rate, and a key per query row.
    dropout: Option<(f32, Vec<u64>)>,
    q: Vec<f32>,
    k: Vec<f32>,
    v: Vec<f32>,
    dout: Vec<f32>,
}

struct Results {
    out: Vec<f32>,
    log_sum: Vec<f32>,
    grads: [Vec<f32>; 3],
}

impl Case {
    fn new(heads: Heads, lengths: &[(usize, usize)], mask: Mask) -> Self {
        let spans = spans(lengths);
        let rows = |end: fn(&Span) -> usize| spans.iter().map(end).max().unwrap_or(0) + 1;
        let (nq, nk) = (rows(|s| s.queries.end), rows(|s| s.keys.end));
        let (query, key) = (nq * heads.query * heads.dim, nk * heads.key_value * heads.dim);
        let [q, k, v, dout] =
            [(1, query), (2, key), (3, key), (4, query)].map(|(seed, len)| noise(seed, len));
        Self { heads, spans, mask, arithmetic: Arithmetic::F32, dropout: None, q, k, v, dout }
    }

    fn query_rows(&self) -> usize {
        self.q.len() / (self.heads.query * self.heads.dim)
    }

    fn with_dropout(mut self, p: f32) -> Self {
        self.dropout = Some((p, (0..self.query_rows() as u64).map(|i| row_key(9, &[i])).collect()));
        self
    }

    fn attention(&self) -> Attention<'_> {
        let dropout = self.dropout.as_ref().map(|(p, row_keys)| Dropout { p: *p, row_keys });
        let Self { heads, spans, mask, arithmetic, .. } = self;
        Attention { heads: *heads, spans, mask: *mask, dropout, arithmetic: *arithmetic }
    }

    fn run(&self) -> Results {
        let (mut out, mut log_sum) = (noise(5, self.q.len()), noise(6, self.query_rows() * self.heads.query));
        forward(&mut out, &mut log_sum, &self.q, &self.k, &self.v, &self.attention());
        let (mut dq, mut dk, mut dv) =
            (noise(7, self.q.len()), noise(8, self.k.len()), noise(9, self.k.len()));
        let grads = Grads { dq: Some(&mut dq), dk: Some(&mut dk), dv: Some(&mut dv) };
        backward(grads, &self.dout, &out, &self.q, &self.k, &self.v, &log_sum, &self.attention());
        Results { out, log_sum, grads: [dq, dk, dv] }
    }

    fn sees(&self, span: &Span, i: usize, j: usize) -> bool {
        let (i, j, nq, nk) = (i as i64, j as i64, span.queries.len() as i64, span.keys.len() as i64);
        match self.mask {
            Mask::Full => true,
            Mask::Causal { window } => j <= i + nk - nq && window.is_none_or(|w| j > i + nk - nq - w as i64),
        }
    }

    fn factor(&self, row: usize, head: usize, column: usize) -> f64 {
        let factor = |(p, keys): &(f32, Vec<u64>)| {
            Keep::new(*p).factor(row_key(keys[row], &[head as u64]), column as u32)
        };
        self.dropout.as_ref().map_or(1.0, |d| f64::from(factor(d)))
    }

    /// The definition, one query and head at a time, in f64.
    fn reference(&self, q: &[f64], k: &[f64], v: &[f64]) -> Vec<f64> {
        let Heads { query, key_value, dim, scale } = self.heads;
        let mut out = vec![0.0; q.len()];
        for span in &self.spans {
            for (i, head) in (0..span.queries.len()).flat_map(|i| (0..query).map(move |h| (i, h))) {
                let row = span.queries.start + i;
                let at = |row: usize, heads: usize, head: usize| -> Range<usize> {
                    (row * heads + head) * dim..(row * heads + head + 1) * dim
                };
                let key = |j: usize| at(span.keys.start + j, key_value, head * key_value / query);
                let here = at(row, query, head);
                let score = |j: usize| f64::from(scale) * dot(&q[here.clone()], &k[key(j)]);
                let seen: Vec<usize> = (0..span.keys.len()).filter(|&j| self.sees(span, i, j)).collect();
                let total: f64 = seen.iter().map(|&j| score(j).exp()).sum();
                for j in seen {
                    let p = score(j).exp() / total * self.factor(row, head, j);
                    out[here.clone()].iter_mut().zip(&v[key(j)]).for_each(|(o, v)| *o += p * v);
                }
            }
        }
        out
    }

    #[track_caller]
    fn check_forward(&self) -> Results {
        let results = self.run();
        let expected = self.reference(&wide(&self.q), &wide(&self.k), &wide(&self.v));
        assert_close(&results.out, &expected, TOLERANCE);
        results
    }

    #[track_caller]
    fn check(&self) {
        let Results { grads: [dq, dk, dv], .. } = self.check_forward();
        let (q, k, v) = (wide(&self.q), wide(&self.k), wide(&self.v));
        let expected = differences(&self.q, |q| weigh(&self.dout, &self.reference(q, &k, &v)));
        assert_close(&dq, &expected, TOLERANCE);
        let expected = differences(&self.k, |k| weigh(&self.dout, &self.reference(&q, k, &v)));
        assert_close(&dk, &expected, TOLERANCE);
        let expected = differences(&self.v, |v| weigh(&self.dout, &self.reference(&q, &k, v)));
        assert_close(&dv, &expected, TOLERANCE);
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

const CAUSAL: Mask = Mask::Causal { window: None };

#[test]
fn spans_of_any_length() {
    Case::new(heads(2, 2, 3), &[(7, 7), (0, 0), (1, 1), (5, 5)], Mask::Full).check();
    Case::new(heads(1, 1, 7), &[(3, 0), (0, 4), (2, 3)], Mask::Full).check();
    Case::new(heads(1, 1, 1), &[(1, 1)], Mask::Full).check();
    Case::new(heads(2, 1, 4), &[], Mask::Full).check();
}

#[test]
fn causal_with_prefix_and_window() {
    Case::new(heads(2, 2, 3), &[(5, 5), (3, 7), (1, 4), (6, 2)], CAUSAL).check();
    for window in [0, 1, 3, 100] {
        Case::new(heads(1, 1, 3), &[(5, 5), (3, 7), (6, 2)], Mask::Causal { window: Some(window) }).check();
    }
}

#[test]
fn grouped_heads() {
    Case::new(heads(6, 2, 3), &[(4, 6), (3, 3)], Mask::Full).check();
    Case::new(heads(4, 1, 2), &[(4, 4)], CAUSAL).check();
}

#[test]
fn dropout_backward_fits_its_forward() {
    Case::new(heads(2, 1, 3), &[(5, 9), (4, 4)], Mask::Full).with_dropout(0.4).check();
    Case::new(heads(2, 2, 3), &[(6, 6)], CAUSAL).with_dropout(0.2).check();
}

#[test]
fn several_tiles_and_blocks() {
    for dim in [31, 32, 33] {
        Case::new(heads(2, 1, dim), &[(130, 130), (17, 33), (49, 97)], Mask::Full).check_forward();
    }
    Case::new(heads(1, 1, 8), &[(97, 130), (130, 97)], CAUSAL).check_forward();
    let window = Mask::Causal { window: Some(33) };
    Case::new(heads(1, 1, 8), &[(130, 200)], window).with_dropout(0.1).check_forward();
}

#[test]
fn gradients_over_several_tiles() {
    Case::new(heads(1, 1, 2), &[(50, 66)], Mask::Causal { window: Some(37) }).with_dropout(0.1).check();
    Case::new(heads(2, 1, 2), &[(51, 35)], CAUSAL).check();
}

#[test]
fn only_what_is_asked_for() {
    let case = Case::new(heads(2, 1, 5), &[(9, 12)], CAUSAL);
    let Results { out, log_sum, grads: [dq, dk, dv] } = case.run();
    let alone = |pick: usize| {
        let mut grad = vec![0.5; if pick == 0 { case.q.len() } else { case.k.len() }];
        let mut wanted = [None, None, None];
        wanted[pick] = Some(&mut grad[..]);
        let [dq, dk, dv] = wanted;
        let grads = Grads { dq, dk, dv };
        backward(grads, &case.dout, &out, &case.q, &case.k, &case.v, &log_sum, &case.attention());
        grad
    };
    assert_eq!(alone(0), dq);
    assert_eq!(alone(1), dk);
    assert_eq!(alone(2), dv);
}

#[test]
fn large_scores_do_not_overflow() {
    let mut case = Case::new(heads(1, 1, 4), &[(5, 5)], Mask::Full);
    case.q.iter_mut().for_each(|q| *q *= 300.0);
    let results = case.check_forward();
    assert!(results.grads.iter().flatten().chain(&results.log_sum).all(|x| x.is_finite()));
}

#[test]
fn a_span_does_not_depend_on_its_neighbours() {
    let both = Case::new(heads(2, 2, 5), &[(40, 40), (33, 35)], CAUSAL).with_dropout(0.3);
    let mut alone = Case::new(heads(2, 2, 5), &[(33, 35)], CAUSAL);
    let (from, to) = (both.spans[1].clone(), alone.spans[0].clone());
    let copy = |to: &mut [f32], to_row: usize, from: &[f32], rows: Range<usize>| {
        to[to_row * 10..(to_row + rows.len()) * 10].copy_from_slice(&from[rows.start * 10..rows.end * 10]);
    };
    copy(&mut alone.q, to.queries.start, &both.q, from.queries.clone());
    copy(&mut alone.k, to.keys.start, &both.k, from.keys.clone());
    copy(&mut alone.v, to.keys.start, &both.v, from.keys.clone());
    let keys = &both.dropout.as_ref().unwrap().1;
    let mut own = vec![0; alone.query_rows()];
    own[to.queries.clone()].copy_from_slice(&keys[from.queries.clone()]);
    alone.dropout = Some((0.3, own));
    let (both, alone) = (both.run().out, alone.run().out);
    assert_eq!(
        both[from.queries.start * 10..from.queries.end * 10],
        alone[to.queries.start * 10..to.queries.end * 10]
    );
}

#[test]
fn same_bits_on_any_number_of_threads() {
    let case = Case::new(heads(4, 2, 32), &[(60, 60), (20, 31), (97, 97)], CAUSAL).with_dropout(0.1);
    assert_same_on_threads(|| {
        let Results { out, log_sum, grads } = case.run();
        [out, log_sum].into_iter().chain(grads).flatten().collect()
    });
}

#[test]
fn an_empty_span_may_stand_anywhere() {
    let mut case = Case::new(heads(1, 1, 2), &[(4, 4)], Mask::Full);
    case.spans.push(Span { queries: 2..2, keys: 0..0 });
    case.check();
}

#[test]
#[should_panic(expected = "overlap")]
fn overlapping_spans_are_refused() {
    let mut case = Case::new(heads(1, 1, 2), &[(3, 3), (3, 3)], Mask::Full);
    case.spans[1].keys = case.spans[0].keys.clone();
    case.run();
}

#[test]
fn in_bf16_results_are_near_and_few_queries_stay_in_f32() {
    let window = Mask::Causal { window: Some(33) };
    let cases = [
        Case::new(heads(2, 1, 31), &[(130, 130), (50, 33), (48, 97)], Mask::Full),
        Case::new(heads(4, 2, 32), &[(97, 130), (64, 64)], CAUSAL),
        Case::new(heads(1, 1, 64), &[(70, 200)], window).with_dropout(0.1),
    ];
    for mut case in cases {
        let exact = case.run();
        case.arithmetic = Arithmetic::Bf16;
        let near = case.run();
        assert_ne!(near.out, exact.out);
        let pairs = [(&near.out, &exact.out), (&near.log_sum, &exact.log_sum)];
        for (near, exact) in pairs.into_iter().chain(near.grads.iter().zip(&exact.grads)) {
            // Factors of size 1 are off by up to 2^-8, in sums whose weights sum up to about 1.
            assert_close(near, &wide(exact), 2e-2);
        }
    }
    let mut few = Case::new(heads(2, 1, 5), &[(47, 12), (1, 70)], Mask::Full);
    let exact = few.run();
    few.arithmetic = Arithmetic::Bf16;
    assert_eq!(few.run().out, exact.out);
}
