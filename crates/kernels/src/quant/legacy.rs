//! Blocks of 32 elements with one scale `d`, and in the `_1` formats one offset `m`, both halfs.
//!
//! Element j < 16 is in the low half of byte j, element j + 16 in the high half; the fifth bits stand apart,
//! bit j of a word for element j.

use super::floats::half;
use super::{Part, Sink};

/// `[d, 16 bytes]`: `d (q - 8)`.
#[inline(always)]
pub(super) fn q4_0(bytes: &[u8], sink: &mut impl Sink) {
    for (block, b) in bytes.as_chunks::<18>().0.iter().enumerate() {
        let d = half([b[0], b[1]]);
        let [low, high] = nibbles(&b[2..]);
        sink.take(2 * block, centred(low, d, 8.0));
        sink.take(2 * block + 1, centred(high, d, 8.0));
    }
}

/// `[d, m, 16 bytes]`: `d q + m`.
#[inline(always)]
pub(super) fn q4_1(bytes: &[u8], sink: &mut impl Sink) {
    for (block, b) in bytes.as_chunks::<20>().0.iter().enumerate() {
        let (d, m) = (half([b[0], b[1]]), half([b[2], b[3]]));
        let [low, high] = nibbles(&b[4..]);
        sink.take(2 * block, affine(low, d, m));
        sink.take(2 * block + 1, affine(high, d, m));
    }
}

/// `[d, word of fifth bits, 16 bytes]`: `d (q - 16)`.
#[inline(always)]
pub(super) fn q5_0(bytes: &[u8], sink: &mut impl Sink) {
    for (block, b) in bytes.as_chunks::<22>().0.iter().enumerate() {
        let d = half([b[0], b[1]]);
        let [low, high] = five_bits([b[2], b[3], b[4], b[5]], &b[6..]);
        sink.take(2 * block, centred(low, d, 16.0));
        sink.take(2 * block + 1, centred(high, d, 16.0));
    }
}

/// `[d, m, word of fifth bits, 16 bytes]`: `d q + m`.
#[inline(always)]
pub(super) fn q5_1(bytes: &[u8], sink: &mut impl Sink) {
    for (block, b) in bytes.as_chunks::<24>().0.iter().enumerate() {
        let (d, m) = (half([b[0], b[1]]), half([b[2], b[3]]));
        let [low, high] = five_bits([b[4], b[5], b[6], b[7]], &b[8..]);
        sink.take(2 * block, affine(low, d, m));
        sink.take(2 * block + 1, affine(high, d, m));
    }
}

/// `[d, 32 signed bytes]`: `d q`.
#[inline(always)]
pub(super) fn q8_0(bytes: &[u8], sink: &mut impl Sink) {
    for (block, b) in bytes.as_chunks::<34>().0.iter().enumerate() {
        let d = half([b[0], b[1]]);
        for part in 0..2 {
            let mut values = [0.0; 16];
            for (value, &q) in values.iter_mut().zip(&b[2 + 16 * part..18 + 16 * part]) {
                *value = d * f32::from(q.cast_signed());
            }
            sink.take(2 * block + part, values);
        }
    }
}

/// The low halves of 16 bytes, and the high ones.
#[inline(always)]
fn nibbles(bytes: &[u8]) -> [Part; 2] {
    let (mut low, mut high) = ([0.0; 16], [0.0; 16]);
    for ((low, high), &b) in low.iter_mut().zip(&mut high).zip(bytes) {
        (*low, *high) = (f32::from(b & 15), f32::from(b >> 4));
    }
    [low, high]
}

/// As [`nibbles`], with bit j of `fifth` as the fifth bit of element j.
#[inline(always)]
fn five_bits(fifth: [u8; 4], bytes: &[u8]) -> [Part; 2] {
    let word = u32::from_le_bytes(fifth);
    let (mut low, mut high) = ([0.0; 16], [0.0; 16]);
    for (j, ((low, high), &b)) in low.iter_mut().zip(&mut high).zip(bytes).enumerate() {
        let (l, h) = ((word >> j & 1) << 4, (word >> (j + 16) & 1) << 4);
        (*low, *high) = ((u32::from(b & 15) | l) as f32, (u32::from(b >> 4) | h) as f32);
    }
    [low, high]
}

/// `d (q - middle)`
#[inline(always)]
fn centred(mut part: Part, d: f32, middle: f32) -> Part {
    for q in &mut part {
        *q = d * (*q - middle);
    }
    part
}

/// `d q + m`
#[inline(always)]
fn affine(mut part: Part, d: f32, m: f32) -> Part {
    for q in &mut part {
        *q = d * *q + m;
    }
    part
}
