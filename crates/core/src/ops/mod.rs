//! Operations: each computes its output and, only if an input is tracked, records a backward that owns what it needs.
//!
//! To add one: compute into a buffer from `device.take`, call `Tensor::output`, give each tracked input its gradient
//! through its `Link`, and add a line to the gradient check in `tests/gradients.rs`.

mod activation;
mod attention;
mod dropout;
mod elementwise;
mod layout;
mod loss;
mod matmul;
mod norm;
mod reduce;

pub use attention::AttentionDropout;
pub use layout::concat_rows;
pub use loss::cross_entropy;

use crate::{Error, Result, Tensor};

/// An error that names the operation and both shapes.
fn shapes(op: &'static str, left: &Tensor, right: &[usize]) -> Error {
    Error::Shapes { op, left: left.shape().to_vec(), right: right.to_vec() }
}

/// Checks that two tensors hold the same number of values (shapes that differ only by axes of one are the same here).
fn same_len(op: &'static str, a: &Tensor, b: &Tensor) -> Result<()> {
    if a.len() == b.len() { Ok(()) } else { Err(shapes(op, a, b.shape())) }
}

/// Checks that `row` has one value per column of `x`.
fn row_fits(op: &'static str, x: &Tensor, row: &Tensor) -> Result<()> {
    if row.len() == x.cols() { Ok(()) } else { Err(shapes(op, x, row.shape())) }
}

/// The shape of `x` with another number of columns.
fn with_cols(x: &Tensor, cols: usize) -> Vec<usize> {
    let mut shape = x.shape().to_vec();
    if let Some(last) = shape.last_mut() {
        *last = cols;
    }
    shape
}

/// The number of rows of `x` seen as a matrix with `x.cols()` columns.
fn matrix_rows(x: &Tensor) -> usize {
    x.len() / x.cols().max(1)
}
