//! Rotary positions: what metadata and the tensor of frequency factors say, as `rope_parameters`.

use std::f64::consts::TAU;

use offshoot_core::{Format, dequantize};
use serde_json::{Value as Json, json};

use super::file::{Gguf, GgufTensor};
use super::metadata::Metadata;

/// What a file without a base means.
const BASE: f64 = 10_000.0;

/// LLaMA 3's other settings, which no file keeps: every published model has these.
const LOW: f64 = 1.0;
const HIGH: f64 = 4.0;
const ORIGINAL: f64 = 8192.0;

/// Factors are f32 and were computed in f32.
const TOLERANCE: f64 = 1e-4;

/// `rope_parameters` of the attention that sees everything.
pub(super) fn parameters(metadata: &mut Metadata<'_>, head_dim: usize) -> Json {
    let base = metadata.number("rope.freq_base").and_then(|base| base.as_f64()).unwrap_or(BASE);
    let factor = metadata.number("rope.scaling.factor").or_else(|| metadata.number("rope.scale_linear"));
    let kind = metadata.get("rope.scaling.type");
    let kind = kind.as_ref().map_or(Some("none"), |kind| kind.as_text());
    let one = factor.as_ref().and_then(|factor| factor.as_f64()).is_none_or(|factor| factor == 1.0);
    let linear = || json!({"rope_type": "linear", "rope_theta": base, "factor": factor});
    let factors = metadata.gguf().tensors().iter().find(|tensor| tensor.name == "rope_freqs.weight");
    let found = match (kind, factors) {
        // Older files name a factor and no type; it is linear then.
        (Some("none" | "linear"), None) if one => json!({"rope_type": "default", "rope_theta": base}),
        (Some("none" | "linear"), None) => linear(),
        (Some("none"), Some(tensor)) if one => match llama3(metadata.gguf(), tensor, base, head_dim) {
            Some(found) => found,
            None => return refuse(metadata, "rope_freqs.weight: factors that are not LLaMA 3's"),
        },
        _ => return refuse(metadata, "only none and linear scaling, and LLaMA 3's factors, are supported"),
    };
    metadata.ignore(&["rope.scaling.original_context_length"]);
    found
}

fn refuse(metadata: &mut Metadata<'_>, what: &str) -> Json {
    metadata.problem("rope.scaling", what);
    Json::Null
}

/// LLaMA 3's scaling, from the factor by which each frequency of a head is divided: files keep only those.
fn llama3(gguf: &Gguf, tensor: &GgufTensor, base: f64, head_dim: usize) -> Option<Json> {
    if tensor.format != Format::F32 || tensor.shape != [head_dim / 2] {
        return None;
    }
    let found = dequantize(Format::F32, gguf.bytes(tensor)).ok()?;
    let factor = f64::from(found.iter().copied().fold(1.0, f32::max));
    let fits = |(i, &found): (usize, &f32)| {
        let expected = llama3_factor(base.powf(-2.0 * i as f64 / head_dim as f64), factor);
        (f64::from(found) - expected).abs() <= TOLERANCE * expected
    };
    let settings = json!({
        "rope_type": "llama3",
        "rope_theta": base,
        "factor": factor,
        "low_freq_factor": LOW,
        "high_freq_factor": HIGH,
        "original_max_position_embeddings": ORIGINAL as u64,
    });
    found.iter().enumerate().all(fits).then_some(settings)
}

/// By how much one frequency is divided: long waves by `factor`, short ones by 1, those between in between.
fn llama3_factor(frequency: f64, factor: f64) -> f64 {
    let turns = ORIGINAL * frequency / TAU;
    let smooth = ((turns - LOW) / (HIGH - LOW)).clamp(0.0, 1.0);
    1.0 / ((1.0 - smooth) / factor + smooth)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn llama3_divides_long_waves_only() {
        assert_eq!(llama3_factor(1.0, 8.0), 1.0);
        assert_eq!(llama3_factor(1e-6, 8.0), 8.0);
        // 2.5 turns within the original length: half way.
        let between = llama3_factor(2.5 * TAU / ORIGINAL, 8.0);
        assert!((between - 16.0 / 9.0).abs() < 1e-12, "{between}");
    }
}
