//! By what a base model is known again: its norms and biases, which no precision and no quantisation of the
//! matrices changes.
//!
//! The same model comes in several forms. A folder in bf16 has the norms of the f32 one rounded, so they are
//! rounded here. A GGUF file holds Gemma's norms as 1 + w, and what is read back from it is w up to the last bits
//! of that sum: exactly w for every bf16 value of at least 2^-16, and a little off below. So weights of norms
//! that are smaller than 2^-14 count as zero. Where the values have more digits than bf16, the last bits of 1 + w
//! may tip a rounding; then a sketch that allows for it says whether it is the same model.

use crate::fnv::Fnv;
use offshoot_core::{Backbone, Format, Kind, Params, Part};
use std::hash::Hasher;

/// Weights of norms below this are what 1 + w loses the digits of.
const NOTHING: f32 = 1.0 / (1 << 14) as f32;
/// Sums of the values with random signs.
const SUMS: usize = 16;
/// What 1 + w loses is a few 10^-8 of the values; models that were trained apart differ by a thousandth or more.
const SAME: f64 = 1e-5;

/// The norms and biases of the blocks, frozen ones. The pooler is left out: it is there only where it is used.
fn values(backbone: &dyn Backbone) -> Vec<f32> {
    let params = Params::new();
    let kinds = [Kind::Bias, Kind::NormWeight, Kind::NormBias];
    let mut values = Vec::new();
    for weight in backbone.weights() {
        let place = weight.place();
        if weight.param().is_none() && kinds.contains(&place.kind) && place.part != Part::Pooler {
            let small = if place.kind == Kind::NormWeight { NOTHING } else { 0.0 };
            let kept = |value: f32| if value.abs() < small { 0.0 } else { value };
            values.extend(weight.value(&params).to_vec().into_iter().map(kept));
        }
    }
    values
}

/// A hash of the values rounded to bf16.
pub(super) fn fingerprint(backbone: &dyn Backbone) -> String {
    let mut hash = Fnv::default();
    values(backbone).into_iter().for_each(|value| hash.write(&rounded(value).to_le_bytes()));
    format!("{:016x}", hash.finish())
}

/// Sums of the values with signs that a hash of their place gives, relative to their length. The distance of two
/// models' sums estimates the relative distance of their values. Empty where there is no finite answer.
pub(super) fn sketch(backbone: &dyn Backbone) -> Vec<f64> {
    let (mut sums, mut square) = ([0.0; SUMS], 0.0);
    for (place, value) in values(backbone).into_iter().map(f64::from).enumerate() {
        let signs = mixed(place as u64);
        square += value * value;
        for (bit, sum) in sums.iter_mut().enumerate() {
            *sum += if signs >> bit & 1 == 1 { value } else { -value };
        }
    }
    let length = f64::sqrt(square);
    if length > 0.0 && length.is_finite() { sums.map(|sum| sum / length).to_vec() } else { Vec::new() }
}

/// Whether two sketches are those of one model.
pub(super) fn alike(one: &[f64], other: &[f64]) -> bool {
    let square: f64 = one.iter().zip(other).map(|(a, b)| (a - b) * (a - b)).sum();
    one.len() == SUMS && other.len() == SUMS && (square / SUMS as f64).sqrt() < SAME
}

/// A number with bits that look random (the finaliser of SplitMix64).
fn mixed(place: u64) -> u64 {
    let mut x = place.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// The bits of the nearest bf16, ties to even.
fn rounded(value: f32) -> u16 {
    let bits = value.to_bits();
    (bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) >> 16) as u16
}

/// The formats of the quantised matrices, such as `Q4_1 and Q8_0`; none where there are none.
pub(super) fn blocks(backbone: &dyn Backbone) -> Option<String> {
    let formats = backbone.weights().into_iter().filter_map(|weight| Some(weight.blocks()?.format()));
    let whole = [Format::F32, Format::F16, Format::Bf16];
    let mut names: Vec<String> =
        formats.filter(|format| !whole.contains(format)).map(|format| format.to_string()).collect();
    names.sort();
    names.dedup();
    (!names.is_empty()).then(|| names.join(" and "))
}
