//! Matrix products with a matrix that stays where and how it is: in f32 or in the blocks of a file.
//!
//! Factors are multiplied in f32, or rounded to bf16 first ([`Arithmetic`]); sums are in f32.
//!
//! A task unpacks a tile of the right-hand matrix into panels that stay in the cache, and multiplies its rows
//! of the left one with them; those are used where they lie. Each element of the output is one chain of fused
//! additions in the order of the inner index, so its bits depend neither on the number of threads, nor on the
//! tiles, nor on the other rows: what was computed for a row of a batch once holds in any batch. Only
//! [`product_few`], for decoding, sums in another order.

mod bf16;
mod few;
mod left;
mod micro;
mod operand;
mod output;
#[cfg(test)]
mod tests;
mod tile;

use crate::profile::{Kind, time_product};
pub(crate) use bf16::{Fill, Panels};
pub use bf16::{Packed, multiply_in_cache};
use left::{LaidOut, Left};
use micro::{Strip, panel_width};
use operand::PIECE;
pub use operand::{Dense, Operand};
pub(crate) use operand::{Source, round_pieces};
pub use output::Start;
use output::{Before, Output};
use rayon::prelude::*;
use std::cell::RefCell;
use std::fmt;
use std::ops::Range;
use tile::Tile;

/// What the factors of products are rounded to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Arithmetic {
    /// Nothing.
    #[default]
    F32,
    /// bf16, where the matrix has at least [`BF16_LEAST`] rows and columns: products with the heads of few classes
    /// stay in f32.
    Bf16,
}

impl Arithmetic {
    /// Of products with a matrix of this size, or whose result is one.
    fn for_matrix(self, rows: usize, cols: usize) -> Self {
        if rows.min(cols) < BF16_LEAST { Self::F32 } else { self }
    }

    /// What this machine multiplies fastest.
    pub fn fastest() -> Self {
        if bf16::pays() { Self::Bf16 } else { Self::F32 }
    }
}

impl fmt::Display for Arithmetic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
        })
    }
}

/// Rows and columns of a matrix for which rounding to bf16 pays.
pub const BF16_LEAST: usize = 4;

/// `out = x wᵀ`: `out` `[n, w.rows]`, `x` `[n, w.cols]`.
pub fn product<'a>(out: &mut [f32], x: &[f32], n: usize, w: impl Into<Operand<'a>>, arithmetic: Arithmetic) {
    product_onto(out, x, n, w, Start::Zero, arithmetic);
}

/// `out = start + x wᵀ`, as [`product`].
pub fn product_onto<'a>(
    out: &mut [f32],
    x: &[f32],
    n: usize,
    w: impl Into<Operand<'a>>,
    start: Start<'_>,
    arithmetic: Arithmetic,
) {
    match w.into() {
        Operand::Dense(w) => transposed(out, x, n, &w, start, arithmetic),
        Operand::Quantized(w) => transposed(out, x, n, &w, start, arithmetic),
        Operand::Packed(w) => transposed(out, x, n, w, start, arithmetic),
    }
}

/// [`product`] for so few rows that turning the matrix into panels would cost more than the product, as in
/// decoding: each row of the matrix is multiplied as soon as it is read, and summed in another order.
pub fn product_few<'a>(out: &mut [f32], x: &[f32], n: usize, w: impl Into<Operand<'a>>) {
    match w.into() {
        Operand::Dense(w) => few::product(out, x, n, &w),
        Operand::Quantized(w) => few::product(out, x, n, &w),
        Operand::Packed(w) => few::product(out, x, n, w),
    }
}

/// `out = x w`: `out` `[n, w.cols]`, `x` `[n, w.rows]`. With an output gradient as `x` this is the backward of
/// [`product`].
pub fn product_straight<'a>(
    out: &mut [f32],
    x: &[f32],
    n: usize,
    w: impl Into<Operand<'a>>,
    arithmetic: Arithmetic,
) {
    match w.into() {
        Operand::Dense(w) => straight(out, x, n, &w, arithmetic),
        Operand::Quantized(w) => straight(out, x, n, &w, arithmetic),
        Operand::Packed(w) => straight(out, x, n, w, arithmetic),
    }
}

fn transposed(
    out: &mut [f32],
    x: &[f32],
    n: usize,
    w: &impl Source,
    start: Start<'_>,
    arithmetic: Arithmetic,
) {
    assert_eq!(x.len(), n * w.cols(), "left side is not [n, w.cols]");
    assert_eq!(out.len(), n * w.rows(), "output is not [n, w.rows]");
    let _timed = time_product(Kind::Product, n * w.cols() * w.rows());
    let left = Left::rows(x, w.cols());
    let arithmetic = arithmetic.for_matrix(w.rows(), w.cols());
    run(out, left, (n, w.cols(), w.rows()), w, (Side::Transposed, start), arithmetic);
}

