//! Operations: each computes its output and, only if an input is tracked, records a backward that owns what
//! it needs.
//!
//! To add one: compute into a buffer from `device.take`, call `Tensor::output`, give each tracked input its
//! gradient through its `Link`, and add a line to the gradient check in `tests/gradients.rs`.

mod activation;
mod attention;
mod dropout;
mod elementwise;
mod layout;
mod linear;
mod lm_loss;
mod loss;
mod matmul;
mod norm;
mod reduce;
mod rope;

pub use attention::AttentionDropout;
pub use layout::concat_rows;
pub use lm_loss::{OutputHead, linear_cross_entropy};
pub use loss::{cross_entropy, weighted_cross_entropy};

use crate::{Error, Result, Tensor};

/// An error that names the operation and both shapes.
fn shapes(op: &'static str, left: &Tensor, right: &[usize]) -> Error {
    Error::Shapes { op, left: left.shape().to_vec(), right: right.to_vec() }
}

/// Checks that two tensors have the same shape (shapes that differ only by axes of one are the same here).
fn same_shape(op: &'static str, a: &Tensor, b: &Tensor) -> Result<()> {
    if wide_axes(a).eq(wide_axes(b)) { Ok(()) } else { Err(shapes(op, a, b.shape())) }
}

/// The axes of more, or fewer, than one.
fn wide_axes(x: &Tensor) -> impl Iterator<Item = usize> {
    x.shape().iter().copied().filter(|&size| size != 1)
}

/// Checks that `row` has one value per column of `x`.
fn row_fits(op: &'static str, x: &Tensor, row: &Tensor) -> Result<()> {
    if row.len() == x.cols() { Ok(()) } else { Err(shapes(op, x, row.shape())) }
}

/// Checks a rate of dropout, and that there is one key per row of `x`.
fn dropout_fits(op: &'static str, x: &Tensor, p: f32, row_keys: &[u64]) -> Result<()> {
    if !(0.0..=1.0).contains(&p) {
        return Err(Error::invalid(format!("{op}: the rate of dropout is {p}; it must be between 0 and 1")));
    }
    if row_keys.len() == matrix_rows(x) { Ok(()) } else { Err(shapes(op, x, &[row_keys.len()])) }
}

/// The shape of `x` with another number of columns.
fn with_cols(x: &Tensor, cols: usize) -> Vec<usize> {
    let leading = x.shape().len().saturating_sub(1);
    x.shape()[..leading].iter().copied().chain([cols]).collect()
}

/// The number of rows of `x` seen as a matrix with `x.cols()` columns.
fn matrix_rows(x: &Tensor) -> usize {
    x.len() / x.cols().max(1)
}
