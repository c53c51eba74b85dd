//! How every kernel is spread: fixed chunks over the thread pool, each compiled for the widest vectors of the
//! machine.
//!
//! A chunk's size never depends on the thread count, and partial sums are combined in the order of the
//! chunks, so a result has the same bits on one thread and on many.

use rayon::prelude::*;
use std::ops::Range;

/// Elements in one piece of parallel work: 64 KiB of f32, small enough for the first or second cache.
const CHUNK: usize = 16 * 1024;

/// Rows that share one partial sum, at least: keeps partial sums a small fraction of what is summed.
const SUM_ROWS: usize = 64;

/// Runs `work` compiled for the widest vectors this machine has. The closure and all it calls must be
/// `#[inline(always)]`, else it runs as baseline code.
#[inline(always)]
pub(crate) fn vectorized<R>(work: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(work)
}

/// Number of whole rows that make about one chunk.
pub(crate) fn chunk_rows(cols: usize) -> usize {
    (CHUNK / cols.max(1)).max(1)
}

/// `out[i] = f(x[i])`.
#[inline(always)]
pub(crate) fn map(out: &mut [f32], x: &[f32], f: impl Fn(f32) -> f32 + Sync) {
    assert_eq!(out.len(), x.len(), "input and output differ in length");
    let run = |out: &mut [f32], x: &[f32]| {
        vectorized(
            #[inline(always)]
            || out.iter_mut().zip(x).for_each(|(o, &x)| *o = f(x)),
        )
    };
    if out.len() <= CHUNK {
        return run(out, x);
    }
    out.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK)).for_each(|(out, x)| run(out, x));
}

/// `out[i] = f(a[i], b[i])`.
#[inline(always)]
pub(crate) fn map2(out: &mut [f32], a: &[f32], b: &[f32], f: impl Fn(f32, f32) -> f32 + Sync) {
    assert!(out.len() == a.len() && out.len() == b.len(), "inputs and output differ in length");
    let run = |out: &mut [f32], a: &[f32], b: &[f32]| {
        vectorized(
            #[inline(always)]
            || out.iter_mut().zip(a.iter().zip(b)).for_each(|(o, (&a, &b))| *o = f(a, b)),
        )
    };
    if out.len() <= CHUNK {
        return run(out, a, b);
    }
    let inputs = a.par_chunks(CHUNK).zip(b.par_chunks(CHUNK));
    out.par_chunks_mut(CHUNK).zip(inputs).for_each(|(out, (a, b))| run(out, a, b));
}

/// `out[i] = f(out[i], x[i])`.
#[inline(always)]
pub(crate) fn update(out: &mut [f32], x: &[f32], f: impl Fn(f32, f32) -> f32 + Sync) {
    assert_eq!(out.len(), x.len(), "input and output differ in length");
    let run = |out: &mut [f32], x: &[f32]| {
        vectorized(
            #[inline(always)]
            || out.iter_mut().zip(x).for_each(|(o, &x)| *o = f(*o, x)),
        )
    };
    if out.len() <= CHUNK {
        return run(out, x);
    }
    out.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK)).for_each(|(out, x)| run(out, x));
}

/// Splits `out` `[n, cols]` into chunks of rows and calls `work(first row, rows)` for each.
#[inline(always)]
pub(crate) fn for_rows(out: &mut [f32], cols: usize, work: impl Fn(usize, &mut [f32]) + Sync) {
    if out.is_empty() {
        return;
    }
    let rows = chunk_rows(cols);
    let run = |first: usize, chunk: &mut [f32]| {
        vectorized(
            #[inline(always)]
            || work(first, chunk),
        )
    };
    if out.len() <= rows * cols {
        return run(0, out);
    }
    out.par_chunks_mut(rows * cols).enumerate().for_each(|(i, chunk)| run(i * rows, chunk));
}

/// Splits `out` `[n, cols]` and `side` `[n, side_cols]` into the same chunks of rows: `work(first row, rows,
/// side rows)`.
#[inline(always)]
pub(crate) fn for_rows_with(
    (out, cols): (&mut [f32], usize),
    (side, side_cols): (&mut [f32], usize),
    work: impl Fn(usize, &mut [f32], &mut [f32]) + Sync,
) {
    if out.is_empty() {
        return;
    }
    let rows = chunk_rows(cols);
    let run = |first: usize, chunk: &mut [f32], side: &mut [f32]| {
        vectorized(
            #[inline(always)]
            || work(first, chunk, side),
        )
    };
    if out.len() <= rows * cols {
        return run(0, out, side);
    }
    let chunks = out.par_chunks_mut(rows * cols).zip(side.par_chunks_mut(rows * side_cols));
    chunks.enumerate().for_each(|(i, (chunk, side))| run(i * rows, chunk, side));
}

/// `out[i] = f(i)`, where `f` reads row `i` of `cols` elements.
#[inline(always)]
pub(crate) fn for_row_results(out: &mut [f32], cols: usize, f: impl Fn(usize) -> f32 + Sync) {
    let rows = chunk_rows(cols);
    let run = |first: usize, chunk: &mut [f32]| {
        vectorized(
            #[inline(always)]
            || (first..).zip(chunk).for_each(|(i, o)| *o = f(i)),
        )
    };
    if out.len() <= rows {
        return run(0, out);
    }
    out.par_chunks_mut(rows).enumerate().for_each(|(i, chunk)| run(i * rows, chunk));
}

/// `out[j]` = the sum over `rows` rows of what `work(rows of the chunk, partial)` adds to its partial sum
/// (zero at first).
#[inline(always)]
pub(crate) fn sum_over_rows(out: &mut [f32], rows: usize, work: impl Fn(Range<usize>, &mut [f32]) + Sync) {
    let width = out.len();
    let step = chunk_rows(width).max(SUM_ROWS);
    let run = |first: usize, partial: &mut [f32]| {
        vectorized(
            #[inline(always)]
            || work(first..(first + step).min(rows), partial),
        )
    };
    out.fill(0.0);
    if width == 0 || rows <= step {
        return run(0, out);
    }
    let mut partials = vec![0.0; rows.div_ceil(step) * width];
    partials.par_chunks_mut(width).enumerate().for_each(|(i, partial)| run(i * step, partial));
    for partial in partials.chunks_exact(width) {
        out.iter_mut().zip(partial).for_each(|(o, p)| *o += p);
    }
}
