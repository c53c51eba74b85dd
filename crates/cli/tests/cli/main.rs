//! The real binary, from the outside.
#![allow(clippy::unwrap_used, reason = "the lint's own exception covers test functions, not what they share")]

mod asking;
mod bad_input;
mod browser;
mod classes;
mod commands;
mod comparing;
mod embedding;
mod interrupted;
mod language;
mod language_place;
mod merging;
mod numbers;
mod pickled;
mod place;
mod sources;
mod text_rows;
#[cfg(unix)]
mod tracking;
