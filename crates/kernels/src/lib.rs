//! The arithmetic of Offshoot on the CPU: slices in, slices out, f32, row-major. Knows no tensor and no
//! model.
//!
//! Every kernel is written as plain loops that the compiler turns into vectors, compiled for several
//! instruction sets and chosen at run time ([`pulp`]), and spread over the current `rayon` pool in chunks of
//! fixed size: the bits of a result do not depend on the number of threads.
//!
//! Conventions. `[n, d]` is `n` rows of `d` columns, one after the other. The output comes first. A kernel
//! overwrites its output unless its name ends in `_assign` or its text says so. Shapes are preconditions: a
//! kernel panics on slices that do not fit together, and the callers check shapes with proper errors before.

pub mod activation;
pub mod adamw;
pub mod attention;
pub mod cross_entropy;
pub mod dropout;
pub mod elementwise;
pub mod gemm;
pub mod math;
pub mod memory;
pub mod norm;
mod parallel;
pub mod profile;
pub mod quant;
pub mod reduce;
pub mod rope;
pub mod rows;
pub mod softmax;
#[cfg(test)]
mod testing;
