//! Products with a frozen matrix, in f32 and in blocks: forward, to the input's gradient, to the weight's.

use crate::{Group, MINILM, SMOLLM2, VOCABULARY, noise};
use criterion::Criterion;
use offshoot_kernels::gemm::{Arithmetic, Dense, Operand, Start, product, product_outer, product_straight};
use offshoot_kernels::quant::{Format, Matrix};

/// `x` `[n, inner]` with a weight `[outer, inner]`.
struct Shape {
    n: usize,
    inner: usize,
    outer: usize,
}

const fn shape(n: usize, inner: usize, outer: usize) -> Shape {
    Shape { n, inner, outer }
}

/// Rows of the usual steps, and the factors of LoRA.
const SHAPES: [Shape; 10] = [
    shape(2000, MINILM[0], MINILM[0]),
    shape(2000, MINILM[0], MINILM[1]),
    shape(2000, MINILM[1], MINILM[0]),
    shape(2000, MINILM[0], 8),
    shape(2000, 8, MINILM[0]),
    shape(512, SMOLLM2[0], SMOLLM2[0]),
    shape(512, SMOLLM2[0], SMOLLM2[1]),
    shape(512, SMOLLM2[0], SMOLLM2[2]),
    shape(512, SMOLLM2[2], SMOLLM2[0]),
    shape(512, SMOLLM2[0], VOCABULARY),
];

/// Those that every block format is measured on; the inner width is a multiple of the largest block.
const BLOCKS: [Shape; 2] = [shape(512, SMOLLM2[2], SMOLLM2[0]), shape(2000, SMOLLM2[2], SMOLLM2[0])];

pub(crate) fn bench(criterion: &mut Criterion) {
    let mut group = Group::new(criterion, "products");
    SHAPES.iter().for_each(|shape| dense(&mut group, shape));
    for format in Format::ALL {
        BLOCKS.iter().for_each(|shape| blocks(&mut group, format, shape));
    }
    blocks(&mut group, Format::Q8_0, &shape(512, SMOLLM2[0], VOCABULARY));
}

fn dense(group: &mut Group<'_>, shape: &Shape) {
    let &Shape { n, inner, outer } = shape;
    let weight = noise(inner * outer);
    frozen(group, "f32", shape, Dense::new(&weight, outer, inner).into());
    let (x, dy, mut dw) = (noise(n * inner), noise(n * outer), noise(inner * outer));
    group.operations(&shape.name("f32 dw = dy^T x"), shape.operations(), || {
        product_outer(&mut dw, &dy, outer, Dense::new(&x, n, inner), Start::Zero, Arithmetic::F32);
    });
}

fn blocks(group: &mut Group<'_>, format: Format, shape: &Shape) {
    let Some(len) = format.bytes(shape.inner) else { return };
    // Scales of this pattern are small numbers in every format.
    let bytes = vec![0x11; len * shape.outer];
    let weight = Matrix::new(format, &bytes, shape.outer, shape.inner);
    frozen(group, format.name(), shape, weight.into());
}

fn frozen(group: &mut Group<'_>, kind: &str, shape: &Shape, weight: Operand<'_>) {
    let &Shape { n, inner, outer } = shape;
    let (x, mut y) = (noise(n * inner), noise(n * outer));
    group.operations(&shape.name(&format!("{kind} y = x w^T")), shape.operations(), || {
        product(&mut y, &x, n, weight, Arithmetic::F32);
    });
    let (dy, mut dx) = (y, x);
    group.operations(&shape.name(&format!("{kind} dx = dy w")), shape.operations(), || {
        product_straight(&mut dx, &dy, n, weight, Arithmetic::F32);
    });
}

impl Shape {
    fn operations(&self) -> usize {
        2 * self.n * self.inner * self.outer
    }

    fn name(&self, what: &str) -> String {
        format!("{what} {}x{}x{}", self.n, self.inner, self.outer)
    }
}
