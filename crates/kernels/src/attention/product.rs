//! Small matrix products on one thread, for operands that are already packed: no packing, no blocking, only a
//! register tile.

use super::pack::PAD;
use crate::gemm::{Arithmetic, Start, product_here};
use pulp::{Simd, WithSimd};

/// Rows of `out` in registers at a time: with two vectors a row, 12 accumulators of the 16 registers of AVX2.
const ROWS: usize = 6;

/// `out[i, j] = sum_p a(i, p) b[p, j]` for `out` `[m, n]`, or `+=` with `accumulate`. n is a multiple of
/// [`PAD`].
pub(super) struct Product<'a> {
    /// `[m, n]`, contiguous.
    pub(super) out: &'a mut [f32],
    pub(super) a: &'a [f32],
    /// Distances in `a` from one i to the next and from one p to the next.
    pub(super) a_strides: (usize, usize),
    pub(super) b: &'a [f32],
    /// Distance in `b` from one p to the next.
    pub(super) b_stride: usize,
    /// m, the number of p, n.
    pub(super) size: (usize, usize, usize),
    pub(super) accumulate: bool,
}

impl Product<'_> {
    /// Computes the product.
    pub(super) fn run(self, arithmetic: Arithmetic) {
        let (m, k, n) = self.size;
        if m == 0 || n == 0 {
            return;
        }
        if k == 0 {
            if !self.accumulate {
                self.out.fill(0.0);
            }
            return;
        }
        assert!(n.is_multiple_of(PAD) && self.out.len() == m * n, "output is not [m, n]");
        let last_a = (m - 1) * self.a_strides.0 + (k - 1) * self.a_strides.1;
        assert!(last_a < self.a.len(), "left operand is too short");
        assert!((k - 1) * self.b_stride + n <= self.b.len(), "right operand is too short");
        match arithmetic {
            Arithmetic::F32 => pulp::Arch::new().dispatch(self),
            Arithmetic::Bf16 => self.rounded(),
        }
    }
}

impl Product<'_> {
    /// The product of factors that are rounded to bf16.
    fn rounded(self) {
        let start = if self.accumulate { Start::Output } else { Start::Zero };
        product_here((self.out, start), (self.a, self.a_strides), (self.b, self.b_stride), self.size);
    }
}

impl WithSimd for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let (m, _, n) = self.size;
        for j in (0..n).step_by(2 * S::F32_LANES) {
            let whole = m - m % ROWS;
            for i in (0..whole).step_by(ROWS) {
                self.tile::<S, ROWS>(simd, i, j);
            }
            match m % ROWS {
                1 => self.tile::<S, 1>(simd, whole, j),
                2 => self.tile::<S, 2>(simd, whole, j),
                3 => self.tile::<S, 3>(simd, whole, j),
                4 => self.tile::<S, 4>(simd, whole, j),
                5 => self.tile::<S, 5>(simd, whole, j),
                _ => {}
            }
        }
    }
}

impl Product<'_> {
    /// Rows `i..i + M` and two vectors of columns from `j`.
    #[inline(always)]
    fn tile<S: Simd, const M: usize>(&mut self, simd: S, i: usize, j: usize) {
        let (_, k, n) = self.size;
        let (a_row, a_depth) = self.a_strides;
        let mut sums = [[simd.splat_f32s(0.0); 2]; M];
        // SAFETY: `run` asserted that the last element of `a`, `b` and `out` that any tile touches lies
        // inside; i + M <= m and j + 2 lanes <= n, because n is a multiple of PAD and PAD of two vectors.
        unsafe {
            let mut a = self.a.as_ptr().add(i * a_row);
            let mut b = self.b.as_ptr().add(j);
            for _ in 0..k {
                let right = [load::<S>(b), load::<S>(b.add(S::F32_LANES))];
                for (r, sum) in sums.iter_mut().enumerate() {
                    let left = simd.splat_f32s(*a.add(r * a_row));
                    *sum = [0, 1].map(
                        #[inline(always)]
                        |c| simd.mul_add_f32s(left, right[c], sum[c]),
                    );
                }
                a = a.wrapping_add(a_depth);
                b = b.wrapping_add(self.b_stride);
            }
            let mut out = self.out.as_mut_ptr().add(i * n + j);
            for sum in sums {
                for (c, mut sum) in sum.into_iter().enumerate() {
                    let place = out.add(c * S::F32_LANES);
                    if self.accumulate {
                        sum = simd.add_f32s(sum, load::<S>(place));
                    }
                    place.cast::<S::f32s>().write_unaligned(sum);
                }
                out = out.wrapping_add(n);
            }
        }
    }
}

/// One vector.
///
/// # Safety
/// `from` points at that many readable floats.
#[inline(always)]
unsafe fn load<S: Simd>(from: *const f32) -> S::f32s {
    // SAFETY: the caller's promise; a vector of floats is valid with any bits.
    unsafe { from.cast::<S::f32s>().read_unaligned() }
}

#[cfg(test)]
mod tests {
    use super::{Arithmetic, Product};
    use crate::testing::{assert_close, noise};
    use pulp::WithSimd;

    /// Relative to 1 + |expected|: sums of at most 40 products of size 1.
    const TOLERANCE: f64 = 3e-6;

    fn product<'a>(
        out: &'a mut [f32],
        a: &'a [f32],
        b: &'a [f32],
        size: (usize, usize, usize),
    ) -> Product<'a> {
        // `a` transposed and `b` with 5 columns between its rows.
        Product { out, a, a_strides: (1, size.0), b, b_stride: size.2 + 5, size, accumulate: true }
    }

    #[test]
    fn against_the_definition() {
        for size @ (m, k, n) in [(1, 1, 32), (5, 7, 64), (6, 40, 32), (19, 3, 96), (0, 3, 32), (2, 0, 32)] {
            let (a, b) = (noise(1, m * k), noise(2, k * (n + 5)));
            let mut out = noise(3, m * n);
            let element = |at: usize| {
                let term = |p: usize| f64::from(a[p * m + at / n]) * f64::from(b[p * (n + 5) + at % n]);
                f64::from(out[at]) + (0..k).map(term).sum::<f64>()
            };
            let expected: Vec<f64> = (0..m * n).map(element).collect();
            product(&mut out, &a, &b, size).run(Arithmetic::F32);
            assert_close(&out, &expected, TOLERANCE);
        }
    }

    #[test]
    fn every_instruction_set_gives_the_same_bits() {
        let size @ (m, k, n) = (19, 33, 96);
        let (a, b) = (noise(1, m * k), noise(2, k * (n + 5)));
        let with = |compute: &dyn Fn(Product<'_>)| {
            let mut out = noise(3, m * n);
            compute(product(&mut out, &a, &b, size));
            out
        };
        let best = with(&|p| p.run(Arithmetic::F32));
        assert_eq!(with(&|p| p.with_simd(pulp::Scalar::new())), best);
        #[cfg(target_arch = "x86_64")]
        if let Some(simd) = pulp::x86::V3::try_new() {
            assert_eq!(with(&|p| pulp::Simd::vectorize(simd, p)), best);
        }
    }

    #[test]
    #[should_panic(expected = "right operand")]
    fn operands_are_checked() {
        let size = (2, 3, 32);
        product(&mut [0.0; 64], &[0.0; 6], &[0.0; 3 * 32], size).run(Arithmetic::F32);
    }
}
