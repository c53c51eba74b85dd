//! Blocks by whatever vectors there are: pairs are turned back into f32.

use super::cells::{SIDE, single};
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
    let place =
        |r: usize| block.out.wrapping_add((first + r) * block.stride + half * SIDE).cast::<[f32; SIDE]>();
    let mut sums = [[0.0f32; SIDE]; ROWS];
    // SAFETY: the caller's promise; an array of floats is as aligned as one.
    unsafe {
        if let Some((start, apart)) = block.start {
            let start = start.wrapping_add(first * apart + half * SIDE);
            sums = std::array::from_fn(|r| start.wrapping_add(r * apart).cast::<[f32; SIDE]>().read());
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
                let row = &left.0[first % SIDE + r];
                let (first, second) = (single(row[2 * pair]), single(row[2 * pair + 1]));
                for (sum, &[a, b]) in sums.iter_mut().zip(columns.as_chunks::<2>().0) {
                    *sum = second.mul_add(single(b), first.mul_add(single(a), *sum));
                }
            }
        }
    }
}
