//! Matrices that stay quantised in memory, in the block formats of GGUF files, and products with them.
//!
//! A row is cut into blocks of a fixed number of elements; a block holds a scale (sometimes an offset) and
//! small integers. Nothing here makes the whole matrix in f32: [products](crate::gemm) unpack a tile at a time
//! into a buffer that stays in the cache. Every element is exact but for one rounding, so all ways of unpacking
//! give the same bits.

mod floats;
mod k;
mod legacy;
mod rows;
#[cfg(test)]
mod tests;

pub use rows::{gather_rows, row_squares};

use crate::gemm::{Fill, Source, round_pieces};
use crate::parallel::vectorized;
use rayon::prelude::*;
use std::fmt;

/// How the elements of a matrix are stored: little-endian, row after row, a whole number of blocks each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Format {
    /// 32-bit float.
    F32,
    /// IEEE half.
    F16,
    /// The upper half of an f32.
    Bf16,
    /// 4 bits with a scale.
    Q4_0,
    /// 4 bits with a scale and an offset.
    Q4_1,
    /// 5 bits with a scale.
    Q5_0,
    /// 5 bits with a scale and an offset.
    Q5_1,
    /// 8 bits with a scale.
    Q8_0,
    /// 4 bits in groups of 32 whose scales and offsets have 6 bits.
    Q4K,
    /// 5 bits in groups of 32 whose scales and offsets have 6 bits.
    Q5K,
    /// 6 bits in groups of 16 whose scales have 8 bits.
    Q6K,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 11] = [
        Self::F32,
        Self::F16,
        Self::Bf16,
        Self::Q4_0,
        Self::Q4_1,
        Self::Q5_0,
        Self::Q5_1,
        Self::Q8_0,
        Self::Q4K,
        Self::Q5K,
        Self::Q6K,
    ];

    /// Name, elements and bytes of a block.
    const fn facts(self) -> (&'static str, usize, usize) {
        match self {
            Self::F32 => ("F32", 1, 4),
            Self::F16 => ("F16", 1, 2),
            Self::Bf16 => ("BF16", 1, 2),
            Self::Q4_0 => ("Q4_0", 32, 18),
            Self::Q4_1 => ("Q4_1", 32, 20),
            Self::Q5_0 => ("Q5_0", 32, 22),
            Self::Q5_1 => ("Q5_1", 32, 24),
            Self::Q8_0 => ("Q8_0", 32, 34),
            Self::Q4K => ("Q4_K", 256, 144),
            Self::Q5K => ("Q5_K", 256, 176),
            Self::Q6K => ("Q6_K", 256, 210),
        }
    }

    /// As GGUF tools write it: `Q4_K`.
    pub fn name(self) -> &'static str {
        self.facts().0
    }

    /// Elements in a block: 1, 32 or 256.
    pub fn block_elements(self) -> usize {
        self.facts().1
    }

    /// Bytes of a block.
    pub fn block_bytes(self) -> usize {
        self.facts().2
    }

    /// Bytes of `elements` elements; none if they are no whole number of blocks, or more than can be counted.
    pub fn bytes(self, elements: usize) -> Option<usize> {
        let (_, per_block, bytes) = self.facts();
        elements.is_multiple_of(per_block).then(|| (elements / per_block).checked_mul(bytes)).flatten()
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A quantised matrix `[rows, cols]` where it lies in memory, at any alignment.
#[derive(Clone, Copy)]
pub struct Matrix<'a> {
    format: Format,
    bytes: &'a [u8],
    rows: usize,
    cols: usize,
    row_bytes: usize,
}

impl<'a> Matrix<'a> {
    /// The whole of `bytes` as `rows` rows of `cols` elements, each row a whole number of blocks.
    pub fn new(format: Format, bytes: &'a [u8], rows: usize, cols: usize) -> Self {
        let row_bytes = format.bytes(cols);
        assert!(row_bytes.is_some(), "a row is not a whole number of blocks");
        let row_bytes = row_bytes.unwrap_or_default();
        assert_eq!(row_bytes.checked_mul(rows), Some(bytes.len()), "bytes are not rows x bytes of a row");
        Self { format, bytes, rows, cols, row_bytes }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Columns `at..at + out.len()` of row `i`, both ends at the edge of a block.
    #[inline(always)]
    fn unpack_row(&self, out: &mut [f32], i: usize, at: usize) {
        let (_, elements, bytes) = self.format.facts();
        let start = i * self.row_bytes + at / elements * bytes;
        unpack(self.format, &self.bytes[start..start + out.len() / elements * bytes], out);
    }
}

impl Source for Matrix<'_> {
    fn rows(&self) -> usize {
        self.rows
    }