fn straight(out: &mut [f32], x: &[f32], n: usize, w: &impl Source, arithmetic: Arithmetic) {
    assert_eq!(x.len(), n * w.rows(), "left side is not [n, w.rows]");
    assert_eq!(out.len(), n * w.cols(), "output is not [n, w.cols]");
    let _timed = time_product(Kind::ProductToInput, n * w.cols() * w.rows());
    let left = Left::rows(x, w.rows());
    let arithmetic = arithmetic.for_matrix(w.rows(), w.cols());
    run(out, left, (n, w.rows(), w.cols()), w, (Side::Straight, Start::Zero), arithmetic);
}

/// `out = start + aᵀ b`: `out` `[a's columns, b.cols]`, `a` `[b.rows, columns]`. With
/// an output gradient as `a` and an input as `b` this is a weight's gradient.
pub fn product_outer(
    out: &mut [f32],
    a: &[f32],
    columns: usize,
    b: Dense<'_>,
    start: Start<'_>,
    arithmetic: Arithmetic,
) {
    assert_eq!(a.len(), b.rows * columns, "left side is not [b.rows, columns]");
    assert_eq!(out.len(), columns * b.cols, "output is not [columns, b.cols]");
    let _timed = time_product(Kind::ProductToWeight, columns * b.rows * b.cols);
    let left = Left::columns(a, columns);
    let arithmetic = arithmetic.for_matrix(columns, b.cols);
    run(out, left, (columns, b.rows, b.cols), &b, (Side::Straight, start), arithmetic);
}

/// `out = a b` or `out += a b` in bf16, on this thread: `out` `[m, n]`, `a` `[m, k]` with distances from one row to the
/// next and from one inner index to the next, `b` `[k, n]` with a distance between rows.
pub(crate) fn product_here(
    (out, start): (&mut [f32], Start<'_>),
    (a, strides): (&[f32], (usize, usize)),
    (b, stride): (&[f32], usize),
    (m, k, n): (usize, usize, usize),
) {
    let out = Output::new(out, n, start);
    let right = Dense { data: b, rows: k, cols: n, stride };
    bf16::run_here(&out, Left::strided(a, strides), (m, k, n), &right);
}

/// Which way round the right-hand matrix is multiplied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// An output is one of its rows.
    Transposed,
    /// An output is one of its columns.
    Straight,
}

/// Rows of the left side that are multiplied with a tile before the next panel: together with the tile they
/// fill half of a usual second cache.
const ROWS: usize = 120;

/// Columns of a task, at least and, where a block of the matrix is no wider, at most.
const NARROW: usize = 64;
const WIDE: usize = 128;

/// Columns of tasks are multiples of this: of a panel's under any instruction set.
const COLUMN_STEP: usize = 32;

/// Elements of a tile: a quarter of a usual second cache.
const TILE_ELEMENTS: usize = 32 * 1024;

/// Fewer rows than this are not shared out: unpacking the matrix for each part would cost too much.
const FEWEST: usize = 240;

/// Parts of rows are multiples of this: of the rows of a [`Strip`] under any instruction set.
const ROW_STEP: usize = 12;

/// Tasks per thread that even out what one thread gets more than another.
const TASKS: usize = 3;

/// Inner indices for which the left side is laid out at a time: its copy stays small where the inner index is a
/// vocabulary.
const PACKED_DEPTH: usize = 16 * PIECE;

/// Outputs from which on it pays to lay the left side out anew.
const WORTH_PACKING: usize = 64;

/// Multiplications below which waking other threads costs more than it saves.
const SERIAL: usize = 64 * 64 * 64;

thread_local! {
    static TILE: RefCell<Tile> = RefCell::default();
}

