use super::*;
use crate::testing::{assert_close, assert_same_on_threads, noise};

const BOTH: [Arithmetic; 2] = [Arithmetic::F32, Arithmetic::Bf16];

/// Relative to 1 + |expected|: sums of at most 4,200 products of size 1.
const TOLERANCE: f64 = 5e-5;

/// Rows, inner and outer sizes at and around the edges of strips, panels, tiles and pieces.
const SIZES: [(usize, usize, usize); 10] = [
    (1, 1, 1),
    (2, 33, 7),
    (7, 1, 17),
    (33, 17, 1),
    (17, 33, 16),
    (65, 300, 129),
    (13, 257, 32),
    (130, 600, 31),
    (500, 8, 260),
    (9, 4200, 70),
];

/// `sum_p a(i, p) b(p, j)`, `[m, n]`, in f64.
pub(super) fn sums(
    (m, k, n): (usize, usize, usize),
    a: impl Fn(usize, usize) -> f32,
    b: impl Fn(usize, usize) -> f32,
) -> Vec<f64> {
    let element = |i, j| (0..k).map(|p| f64::from(a(i, p)) * f64::from(b(p, j))).sum();
    (0..m * n).map(|at| element(at / n, at % n)).collect()
}

#[test]
fn every_side_and_odd_sizes() {
    for (m, k, n) in SIZES {
        let (x, w) = (noise(1, m * k), noise(2, k * n));
        let mut out = vec![f32::NAN; m * n];
        product(&mut out, &x, m, Dense::new(&w, n, k), Arithmetic::F32);
        let x_at = |i: usize, p: usize| x[i * k + p];
        assert_close(&out, &sums((m, k, n), x_at, |p, j| w[j * k + p]), TOLERANCE);
        out.fill(f32::NAN);
        product_straight(&mut out, &x, m, Dense::new(&w, k, n), Arithmetic::F32);
        assert_close(&out, &sums((m, k, n), x_at, |p, j| w[p * n + j]), TOLERANCE);
        out.fill(f32::NAN);
        product_outer(&mut out, &x, m, Dense::new(&w, k, n), Start::Zero, Arithmetic::F32);
        let turned = sums((m, k, n), |i, p| x[p * m + i], |p, j| w[p * n + j]);
        assert_close(&out, &turned, TOLERANCE);
        product_outer(&mut out, &x, m, Dense::new(&w, k, n), Start::Output, Arithmetic::F32);
        assert_close(&out, &turned.iter().map(|sum| 2.0 * sum).collect::<Vec<_>>(), 2.0 * TOLERANCE);
    }
}

#[test]
fn a_row_has_the_same_bits_beside_any_others() {
    let (rows, k, n) = (700, 300, 150);
    let (x, w) = (noise(1, rows * k), noise(2, k * n));
    for arithmetic in BOTH {
        let run = |from: usize, rows: usize| {
            let (mut there, mut back) = (vec![0.0; rows * n], vec![0.0; rows * n]);
            product(&mut there, &x[from * k..][..rows * k], rows, Dense::new(&w, n, k), arithmetic);
            product_straight(&mut back, &x[from * k..][..rows * k], rows, Dense::new(&w, k, n), arithmetic);
            (there, back)
        };
        let (there, back) = run(0, rows);
        for (from, count) in [(0, 1), (0, 5), (3, 6), (10, 7), (100, 123), (695, 5), (1, 600)] {
            let (some_there, some_back) = run(from, count);
            assert_eq!(some_there, there[from * n..][..count * n], "rows {from}.. of {count}");
            assert_eq!(some_back, back[from * n..][..count * n], "rows {from}.. of {count}");
        }
    }
}

#[test]
fn every_instruction_set_multiplies() {
    let (m, k, n) = (31, 300, 77);
    let (x, w) = (noise(1, m * k), noise(2, k * n));
    let expected = sums((m, k, n), |i, p| x[i * k + p], |p, j| w[j * k + p]);
    let right = Dense::new(&w, n, k);
    let left = Left::rows(&x, k);
    let task = Rectangle { rows: 0..m, columns: 0..n };
    for arch in architectures() {
        let mut out = vec![f32::NAN; m * n];
        let output = Output::new(&mut out, n, Start::Zero);
        let product =
            Product { out: &output, left, right: &right, side: Side::Transposed, depth: 0..k, deep: PIECE };
        arch.dispatch(Task { product: &product, tile: &mut Tile::default(), task: &task });
        assert_close(&out, &expected, TOLERANCE);
    }
}

/// What this machine has, the portable one first.
fn architectures() -> Vec<pulp::Arch> {
    let mut found = vec![pulp::Arch::Scalar];
    #[cfg(target_arch = "x86_64")]
    {
        found.extend(pulp::x86::V3::try_new().map(pulp::Arch::V3));
        found.extend(pulp::x86::V4::try_new().map(pulp::Arch::V4));
    }
    found.push(pulp::Arch::new());
    found
}

