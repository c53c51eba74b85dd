//! Blocks by the vectors of AVX512-BF16.

use super::cells::SIDE;
use super::{BLOCK, Block};
use std::arch::x86_64::{
    __m512bh, __m512i, _mm512_dpbf16_ps, _mm512_loadu_ps, _mm512_loadu_si512, _mm512_set1_epi32,
    _mm512_setzero_ps, _mm512_storeu_ps,
};
use std::mem::transmute;

/// Rows whose sums are in registers at a time: 16 of the 32, enough to hide how long an addition takes.
const ROWS: usize = 8;

/// Whether the processor has it.
pub(super) fn available() -> bool {
    is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bf16")
}

/// `out (+)= left right`.
///
/// # Safety
/// Where it is [`available`]; the output must be valid for `[32, 32]` values, and nobody else may touch it
/// meanwhile.
#[target_feature(enable = "avx512f,avx512bf16")]
pub(super) unsafe fn multiply(block: &Block<'_>) {
    for first in (0..BLOCK).step_by(ROWS) {
        // SAFETY: the caller's promise.
        unsafe { rows(block, first) };
    }
}

/// Some rows from `first` on.
///
/// # Safety
/// As [`multiply`].
#[target_feature(enable = "avx512f,avx512bf16")]
unsafe fn rows(block: &Block<'_>, first: usize) {
    let place = |r: usize, v: usize| block.out.wrapping_add((first + r) * block.stride + v * SIDE);
    let mut sums = [[_mm512_setzero_ps(); 2]; ROWS];
    // SAFETY: the caller's promise.
    unsafe {
        if !block.from_zero {
            for (r, sums) in sums.iter_mut().enumerate() {
                *sums = [_mm512_loadu_ps(place(r, 0)), _mm512_loadu_ps(place(r, 1))];
            }
        }
        let right = block.right[0].iter().zip(block.right[1]);
        for (left, right) in block.left[first / SIDE].iter().zip(right) {
            for pair in 0..SIDE {
                let columns = [pairs(&right.0.0[pair]), pairs(&right.1.0[pair])];
                for (r, sums) in sums.iter_mut().enumerate() {
                    let row = left.0[first % SIDE + r][pair];
                    let row: __m512bh = transmute::<__m512i, _>(_mm512_set1_epi32(row.cast_signed()));
                    for (sum, &columns) in sums.iter_mut().zip(&columns) {
                        *sum = _mm512_dpbf16_ps(*sum, row, columns);
                    }
                }
            }
        }
        for (r, sums) in sums.iter().enumerate() {
            _mm512_storeu_ps(place(r, 0), sums[0]);
            _mm512_storeu_ps(place(r, 1), sums[1]);
        }
    }
}

#[target_feature(enable = "avx512f,avx512bf16")]
fn pairs(pairs: &[u32; SIDE]) -> __m512bh {
    // SAFETY: 16 pairs are a vector, and any bits are one.
    unsafe { transmute::<__m512i, __m512bh>(_mm512_loadu_si512(pairs.as_ptr().cast())) }
}
