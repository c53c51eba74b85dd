//! Every format against a slow definition that finds one element at a time, and against vectors that the
//! Python package `gguf` 0.19 computed; products against f32 products of the dequantised matrix.

use super::*;
use crate::gemm::{Arithmetic, Dense, product, product_straight};
use crate::testing::{assert_close, assert_same_on_threads, noise};

/// Sums of up to 2,100 products of numbers up to 2, in another order.
const TOLERANCE: f64 = 2e-5;

/// A half by its definition, in f64.
fn half(bytes: &[u8]) -> f64 {
    let bits = u16::from_le_bytes([bytes[0], bytes[1]]);
    let (sign, exponent, fraction) = (bits >> 15, i32::from(bits >> 10 & 31), f64::from(bits & 1023));
    let size = if exponent == 0 {
        fraction * 2f64.powi(-24)
    } else {
        (1024.0 + fraction) * 2f64.powi(exponent - 25)
    };
    if sign == 1 { -size } else { size }
}

/// Bit `at` of a run of bytes, counted from the lowest bit of the first.
fn bit(bytes: &[u8], at: usize) -> u32 {
    u32::from(bytes[at / 8] >> (at % 8) & 1)
}

/// Element `i` of a block, by the layouts that ggml documents.
fn element(format: Format, b: &[u8], i: usize) -> f64 {
    let nibble = |bytes: &[u8]| (0..4).map(|k| bit(bytes, i % 16 * 8 + i / 16 * 4 + k) << k).sum::<u32>();
    match format {
        Format::F32 => f64::from(f32::from_le_bytes([b[0], b[1], b[2], b[3]])),
        Format::F16 => half(b),
        Format::Bf16 => f64::from(f32::from_le_bytes([0, 0, b[0], b[1]])),
        Format::Q4_0 => half(b) * (f64::from(nibble(&b[2..])) - 8.0),
        Format::Q4_1 => half(b) * f64::from(nibble(&b[4..])) + half(&b[2..]),
        Format::Q5_0 => half(b) * (f64::from(nibble(&b[6..]) + 16 * bit(&b[2..], i)) - 16.0),
        Format::Q5_1 => half(b) * f64::from(nibble(&b[8..]) + 16 * bit(&b[4..], i)) + half(&b[2..]),
        Format::Q8_0 => half(b) * f64::from(b[2 + i] as i8),
        Format::Q4K => {
            let q = b[16 + i / 64 * 32 + i % 32] >> (i % 64 / 32 * 4) & 15;
            scaled(b, i / 32, f64::from(q))
        }
        Format::Q5K => {
            let q = b[48 + i / 64 * 32 + i % 32] >> (i % 64 / 32 * 4) & 15;
            scaled(b, i / 32, f64::from(u32::from(q) + 16 * bit(&b[16..], i % 32 * 8 + i / 32)))
        }
        Format::Q6K => {
            let (part, within) = (i / 128, i % 128);
            let low = b[64 * part + within % 64] >> (within / 64 * 4) & 15;
            let high = b[128 + 32 * part + within % 32] >> (within / 32 * 2) & 3;
            let q = f64::from(low) + 16.0 * f64::from(high) - 32.0;
            half(&b[208..]) * f64::from(b[192 + i / 16] as i8) * q
        }
    }
}

/// `d scale q - dmin offset` for a group of a block with 6-bit scales.
fn scaled(b: &[u8], group: usize, q: f64) -> f64 {
    let packed = &b[4..16];
    let six = |g: usize, kind: usize| {
        if g < 4 {
            packed[4 * kind + g] % 64
        } else {
            let low = if kind == 0 { packed[4 + g] % 16 } else { packed[4 + g] / 16 };
            low + packed[4 * kind + g - 4] / 64 * 16
        }
    };
    half(b) * f64::from(six(group, 0)) * q - half(&b[2..]) * f64::from(six(group, 1))
}

/// Where a block has halfs, as opposed to bits that may be anything.
fn halfs(format: Format) -> &'static [usize] {
    match format {
        Format::F32 | Format::Bf16 => &[],
        Format::F16 | Format::Q4_0 | Format::Q5_0 | Format::Q8_0 => &[0],
        Format::Q4_1 | Format::Q5_1 | Format::Q4K | Format::Q5K => &[0, 2],
        Format::Q6K => &[208],
    }
}

