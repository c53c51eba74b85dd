//! The frequencies of rotary encodings, and how long-context models stretch them.

use crate::config::Fields;
use offshoot_core::{Pass, Rotation};
use serde_json::{Map, Value};

/// A rotary encoding: its frequencies `[e / 2]`, and what becomes of them in long sequences.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Rope {
    frequencies: Vec<f32>,
    dynamic: Option<Dynamic>,
}

/// Frequencies that fall with the length of a sequence beyond the trained one ("dynamic NTK").
#[derive(Clone, Debug, PartialEq)]
struct Dynamic {
    theta: f64,
    factor: f64,
    trained: usize,
}

impl Rope {
    /// Unscaled frequencies: `theta^(-2i / e)`.
    pub(crate) fn new(theta: f64, dim: usize) -> Self {
        let exponent = |i: usize| -(2.0 * i as f64) / dim as f64;
        let frequencies = (0..dim / 2).map(|i| theta.powf(exponent(i)) as f32).collect();
        Self { frequencies, dynamic: None }
    }

    /// How many times longer than the trained length sequences may be. Dynamic frequencies set no bound of
    /// their own; nobody has shown them to hold beyond this.
    pub(crate) fn stretch(&self) -> f64 {
        const MOST: f64 = 8.0;
        self.dynamic.as_ref().map_or(1.0, |dynamic| dynamic.factor.max(MOST))
    }

    /// The rotation of a pass's rows.
    pub(crate) fn rotation(&self, pass: &Pass<'_>) -> Rotation {
        let positions = pass.positions();
        let Some(dynamic) = &self.dynamic else {
            return Rotation::new(&positions, &self.frequencies, 1.0);
        };
        let mut rotation = Rotation::default();
        for sequence in 0..pass.layout().sequences() {
            let rows = &positions[pass.layout().sequence(sequence)];
            let length = rows.last().map_or(0, |last| *last as usize + 1);
            let stretched = dynamic.frequencies(length, 2 * self.frequencies.len());
            let frequencies = stretched.as_ref().unwrap_or(&self.frequencies);
            rows.iter().for_each(|&position| rotation.push(position, frequencies, 1.0));
        }
        rotation
    }
}

impl Dynamic {
    /// The frequencies of a sequence of this length, if it is longer than the trained one.
    fn frequencies(&self, length: usize, dim: usize) -> Option<Vec<f32>> {
        if length <= self.trained {
            return None;
        }
        let stretch = self.factor * length as f64 / self.trained as f64 - (self.factor - 1.0);
        let theta = self.theta * stretch.powf(dim as f64 / (dim as f64 - 2.0));
        Some(Rope::new(theta, dim).frequencies)
    }
}

/// Reads an encoding: `rope_parameters` as transformers 5 writes it, else `rope_theta` and `rope_scaling`.
pub(crate) fn read(fields: &mut Fields, dim: usize, positions: usize) -> Rope {
    let theta = f64::from(fields.f32_or("rope_theta", 10_000.0));
    let scaling = fields.object("rope_scaling");
    let parameters = fields.object("rope_parameters").or(scaling).unwrap_or_default();
    scaled(fields, parameters, (theta, dim, positions))
}

