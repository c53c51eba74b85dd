//! Attention, forward and backward, in the operations of its own products. A causal one does half of them.

use crate::{Group, noise};
use criterion::Criterion;
use offshoot_kernels::attention::{self, Attention, Dropout, Grads, Heads, Mask, Span};
use offshoot_kernels::gemm::Arithmetic;

/// Rows of a batch.
const N: usize = 2048;

pub(crate) fn bench(criterion: &mut Criterion) {
    let mut group = Group::new(criterion, "attention");
    let keys: Vec<u64> = (0..N as u64).collect();
    let minilm = Heads { query: 12, key_value: 12, dim: 32, scale: 0.18 };
    for tokens in [32, 128] {
        both(&mut group, &format!("minilm {tokens}"), tokens, (minilm, Mask::Full, None));
    }
    let dropout = Some(Dropout { p: 0.1, row_keys: &keys });
    both(&mut group, "minilm 128 dropout", 128, (minilm, Mask::Full, dropout));
    let smollm2 = Heads { query: 9, key_value: 3, dim: 64, scale: 0.125 };
    for tokens in [128, 512] {
        let causal = Mask::Causal { window: None };
        both(&mut group, &format!("smollm2 causal {tokens}"), tokens, (smollm2, causal, None));
    }
}

/// Sequences of `tokens` tokens, as many as fill the batch.
fn both(group: &mut Group<'_>, name: &str, tokens: usize, kind: (Heads, Mask, Option<Dropout<'_>>)) {
    let (heads, mask, dropout) = kind;
    let spans: Vec<Span> = (0..N / tokens)
        .map(|s| s * tokens..(s + 1) * tokens)
        .map(|rows| Span { queries: rows.clone(), keys: rows })
        .collect();
    let settings = Attention { heads, spans: &spans, mask, dropout, arithmetic: Arithmetic::F32 };
    let (d, e) = (heads.query * heads.dim, heads.key_value * heads.dim);
    let (q, k, v, dout) = (noise(N * d), noise(N * e), noise(N * e), noise(N * d));
    let (mut out, mut log_sum) = (vec![0.0; N * d], vec![0.0; N * heads.query]);
    let product = 2 * N * d * if mask == Mask::Full { tokens } else { tokens.div_ceil(2) };
    group.operations(&format!("{name} forward"), 2 * product, || {
        attention::forward(&mut out, &mut log_sum, &q, &k, &v, &settings);
    });
    let (mut dq, mut dk, mut dv) = (noise(N * d), noise(N * e), noise(N * e));
    // Four that are needed, and the scores once more.
    group.operations(&format!("{name} backward"), 5 * product, || {
        let grads = Grads { dq: Some(&mut dq), dk: Some(&mut dk), dv: Some(&mut dv) };
        attention::backward(grads, &dout, &out, &q, &k, &v, &log_sum, &settings);
    });
}
