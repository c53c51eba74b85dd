//! Rotary position encoding, Su et al. 2021, <https://arxiv.org/abs/2104.09864>, in the half-split layout of
//! Hugging Face checkpoints: value i of a head turns together with value `i + dim / 2`.

use crate::parallel::for_rows;
use crate::profile::{Kind, time};

/// The angles of `n` rows: `cos` and `sin` `[n, dim / 2]` each.
#[derive(Clone, Copy, Debug)]
pub struct Angles<'a> {
    /// Cosines.
    pub cos: &'a [f32],
    /// Sines.
    pub sin: &'a [f32],
    /// Columns of a head; even.
    pub dim: usize,
}

/// Turns every head of every row by the angles of its row; with `back` by their negatives, which is the
/// gradient.
///
/// `out` and `x` `[n, heads * dim]`.
pub fn rotate(out: &mut [f32], x: &[f32], angles: Angles<'_>, heads: usize, back: bool) {
    let _timed = time(Kind::Rotation);
    let Angles { cos, sin, dim } = angles;
    let (half, cols) = (dim / 2, heads * dim);
    assert!(dim > 0 && dim.is_multiple_of(2), "a head has an even number of columns");
    assert!(out.len() == x.len() && cos.len() == sin.len(), "lengths differ");
    assert_eq!(x.len() * half, cos.len() * cols, "one angle per row and pair");
    let sign = if back { -1.0 } else { 1.0 };
    for_rows(
        out,
        cols,
        #[inline(always)]
        |first, out| {
            let rows = out.chunks_exact_mut(cols).zip(x[first * cols..].chunks_exact(cols));
            let angles = cos[first * half..].chunks_exact(half).zip(sin[first * half..].chunks_exact(half));
            for ((out, x), (cos, sin)) in rows.zip(angles) {
                let heads = out.chunks_exact_mut(dim).zip(x.chunks_exact(dim));
                heads.for_each(|(out, x)| turn(out, x, (cos, sin), sign));
            }
        },
    );
}

/// One head: `out` and `x` `[dim]`, angles `[dim / 2]`.
#[inline(always)]
fn turn(out: &mut [f32], x: &[f32], (cos, sin): (&[f32], &[f32]), sign: f32) {
    let half = cos.len();
    let ((low, high), (a, b)) = (out.split_at_mut(half), x.split_at(half));
    for (((low, high), (a, b)), (c, s)) in
        low.iter_mut().zip(high).zip(a.iter().zip(b)).zip(cos.iter().zip(sin))
    {
        let s = s * sign;
        *low = a * c - b * s;
        *high = b * c + a * s;
    }
}

#[cfg(test)]
mod tests {
    use super::{Angles, rotate};
    use crate::testing::{assert_close, assert_same_on_threads, noise, wide};

    /// Roundings of two products of size 1.
    const TOLERANCE: f64 = 1e-6;

    fn angles(rows: usize, half: usize) -> (Vec<f32>, Vec<f32>) {
        let angle = |i: usize| (i / half) as f64 * 0.7 / (1.0 + (i % half) as f64);
        (0..rows * half).map(|i| (angle(i).cos() as f32, angle(i).sin() as f32)).unzip()
    }

    #[test]
    fn a_pair_turns_like_a_complex_number() {
        let (rows, heads, dim) = (3, 2, 6);
        let (cos, sin) = angles(rows, dim / 2);
        let x = noise(1, rows * heads * dim);
        let mut out = vec![f32::NAN; x.len()];
        rotate(&mut out, &x, Angles { cos: &cos, sin: &sin, dim }, heads, false);
        let (x, mut expected) = (wide(&x), vec![0.0; out.len()]);
        for (i, value) in expected.iter_mut().enumerate() {
            let (row, head, col) = (i / (heads * dim), i / dim % heads, i % dim);
            let pair = col % (dim / 2);
            let at = |col: usize| x[(row * heads + head) * dim + col];
            let (c, s) = (f64::from(cos[row * dim / 2 + pair]), f64::from(sin[row * dim / 2 + pair]));
            let (re, im) = (at(pair), at(pair + dim / 2));
            *value = if col < dim / 2 { re * c - im * s } else { re * s + im * c };
        }
        assert_close(&out, &expected, TOLERANCE);
    }

    #[test]
    fn turning_back_undoes_it_on_any_number_of_threads() {
        let (rows, heads, dim) = (700, 3, 64);
        let (cos, sin) = angles(rows, dim / 2);
        let (x, angles) = (noise(2, rows * heads * dim), Angles { cos: &cos, sin: &sin, dim });
        assert_same_on_threads(|| {
            let (mut y, mut back) = (vec![0.0; x.len()], vec![0.0; x.len()]);
            rotate(&mut y, &x, angles, heads, false);
            rotate(&mut back, &y, angles, heads, true);
            assert_close(&back, &wide(&x), 4.0 * TOLERANCE);
            back
        });
    }
}
