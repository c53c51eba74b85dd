//! What decoders share.

use offshoot_core::{Error, Pass, Result};

/// Checks that no sequence is longer than the model's `most` positions.
///
/// # Errors
/// If one is: the message says what to do.
pub(crate) fn check_positions(pass: &Pass<'_>, most: usize) -> Result<()> {
    match pass.positions().iter().max().filter(|&&last| last as usize >= most) {
        None => Ok(()),
        Some(last) => Err(Error::invalid(format!(
            "a sequence of {} tokens (virtual ones included) does not fit the model's {most} positions; lower \
             --max-length",
            last + 1
        ))),
    }
}