/// The encoding that a JSON object describes; what it does not say is `theta`.
pub(crate) fn scaled(
    fields: &mut Fields,
    mut object: Map<String, Value>,
    (theta, dim, positions): (f64, usize, usize),
) -> Rope {
    let mut take = |name: &str| object.remove(name).filter(|value| !value.is_null());
    let kind = take("rope_type").or_else(|| take("type"));
    let kind = kind.as_ref().and_then(Value::as_str).unwrap_or("default").to_owned();
    let mut number =
        |name: &str| take(name).and_then(|value| value.as_f64()).filter(|n| n.is_finite() && *n > 0.0);
    let theta = number("rope_theta").unwrap_or(theta);
    let trained = number("original_max_position_embeddings");
    let factor = number("factor");
    let bands = (number("low_freq_factor"), number("high_freq_factor"));
    let rope = Rope::new(theta, dim);
    let rope = match (kind.as_str(), factor) {
        ("default", _) => Some(rope),
        ("linear", Some(factor)) => Some(rope.each(|f| f / factor)),
        ("dynamic", Some(factor)) => {
            let trained = trained.map_or(positions, |trained| trained as usize).max(1);
            Some(Rope { dynamic: Some(Dynamic { theta, factor, trained }), ..rope })
        }
        ("llama3", Some(factor)) => match (bands, trained) {
            ((Some(low), Some(high)), Some(trained)) => {
                Some(rope.each(|f| by_parts(f, factor, (low, high), trained)))
            }
            _ => None,
        },
        _ => None,
    };
    let leftover: Vec<&String> = object.keys().collect();
    match rope {
        Some(rope) if leftover.is_empty() => rope,
        Some(rope) => {
            fields
                .problem("rope_parameters", &format!("has the fields {leftover:?}, which are not supported"));
            rope
        }
        None => {
            let reason = format!(
                "asks for `{kind}` with these values, which is not supported; supported are default, linear and \
                 dynamic (with `factor`), and llama3 (with `factor`, `low_freq_factor`, `high_freq_factor`, \
                 `original_max_position_embeddings`)"
            );
            fields.problem("rope_parameters", &reason);
            Rope::new(theta, dim)
        }
    }
}

impl Rope {
    fn each(mut self, change: impl Fn(f64) -> f64) -> Self {
        self.frequencies.iter_mut().for_each(|f| *f = change(f64::from(*f)) as f32);
        self
    }
}

/// Llama 3.1's stretching: slow frequencies are divided, fast ones kept, those between blended.
fn by_parts(frequency: f64, factor: f64, (low, high): (f64, f64), trained: f64) -> f64 {
    let turns = trained * frequency / std::f64::consts::TAU;
    let keep = ((turns - low) / (high - low)).clamp(0.0, 1.0);
    frequency * (keep + (1.0 - keep) / factor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rope(config: Value) -> Result<Rope, String> {
        let mut fields = Fields::new("llama", config.as_object().cloned().unwrap());
        let rope = read(&mut fields, 8, 64);
        fields.finish().map(|()| rope).map_err(|error| error.to_string())
    }

    #[test]
    fn old_and_new_fields_say_the_same() {
        let old = rope(json!({ "rope_theta": 500.0, "rope_scaling": { "type": "linear", "factor": 2.0 } }));
        let new =
            rope(json!({ "rope_parameters": { "rope_type": "linear", "rope_theta": 500.0, "factor": 2.0 } }));
        assert_eq!(old.unwrap(), new.unwrap());
        assert_eq!(rope(json!({})).unwrap(), Rope::new(10_000.0, 8));
    }

    #[test]
    fn llama3_divides_slow_frequencies_only() {
        let config = json!({ "rope_scaling": { "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
            "high_freq_factor": 4.0, "original_max_position_embeddings": 32 } });
        let (plain, scaled) = (Rope::new(10_000.0, 8).frequencies, rope(config).unwrap().frequencies);
        assert_eq!(scaled[0], plain[0], "five turns in 32 tokens: kept");
        assert!((scaled[3] * 8.0 - plain[3]).abs() < 1e-9, "a fraction of a turn: divided");
    }

    #[test]
    fn what_is_not_supported_is_named() {
        for (config, named) in [
            (json!({ "rope_scaling": { "type": "yarn", "factor": 2.0 } }), "yarn"),
            (json!({ "rope_scaling": { "type": "linear" } }), "factor"),
            (
                json!({ "rope_parameters": { "rope_theta": 1e4, "partial_rotary_factor": 0.5 } }),
                "partial_rotary_factor",
            ),
        ] {
            let message = rope(config).unwrap_err();
            assert!(message.contains(named), "{message}");
        }
    }

    #[test]
    fn dynamic_frequencies_fall_beyond_the_trained_length() {
        let config = json!({ "rope_scaling": { "type": "dynamic", "factor": 4.0 } });
        let rope = rope(config).unwrap();
        let dynamic = rope.dynamic.as_ref().unwrap();
        assert_eq!(dynamic.frequencies(64, 8), None);
        let long = dynamic.frequencies(128, 8).unwrap();
        // theta times (4 * 2 - 3)^(8 / 6).
        let expected = Rope::new(10_000.0 * 5.0_f64.powf(8.0 / 6.0), 8).frequencies;
        assert_eq!(long, expected);
    }
}
