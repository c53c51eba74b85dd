use super::super::{
    Arithmetic, BF16_LEAST, Dense, Operand, Start, product, product_few, product_outer, product_straight,
};
use super::cells::round;
use super::*;
use crate::gemm::tests::sums;
use crate::testing::{assert_close, noise};

/// Relative to 1 + |expected|, for factors that are bf16 already: sums of at most 4,200 products of size 1.
const TOLERANCE: f64 = 5e-5;

/// Rows, inner and outer sizes at and around the edges of cells, blocks, panels and pieces.
const SIZES: [(usize, usize, usize); 8] = [
    (1, 32, 32),
    (2, 33, 47),
    (33, 64, 33),
    (65, 300, 129),
    (13, 513, 32),
    (130, 600, 64),
    (500, 40, 260),
    (9, 4200, 70),
];

/// Values that rounding leaves alone.
fn rounded(seed: u64, len: usize) -> Vec<f32> {
    noise(seed, len).into_iter().map(near).collect()
}

/// The nearest bf16.
fn near(x: f32) -> f32 {
    f32::from_bits(u32::from(round(x)) << 16)
}

/// The product by one unit.
fn with(
    unit: Unit,
    out: &mut [f32],
    left: Left<'_>,
    (m, k, n): (usize, usize, usize),
    right: Dense<'_>,
    (side, start): (Side, Start<'_>),
) {
    let mut cells = Cells::kept();
    cells.lay_out(left, m, k, unit);
    let out = Output::new(out, n, start);
    let product = Product { out: &out, left: &cells, right: &right, side, depth: 0..k };
    product.run(&tasks(m, pieces(0..n, 64), BLOCK), m, unit);
}

#[test]
fn every_unit_every_side_and_odd_sizes() {
    for unit in Unit::all() {
        for size @ (m, k, n) in SIZES {
            let (x, w) = (rounded(1, m * k), rounded(2, k * n));
            let mut out = vec![f32::NAN; m * n];
            let x_at = |i: usize, p: usize| x[i * k + p];
            with(
                unit,
                &mut out,
                Left::rows(&x, k),
                size,
                Dense::new(&w, n, k),
                (Side::Transposed, Start::Zero),
            );
            assert_close(&out, &sums(size, x_at, |p, j| w[j * k + p]), TOLERANCE);
            out.fill(f32::NAN);
            with(
                unit,
                &mut out,
                Left::rows(&x, k),
                size,
                Dense::new(&w, k, n),
                (Side::Straight, Start::Zero),
            );
            assert_close(&out, &sums(size, x_at, |p, j| w[p * n + j]), TOLERANCE);
            let turned = sums(size, |i, p| x[p * m + i], |p, j| w[p * n + j]);
            for times in [1.0, 2.0] {
                let start = if times > 1.0 { Start::Output } else { Start::Zero };
                let side = (Side::Straight, start);
                with(unit, &mut out, Left::columns(&x, m), size, Dense::new(&w, k, n), side);
                let expected: Vec<f64> = turned.iter().map(|sum| times * sum).collect();
                assert_close(&out, &expected, times * TOLERANCE);
            }
        }
    }
}

#[test]
fn factors_are_rounded_and_sums_are_not() {
    let (m, k, n) = (40, 384, 64);
    let (x, w) = (noise(1, m * k), noise(2, k * n));
    let expected = sums((m, k, n), |i, p| near(x[i * k + p]), |p, j| near(w[j * k + p]));
    let mut out = vec![f32::NAN; m * n];
    product(&mut out, &x, m, Dense::new(&w, n, k), Arithmetic::Bf16);
    assert_close(&out, &expected, TOLERANCE);
}

#[test]
fn rounding_is_to_the_nearest_and_keeps_what_is_no_number() {
    let exact = |bits: u16| (f32::from_bits(u32::from(bits) << 16), bits);
    let cases = [
        exact(0x3f80),
        exact(0x8000),
        exact(0x7f80),
        exact(0xff80),
        (f32::from_bits(0x3f80_8000), 0x3f80),
        (f32::from_bits(0x3f81_8000), 0x3f82),
        (f32::from_bits(0x3f80_8001), 0x3f81),
        (f32::from_bits(0x3f80_7fff), 0x3f80),
        (f32::MAX, 0x7f80),
    ];
    for (value, expected) in cases {
        assert_eq!(round(value), expected, "{value:e}");
    }
    for bits in [0x7f80_0001, 0x7fff_ffff, 0xffff_ffff, 0xff80_0001] {
        assert!(near(f32::from_bits(bits)).is_nan(), "{bits:x}");
    }
}

#[test]
fn what_is_no_number_is_not_lost() {
    let mut x = noise(1, 40 * 64);
    x[70] = f32::NAN;
    let w = noise(2, 64 * 64);
    for unit in Unit::all() {
        let mut out = vec![0.0; 40 * 64];
        with(
            unit,
            &mut out,
            Left::rows(&x, 64),
            (40, 64, 64),
            Dense::new(&w, 64, 64),
            (Side::Transposed, Start::Zero),
        );
        let rows: Vec<bool> = out.chunks(64).map(|row| row.iter().all(|y| y.is_nan())).collect();
        assert!(rows.iter().enumerate().all(|(row, &lost)| lost == (row == 1)), "{unit:?}: {rows:?}");
    }
}

#[test]
fn thin_matrices_stay_in_f32() {
    let (m, k) = (50, 384);
    for rank in [1, 2, BF16_LEAST - 1] {
        let (x, w) = (noise(1, m * k), noise(2, k * rank));
        let run = |arithmetic| {
            let (mut down, mut up, mut slope) = (vec![0.0; m * rank], vec![0.0; m * k], vec![0.0; rank * k]);
            product(&mut down, &x, m, Dense::new(&w, rank, k), arithmetic);
            product_straight(&mut up, &down, m, Dense::new(&w, rank, k), arithmetic);
            product_outer(&mut slope, &down, rank, Dense::new(&x, m, k), Start::Zero, arithmetic);
            [down, up, slope].concat()
        };
        assert_eq!(run(Arithmetic::Bf16), run(Arithmetic::F32));
    }
}

#[test]
fn a_packed_matrix_gives_the_bits_of_the_one_it_was_made_of() {
    for (m, k, n) in SIZES {
        let (x, w) = (noise(1, m * k), noise(2, k * n));
        let (there, back) = (Dense::new(&w, n, k), Dense::new(&w, k, n));
        let (packed_there, packed_back) = (Operand::from(there).pack(), Operand::from(back).pack());
        assert!(packed_there.bytes() >= 2 * k * n);
        for arithmetic in [Arithmetic::Bf16, Arithmetic::F32] {
            let run = |there: Operand<'_>, back: Operand<'_>| {
                let (mut a, mut b) = (vec![0.0; m * n], vec![0.0; m * n]);
                product(&mut a, &x, m, there, arithmetic);
                product_straight(&mut b, &x, m, back, arithmetic);
                [a, b].concat()
            };
            let packed = run((&packed_there).into(), (&packed_back).into());
            match arithmetic {
                Arithmetic::Bf16 => assert_eq!(packed, run(there.into(), back.into())),
                Arithmetic::F32 => {
                    let near = rounded(2, k * n);
                    let whole = run(Dense::new(&near, n, k).into(), Dense::new(&near, k, n).into());
                    assert_eq!(packed, whole);
                }
            }
        }
        let mut few = vec![0.0; m * n];
        product_few(&mut few, &x, m, &packed_there);
        let near = rounded(2, k * n);
        assert_close(&few, &sums((m, k, n), |i, p| x[i * k + p], |p, j| near[j * k + p]), TOLERANCE);
    }
}
