//! Whether test rows are also written for.

use super::change;
use clap::Args;
use offshoot::train::Generate;

/// What a language model writes for the test rows.
#[derive(Clone, Copy, Debug, Args)]
#[command(next_help_heading = "Data")]
pub(crate) struct WrittenFlags {
    /// Also let a language model write for this many test rows, the first ones, and report exact match and
    /// ROUGE-L of it; slow [default: 0]
    #[arg(long = "generate", value_name = "ROWS")]
    rows: Option<usize>,

    /// The most tokens to write for a row [default: 128]
    #[arg(long = "generate-tokens", value_name = "COUNT", value_parser = tokens)]
    max_tokens: Option<usize>,
}

impl WrittenFlags {
    /// Puts what was given in the place of the settings.
    pub(crate) fn change(&self, generate: &mut Generate) {
        change(&mut generate.rows, self.rows.as_ref());
        change(&mut generate.max_tokens, self.max_tokens.as_ref());
    }

    /// Whether something was given.
    pub(crate) fn given(&self) -> bool {
        self.rows.is_some() || self.max_tokens.is_some()
    }
}

fn tokens(text: &str) -> Result<usize, String> {
    let most = u32::MAX as usize;
    let count = text.parse::<usize>().ok().filter(|count| (1..=most).contains(count));
    count.ok_or_else(|| "it must be a number from 1 on".to_owned())
}
