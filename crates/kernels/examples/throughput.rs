//! Speed of the kernels at the sizes of a small encoder: 4 sequences of 128 tokens, 384 wide.
//!
//! `cargo run --release -p offshoot-kernels --example throughput [threads]`

use offshoot_kernels::activation::{Activation, activation, activation_backward};
use offshoot_kernels::adamw::{AdamW, adamw};
use offshoot_kernels::attention::{self, Attention, Dropout, Grads, Heads, Mask, Span};
use offshoot_kernels::gemm::{Arithmetic, Dense, Start, product, product_outer, product_straight};
use offshoot_kernels::{dropout, elementwise, norm, softmax};
use std::time::Instant;

/// Tokens of the batch, and the widths of the model and of its feed-forward.
const N: usize = 512;
const D: usize = 384;
const FFN: usize = 1536;

fn main() {
    if let Some(threads) = std::env::args().nth(1).and_then(|t| t.parse().ok()) {
        let _ = rayon::ThreadPoolBuilder::new().num_threads(threads).build_global();
    }
    products(Arithmetic::F32);
    products(Arithmetic::Bf16);
    let keys: Vec<u64> = (0..N as u64).collect();
    for arithmetic in [Arithmetic::F32, Arithmetic::Bf16] {
        for tokens in [20, 64, 128] {
            attentions(tokens, None, arithmetic);
        }
        attentions(128, Some(Dropout { p: 0.1, row_keys: &keys }), arithmetic);
    }
    elements();
    norms();
    updates();
}

/// Numbers that look random, in `[-1, 1]`.
fn noise(len: usize) -> Vec<f32> {
    (0..len as u64).map(|i| (dropout::row_key(i, &[]) >> 40) as f32 / 8_388_608.0 - 1.0).collect()
}

/// Prints the best of several runs: its time, and the rate of `amount` in units of 1e9 a second.
fn measure(name: &str, amount: usize, unit: &str, mut work: impl FnMut()) {
    let best = (0..20).map(|_| {
        let start = Instant::now();
        work();
        start.elapsed().as_secs_f64()
    });
    let best = best.fold(f64::INFINITY, f64::min);
    println!("{name:<44} {:>8.3} ms {:>8.1} {unit}", best * 1e3, amount as f64 / best * 1e-9);
}

/// Products with weights `[out, in]`: transposed going forward, as they are going back; and those of LoRA.
fn products(arithmetic: Arithmetic) {
    for (inner, outer) in [(D, D), (D, FFN), (FFN, D), (D, 8), (8, D)] {
        let (x, dy, w) = (noise(N * inner), noise(N * outer), noise(inner * outer));
        let (mut y, mut dx, mut dw) = (noise(N * outer), noise(N * inner), noise(inner * outer));
        let flops = 2 * N * inner * outer;
        let w = Dense::new(&w, outer, inner);
        measure(
            &format!("{arithmetic:?} y = x w^T    [{N}, {inner}] x [{inner}, {outer}]"),
            flops,
            "GFLOP/s",
            || {
                product(&mut y, &x, N, w, arithmetic);
            },
        );
        measure(
            &format!("{arithmetic:?} dx = dy w    [{N}, {outer}] x [{outer}, {inner}]"),
            flops,
            "GFLOP/s",
            || {
                product_straight(&mut dx, &dy, N, w, arithmetic);
            },
        );
        measure(
            &format!("{arithmetic:?} dw = dy^T x  [{outer}, {N}] x [{N}, {inner}]"),
            flops,
            "GFLOP/s",
            || {
                product_outer(&mut dw, &dy, outer, Dense::new(&x, N, inner), Start::Zero, arithmetic);
            },
        );
    }
}

