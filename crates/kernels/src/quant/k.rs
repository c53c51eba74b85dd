//! The "k" formats: blocks of 256 elements in groups, each group with a small integer scale of its own under
//! the block's half-precision one.

use super::Sink;
use super::floats::half;

/// `[d, dmin, 12 bytes of scales, 128 bytes]`: `d scale q - dmin offset`, in 8 groups of 32. Of two groups
/// that share 32 bytes, the first is in their low halves.
#[inline(always)]
pub(super) fn q4(bytes: &[u8], sink: &mut impl Sink) {
    for (block, b) in bytes.as_chunks::<144>().0.iter().enumerate() {
        let groups = Groups::read(b);
        for at in 0..16 {
            let (group, part) = (at / 2, at % 2);
            let (scale, offset) = groups.get(group);
            let mut values = [0.0; 16];
            for (value, &q) in values.iter_mut().zip(&b[16 + group / 2 * 32 + 16 * part..][..16]) {
                *value = scale * f32::from(q >> (group % 2 * 4) & 15) - offset;
            }
            sink.take(16 * block + 2 * group + part, values);
        }
    }
}

/// `[d, dmin, 12 bytes of scales, 32 bytes of fifth bits, 128 bytes]`: as [`q4`]; bit g of fifth byte j is
/// that of element j of group g.
#[inline(always)]
pub(super) fn q5(bytes: &[u8], sink: &mut impl Sink) {
    for (block, b) in bytes.as_chunks::<176>().0.iter().enumerate() {
        let groups = Groups::read(b);
        for at in 0..16 {
            let (group, part) = (at / 2, at % 2);
            let (scale, offset) = groups.get(group);
            let (low, fifth) = (&b[48 + group / 2 * 32 + 16 * part..][..16], &b[16 + 16 * part..][..16]);
            let mut values = [0.0; 16];
            for (value, (&q, &h)) in values.iter_mut().zip(low.iter().zip(fifth)) {
                let q = q >> (group % 2 * 4) & 15 | (h >> group & 1) << 4;
                *value = scale * f32::from(q) - offset;
            }
            sink.take(16 * block + 2 * group + part, values);
        }
    }
}

/// `[128 bytes of low bits, 64 bytes of high bits, 16 signed scales, d]`: `d scale (q - 32)`, in 16 groups of
/// 16.
///
/// Of each half of 128 elements, element 32 k + j has its low bits in byte 32 (k mod 2) + j, in the high half
/// for k >= 2, and its two high bits in byte j, from bit 2 k.
#[inline(always)]
pub(super) fn q6(bytes: &[u8], sink: &mut impl Sink) {
    for (block, b) in bytes.as_chunks::<210>().0.iter().enumerate() {
        let d = half([b[208], b[209]]);
        for group in 0..16 {
            let (part, k, j) = (group / 8, group % 8 / 2, group % 2 * 16);
            let (low, high) = (&b[64 * part + k % 2 * 32 + j..][..16], &b[128 + 32 * part + j..][..16]);
            let scale = d * f32::from(b[192 + group].cast_signed());
            let mut values = [0.0; 16];
            for (value, (&l, &h)) in values.iter_mut().zip(low.iter().zip(high)) {
                let q = l >> (k / 2 * 4) & 15 | (h >> (2 * k) & 3) << 4;
                *value = scale * (f32::from(q) - 32.0);
            }
            sink.take(16 * block + group, values);
        }
    }
}

/// Scales and offsets of the 8 groups of a block.
struct Groups {
    scales: [f32; 8],
    offsets: [f32; 8],
}

impl Groups {
    /// From a block's start: `d`, `dmin`, then 12 bytes that hold 8 scales and 8 offsets of 6 bits. The first
    /// four scales are the low bits of bytes 0..4, the first four offsets those of bytes 4..8; the other four
    /// have their low bits in bytes 8..12 (scales in the low halves) and their high bits on top of bytes 0..8.
    #[inline(always)]
    fn read(b: &[u8]) -> Self {
        let (d, dmin, packed) = (half([b[0], b[1]]), half([b[2], b[3]]), &b[4..16]);
        let (mut scales, mut offsets) = ([0.0; 8], [0.0; 8]);
        for g in 0..4 {
            scales[g] = d * f32::from(packed[g] & 63);
            offsets[g] = dmin * f32::from(packed[g + 4] & 63);
            scales[g + 4] = d * f32::from(packed[g + 8] & 15 | packed[g] >> 6 << 4);
            offsets[g + 4] = dmin * f32::from(packed[g + 8] >> 4 | packed[g + 4] >> 6 << 4);
        }
        Self { scales, offsets }
    }

    #[inline(always)]
    fn get(&self, group: usize) -> (f32, f32) {
        (self.scales[group], self.offsets[group])
    }
}
