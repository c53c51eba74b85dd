//! Moving rows and columns: gather and scatter, means of segments, slices of columns.

use crate::parallel::for_rows;
use crate::profile::{Kind, time};
use std::ops::Range;

/// `out[i] = x[index[i]]`, row by row: `out` `[index.len(), cols]`, `x` `[n, cols]`, each index below n.
pub fn gather_rows(out: &mut [f32], x: &[f32], index: &[u32], cols: usize) {
    let _timed = time(Kind::Move);
    assert_eq!(out.len(), index.len() * cols, "output is not [index.len(), cols]");
    check_index(index, x.len(), cols);
    for_rows(
        out,
        cols,
        #[inline(always)]
        |first, out| {
            for (out, &i) in out.chunks_exact_mut(cols).zip(&index[first..]) {
                let i = i as usize;
                out.copy_from_slice(&x[i * cols..(i + 1) * cols]);
            }
        },
    );
}

/// `out[index[i]] += dy[i]` over a zeroed `out` `[n, cols]`: the backward of [`gather_rows`]. `dy`
/// `[index.len(), cols]`. Rows that share an index are added in the order of `index`.
pub fn scatter_add_rows(out: &mut [f32], dy: &[f32], index: &[u32], cols: usize) {
    let _timed = time(Kind::Move);
    assert_eq!(dy.len(), index.len() * cols, "input is not [index.len(), cols]");
    check_index(index, out.len(), cols);
    out.fill(0.0);
    if cols == 0 {
        return;
    }
    for (dy, &i) in dy.chunks_exact(cols).zip(index) {
        let i = i as usize;
        out[i * cols..(i + 1) * cols].iter_mut().zip(dy).for_each(|(o, d)| *o += d);
    }
}

/// Every index names one of the rows of a matrix of `len` elements.
fn check_index(index: &[u32], len: usize, cols: usize) {
    let rows = len.checked_div(cols).unwrap_or(usize::MAX);
    assert!(index.iter().all(|&i| (i as usize) < rows), "index outside the rows");
}

/// `out[s]` = the mean of the rows of `x` in segment s; zeros for an empty one.
///
/// `out` `[segments.len(), cols]`, `x` `[n, cols]`.
pub fn segment_mean(out: &mut [f32], x: &[f32], segments: &[Range<usize>], cols: usize) {
    let _timed = time(Kind::Move);
    assert_eq!(out.len(), segments.len() * cols, "output is not [segments.len(), cols]");
    check_segments(segments, x.len(), cols);
    for_rows(
        out,
        cols,
        #[inline(always)]
        |first, out| {
            for (out, segment) in out.chunks_exact_mut(cols).zip(&segments[first..]) {
                out.fill(0.0);
                for x in x[segment.start * cols..segment.end * cols].chunks_exact(cols) {
                    out.iter_mut().zip(x).for_each(|(o, x)| *o += x);
                }
                let r = 1.0 / segment.len().max(1) as f32;
                out.iter_mut().for_each(|o| *o *= r);
            }
        },
    );
}

/// `dx[i] = dy[s] / len(s)` for row i of segment s, summed where segments overlap; rows outside every segment
/// become zero. `dx` `[n, cols]`, `dy` `[segments.len(), cols]`.
pub fn segment_mean_backward(dx: &mut [f32], dy: &[f32], segments: &[Range<usize>], cols: usize) {
    let _timed = time(Kind::Move);
    assert_eq!(dy.len(), segments.len() * cols, "input is not [segments.len(), cols]");
    check_segments(segments, dx.len(), cols);
    dx.fill(0.0);
    if cols == 0 {
        return;
    }
    for (dy, segment) in dy.chunks_exact(cols).zip(segments) {
        let r = 1.0 / segment.len().max(1) as f32;
        for dx in dx[segment.start * cols..segment.end * cols].chunks_exact_mut(cols) {
            dx.iter_mut().zip(dy).for_each(|(dx, dy)| *dx += r * dy);
        }
    }
}

/// Every segment lies within the rows of a matrix of `len` elements.
fn check_segments(segments: &[Range<usize>], len: usize, cols: usize) {
    let inside = |s: &Range<usize>| s.start <= s.end && s.end * cols <= len;
    assert!(segments.iter().all(inside), "segment outside the rows");
}

/// `out = x[:, range]`: `out` `[n, range.len()]`, `x` `[n, x_cols]`.
pub fn copy_columns(out: &mut [f32], x: &[f32], x_cols: usize, range: Range<usize>) {
    let _timed = time(Kind::Move);
    let width = check_columns(out.len(), x.len(), x_cols, &range);
    for_rows(
        out,
        width,
        #[inline(always)]
        |first, out| {
            let rows = x[first * x_cols..].chunks_exact(x_cols);
            for (out, x) in out.chunks_exact_mut(width).zip(rows) {
                out.copy_from_slice(&x[range.clone()]);
            }
        },
    );
}

