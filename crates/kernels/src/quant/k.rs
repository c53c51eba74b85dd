//! The "k" formats: blocks of 256 elements in groups, each group with a small integer scale of its own under
//! the block's half-precision one.

use super::floats::half;

/// `[d, dmin, 12 bytes of scales, 128 bytes]`: `d scale q - dmin offset`, in 8 groups of 32. Of two groups
/// that share 32 bytes, the first is in their low halves.
#[inline(always)]
pub(super) fn q4(bytes: &[u8], out: &mut [f32]) {
    for (b, out) in bytes.as_chunks::<144>().0.iter().zip(out.as_chunks_mut::<256>().0) {
        let groups = Groups::read(b);
        for (pair, (out, b)) in
            out.as_chunks_mut::<64>().0.iter_mut().zip(b[16..].as_chunks::<32>().0).enumerate()
        {
            let (low, high) = out.split_at_mut(32);
            let (scale, offset) = groups.get(2 * pair);
            low.iter_mut().zip(b).for_each(|(o, &q)| *o = scale * f32::from(q & 15) - offset);
            let (scale, offset) = groups.get(2 * pair + 1);
            high.iter_mut().zip(b).for_each(|(o, &q)| *o = scale * f32::from(q >> 4) - offset);
        }
    }
}

/// `[d, dmin, 12 bytes of scales, 32 bytes of fifth bits, 128 bytes]`: as [`q4`]; bit g of fifth byte j is
/// that of element j of group g.
#[inline(always)]
pub(super) fn q5(bytes: &[u8], out: &mut [f32]) {
    for (b, out) in bytes.as_chunks::<176>().0.iter().zip(out.as_chunks_mut::<256>().0) {
        let groups = Groups::read(b);
        let (fifth, b) = b[16..].split_at(32);
        for (pair, (out, b)) in out.as_chunks_mut::<64>().0.iter_mut().zip(b.as_chunks::<32>().0).enumerate()
        {
            let (low, high) = out.split_at_mut(32);
            let (scale, offset) = groups.get(2 * pair);
            for (o, (&q, &h)) in low.iter_mut().zip(b.iter().zip(fifth)) {
                *o = scale * f32::from(q & 15 | (h >> (2 * pair) & 1) << 4) - offset;
            }
            let (scale, offset) = groups.get(2 * pair + 1);
            for (o, (&q, &h)) in high.iter_mut().zip(b.iter().zip(fifth)) {
                *o = scale * f32::from(q >> 4 | (h >> (2 * pair + 1) & 1) << 4) - offset;
            }
        }
    }
}

/// `[128 bytes of low bits, 64 bytes of high bits, 16 signed scales, d]`: `d scale (q - 32)`, in 16 groups of
/// 16.
///
/// Of each half of 128 elements, element 32 k + j has its low bits in byte 32 (k mod 2) + j, in the high half
/// for k >= 2, and its two high bits in byte j, from bit 2 k.
#[inline(always)]
pub(super) fn q6(bytes: &[u8], out: &mut [f32]) {
    for (b, out) in bytes.as_chunks::<210>().0.iter().zip(out.as_chunks_mut::<256>().0) {
        let d = half([b[208], b[209]]);
        for (part, out) in out.as_chunks_mut::<128>().0.iter_mut().enumerate() {
            let low = &b[64 * part..64 * part + 64];
            let high = &b[128 + 32 * part..160 + 32 * part];
            let scales = &b[192 + 8 * part..200 + 8 * part];
            for (group, out) in out.as_chunks_mut::<16>().0.iter_mut().enumerate() {
                let (k, j) = (group / 2, group % 2 * 16);
                let low = &low[k % 2 * 32 + j..][..16];
                let scale = d * f32::from(scales[group].cast_signed());
                for (o, (&l, &h)) in out.iter_mut().zip(low.iter().zip(&high[j..j + 16])) {
                    let q = l >> (k / 2 * 4) & 15 | (h >> (2 * k) & 3) << 4;
                    *o = scale * (f32::from(q) - 32.0);
                }
            }
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