/// Random blocks whose values are of size 1.
fn blocks(format: Format, elements: usize, seed: u64) -> Vec<u8> {
    let values = noise(seed, elements);
    match format {
        Format::F32 => return values.iter().flat_map(|x| x.to_le_bytes()).collect(),
        Format::Bf16 => return values.iter().flat_map(|x| x.to_le_bytes().split_off()).collect(),
        _ => {}
    }
    let mut bytes: Vec<u8> = noise(seed, format.bytes(elements).unwrap())
        .iter()
        .map(|x| (x * 128.0 + 128.0).clamp(0.0, 255.0) as u8)
        .collect();
    // Exponents that make the largest element about 2; both signs; all fractions.
    let exponent = match format {
        Format::F16 => 14,
        Format::Q8_0 => 8,
        Format::Q4_0 | Format::Q4_1 | Format::Q5_0 | Format::Q5_1 => 11,
        _ => 4,
    };
    for block in bytes.chunks_exact_mut(format.block_bytes()) {
        for &at in halfs(format) {
            block[at + 1] = block[at + 1] & 0x83 | exponent << 2;
        }
    }
    bytes
}

/// The upper half of an f32's bytes.
trait SplitOff {
    fn split_off(self) -> [u8; 2];
}

impl SplitOff for [u8; 4] {
    fn split_off(self) -> [u8; 2] {
        [self[2], self[3]]
    }
}

fn dequantized(format: Format, bytes: &[u8], elements: usize) -> Vec<f32> {
    let mut out = vec![f32::NAN; elements];
    dequantize(format, bytes, &mut out);
    out
}

#[test]
fn every_format_is_its_slow_definition() {
    for format in Format::ALL {
        for count in [1, 3, 70] {
            let elements = count * format.block_elements();
            let bytes = blocks(format, elements, 7 + count as u64);
            let expected: Vec<u32> = bytes
                .chunks_exact(format.block_bytes())
                .flat_map(|b| (0..format.block_elements()).map(move |i| element(format, b, i)))
                .map(|x| (x as f32).to_bits())
                .collect();
            let found: Vec<u32> = dequantized(format, &bytes, elements).iter().map(|x| x.to_bits()).collect();
            // 0 times a negative scale may have either sign.
            let zero = |bits: u32| bits << 1 == 0;
            for (i, (&f, &e)) in found.iter().zip(&expected).enumerate() {
                assert!(f == e || zero(f) && zero(e), "{format} {i}: {f:x} is not {e:x}");
            }
        }
    }
}

#[test]
fn every_half_is_exact() {
    let all: Vec<u8> = (0..=u16::MAX).flat_map(u16::to_le_bytes).collect();
    for (found, bytes) in dequantized(Format::F16, &all, 1 << 16).iter().zip(all.chunks_exact(2)) {
        match (bytes[1] >> 2 & 31, u16::from_le_bytes([bytes[0], bytes[1] & 3])) {
            (31, 0) => assert!(found.is_infinite() && found.is_sign_negative() == (bytes[1] > 127)),
            (31, _) => assert!(found.is_nan()),
            _ => assert_eq!(found.to_bits(), (half(bytes) as f32).to_bits()),
        }
    }
}

/// Lines of `NAME BLOCKS ELEMENTS`, both in hexadecimal, as the Python package `gguf` dequantised them.
const VECTORS: &str = include_str!("vectors.txt");

#[test]
fn vectors_of_another_implementation() {
    let bytes = |hex: &str| -> Vec<u8> {
        (0..hex.len() / 2).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap()).collect()
    };
    let mut seen = Vec::new();
    for line in VECTORS.lines().filter(|line| !line.starts_with('#')) {
        let [name, blocks, values] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let format = Format::ALL.into_iter().find(|format| format.name() == name).unwrap();
        let expected = dequantized(Format::F32, &bytes(values), values.len() / 8);
        assert_eq!(dequantized(format, &bytes(blocks), expected.len()), expected, "{name}");
        seen.push(format);
    }
    assert_eq!(seen, Format::ALL);
}

/// Rows of x and of the matrix, and columns in blocks (or elements, for formats without blocks).
const SHAPES: [(usize, usize, usize); 9] = [
    (1, 1, 1),
    (1, 33, 3),
    (3, 7, 5),
    (4, 130, 2),
    (5, 1, 1),
    (17, 33, 3),
    (64, 300, 2),
    (7, 17, 8),
    (1, 2, 8),
];

