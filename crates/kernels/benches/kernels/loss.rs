//! Cross-entropy over a vocabulary: logits are read, gradients written.

use crate::{Group, VOCABULARY, floats, noise};
use criterion::Criterion;
use offshoot_kernels::cross_entropy::cross_entropy;

/// Labelled rows that are computed at a time.
const N: usize = 256;

pub(crate) fn bench(criterion: &mut Criterion) {
    let mut group = Group::new(criterion, "cross-entropy");
    let logits = noise(N * VOCABULARY);
    let (mut losses, mut grad) = (noise(N), noise(N * VOCABULARY));
    let labels: Vec<u32> = (0..N as u32).map(|row| 7 * row).collect();
    group.bytes("loss", floats(logits.len()), || {
        cross_entropy(&mut losses, None, &logits, &labels, 0.0);
    });
    group.bytes("loss and gradient", floats(2 * logits.len()), || {
        cross_entropy(&mut losses, Some(&mut grad), &logits, &labels, 0.0);
    });
}