    fn cols(&self) -> usize {
        self.cols
    }

    fn grain(&self) -> usize {
        self.format.block_elements()
    }

    #[inline(always)]
    fn read(&self, out: &mut [f32], row: usize, at: usize) {
        self.unpack_row(out, row, at);
    }

    #[inline(always)]
    fn read_rounded<F: Fill>(&self, out: &mut [u16], row: usize, at: usize) {
        match self.format {
            Format::Bf16 => floats::bits(&self.bytes[row * self.row_bytes + 2 * at..], out),
            _ => round_pieces::<F>(self, out, row, at),
        }
    }

    #[inline(always)]
    fn dot(&self, row: usize, x: &[f32]) -> f32 {
        dot(self.format, &self.bytes[row * self.row_bytes..][..self.row_bytes], x)
    }
}

/// Elements that one task unpacks.
const CHUNK: usize = 64 * 1024;

/// `out` = the elements of `bytes`: as many as `out` has, which is a whole number of blocks.
pub fn dequantize(format: Format, bytes: &[u8], out: &mut [f32]) {
    assert_eq!(format.bytes(out.len()), Some(bytes.len()), "bytes are not those of out.len() elements");
    let chunk_bytes = CHUNK / format.block_elements() * format.block_bytes();
    out.par_chunks_mut(CHUNK).zip(bytes.par_chunks(chunk_bytes)).for_each(|(out, bytes)| {
        vectorized(
            #[inline(always)]
            || unpack(format, bytes, out),
        );
    });
}

/// One thread's part of [`dequantize`]: the caller checks lengths and picks the instruction set.
#[inline(always)]
fn unpack(format: Format, bytes: &[u8], out: &mut [f32]) {
    match format {
        Format::F32 => floats::f32(bytes, out),
        Format::F16 => floats::f16(bytes, out),
        Format::Bf16 => floats::bf16(bytes, out),
        blocks => each_part(blocks, bytes, &mut Stored { out: out.as_chunks_mut::<16>().0 }),
    }
}

/// 16 elements of a block, one after the other.
type Part = [f32; 16];

/// What becomes of a block's elements when they are unpacked.
trait Sink {
    /// Elements `16 index..16 index + 16`.
    fn take(&mut self, index: usize, part: Part);
}

/// Hands the elements of whole blocks to `sink`, in order. Formats without blocks have no parts.
#[inline(always)]
fn each_part(format: Format, bytes: &[u8], sink: &mut impl Sink) {
    match format {
        Format::F32 | Format::F16 | Format::Bf16 => {}
        Format::Q4_0 => legacy::q4_0(bytes, sink),
        Format::Q4_1 => legacy::q4_1(bytes, sink),
        Format::Q5_0 => legacy::q5_0(bytes, sink),
        Format::Q5_1 => legacy::q5_1(bytes, sink),
        Format::Q8_0 => legacy::q8_0(bytes, sink),
        Format::Q4K => k::q4(bytes, sink),
        Format::Q5K => k::q5(bytes, sink),
        Format::Q6K => k::q6(bytes, sink),
    }
}

/// They are kept.
struct Stored<'a> {
    out: &'a mut [Part],
}

impl Sink for Stored<'_> {
    #[inline(always)]
    fn take(&mut self, index: usize, part: Part) {
        self.out[index] = part;
    }
}

/// They are multiplied with others, in 16 running sums.
struct Summed<'a> {
    x: &'a [Part],
    sums: Part,
}

impl Sink for Summed<'_> {
    #[inline(always)]
    fn take(&mut self, index: usize, part: Part) {
        // A loop without closures, so that nothing of it is compiled for lesser processors.
        for (sum, (w, x)) in self.sums.iter_mut().zip(part.iter().zip(&self.x[index])) {
            *sum = w.mul_add(*x, *sum);
        }
    }
}

/// The sum of the products of the elements of `bytes` and `x`, as many.
#[inline(always)]
fn dot(format: Format, bytes: &[u8], x: &[f32]) -> f32 {
    match format {
        Format::F32 => floats::dot(bytes, x, f32::from_le_bytes),
        Format::F16 => floats::dot(bytes, x, floats::half),
        Format::Bf16 => floats::dot(bytes, x, floats::bfloat),
        blocks => {
            let mut summed = Summed { x: x.as_chunks().0, sums: [0.0; 16] };
            each_part(blocks, bytes, &mut summed);
            summed.sums.iter().sum()
        }
    }
}
