//! What can be said of methods without a model: their settings, their sizes, formulas that no reference file
//! holds.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what the tests share is test code too")]

mod formulas;
mod settings;
mod sizes;
mod stub;
