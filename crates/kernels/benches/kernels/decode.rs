//! Products of decoding, which read the whole matrix for a few rows: bound by memory, so in its GB/s.

use crate::{Group, SMOLLM2, VOCABULARY, floats, noise};
use criterion::Criterion;
use offshoot_kernels::gemm::{Dense, Operand, product_few};
use offshoot_kernels::quant::{Format, Matrix};

/// Sequences that are decoded together.
const ROWS: [usize; 2] = [1, 4];

/// `[rows, columns]` of the weights: the feed-forward network's last, and the output head.
const WEIGHTS: [(usize, usize); 2] = [(SMOLLM2[0], SMOLLM2[2]), (VOCABULARY, SMOLLM2[0])];

pub(crate) fn bench(criterion: &mut Criterion) {
    let mut group = Group::new(criterion, "decode");
    for (rows, cols) in WEIGHTS {
        let weight = noise(rows * cols);
        let dense = Dense::new(&weight, rows, cols);
        few(&mut group, "f32", (rows, cols), floats(rows * cols), dense.into());
        for format in Format::ALL {
            let Some(len) = format.bytes(cols) else { continue };
            let bytes = vec![0x11; rows * len];
            let weight = Matrix::new(format, &bytes, rows, cols);
            few(&mut group, format.name(), (rows, cols), bytes.len(), weight.into());
        }
    }
}

fn few(group: &mut Group<'_>, kind: &str, (rows, cols): (usize, usize), bytes: usize, weight: Operand<'_>) {
    for n in ROWS {
        let (x, mut y) = (noise(n * cols), noise(n * rows));
        group.bytes(&format!("{kind} {rows}x{cols} for {n}"), bytes, || product_few(&mut y, &x, n, weight));
    }
}
