//! Dropout by a counter: whether an element is kept is a hash of its row's key and its column, so no mask is
//! stored, and the same row gives the same mask wherever it stands in a batch.

use crate::parallel::for_rows;
use crate::profile::{Kind, time};

/// The key of a row: a 64-bit hash of the seed and of what names the row (step, layer, site, row id, ...), in
/// order.
pub fn row_key(seed: u64, parts: &[u64]) -> u64 {
    parts.iter().fold(mix(seed), |key, part| mix(key.wrapping_add(*part)))
}

/// A bijection of 64 bits in which every input bit moves about half of the output bits (the finaliser of
/// SplitMix64).
fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// `out = x / (1 - p)` where kept, else 0; each element is dropped with probability `p` in `[0, 1]`.
///
/// `out` and `x` `[n, cols]`; `row_keys` `[n]`. The backward is the same call on `dy`.
pub fn dropout(out: &mut [f32], x: &[f32], cols: usize, row_keys: &[u64], p: f32) {
    let _timed = time(Kind::Dropout);
    assert!(
        out.len() == x.len() && x.len() == row_keys.len() * cols,
        "slices are not [row_keys.len(), cols]"
    );
    let keep = Keep::new(p);
    for_rows(
        out,
        cols,
        #[inline(always)]
        |first, out| {
            let rows = x[first * cols..].chunks_exact(cols).zip(&row_keys[first..]);
            for (out, (x, &key)) in out.chunks_exact_mut(cols).zip(rows) {
                for (j, (o, x)) in out.iter_mut().zip(x).enumerate() {
                    *o = x * keep.factor(key, j as u32);
                }
            }
        },
    );
}

/// The decision for one rate: shared with attention, which drops probabilities.
#[derive(Clone, Copy)]
pub(crate) struct Keep {
    /// Hashes below it are dropped: `p 2^32`, at most 2^32 - 1 (at p = 1 the scale is 0 anyway).
    threshold: u32,
    scale: f32,
}

impl Keep {
    /// The rule for rate `p` in `[0, 1]`.
    pub(crate) fn new(p: f32) -> Self {
        assert!((0.0..=1.0).contains(&p), "dropout rate is not in [0, 1]");
        let scale = if p < 1.0 { 1.0 / (1.0 - p) } else { 0.0 };
        Self { threshold: (f64::from(p) * 4_294_967_296.0) as u32, scale }
    }

    /// `1 / (1 - p)` where the element is kept, else 0.
    #[inline(always)]
    pub(crate) fn factor(self, row_key: u64, column: u32) -> f32 {
        if hash(row_key, column) >= self.threshold { self.scale } else { 0.0 }
    }
}

/// 32 hash bits of a row's key and a column: two multiply rounds, the key's halves entering before each.
#[inline(always)]
fn hash(row_key: u64, column: u32) -> u32 {
    let x = column.wrapping_mul(0x9e37_79b9) ^ row_key as u32;
    let x = (x ^ (x >> 16)).wrapping_mul(0x7feb_352d).wrapping_add((row_key >> 32) as u32);
    let x = (x ^ (x >> 15)).wrapping_mul(0x846c_a68b);
    x ^ (x >> 16)
}

#[cfg(test)]
mod tests {
    use super::{dropout, row_key};
    use crate::testing::{assert_same_on_threads, noise};

    fn keys(n: u64) -> Vec<u64> {
        (0..n).map(|i| row_key(7, &[3, i])).collect()
    }

    #[test]
    fn the_rate_holds_overall_and_in_every_row_and_column() {
        const ROWS: usize = 2000;
        const COLS: usize = 500;
        for p in [0.1_f32, 0.5, 0.9] {
            let mut out = vec![0.0; ROWS * COLS];
            dropout(&mut out, &vec![1.0; ROWS * COLS], COLS, &keys(ROWS as u64), p);
            assert!(out.iter().all(|&x| x == 0.0 || x == 1.0 / (1.0 - p)));
            let deviation = |dropped: usize, n: usize| {
                let (p, n) = (f64::from(p), n as f64);
                (dropped as f64 - n * p).abs() / (n * p * (1.0 - p)).sqrt()
            };
            let zeros = |x: &mut dyn Iterator<Item = &f32>| x.filter(|&&x| x == 0.0).count();
            // Of 1 and of 2500 normal variables, one beyond 4 and 5 deviations in some ten thousand tries.
            assert!(deviation(zeros(&mut out.iter()), ROWS * COLS) < 4.0);
            assert!(out.chunks_exact(COLS).all(|row| deviation(zeros(&mut row.iter()), COLS) < 5.0));
            assert!((0..COLS).all(|j| deviation(zeros(&mut out.iter().skip(j).step_by(COLS)), ROWS) < 5.0));
        }
    }

    #[test]
    fn neighbours_are_independent() {
        const N: usize = 1000;
        let mut out = vec![0.0; N * N];
        dropout(&mut out, &vec![0.5; N * N], N, &keys(N as u64), 0.5);
        let sign = |x: f32| f64::from(2.0 * x - 1.0);
        for shift in [1, 2, 16, N, N + 1, 16 * N] {
            let together: f64 = out.iter().zip(&out[shift..]).map(|(&a, &b)| sign(a) * sign(b)).sum();
            assert!(together.abs() < 4.5 * N as f64, "shift {shift}: {together}");
        }
    }

    #[test]
    fn a_mask_follows_its_row_key() {
        let (x, keys) = (noise(1, 8 * 33), keys(8));
        let order = [5, 2, 7, 0];
        let moved_keys: Vec<u64> = order.iter().map(|&i| keys[i]).collect();
        let moved: Vec<f32> = order.iter().flat_map(|&i| x[i * 33..(i + 1) * 33].to_vec()).collect();
        let (mut all, mut some) = (vec![0.0; 8 * 33], vec![0.0; 4 * 33]);
        dropout(&mut all, &x, 33, &keys, 0.3);
        dropout(&mut some, &moved, 33, &moved_keys, 0.3);
        let expected: Vec<f32> = order.iter().flat_map(|&i| all[i * 33..(i + 1) * 33].to_vec()).collect();
        assert_eq!(some, expected);
    }

    #[test]
    fn nothing_and_everything() {
        let x = noise(1, 3 * 33);
        let mut out = vec![0.0; x.len()];
        dropout(&mut out, &x, 33, &keys(3), 0.0);
        assert_eq!(out, x);
        dropout(&mut out, &x, 33, &keys(3), 1.0);
        assert!(out.iter().all(|&x| x == 0.0));
    }

    #[test]
    fn row_keys_depend_on_every_part_and_its_place() {
        let keys = [
            row_key(1, &[]),
            row_key(1, &[0]),
            row_key(0, &[1]),
            row_key(1, &[1]),
            row_key(1, &[1, 2]),
            row_key(1, &[2, 1]),
            row_key(1, &[0, 0]),
        ];
        assert!(keys.iter().enumerate().all(|(i, key)| !keys[..i].contains(key)));
        // Fixed for good: a run that is resumed by a later version must draw the same masks.
        assert_eq!(row_key(1, &[1, 2]), 0x952f_9804_76b1_7683);
    }

    #[test]
    fn same_bits_on_any_number_of_threads() {
        let x = noise(1, 700 * 130);
        assert_same_on_threads(|| {
            let mut out = vec![0.0; x.len()];
            dropout(&mut out, &x, 130, &keys(700), 0.1);
            out
        });
    }
}
