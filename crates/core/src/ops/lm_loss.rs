//! The loss of a language model, fused with its output head: no `[tokens, vocab]` matrix is kept.

use super::matmul::mat;
use super::{matrix_rows, shapes};
use crate::buffer::Buffer;
use crate::logits::{chunk_rows, most_rows};
use crate::{Error, Quantized, Result, Tensor};
use offshoot_kernels::gemm::{Dense, Operand, Start, product, product_outer, product_straight};
use offshoot_kernels::{cross_entropy as kernel, elementwise};

/// The cross-entropy of each row, `[n]`, and their sum as one tracked value, for hidden states `x` `[n, d]`
/// through an output head `[vocab, d]` against labels `[n]`.
///
/// The rows are taken in chunks. Gradients are computed on the way forward, while a chunk's logits are there:
/// what is kept for the backward pass is `[n, d]`, and `[vocab, d]` only where the head itself is trained.
///
/// # Errors
/// [`Error::Shapes`] if the sizes differ; [`Error::Index`] if a label is not a row of the head.
pub fn linear_cross_entropy(x: &Tensor, head: OutputHead<'_>, labels: &[u32]) -> Result<(Vec<f32>, Tensor)> {
    check(x, head, labels)?;
    let device = x.device();
    let mut losses = vec![0.0; labels.len()];
    let table = head.tensor();
    let mut grads = Grads {
        x: x.is_tracked().then(|| device.take(x.len())),
        head: table.filter(|t| t.is_tracked()).map(|t| device.take(t.len())),
    };
    if let Some(head) = &mut grads.head {
        head.host_mut().fill(0.0);
    }
    let rows = chunk_rows(labels.len(), head.shape().0);
    for first in (0..labels.len()).step_by(rows) {
        let range = first..(first + rows).min(labels.len());
        chunk(x, head, (&labels[range.clone()], first), &mut losses[range], &mut grads);
    }
    let total: f64 = losses.iter().map(|&loss| f64::from(loss)).sum();
    let mut y = device.take(1);
    y.host_mut().fill(total as f32);
    let links = [(x.link(), grads.x), (table.and_then(Tensor::link), grads.head)];
    let inputs: Vec<&Tensor> = std::iter::once(x).chain(table).collect();
    let total = Tensor::output(device, &[1], y, &inputs, move |dy| {
        let factor = dy.host().first().copied().unwrap_or(0.0);
        for (link, gradient) in links {
            if let (Some(link), Some(gradient)) = (link, gradient) {
                link.receive(|dx| elementwise::scale(dx, gradient.host(), factor));
            }
        }
        Ok(())
    });
    Ok((losses, total))
}

/// An output head `[vocab, d]`.
#[derive(Clone, Copy)]
pub enum OutputHead<'a> {
    /// In f32, trained or not.
    Dense(&'a Tensor),
    /// In the blocks of its file.
    Quantized(&'a Quantized),
}

impl<'a> OutputHead<'a> {
    /// Rows and columns.
    pub(super) fn shape(self) -> (usize, usize) {
        match self {
            Self::Dense(table) => (matrix_rows(table), table.cols()),
            Self::Quantized(table) => (table.rows(), table.cols()),
        }
    }

    pub(super) fn tensor(self) -> Option<&'a Tensor> {
        match self {
            Self::Dense(table) => Some(table),
            Self::Quantized(_) => None,
        }
    }

    pub(super) fn operand(self) -> Operand<'a> {
        match self {
            Self::Dense(table) => mat(table).into(),
            Self::Quantized(table) => table.operand(),
        }
    }
}

/// Gradients of the summed loss.
struct Grads {
    /// `[n, d]`
    x: Option<Buffer>,
    /// `[vocab, d]`
    head: Option<Buffer>,
}

fn check(x: &Tensor, head: OutputHead<'_>, labels: &[u32]) -> Result<()> {
    let (vocab, d) = head.shape();
    if x.cols() != d {
        return Err(shapes("linear_cross_entropy", x, &[vocab, d]));
    }
    if matrix_rows(x) != labels.len() {
        return Err(shapes("linear_cross_entropy", x, &[labels.len()]));
    }
    match labels.iter().find(|&&label| label as usize >= vocab) {
        Some(&label) => Err(Error::Index { op: "linear_cross_entropy", index: label as usize, rows: vocab }),
        None => Ok(()),
    }
}

/// Losses and gradients of some rows, from `first` on.
fn chunk(
    x: &Tensor,
    head: OutputHead<'_>,
    (labels, first): (&[u32], usize),
    losses: &mut [f32],
    grads: &mut Grads,
) {
    let (n, (vocab, d)) = (labels.len(), head.shape());
    let range = first * d..(first + n) * d;
    let values = &x.host()[range.clone()];
    // Batches of all lengths use the same buffer.
    let most = most_rows(x.device().most_rows(), vocab);
    let mut logits = x.device().take_of(n * vocab, most * vocab);
    let arithmetic = x.device().arithmetic();
    product(logits.host_mut(), values, n, head.operand(), arithmetic);
    if grads.x.is_none() && grads.head.is_none() {
        return kernel::cross_entropy(losses, None, logits.host(), labels, 0.0);
    }
    kernel::cross_entropy_in_place(losses, logits.host_mut(), labels);
    let slope = logits;
    if let Some(dx) = &mut grads.x {
        product_straight(&mut dx.host_mut()[range], slope.host(), n, head.operand(), arithmetic);
    }
    if let Some(dhead) = &mut grads.head {
        product_outer(
            dhead.host_mut(),
            slope.host(),
            vocab,
            Dense::new(values, n, d),
            Start::Output,
            arithmetic,
        );
    }
}