/// The product of `left` `[rows, depth]` and `right`, into (or onto) `out` `[rows, width]`.
fn run<W: Source>(
    out: &mut [f32],
    left: Left<'_>,
    (rows, depth, width): (usize, usize, usize),
    right: &W,
    (side, start): (Side, Start<'_>),
    arithmetic: Arithmetic,
) {
    if out.is_empty() || depth == 0 {
        return start.alone(out);
    }
    let out = Output::new(out, width, start);
    match arithmetic {
        Arithmetic::F32 => run_f32(&out, left, (rows, depth, width), right, side),
        Arithmetic::Bf16 => bf16::run(&out, left, (rows, depth, width), right, side),
    }
}

/// As [`run`], where there is something to multiply.
fn run_f32<W: Source>(
    out: &Output<'_>,
    left: Left<'_>,
    (rows, depth, width): (usize, usize, usize),
    right: &W,
    side: Side,
) {
    let wide = task_width(width, if side == Side::Straight { right.grain() } else { 1 });
    let deep = (TILE_ELEMENTS / wide).min(PIECE);
    let tasks = tasks(rows, pieces(0..width, wide), ROW_STEP);
    let mut laid_out = LaidOut::new();
    for depth in pieces(0..depth, PACKED_DEPTH) {
        let mut left = left.from(depth.start);
        if width >= WORTH_PACKING {
            left = laid_out.lay_out(left, rows, depth.len());
        }
        let product = Product { out, left, right, side, depth, deep };
        product.run(&tasks, rows);
    }
}

/// A part of the output.
struct Rectangle {
    rows: Range<usize>,
    columns: Range<usize>,
}

/// Columns of a task: about as many for each, as few as keep all threads busy to the end, and a multiple of `grain`.
fn task_width(width: usize, grain: usize) -> usize {
    let share = width.div_ceil(TASKS * rayon::current_num_threads());
    share.clamp(NARROW, WIDE).next_multiple_of(grain.max(COLUMN_STEP))
}

/// The output in rectangles: rows are only shared out where there are too few columns for all threads.
/// Parts of rows are multiples of `step`.
fn tasks(rows: usize, columns: Vec<Range<usize>>, step: usize) -> Vec<Rectangle> {
    let parts = (TASKS * rayon::current_num_threads()).div_ceil(columns.len()).min(rows / FEWEST).max(1);
    let rows = pieces(0..rows, rows.div_ceil(parts).next_multiple_of(step));
    let task = |columns: &Range<usize>, rows: &Range<usize>| Rectangle {
        rows: rows.clone(),
        columns: columns.clone(),
    };
    columns.iter().flat_map(|columns| rows.iter().map(move |rows| task(columns, rows))).collect()
}

/// `range` in pieces of `size`, the last one shorter.
fn pieces(range: Range<usize>, size: usize) -> Vec<Range<usize>> {
    range.clone().step_by(size).map(|first| first..(first + size).min(range.end)).collect()
}

/// What all tasks of a product know.
struct Product<'a, W> {
    out: &'a Output<'a>,
    /// `[rows, depth.len()]`
    left: Left<'a>,
    right: &'a W,
    side: Side,
    depth: Range<usize>,
    /// Inner indices of a tile.
    deep: usize,
}

struct Task<'a, W> {
    product: &'a Product<'a, W>,
    tile: &'a mut Tile,
    task: &'a Rectangle,
}

impl<W: Source> pulp::WithSimd for Task<'_, W> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, simd: S) {
        let Self { product, tile, task } = self;
        for depth in pieces(product.depth.clone(), product.deep) {
            tile.fill::<S>(product.right, product.side, &task.columns, &depth);
            for rows in pieces(task.rows.clone(), ROWS) {
                product.multiply(simd, tile, &Rectangle { rows, columns: task.columns.clone() }, &depth);
            }
        }
    }
}

impl<W: Source> Product<'_, W> {
    /// All tasks, side by side if that pays.
    fn run(&self, tasks: &[Rectangle], rows: usize) {
        let one = |task: &Rectangle| {
            TILE.with_borrow_mut(|tile| pulp::Arch::new().dispatch(Task { product: self, tile, task }));
        };
        match rows * self.depth.len() * self.out.width <= SERIAL {
            true => tasks.iter().for_each(one),
            false => tasks.par_iter().for_each(one),
        }
    }

    /// Some rows of the left side with a tile.
    #[inline(always)]
    fn multiply<S: pulp::Simd>(&self, simd: S, tile: &Tile, part: &Rectangle, depth: &Range<usize>) {
        let (rows, width) = (&part.rows, panel_width::<S>());
        let from = self.depth.start;
        let strips = self.left.strips::<S>(rows, &(depth.start - from..depth.end - from));
        for (index, first) in part.columns.clone().step_by(width).enumerate() {
            let strip = Strip {
                left: strips,
                panel: tile.panel::<S>(index, depth.len()),
                depth: depth.len(),
                out: self.out.at(rows.start, first),
                out_stride: self.out.width,
                width: width.min(part.columns.end - first),
                start: self.out.before(depth.start, rows.start, first),
            };
            // SAFETY: the strips and the panel lie in slices of the right sizes; the rows and columns are this
            // task's own, and lie in the output, whose size was checked.
            unsafe { strip.run(simd, rows.len()) };
        }
    }
}
