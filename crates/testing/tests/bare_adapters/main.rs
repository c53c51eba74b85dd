//! Files of the original LLaMA-Adapter and of litgpt on a random LLaMA, against a plain reading of what their
//! authors published.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what the tests share is test code too")]

mod files;
mod logits;
mod reference;
