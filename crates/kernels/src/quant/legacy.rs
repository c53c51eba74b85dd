//! Blocks of 32 elements with one scale `d`, and in the `_1` formats one offset `m`, both halfs.
//!
//! Element j < 16 is in the low half of byte j, element j + 16 in the high half; the fifth bits stand apart,
//! bit j of a word for element j.

use super::floats::half;

/// `[d, 16 bytes]`: `d (q - 8)`.
#[inline(always)]
pub(super) fn q4_0(bytes: &[u8], out: &mut [f32]) {
    for (b, out) in bytes.as_chunks::<18>().0.iter().zip(out.as_chunks_mut::<32>().0) {
        let d = half([b[0], b[1]]);
        nibbles(
            &b[2..],
            out,
            #[inline(always)]
            |q| d * (q - 8.0),
        );
    }
}

/// `[d, m, 16 bytes]`: `d q + m`.
#[inline(always)]
pub(super) fn q4_1(bytes: &[u8], out: &mut [f32]) {
    for (b, out) in bytes.as_chunks::<20>().0.iter().zip(out.as_chunks_mut::<32>().0) {
        let (d, m) = (half([b[0], b[1]]), half([b[2], b[3]]));
        nibbles(
            &b[4..],
            out,
            #[inline(always)]
            |q| d * q + m,
        );
    }
}

/// `[d, word of fifth bits, 16 bytes]`: `d (q - 16)`.
#[inline(always)]
pub(super) fn q5_0(bytes: &[u8], out: &mut [f32]) {
    for (b, out) in bytes.as_chunks::<22>().0.iter().zip(out.as_chunks_mut::<32>().0) {
        let d = half([b[0], b[1]]);
        five_bits(
            [b[2], b[3], b[4], b[5]],
            &b[6..],
            out,
            #[inline(always)]
            |q| d * (q - 16.0),
        );
    }
}

/// `[d, m, word of fifth bits, 16 bytes]`: `d q + m`.
#[inline(always)]
pub(super) fn q5_1(bytes: &[u8], out: &mut [f32]) {
    for (b, out) in bytes.as_chunks::<24>().0.iter().zip(out.as_chunks_mut::<32>().0) {
        let (d, m) = (half([b[0], b[1]]), half([b[2], b[3]]));
        five_bits(
            [b[4], b[5], b[6], b[7]],
            &b[8..],
            out,
            #[inline(always)]
            |q| d * q + m,
        );
    }
}

/// `[d, 32 signed bytes]`: `d q`.
#[inline(always)]
pub(super) fn q8_0(bytes: &[u8], out: &mut [f32]) {
    for (b, out) in bytes.as_chunks::<34>().0.iter().zip(out.as_chunks_mut::<32>().0) {
        let d = half([b[0], b[1]]);
        out.iter_mut().zip(&b[2..]).for_each(|(o, &q)| *o = d * f32::from(q.cast_signed()));
    }
}

#[inline(always)]
fn nibbles(bytes: &[u8], out: &mut [f32; 32], value: impl Fn(f32) -> f32) {
    let (low, high) = out.split_at_mut(16);
    low.iter_mut().zip(bytes).for_each(|(o, &b)| *o = value(f32::from(b & 15)));
    high.iter_mut().zip(bytes).for_each(|(o, &b)| *o = value(f32::from(b >> 4)));
}

#[inline(always)]
fn five_bits(word: [u8; 4], bytes: &[u8], out: &mut [f32; 32], value: impl Fn(f32) -> f32) {
    let word = u32::from_le_bytes(word);
    let fifth = |j: usize| (word >> j & 1) << 4;
    let (low, high) = out.split_at_mut(16);
    for (j, (o, &b)) in low.iter_mut().zip(bytes).enumerate() {
        *o = value((u32::from(b & 15) | fifth(j)) as f32);
    }
    for (j, (o, &b)) in high.iter_mut().zip(bytes).enumerate() {
        *o = value((u32::from(b >> 4) | fifth(j + 16)) as f32);
    }
}
