//! Products whose factors are rounded to bf16 and whose sums stay in f32: on the matrix units of AMX, by the
//! vector instructions of AVX512-BF16, or by plain ones.
//!
//! Both sides are laid out in cells of 16 x 32 values, which are the tiles of AMX: of the left one 16 rows with 32
//! inner indices each, of the right one 16 pairs of inner indices with 16 columns each. As in f32, an element of
//! the output is one chain of additions in the order of the inner index.

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod amx;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod cells;
mod left;
mod packed;
mod panels;
mod plain;
#[cfg(test)]
mod tests;

use super::{Before, Left, Output, Rectangle, Side, Source, pieces, tasks};
use crate::gemm::SERIAL;
use crate::parallel::vectorized;
pub(crate) use cells::Fill;
use cells::{Cell, Plainly, SIDE};
use left::Cells;
pub use packed::Packed;
pub(crate) use panels::Panels;
pub(super) use panels::{fill_from_rows, weave_rows};
use rayon::prelude::*;
use std::cell::RefCell;
use std::ops::Range;
use std::sync::LazyLock;

/// Inner indices of a panel: 128 columns of them take an eighth of a usual second cache.
const DEEP: usize = 512;

/// Inner indices for which the left side is laid out at a time: its copy stays small where the inner index is a
/// vocabulary.
const LAID_OUT: usize = 8 * DEEP;

/// Columns of a task at most: with [`DEEP`] inner indices a quarter of a mebibyte of panels.
const WIDEST: usize = 256;

/// Rows and columns of a block of the output: of two cells each.
const BLOCK: usize = 2 * SIDE;

/// Who multiplies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// The tiles of AMX.
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    Amx,
    /// The vectors of AVX512-BF16.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// Any instruction set, with factors turned back into f32.
    Plain,
}

static BEST: LazyLock<Unit> = LazyLock::new(|| Unit::all()[0]);

impl Unit {
    /// What this machine has, the fastest first.
    pub(super) fn all() -> Vec<Self> {
        let found = [
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            (Self::Amx, amx::available() && avx512::available()),
            #[cfg(target_arch = "x86_64")]
            (Self::Avx512, avx512::available()),
            (Self::Plain, true),
        ];
        found.into_iter().filter_map(|(unit, there)| there.then_some(unit)).collect()
    }
}

/// Multiplies blocks in the first cache so many times, and returns the multiplications and additions: products in
/// bf16 cannot be faster on one thread.
pub fn multiply_in_cache(times: usize) -> usize {
    const CELLS: usize = 8;
    let (cells, mut out) = ([Cell::ZERO; CELLS], [0.0; BLOCK * BLOCK]);
    let block =
        Block { left: [&cells; 2], right: [&cells; 2], out: out.as_mut_ptr(), stride: BLOCK, start: None };
    BEST.begin();
    for _ in 0..times {
        // SAFETY: the output is this function's own.
        unsafe { BEST.multiply(&block) };
    }
    BEST.end();
    2 * times * BLOCK * BLOCK * CELLS * cells::DEPTH
}

/// Whether this machine multiplies bf16 faster than f32.
pub(super) fn pays() -> bool {
    *BEST != Unit::Plain
}

thread_local! {
    static PANELS: RefCell<Panels> = RefCell::default();
}

/// As [`super::run`].
pub(super) fn run<W: Source>(
    out: &Output<'_>,
    left: Left<'_>,
    (rows, depth, width): (usize, usize, usize),
    right: &W,
    side: Side,
) {
    let wide = task_width(width, right.grain());
    let tasks = tasks(rows, pieces(0..width, wide), BLOCK);
    let mut cells = Cells::kept();
    for depth in pieces(0..depth, LAID_OUT) {
        cells.lay_out(left.from(depth.start), rows, depth.len(), *BEST);
        let product = Product { out, left: &cells, right, side, depth };
        product.run(&tasks, rows, *BEST);
    }
}

/// As [`run`] with [`Side::Straight`], all of it on this thread: for small matrices inside of parallel work.
pub(super) fn run_here<W: Source>(
    out: &Output<'_>,
    left: Left<'_>,
    (rows, depth, width): (usize, usize, usize),
    right: &W,
) {
    let mut cells = Cells::kept();
    cells.lay_out_here(left, rows, depth, *BEST);
    let product = Product { out, left: &cells, right, side: Side::Straight, depth: 0..depth };
    let all = Rectangle { rows: 0..rows, columns: 0..width };
    PANELS.with_borrow_mut(|panels| product.task(&all, panels, *BEST));
}

/// Columns of a task: as many tasks as threads, or a multiple, and a multiple of `grain`. A task reads all of the left
/// side, so there are few.
fn task_width(width: usize, grain: usize) -> usize {
    let tasks = width.div_ceil(WIDEST).next_multiple_of(rayon::current_num_threads());
    width.div_ceil(tasks).next_multiple_of(grain.max(BLOCK))
}

