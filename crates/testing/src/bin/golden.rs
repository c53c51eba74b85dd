//! Offshoot.
fn main() {}
