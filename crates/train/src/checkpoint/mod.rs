//! Trained adapters on disk.
//!
//! A folder holds the files of the method's format (peft's, AdapterHub's, or our own: see
//! [`offshoot_methods::formats`]) and [`Card`], `offshoot.json`, with what those formats have no place for.
//! `full` writes a complete checkpoint instead, which `transformers` and
//! [`Model::load`](offshoot_models::Model::load) read like any other.
//!
//! What other programs saved is read too: folders of peft and of AdapterHub, and the lone files of the original
//! LLaMA-Adapter and of litgpt. Those in torch's own format are read where [`Pickles`] allows it.
//!
//! All files are written in a folder of their own beside the old ones; until each of them is complete, an
//! older adapter stays as it was. Then they are moved to their names in an order by which a crash cannot pass
//! a mixture off as an adapter: first the card and the configs go (without one, the folder is refused), then
//! the older adapter's other files; the new ones come, then the configs, and at last the card. A folder with
//! a card is complete.

mod card;
#[cfg(test)]
mod foreign;
mod grown;
mod likeness;
#[cfg(test)]
mod likeness_tests;
pub(crate) mod load;
mod origin;
pub(crate) mod save;
pub(crate) mod stage;
#[cfg(test)]
mod tests;

pub use card::{Base, CARD_FILE, Card};
pub use grown::Grown;
pub use load::{LmLoaded, Loaded, load, load_language_model, resume};
pub use origin::is_adapter;
pub use save::{About, save};

use crate::{Error, Result};
use offshoot_models::weights::Pickles;
use serde_json::Value;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Reads a JSON file of bounded size.
pub(crate) fn read_json(path: &Path) -> Result<Value> {
    // A configuration has a few kilobytes; a recipe inside the card not many more.
    read_json_up_to(path, 16 << 20)
}

/// Reads a JSON file of so many bytes at most.
pub(crate) fn read_json_up_to(path: &Path, largest: u64) -> Result<Value> {
    let failed = |reason: String| Error::invalid(format!("{}: {reason}", path.display()));
    let file = File::open(path).map_err(|error| failed(error.to_string()))?;
    let mut text = Vec::new();
    file.take(largest + 1).read_to_end(&mut text).map_err(|error| failed(error.to_string()))?;
    if text.len() as u64 > largest {
        return Err(failed(format!("larger than {largest} bytes; is it the right file?")));
    }
    serde_json::from_slice(&text).map_err(|error| failed(format!("damaged, or no JSON: {error}")))
}