/// What all tasks of a product know.
struct Product<'a, W> {
    out: &'a Output<'a>,
    /// `[rows, depth.len()]`
    left: &'a Cells,
    right: &'a W,
    side: Side,
    depth: Range<usize>,
}

impl<W: Source> Product<'_, W> {
    /// All tasks, side by side if that pays.
    fn run(&self, tasks: &[Rectangle], rows: usize, unit: Unit) {
        let one = |task: &Rectangle| PANELS.with_borrow_mut(|panels| self.task(task, panels, unit));
        match rows * self.depth.len() * self.out.width <= SERIAL {
            true => tasks.iter().for_each(one),
            false => tasks.par_iter().for_each(one),
        }
    }

    fn task(&self, task: &Rectangle, panels: &mut Panels, unit: Unit) {
        for depth in pieces(self.depth.clone(), DEEP) {
            panels.fill(self.right, self.side, (&task.columns, &depth), unit);
            unit.begin();
            for row in task.rows.clone().step_by(BLOCK) {
                for column in task.columns.clone().step_by(BLOCK) {
                    self.block((row, column), task, &depth, panels, unit);
                }
            }
            unit.end();
        }
    }

    /// A block of the output, from a row and a column on. One that the task cuts off goes through a buffer.
    fn block(
        &self,
        (row, column): (usize, usize),
        task: &Rectangle,
        depth: &Range<usize>,
        panels: &Panels,
        unit: Unit,
    ) {
        let (out, width) = (self.out.at(row, column), self.out.width);
        let start = self.out.before(depth.start, row, column);
        let (rows, columns) = (BLOCK.min(task.rows.end - row), BLOCK.min(task.columns.end - column));
        let from = depth.start - self.depth.start;
        let mut block = Block {
            left: self.left.pair(row, from, depth.len()),
            right: panels.pair(column - task.columns.start),
            out,
            stride: width,
            start,
        };
        // SAFETY: the rows and columns are this task's own, and lie in the output, whose size was checked.
        unsafe {
            if (rows, columns) == (BLOCK, BLOCK) {
                return unit.multiply(&block);
            }
            let mut buffer = [0.0f32; BLOCK * BLOCK];
            if let Some((start, apart)) = start {
                for (r, held) in buffer.chunks_exact_mut(BLOCK).take(rows).enumerate() {
                    start.add(r * apart).copy_to(held.as_mut_ptr(), columns);
                }
            }
            (block.out, block.stride) = (buffer.as_mut_ptr(), BLOCK);
            block.start = Some((buffer.as_ptr(), BLOCK));
            unit.multiply(&block);
            for (r, held) in buffer.chunks_exact(BLOCK).take(rows).enumerate() {
                out.add(r * width).copy_from(held.as_ptr(), columns);
            }
        }
    }
}

/// Two rows of cells and two columns of cells, what their product is added to, and where it goes.
struct Block<'a> {
    /// Of 16 rows each, along the inner index.
    left: [&'a [Cell]; 2],
    /// Of 16 columns each, along the inner index.
    right: [&'a [Cell]; 2],
    /// `[32, 32]`, rows `stride` apart.
    out: *mut f32,
    stride: usize,
    start: Before,
}

/// Work that fills cells, whatever with.
trait Filling {
    /// Does it. This and all it calls must be `#[inline(always)]`, with loops instead of closures: those may be
    /// compiled for lesser processors.
    fn fill<F: Fill>(self);
}

impl Unit {
    /// Fills cells by the vectors that there are where this unit is.
    fn fill(self, filling: impl Filling) {
        match self {
            // SAFETY: this unit is only chosen where the processor has these vectors.
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => unsafe {
                avx512::compiled(
                    #[inline(always)]
                    || filling.fill::<avx512::Vectors>(),
                );
            },
            // SAFETY: as above; a processor with AMX has them too, which `all` makes sure of.
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            Self::Amx => unsafe {
                avx512::compiled(
                    #[inline(always)]
                    || filling.fill::<avx512::Vectors>(),
                );
            },
            Self::Plain => vectorized(
                #[inline(always)]
                || filling.fill::<Plainly>(),
            ),
        }
    }

    /// Before blocks are multiplied on this thread.
    fn begin(self) {
        #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
        if self == Self::Amx {
            // SAFETY: this unit is only chosen where the processor and the system have it.
            unsafe { amx::configure() };
        }
    }

    /// After them.
    fn end(self) {
        #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
        if self == Self::Amx {
            // SAFETY: as in `begin`.
            unsafe { amx::release() };
        }
    }

    /// `out (+)= left right`.
    ///
    /// # Safety
    /// Between [`begin`](Self::begin) and [`end`](Self::end), with an output that nobody else touches.
    unsafe fn multiply(self, block: &Block<'_>) {
        // SAFETY: the caller's promises; a unit is only chosen where it is there.
        unsafe {
            match self {
                #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
                Self::Amx => amx::multiply(block),
                #[cfg(target_arch = "x86_64")]
                Self::Avx512 => avx512::multiply(block),
                Self::Plain => plain::multiply(block),
            }
        }
    }
}