fn attentions(tokens: usize, dropout: Option<Dropout<'_>>, arithmetic: Arithmetic) {
    let heads = Heads { query: 12, key_value: 12, dim: 32, scale: 0.18 };
    let spans: Vec<Span> = (0..N / tokens)
        .map(|s| Span { queries: s * tokens..(s + 1) * tokens, keys: s * tokens..(s + 1) * tokens })
        .collect();
    let settings = Attention { heads, spans: &spans, mask: Mask::Full, dropout, arithmetic };
    let (q, k, v, dout) = (noise(N * D), noise(N * D), noise(N * D), noise(N * D));
    let (mut out, mut log_sum) = (vec![0.0; N * D], vec![0.0; N * 12]);
    let (mut dq, mut dk, mut dv) = (vec![0.0; N * D], vec![0.0; N * D], vec![0.0; N * D]);
    let product = 2 * N * tokens * D;
    let name =
        format!("{} x {tokens}, 12 x 32{}", spans.len(), if dropout.is_some() { ", dropout" } else { "" });
    measure(&format!("{arithmetic:?} attention {name}"), 2 * product, "GFLOP/s", || {
        attention::forward(&mut out, &mut log_sum, &q, &k, &v, &settings);
    });
    measure(&format!("{arithmetic:?} attention backward {name}"), 5 * product, "GFLOP/s", || {
        let grads = Grads { dq: Some(&mut dq), dk: Some(&mut dk), dv: Some(&mut dv) };
        attention::backward(grads, &dout, &out, &q, &k, &v, &log_sum, &settings);
    });
}

fn elements() {
    let (x, dy, mut y) = (noise(N * FFN), noise(N * FFN), noise(N * FFN));
    for kind in [Activation::Gelu, Activation::GeluTanh, Activation::Silu, Activation::Tanh] {
        measure(&format!("{kind:?} [{N}, {FFN}]"), 8 * x.len(), "GB/s", || activation(kind, &mut y, &x));
        measure(&format!("{kind:?} backward [{N}, {FFN}]"), 12 * x.len(), "GB/s", || {
            activation_backward(kind, &mut y, &dy, &x);
        });
    }
    measure(&format!("add [{N}, {FFN}]"), 12 * x.len(), "GB/s", || elementwise::add(&mut y, &x, &dy));
    measure(&format!("add_row [{N}, {FFN}]"), 8 * x.len(), "GB/s", || {
        elementwise::add_row(&mut y, &x, &dy[..FFN]);
    });
    measure(&format!("softmax [{N}, {FFN}]"), 8 * x.len(), "GB/s", || softmax::softmax(&mut y, &x, FFN));
    let keys: Vec<u64> = (0..N as u64).collect();
    measure(&format!("dropout [{N}, {FFN}]"), 8 * x.len(), "GB/s", || {
        dropout::dropout(&mut y, &x, FFN, &keys, 0.1);
    });
}

fn norms() {
    let (x, dy, mut y, mut stats) = (noise(N * D), noise(N * D), noise(N * D), noise(N * 2));
    let (weight, bias, mut dw, mut db) = (noise(D), noise(D), noise(D), noise(D));
    measure(&format!("layer_norm [{N}, {D}]"), 8 * x.len(), "GB/s", || {
        norm::layer_norm(&mut y, &mut stats, &x, &weight, &bias, 1e-5);
    });
    measure(&format!("layer_norm_backward dx [{N}, {D}]"), 12 * x.len(), "GB/s", || {
        norm::layer_norm_backward(Some(&mut y), None, None, &dy, &x, &weight, &stats);
    });
    measure(&format!("layer_norm_backward dw, db [{N}, {D}]"), 8 * x.len(), "GB/s", || {
        norm::layer_norm_backward(None, Some(&mut dw), Some(&mut db), &dy, &x, &weight, &stats);
    });
    measure(&format!("add [{N}, {D}]"), 12 * x.len(), "GB/s", || elementwise::add(&mut y, &x, &dy));
    measure(&format!("sum_columns [{N}, {D}]"), 4 * x.len(), "GB/s", || {
        elementwise::sum_columns(&mut dw, &x)
    });
}

fn updates() {
    let n = N * FFN;
    let (mut p, g, mut m, mut v) = (noise(n), noise(n), noise(n), vec![1.0; n]);
    let config = AdamW { lr: 1e-3, beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.01 };
    measure(&format!("adamw [{n}]"), 28 * n, "GB/s", || adamw(&mut p, &g, &mut m, &mut v, 3, 1.0, &config));
}