#[test]
fn nothing_to_sum() {
    let (mut out, none) = (vec![3.0; 60], Vec::new());
    product_outer(&mut out, &none, 10, Dense::new(&none, 0, 6), Start::Output, Arithmetic::F32);
    assert_eq!(out, [3.0; 60]);
    product_straight(&mut out, &none, 10, Dense::new(&none, 0, 6), Arithmetic::F32);
    assert_eq!(out, [0.0; 60]);
    out.fill(3.0);
    product(&mut out, &none, 10, Dense::new(&none, 6, 0), Arithmetic::F32);
    assert_eq!(out, [0.0; 60]);
    product_few(&mut [], &none, 0, Dense::new(&out, 2, 30));
    out.fill(3.0);
    product_few(&mut out, &none, 10, Dense::new(&none, 6, 0));
    assert_eq!(out, [0.0; 60]);
    product(&mut [], &none, 0, Dense::new(&out, 2, 30), Arithmetic::F32);
    product(&mut [], &out, 10, Dense::new(&none, 0, 6), Arithmetic::F32);
}

#[test]
fn same_bits_on_any_number_of_threads() {
    for (m, k, n) in [(130, 384, 200), (3, 2000, 70), (500, 8, 384), (1700, 384, 2)] {
        let (x, w) = (noise(1, m * k), noise(2, k * n));
        for arithmetic in BOTH {
            assert_same_on_threads(|| {
                let mut out = vec![0.0; m * n];
                product(&mut out, &x, m, Dense::new(&w, n, k), arithmetic);
                let mut turned = vec![0.0; m * n];
                product_straight(&mut turned, &x, m, Dense::new(&w, k, n), arithmetic);
                let mut outer = vec![0.0; k * n];
                product_outer(&mut outer, &x, k, Dense::new(&turned, m, n), Start::Zero, arithmetic);
                [out, turned, outer].concat()
            });
        }
    }
}

#[test]
#[should_panic(expected = "left side is not [n, w.cols]")]
fn shapes_are_checked() {
    product(&mut [0.0; 4], &[0.0; 6], 2, Dense::new(&[0.0; 4], 2, 2), Arithmetic::F32);
}

#[test]
fn few_rows_too() {
    let (k, n) = (1500, 40);
    let (x, w) = (noise(1, 6 * k), noise(2, k * n));
    for rows in 1..=6 {
        let mut out = vec![f32::NAN; rows * n];
        product_few(&mut out, &x[..rows * k], rows, Dense::new(&w, n, k));
        assert_close(&out, &sums((rows, k, n), |i, p| x[i * k + p], |p, j| w[j * k + p]), 5e-5);
    }
}

#[test]
fn a_narrow_product_leaves_the_memory_of_a_wide_one() {
    let (x, w) = (noise(1, 130 * 384), noise(2, 384 * 200));
    let mut out = vec![0.0; 130 * 200];
    product(&mut out, &x, 130, Dense::new(&w, 200, 384), Arithmetic::F32);
    let kept = left::kept();
    assert!(kept >= x.len(), "{kept} values are kept");
    product(&mut out[..130 * 8], &x, 130, Dense::new(&w[..8 * 384], 8, 384), Arithmetic::F32);
    assert_eq!(left::kept(), kept);
}

#[test]
fn a_product_is_added_to_a_row_or_to_the_output() {
    for (m, k, n) in SIZES {
        let (x, w, row, held) = (noise(1, m * k), noise(2, k * n), noise(3, n), noise(4, m * n));
        let sums = sums((m, k, n), |i, p| x[i * k + p], |p, j| w[j * k + p]);
        // Each of up to 4,200 products of size 1 is off by up to 2^-7 in bf16, either way.
        for (arithmetic, tolerance) in [(Arithmetic::F32, TOLERANCE), (Arithmetic::Bf16, 0.2)] {
            let mut out = vec![f32::NAN; m * n];
            product_onto(&mut out, &x, m, Dense::new(&w, n, k), Start::Row(&row), arithmetic);
            let onto = |add: &dyn Fn(usize) -> f32| -> Vec<f64> {
                sums.iter().enumerate().map(|(at, sum)| sum + f64::from(add(at))).collect()
            };
            assert_close(&out, &onto(&|at| row[at % n]), tolerance);
            out.copy_from_slice(&held);
            product_onto(&mut out, &x, m, Dense::new(&w, n, k), Start::Output, arithmetic);
            assert_close(&out, &onto(&|at| held[at]), tolerance);
        }
    }
    let mut out = vec![f32::NAN; 6];
    product_onto(&mut out, &[], 2, Dense::new(&[], 3, 0), Start::Row(&[1.0, 2.0, 3.0]), Arithmetic::F32);
    assert_eq!(out, [1.0, 2.0, 3.0, 1.0, 2.0, 3.0]);
}
