//! Dropout by a counter: whether an element is kept is a hash of its row's key and its column, so no mask is stored, and the
//! same row gives the same mask wherever it stands in a batch.

use crate::parallel::for_rows;

/// The key of a row: a 64-bit hash of the seed and of what names the row (step, layer, site, row id, ...), in order.
pub fn row_key(seed: u64, parts: &[u64]) -> u64 {
    parts.iter().fold(mix(seed), |key, part| mix(key ^ mix(*part)))
}

/// A bijection of 64 bits in which every input bit moves about half of the output bits (the finaliser of SplitMix64).
fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// `out = x / (1 - p)` where kept, else 0; each element is dropped with probability `p` in [0, 1].
///
/// `out` and `x` [n, cols]; `row_keys` [n]. The backward is the same call on `dy`.
pub fn dropout(out: &mut [f32], x: &[f32], cols: usize, row_keys: &[u64], p: f32) {
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
    /// The rule for rate `p` in [0, 1].
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