/// `out[:, range] = x`, zero in the other columns: `out` `[n, out_cols]`, `x` `[n, range.len()]`. The
/// backward of [`copy_columns`].
pub fn place_columns(out: &mut [f32], x: &[f32], out_cols: usize, range: Range<usize>) {
    let _timed = time(Kind::Move);
    let width = check_columns(x.len(), out.len(), out_cols, &range);
    for_rows(
        out,
        out_cols,
        #[inline(always)]
        |first, out| {
            for (i, out) in out.chunks_exact_mut(out_cols).enumerate() {
                out.fill(0.0);
                out[range.clone()].copy_from_slice(&x[(first + i) * width..(first + i + 1) * width]);
            }
        },
    );
}

/// `narrow` elements are `[n, range.len()]` and `wide` elements `[n, cols]`; returns the range's length.
fn check_columns(narrow: usize, wide: usize, cols: usize, range: &Range<usize>) -> usize {
    assert!(range.start <= range.end && range.end <= cols, "columns outside the matrix");
    assert!(wide.checked_rem(cols).unwrap_or(wide) == 0, "matrix is not [n, columns]");
    let rows = wide.checked_div(cols).unwrap_or(0);
    assert_eq!(narrow, rows * range.len(), "slices differ in their number of rows");
    range.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, noise, wide};

    /// A few additions of numbers of size 1.
    const TOLERANCE: f64 = 1e-6;

    #[test]
    fn gather_and_scatter() {
        for cols in [1, 7, 33] {
            let (x, index) = (noise(1, 9 * cols), [3, 8, 0, 3, 3]);
            let mut out = noise(2, 5 * cols);
            gather_rows(&mut out, &x, &index, cols);
            let rows: Vec<&[f32]> = x.chunks_exact(cols).collect();
            assert_eq!(out, index.map(|i| rows[i as usize]).concat());

            let (dy, mut dx) = (noise(3, 5 * cols), noise(4, 9 * cols));
            scatter_add_rows(&mut dx, &dy, &index, cols);
            let mut expected = vec![0.0; 9 * cols];
            for (row, i) in index.iter().enumerate() {
                (0..cols).for_each(|j| expected[*i as usize * cols + j] += f64::from(dy[row * cols + j]));
            }
            assert_close(&dx, &expected, TOLERANCE);
        }
        gather_rows(&mut [], &[], &[], 4);
    }

    #[test]
    #[should_panic(expected = "index outside")]
    fn indices_are_checked() {
        gather_rows(&mut [0.0; 2], &[0.0; 6], &[3], 2);
    }

    #[test]
    fn segments() {
        let (cols, segments) = (17, [1..4, 4..4, 6..7, 2..7]);
        let (x, dy) = (noise(1, 8 * cols), noise(2, 4 * cols));
        let (mut out, mut dx) = (noise(3, 4 * cols), noise(4, 8 * cols));
        segment_mean(&mut out, &x, &segments, cols);
        segment_mean_backward(&mut dx, &dy, &segments, cols);
        let (mut mean, mut grad) = (vec![0.0; 4 * cols], vec![0.0; 8 * cols]);
        for (s, segment) in segments.iter().enumerate() {
            for (i, j) in segment.clone().flat_map(|i| (0..cols).map(move |j| (i, j))) {
                let share = 1.0 / segment.len() as f64;
                mean[s * cols + j] += share * f64::from(x[i * cols + j]);
                grad[i * cols + j] += share * f64::from(dy[s * cols + j]);
            }
        }
        assert_close(&out, &mean, TOLERANCE);
        assert_close(&dx, &grad, TOLERANCE);
        assert!(dx[..cols].iter().chain(&dx[7 * cols..]).all(|&x| x == 0.0));
    }

    #[test]
    fn columns() {
        for n in [0, 1, 1000] {
            for range in [0..33, 0..5, 30..33, 4..4] {
                let (x, width) = (noise(1, n * 33), range.len());
                let mut part = noise(2, n * width);
                copy_columns(&mut part, &x, 33, range.clone());
                let expected: Vec<f32> =
                    x.chunks_exact(33).flat_map(|row| row[range.clone()].to_vec()).collect();
                assert_eq!(part, expected);
                let mut back = noise(3, n * 33);
                place_columns(&mut back, &part, 33, range.clone());
                let kept = |(i, &x): (usize, &f32)| if range.contains(&(i % 33)) { x } else { 0.0 };
                let expected: Vec<f32> = x.iter().enumerate().map(kept).collect();
                assert_eq!(back, wide(&expected).iter().map(|&x| x as f32).collect::<Vec<_>>());
            }
        }
    }
}
