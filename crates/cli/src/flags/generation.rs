//! How text is written.

use crate::failure::Usage;
use anyhow::Result;
use clap::Args;
use offshoot::train::generate::{Sampling, Stop};

/// How tokens are chosen and when to stop.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Generation")]
pub(crate) struct GenerationFlags {
    /// The most tokens to write
    #[arg(long, value_name = "COUNT", default_value = "256", value_parser = clap::value_parser!(u32).range(1..))]
    max_tokens: u32,

    /// Draw tokens, from a distribution that is flatter the larger this is [default: take the likeliest]
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    temperature: Option<f64>,

    /// Always take the likeliest token, which is what happens without --temperature
    #[arg(long, conflicts_with = "temperature")]
    greedy: bool,

    /// Draw from the so many likeliest tokens
    #[arg(long, value_name = "COUNT", requires = "temperature")]
    top_k: Option<usize>,

    /// Draw from the fewest tokens that have this probability together
    #[arg(long, value_name = "SHARE", requires = "temperature", allow_negative_numbers = true)]
    top_p: Option<f64>,

    /// Make tokens less likely that are there already: 1 is no change, 1.2 a clear one
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    repetition_penalty: Option<f64>,

    /// Stop where this text occurs; may be given more than once
    #[arg(long = "stop", value_name = "TEXT")]
    stops: Vec<String>,

    /// Decides all draws
    #[arg(long, value_name = "NUMBER", default_value = "0")]
    seed: u64,
}

impl GenerationFlags {
    /// Checks them before anything is loaded.
    ///
    /// # Errors
    /// All values that are out of range.
    pub(crate) fn check(&self) -> Result<()> {
        if self.stops.iter().any(String::is_empty) {
            return Err(Usage("--stop is empty; leave it out".into()).into());
        }
        self.sampling().check().map_err(|error| Usage(error.to_string()).into())
    }

    /// How tokens are chosen.
    pub(crate) fn sampling(&self) -> Sampling {
        let default = Sampling::default();
        Sampling {
            temperature: self.temperature.unwrap_or(default.temperature),
            top_k: self.top_k.unwrap_or(default.top_k),
            top_p: self.top_p.unwrap_or(default.top_p),
            repetition_penalty: self.repetition_penalty.unwrap_or(default.repetition_penalty),
            seed: self.seed,
        }
    }

    /// When to stop; `eos` are the model's own tokens for it.
    pub(crate) fn stop(&self, eos: &[u32]) -> Stop {
        Stop { eos: eos.to_vec(), max_tokens: self.max_tokens as usize, strings: self.stops.clone() }
    }
}
