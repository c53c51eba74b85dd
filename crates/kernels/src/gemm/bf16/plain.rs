//! Blocks by whatever vectors there are: pairs are turned back into f32.

use super::cells::SIDE;
use super::{BLOCK, Block};
use crate::parallel::vectorized;

/// Rows whose sums are in registers at a time.
const ROWS: usize = 4;

/// `out (+)= left right`.
///
/// # Safety
/// The output must be valid for `[32, 32]` values, and nobody else may touch it meanwhile.
pub(super) unsafe fn multiply(block: &Block<'_>) {
    vectorized(
        #[inline(always)]
        || {
            for at in (0..BLOCK * BLOCK).step_by(ROWS * SIDE) {
                // SAFETY: the caller's promise.
                unsafe { rows(block, at / (2 * SIDE) / ROWS * ROWS, at / (ROWS * SIDE) % 2) };
            }
        },
    );
}

/// Some rows from `first` on with one column of cells.
///
/// # Safety
/// As [`multiply`].
#[inline(always)]
unsafe fn rows(block: &Block<'_>, first: usize, half: usize) {
    let place = |r: usize| block.out.wrapping_add((first + r) * block.stride + half * SIDE).cast::<[f32; SIDE]>();
    let mut sums = [[0.0f32; SIDE]; ROWS];
    // SAFETY: the caller's promise; an array of floats is as aligned as one.
    unsafe {
        if !block.from_zero {
            sums = std::array::from_fn(|r| place(r).read());
        }
        add(&mut sums, block, first, half);
        sums.iter().enumerate().for_each(|(r, sums)| place(r).write(*sums));
    }
}

#[inline(always)]
fn add(sums: &mut [[f32; SIDE]; ROWS], block: &Block<'_>, first: usize, half: usize) {
    for (left, right) in block.left[first / SIDE].iter().zip(block.right[half]) {
        for (pair, columns) in right.0.iter().enumerate() {
            for (r, sums) in sums.iter_mut().enumerate() {
                let (low, high) = halves(left.0[first % SIDE + r][pair]);
                for (sum, &column) in sums.iter_mut().zip(columns) {
                    let (column_low, column_high) = halves(column);
                    *sum = high.mul_add(column_high, low.mul_add(column_low, *sum));
                }
            }
        }
    }
}

/// The two values of a pair.
#[inline(always)]
fn halves(pair: u32) -> (f32, f32) {
    (f32::from_bits(pair << 16), f32::from_bits(pair & 0xffff_0000))
}
