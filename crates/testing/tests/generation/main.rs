//! What generation promises, on every decoder's tiny checkpoint and with every method of the registry.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what the tests share is test code too")]

mod cache;
mod conversation;
mod engine;
mod fixture;
mod mixed;
