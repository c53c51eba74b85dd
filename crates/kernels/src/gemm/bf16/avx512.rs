//! Cells and blocks by the vectors of AVX512-BF16.

use super::cells::{Cell, DEPTH, Fill, SIDE, round};
use super::{BLOCK, Block};
use std::arch::x86_64::{
    __m512bh, __m512i, _mm256_loadu_si256, _mm512_cvtepu16_epi32, _mm512_cvtne2ps_pbh, _mm512_dpbf16_ps,
    _mm512_loadu_ps, _mm512_loadu_si512, _mm512_or_si512, _mm512_permutexvar_epi16, _mm512_set1_epi32,
    _mm512_setzero_ps, _mm512_setzero_si512, _mm512_shuffle_i32x4, _mm512_slli_epi32, _mm512_storeu_ps,
    _mm512_storeu_si512, _mm512_unpackhi_epi32, _mm512_unpackhi_epi64, _mm512_unpacklo_epi32,
    _mm512_unpacklo_epi64,
};
use std::mem::transmute;

/// Rows whose sums are in registers at a time: 16 of the 32, enough to hide how long an addition takes.
const ROWS: usize = 8;

/// Whether the processor has it.
pub(super) fn available() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512bf16")
}

/// Runs what fills cells, compiled for these vectors.
///
/// # Safety
/// Where it is [`available`]. The closure and all it calls must be `#[inline(always)]`.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,f16c,fma")]
pub(super) unsafe fn compiled(work: impl FnOnce()) {
    work();
}

/// Places of 32 values so that the first half is woven into the second.
static WOVEN: [u16; DEPTH] = {
    let mut order = [0; DEPTH];
    let mut i = 0;
    while i < DEPTH {
        order[i] = (i / 2 + i % 2 * SIDE) as u16;
        i += 1;
    }
    order
};

/// Only to be used within [`compiled`].
pub(super) struct Vectors;

impl Fill for Vectors {
    #[inline(always)]
    fn round(out: &mut [u16], values: &[f32]) {
        let ((out, rest), (values, others)) = (out.as_chunks_mut::<DEPTH>(), values.as_chunks::<DEPTH>());
        for (out, values) in out.iter_mut().zip(values) {
            // SAFETY: a chunk is two vectors of f32, and one of bf16; whoever uses this type has the instructions.
            unsafe {
                let halves = [_mm512_loadu_ps(values.as_ptr()), _mm512_loadu_ps(values[SIDE..].as_ptr())];
                let rounded: __m512i = transmute(_mm512_cvtne2ps_pbh(halves[1], halves[0]));
                _mm512_storeu_si512(out.as_mut_ptr().cast(), rounded);
            }
        }
        for (out, &value) in rest.iter_mut().zip(others) {
            *out = round(value);
        }
    }

    #[inline(always)]
    fn pair(pairs: &mut [u16; DEPTH], first: &[u16; SIDE], second: &[u16; SIDE]) {
        // SAFETY: a row is half a vector; whoever uses this type has the instructions.
        unsafe {
            let wide = |row: &[u16; SIDE]| _mm512_cvtepu16_epi32(_mm256_loadu_si256(row.as_ptr().cast()));
            let (first, second) = (wide(first), _mm512_slli_epi32::<16>(wide(second)));
            _mm512_storeu_si512(pairs.as_mut_ptr().cast(), _mm512_or_si512(first, second));
        }
    }

    #[inline(always)]
    fn weave(pairs: &mut [u16; DEPTH], first: &[f32; SIDE], second: &[f32; SIDE]) {
        // SAFETY: a row is a vector; whoever uses this type has the instructions.
        unsafe {
            let (first, second) = (_mm512_loadu_ps(first.as_ptr()), _mm512_loadu_ps(second.as_ptr()));
            let rounded: __m512i = transmute(_mm512_cvtne2ps_pbh(second, first));
            let order = _mm512_loadu_si512(WOVEN.as_ptr().cast());
            _mm512_storeu_si512(pairs.as_mut_ptr().cast(), _mm512_permutexvar_epi16(order, rounded));
        }
    }

    /// Twice pairs of rows are woven into each other, then four times as wide parts of them.
    #[inline(always)]
    fn turn(cell: &mut Cell) {
        // SAFETY: a row is a vector; whoever uses this type has the instructions.
        unsafe {
            let row = |i: usize| _mm512_loadu_si512(cell.0[i].as_ptr().cast());
            let mut rows = [_mm512_setzero_si512(); SIDE];
            for i in (0..SIDE).step_by(2) {
                rows[i] = _mm512_unpacklo_epi32(row(i), row(i + 1));
                rows[i + 1] = _mm512_unpackhi_epi32(row(i), row(i + 1));
            }
            let from = rows;
            for i in (0..SIDE).step_by(4) {
                for half in 0..2 {
                    rows[i + 2 * half] = _mm512_unpacklo_epi64(from[i + half], from[i + half + 2]);
                    rows[i + 2 * half + 1] = _mm512_unpackhi_epi64(from[i + half], from[i + half + 2]);
                }
            }
            let from = rows;
            for i in 0..4 {
                for group in [0, 8] {
                    rows[i + group] = _mm512_shuffle_i32x4::<0x88>(from[i + group], from[i + group + 4]);
                    rows[i + group + 4] = _mm512_shuffle_i32x4::<0xdd>(from[i + group], from[i + group + 4]);
                }
            }
            for i in 0..8 {
                let halves = [
                    _mm512_shuffle_i32x4::<0x88>(rows[i], rows[i + 8]),
                    _mm512_shuffle_i32x4::<0xdd>(rows[i], rows[i + 8]),
                ];
                _mm512_storeu_si512(cell.0[i].as_mut_ptr().cast(), halves[0]);
                _mm512_storeu_si512(cell.0[i + 8].as_mut_ptr().cast(), halves[1]);
            }
        }
    }
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
        if let Some((start, apart)) = block.start {
            for (r, sums) in sums.iter_mut().enumerate() {
                let row = start.wrapping_add((first + r) * apart);
                *sums = [_mm512_loadu_ps(row), _mm512_loadu_ps(row.wrapping_add(SIDE))];
            }
        }
        let right = block.right[0].iter().zip(block.right[1]);
        for (left, right) in block.left[first / SIDE].iter().zip(right) {
            for pair in 0..SIDE {
                let columns = [pairs(&right.0.0[pair]), pairs(&right.1.0[pair])];
                for (r, sums) in sums.iter_mut().enumerate() {
                    let row = left.0[first % SIDE + r].as_ptr().cast::<i32>().add(pair).read_unaligned();
                    let row: __m512bh = transmute::<__m512i, _>(_mm512_set1_epi32(row));
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
fn pairs(pairs: &[u16; DEPTH]) -> __m512bh {
    // SAFETY: 16 pairs are a vector, and any bits are one.
    unsafe { transmute::<__m512i, __m512bh>(_mm512_loadu_si512(pairs.as_ptr().cast())) }
}
