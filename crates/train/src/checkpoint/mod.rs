//! Trained adapters on disk.
//!
//! A folder holds the files of the method's format (peft's, AdapterHub's, or our own: see
//! [`offshoot_methods::formats`]) and [`Card`], `offshoot.json`, with what those formats have no place for.
//! `full` writes a complete checkpoint instead, which `transformers` and
//! [`Model::load`](offshoot_models::Model::load) read like any other.
//!
//! Each file is written under a temporary name and renamed. The card is taken away first and written last: a
//! folder with a card is complete.

mod card;
mod load;
mod save;
#[cfg(test)]
mod tests;

pub use card::{Base, CARD_FILE, Card};
pub use load::{Loaded, load, resume};
pub use save::{About, save};

use crate::{Error, Result};
use serde_json::Value;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Reads a JSON file of bounded size.
fn read_json(path: &Path) -> Result<Value> {
    // A configuration has a few kilobytes; a recipe inside the card not many more.
    const LARGEST: u64 = 16 << 20;
    let failed = |reason: String| Error::invalid(format!("{}: {reason}", path.display()));
    let file = File::open(path).map_err(|error| failed(error.to_string()))?;
    let mut text = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut text).map_err(|error| failed(error.to_string()))?;
    if text.len() as u64 > LARGEST {
        return Err(failed(format!("larger than {LARGEST} bytes; is it the right file?")));
    }
    serde_json::from_slice(&text).map_err(|error| failed(format!("damaged, or no JSON: {error}")))
}