fn each_case(mut check: impl FnMut(usize, Matrix<'_>, &[f32])) {
    for format in Format::ALL {
        for (n, rows, blocks_in_row) in SHAPES {
            let cols = blocks_in_row * format.block_elements();
            let bytes = blocks(format, rows * cols, 5);
            check(n, Matrix::new(format, &bytes, rows, cols), &dequantized(format, &bytes, rows * cols));
        }
    }
}

#[test]
fn products_are_those_of_the_dequantised_matrix() {
    each_case(|n, w, values| {
        let (x, dy) = (noise(1, n * w.cols()), noise(2, n * w.rows()));
        let values = Dense::new(values, w.rows(), w.cols());
        let (mut found, mut expected) = (vec![f32::NAN; dy.len()], vec![0.0; dy.len()]);
        product(&mut found, &x, n, w, Arithmetic::F32);
        product(&mut expected, &x, n, values, Arithmetic::F32);
        assert_eq!(found, expected);
        let (mut found, mut expected) = (vec![f32::NAN; x.len()], vec![0.0; x.len()]);
        product_straight(&mut found, &dy, n, w, Arithmetic::F32);
        product_straight(&mut expected, &dy, n, values, Arithmetic::F32);
        assert_eq!(found, expected);
    });
}

#[test]
fn rows_are_looked_up_and_measured() {
    each_case(|n, w, values| {
        let index: Vec<u32> = (0..n).map(|i| (i * 7 % w.rows()) as u32).collect();
        let mut found = vec![f32::NAN; n * w.cols()];
        gather_rows(&mut found, w, &index);
        let expected: Vec<f32> =
            index.iter().flat_map(|&i| values[i as usize * w.cols()..][..w.cols()].to_vec()).collect();
        assert_eq!(found, expected);
        let mut squares = vec![f32::NAN; w.rows()];
        row_squares(&mut squares, w);
        let sum = |row: &[f32]| row.iter().map(|&x| f64::from(x).powi(2)).sum();
        assert_close(&squares, &values.chunks_exact(w.cols()).map(sum).collect::<Vec<_>>(), TOLERANCE);
    });
}

#[test]
fn nothing_in_nothing_out() {
    let none = Matrix::new(Format::Q4K, &[], 0, 256);
    product(&mut [], &[0.0; 512], 2, none, Arithmetic::F32);
    let mut dx = [1.0; 512];
    product_straight(&mut dx, &[], 2, none, Arithmetic::F32);
    assert_eq!(dx, [0.0; 512]);
    row_squares(&mut [], none);
    gather_rows(&mut [], none, &[]);
    dequantize(Format::Q4K, &[], &mut []);
    let mut out = [1.0; 4];
    product(&mut out, &[], 2, Matrix::new(Format::Q4_0, &[], 2, 0), Arithmetic::F32);
    assert_eq!(out, [0.0; 4]);
}

#[test]
fn same_bits_on_any_number_of_threads() {
    for format in [Format::Q4_1, Format::Q6K, Format::F16] {
        let (rows, cols) = (700, 1024);
        let bytes = blocks(format, rows * cols, 3);
        let w = Matrix::new(format, &bytes, rows, cols);
        for n in [1, 3, 130] {
            let (x, dy) = (noise(1, n * cols), noise(2, n * rows));
            assert_same_on_threads(|| {
                let mut out = vec![0.0; dy.len()];
                product(&mut out, &x, n, w, Arithmetic::F32);
                out
            });
            assert_same_on_threads(|| {
                let mut dx = vec![0.0; x.len()];
                product_straight(&mut dx, &dy, n, w, Arithmetic::F32);
                dx
            });
        }
        assert_same_on_threads(|| {
            let mut squares = vec![0.0; rows];
            row_squares(&mut squares, w);
            [squares, dequantized(format, &bytes, rows * cols)].concat()
        });
    }
}

#[test]
fn sizes_of_rows() {
    assert_eq!(Format::Q4_1.bytes(576), Some(360));
    assert_eq!(Format::Q6K.bytes(640), None, "no whole number of blocks");
    assert_eq!(Format::F32.bytes(usize::MAX), None, "more than can be counted");
    assert_eq!(Format::Q4K.bytes(0), Some(0));
}

#[test]
#[should_panic(expected = "bytes are not those")]
fn lengths_are_checked() {
    dequantize(Format::Q8_0, &[0; 33], &mut [0.0; 32]);
}

#[test]
#[should_panic(expected = "whole number of blocks")]
fn rows_are_whole_blocks() {
    let _ = Matrix::new(Format::Q8_0, &[0; 34], 2, 16);
}
