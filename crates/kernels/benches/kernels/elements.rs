//! What is done element by element or row by row: bound by memory, so in GB/s.

use crate::{Group, MINILM, SMOLLM2, floats, noise};
use criterion::Criterion;
use offshoot_kernels::activation::{Activation, activation, activation_backward};
use offshoot_kernels::adamw::{AdamW, adamw};
use offshoot_kernels::rope::{Angles, rotate};
use offshoot_kernels::{dropout, elementwise, norm, softmax};

/// Rows of a batch.
const N: usize = 2000;

pub(crate) fn bench(criterion: &mut Criterion) {
    let mut group = Group::new(criterion, "elements");
    activations(&mut group);
    gated(&mut group);
    rows(&mut group);
    layer_norm(&mut group);
    rms_norm(&mut group);
    update(&mut group);
}

fn activations(group: &mut Group<'_>) {
    let len = N * MINILM[1];
    let (x, dy, mut y) = (noise(len), noise(len), noise(len));
    for kind in [Activation::Gelu, Activation::GeluTanh, Activation::Silu] {
        group.bytes(&format!("{kind:?} forward"), floats(2 * len), || activation(kind, &mut y, &x));
        group.bytes(&format!("{kind:?} backward"), floats(3 * len), || {
            activation_backward(kind, &mut y, &dy, &x);
        });
    }
}

/// SwiGLU as the engine does it, forward: the gate's activation, times the other half.
fn gated(group: &mut Group<'_>) {
    let len = N * SMOLLM2[2];
    let (gate, up, mut y) = (noise(len), noise(len), noise(len));
    group.bytes("SwiGLU forward", floats(3 * len), || {
        activation(Activation::Silu, &mut y, &gate);
        elementwise::mul_assign(&mut y, &up);
    });
}

fn rows(group: &mut Group<'_>) {
    let [d, ffn] = MINILM;
    let (x, mut y, bias) = (noise(N * ffn), noise(N * ffn), noise(ffn));
    let keys: Vec<u64> = (0..N as u64).collect();
    group.bytes("bias", floats(2 * x.len()), || elementwise::add_row(&mut y, &x, &bias));
    group.bytes("dropout", floats(2 * x.len()), || dropout::dropout(&mut y, &x, ffn, &keys, 0.1));
    group.bytes("softmax", floats(2 * x.len()), || softmax::softmax(&mut y, &x, ffn));
    let (a, b, mut sum) = (noise(N * d), noise(N * d), noise(N * d));
    group.bytes("residual", floats(3 * a.len()), || elementwise::add(&mut sum, &a, &b));
    rotary(group);
}

fn rotary(group: &mut Group<'_>) {
    let (heads, dim) = (9, 64);
    let (cos, sin) = (noise(N * dim / 2), noise(N * dim / 2));
    let (x, mut y) = (noise(N * heads * dim), noise(N * heads * dim));
    group.bytes("rope", floats(2 * x.len() + 2 * cos.len()), || {
        rotate(&mut y, &x, Angles { cos: &cos, sin: &sin, dim }, heads, false);
    });
}

fn layer_norm(group: &mut Group<'_>) {
    let d = MINILM[0];
    let (x, dy, mut y, mut stats) = (noise(N * d), noise(N * d), noise(N * d), noise(N * 2));
    let (weight, bias, mut dw, mut db) = (noise(d), noise(d), noise(d), noise(d));
    group.bytes("layer_norm forward", floats(2 * x.len()), || {
        norm::layer_norm(&mut y, &mut stats, &x, &weight, &bias, 1e-5);
    });
    group.bytes("layer_norm dx", floats(3 * x.len()), || {
        norm::layer_norm_backward(Some(&mut y), None, None, &dy, &x, &weight, &stats);
    });
    group.bytes("layer_norm dw, db", floats(2 * x.len()), || {
        norm::layer_norm_backward(None, Some(&mut dw), Some(&mut db), &dy, &x, &weight, &stats);
    });
}

fn rms_norm(group: &mut Group<'_>) {
    let d = SMOLLM2[0];
    let (x, dy, mut y) = (noise(N * d), noise(N * d), noise(N * d));
    let (weight, mut stats) = (noise(d), noise(N));
    group.bytes("rms_norm forward", floats(2 * x.len()), || {
        norm::rms_norm(&mut y, &mut stats, &x, &weight, 1e-5);
    });
    group.bytes("rms_norm dx", floats(3 * x.len()), || {
        norm::rms_norm_backward(Some(&mut y), None, &dy, &x, &weight, &stats);
    });
}

/// Parameter, gradient and the two means are read, all but the gradient written.
fn update(group: &mut Group<'_>) {
    let config = AdamW { lr: 1e-3, beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.01 };
    for n in [75_000, 22_500_000] {
        let (mut p, g, mut m, mut v) = (noise(n), noise(n), noise(n), vec![1.0; n]);
        group.bytes(&format!("adamw {n}"), floats(7 * n), || {
            adamw(&mut p, &g, &mut m, &mut v, 3, 1.0, &config);
        });
    }
}
