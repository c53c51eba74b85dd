//! The right-hand matrix of a product, where and how it lies.

use super::{Fill, Packed, Panels, Side, bf16};
use crate::quant::Matrix;
use crate::reduce::sum_of2;
use std::ops::Range;

/// A right-hand matrix, where and how it lies.
#[derive(Clone, Copy)]
pub enum Operand<'a> {
    /// In f32.
    Dense(Dense<'a>),
    /// In the blocks of a file.
    Quantized(Matrix<'a>),
    /// Rounded to bf16 beforehand.
    Packed(&'a Packed),
}

impl Operand<'_> {
    /// The matrix rounded to bf16, in the order in which products read it.
    pub fn pack(self) -> Packed {
        match self {
            Self::Dense(w) => Packed::new(&w),
            Self::Quantized(w) => Packed::new(&w),
            Self::Packed(w) => Packed::new(w),
        }
    }
}

impl<'a> From<&'a Packed> for Operand<'a> {
    fn from(packed: &'a Packed) -> Self {
        Self::Packed(packed)
    }
}

impl<'a> From<Dense<'a>> for Operand<'a> {
    fn from(dense: Dense<'a>) -> Self {
        Self::Dense(dense)
    }
}

impl<'a> From<Matrix<'a>> for Operand<'a> {
    fn from(matrix: Matrix<'a>) -> Self {
        Self::Quantized(matrix)
    }
}

/// A matrix whose elements can be read a piece of a row at a time.
pub(crate) trait Source: Sync {
    /// Number of rows.
    fn rows(&self) -> usize;

    /// Number of columns.
    fn cols(&self) -> usize;

    /// Columns that can only be read together; [`PIECE`] is a multiple.
    fn grain(&self) -> usize;

    /// Columns `at..at + out.len()` of a row. Both ends are multiples of the grain.
    fn read(&self, out: &mut [f32], row: usize, at: usize);

    /// As [`read`](Self::read), rounded to bf16.
    #[inline(always)]
    fn read_rounded<F: Fill>(&self, out: &mut [u16], row: usize, at: usize) {
        round_pieces::<F>(self, out, row, at);
    }

    /// The part of the matrix that makes the outputs in `outputs`, for the inner indices in `depth`, in cells.
    #[inline(always)]
    fn fill_panels<F: Fill>(
        &self,
        panels: &mut Panels,
        side: Side,
        outputs: &Range<usize>,
        depth: &Range<usize>,
    ) {
        bf16::fill_from_rows::<F>(panels, self, side, (outputs, depth));
    }

    /// The sum of a row's products with `x` `[cols]`, in an order of its own.
    fn dot(&self, row: usize, x: &[f32]) -> f32;
}

/// [`Source::read_rounded`] by way of f32.
#[inline(always)]
pub(crate) fn round_pieces<F: Fill>(source: &(impl Source + ?Sized), out: &mut [u16], row: usize, at: usize) {
    let mut piece = [0.0; PIECE];
    for (out, at) in out.chunks_mut(PIECE).zip((at..).step_by(PIECE)) {
        let piece = &mut piece[..out.len()];
        source.read(piece, row, at);
        F::round(out, piece);
    }
}

/// Pieces of rows begin at multiples of so many columns: of every quantised format's block.
pub(crate) const PIECE: usize = 256;

/// A matrix in f32, row-major.
#[derive(Clone, Copy)]
pub struct Dense<'a> {
    pub(super) data: &'a [f32],
    pub(super) rows: usize,
    pub(super) cols: usize,
    /// From one row to the next.
    pub(super) stride: usize,
}

impl<'a> Dense<'a> {
    /// The whole of `data` `[rows, cols]`.
    pub fn new(data: &'a [f32], rows: usize, cols: usize) -> Self {
        assert_eq!(data.len(), rows * cols, "matrix data does not have rows x cols elements");
        Self { data, rows, cols, stride: cols }
    }

    /// Some columns of a row.
    #[inline(always)]
    fn part(&self, row: usize, at: usize, len: usize) -> &'a [f32] {
        &self.data[row * self.stride + at..][..len]
    }
}

impl Source for Dense<'_> {
    fn rows(&self) -> usize {
        self.rows
    }

    fn cols(&self) -> usize {
        self.cols
    }

    fn grain(&self) -> usize {
        1
    }

    #[inline(always)]
    fn read(&self, out: &mut [f32], row: usize, at: usize) {
        out.copy_from_slice(self.part(row, at, out.len()));
    }

    #[inline(always)]
    fn read_rounded<F: Fill>(&self, out: &mut [u16], row: usize, at: usize) {
        F::round(out, self.part(row, at, out.len()));
    }

    #[inline(always)]
    fn fill_panels<F: Fill>(
        &self,
        panels: &mut Panels,
        side: Side,
        outputs: &Range<usize>,
        depth: &Range<usize>,
    ) {
        match side {
            Side::Transposed => bf16::fill_from_rows::<F>(panels, self, side, (outputs, depth)),
            Side::Straight => bf16::weave_rows::<F>(
                panels,
                #[inline(always)]
                |p| self.part(p, outputs.start, outputs.len()),
                (outputs, depth),
            ),
        }
    }

    #[inline(always)]
    fn dot(&self, row: usize, x: &[f32]) -> f32 {
        sum_of2(
            self.part(row, 0, self.cols),
            x,
            #[inline(always)]
            |w, x| w * x,
        )
    }
}
