//! From f32 to bf16.

use super::cells::SIDE;

/// The bits of the nearest bf16, the even one of two that are equally near. Not a number stays that.
#[inline(always)]
pub(super) fn round(value: f32) -> u32 {
    let bits = value.to_bits();
    let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16;
    if bits & 0x7fff_ffff > 0x7f80_0000 { bits >> 16 | 0x40 } else { rounded }
}

/// Pairs of bf16, the first in the lower half.
#[inline(always)]
pub(super) fn round_pairs(first: [f32; SIDE], second: [f32; SIDE]) -> [u32; SIDE] {
    std::array::from_fn(|i| round(first[i]) | round(second[i]) << 16)
}
