//! How much memory a run takes: planned before its first step, measured after its last.
//!
//! What one token costs differs by method and model, and is not declared anywhere: three tiny steps are run and
//! the pool is asked what they used ([`probe`]). From that follows what the largest micro-batch will use, and
//! which of the ways to use less a limit asks for ([`plan`]).

mod plan;
mod probe;
mod system;

pub use plan::MemoryPlan;
pub(crate) use system::reset_peak_rss;
pub use system::{page_faults, peak_rss};
