//! Elements that are floats of their own: no blocks, no scales.

/// 2^112, which moves the exponent of a half's bits to that of an f32.
const HALF_TO_SINGLE: f32 = f32::from_bits((112 + 127) << 23);

/// An IEEE half as f32, exactly: branch-free, so that loops of it become vectors.
#[inline(always)]
pub(super) fn half(bytes: [u8; 2]) -> f32 {
    let h = u32::from(u16::from_le_bytes(bytes));
    // The product is exact, also for halfs below the normal ones.
    let magnitude = (f32::from_bits((h & 0x7fff) << 13) * HALF_TO_SINGLE).to_bits();
    let infinite = if h & 0x7c00 == 0x7c00 { 0x7f80_0000 } else { 0 };
    f32::from_bits(magnitude | infinite | (h & 0x8000) << 16)
}

#[inline(always)]
pub(super) fn f32(bytes: &[u8], out: &mut [f32]) {
    each(bytes, out, f32::from_le_bytes);
}

#[inline(always)]
pub(super) fn f16(bytes: &[u8], out: &mut [f32]) {
    each(bytes, out, half);
}

#[inline(always)]
pub(super) fn bf16(bytes: &[u8], out: &mut [f32]) {
    each(bytes, out, bfloat);
}

/// The bits of elements of two bytes.
#[inline(always)]
pub(super) fn bits(bytes: &[u8], out: &mut [u16]) {
    out.iter_mut().zip(bytes.as_chunks::<2>().0).for_each(|(o, &b)| *o = u16::from_le_bytes(b));
}

/// The upper half of an f32.
#[inline(always)]
pub(super) fn bfloat(bytes: [u8; 2]) -> f32 {
    f32::from_bits(u32::from(u16::from_le_bytes(bytes)) << 16)
}

/// The sum of the products of the elements of `bytes` and `x`, in 32 running sums.
#[inline(always)]
pub(super) fn dot<const N: usize>(bytes: &[u8], x: &[f32], convert: impl Fn([u8; N]) -> f32) -> f32 {
    const LANES: usize = 32;
    let mut sums = [0.0_f32; LANES];
    let (elements, _) = bytes.as_chunks::<N>();
    let ((blocks, rest), (x, x_rest)) = (elements.as_chunks::<LANES>(), x.as_chunks::<LANES>());
    for (block, x) in blocks.iter().zip(x) {
        for (sum, (&w, x)) in sums.iter_mut().zip(block.iter().zip(x)) {
            *sum = convert(w).mul_add(*x, *sum);
        }
    }
    let rest: f32 = rest.iter().zip(x_rest).map(|(&w, x)| convert(w) * x).sum();
    sums.iter().sum::<f32>() + rest
}

#[inline(always)]
fn each<const N: usize>(bytes: &[u8], out: &mut [f32], convert: impl Fn([u8; N]) -> f32) {
    out.iter_mut().zip(bytes.as_chunks::<N>().0).for_each(|(o, &b)| *o = convert(b));
}
