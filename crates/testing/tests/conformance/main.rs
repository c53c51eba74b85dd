//! Every method on every family keeps the promises of the house. Both lists are the registries' own, so a new
//! method or family is held to them without a line here.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what the tests share is test code too")]

mod batches;
mod cached;
mod cases;
mod depth;
mod fixture;
mod gradients;
mod known;
mod merging;
mod recompute;
mod resume;
mod sharing;
mod start;
