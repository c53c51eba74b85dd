//! What products are computed in, as a person asks for it.

use offshoot_core::{Arithmetic, Device};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// What the factors of matrix products are rounded to. Everything else is in f32, whatever this says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    /// bf16 where this machine multiplies it faster than f32.
    #[default]
    Auto,
    /// f32: exact, for reference.
    F32,
    /// bf16, on any machine.
    Bf16,
}

impl Dtype {
    /// Every choice.
    pub const ALL: [Self; 3] = [Self::Auto, Self::F32, Self::Bf16];

    /// The processor, multiplying so.
    pub fn device(self) -> Device {
        let arithmetic = match self {
            Self::Auto => Arithmetic::fastest(),
            Self::F32 => Arithmetic::F32,
            Self::Bf16 => Arithmetic::Bf16,
        };
        Device::cpu().with_arithmetic(arithmetic)
    }

    pub(crate) fn is_auto(&self) -> bool {
        *self == Self::Auto
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
        })
    }
}

impl FromStr for Dtype {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|known| known.to_string() == text);
        known
            .ok_or_else(|| format!("`{text}` is not what products are computed in; choose auto, f32 or bf16"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for dtype in Dtype::ALL {
            assert_eq!(dtype.to_string().parse(), Ok(dtype));
            assert_eq!(serde_json::to_value(dtype).unwrap(), dtype.to_string());
        }
        assert!("f16".parse::<Dtype>().unwrap_err().contains("auto, f32 or bf16"));
    }

    #[test]
    fn what_is_asked_for_is_what_computes() {
        assert_eq!(Dtype::F32.device().arithmetic(), Arithmetic::F32);
        assert_eq!(Dtype::Bf16.device().arithmetic(), Arithmetic::Bf16);
        assert_eq!(Dtype::default().device().arithmetic(), Arithmetic::fastest());
    }
}
