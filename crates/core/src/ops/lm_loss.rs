//! The loss of a language model, fused with its output head: no `[tokens, vocab]` matrix is kept.

use super::{matrix_rows, shapes};
use crate::buffer::Buffer;
use crate::{Error, Result, Tensor};
use offshoot_kernels::gemm::{Mat, matmul};
use offshoot_kernels::{cross_entropy as kernel, elementwise};

/// Values of logits that are computed at a time: 64 MiB of them and of their gradient.
const CHUNK: usize = 16 << 20;

/// The cross-entropy of each row, `[n]`, and their sum as one tracked value, for hidden states `x` `[n, d]`
/// through an output head `[vocab, d]` against labels `[n]`.
///
/// The rows are taken in chunks. Gradients are computed on the way forward, while a chunk's logits are there:
/// what is kept for the backward pass is `[n, d]`, and `[vocab, d]` only where the head itself is trained.
///
/// # Errors
/// [`Error::Shapes`] if the sizes differ; [`Error::Index`] if a label is not a row of the head.
pub fn linear_cross_entropy(x: &Tensor, head: &Tensor, labels: &[u32]) -> Result<(Vec<f32>, Tensor)> {
    check(x, head, labels)?;
    let device = x.device();
    let mut losses = vec![0.0; labels.len()];
    let mut grads = Grads {
        x: x.is_tracked().then(|| device.take(x.len())),
        head: head.is_tracked().then(|| device.take(head.len())),
    };
    if let Some(head) = &mut grads.head {
        head.host_mut().fill(0.0);
    }
    let rows = (CHUNK / matrix_rows(head).max(1)).max(1);
    for first in (0..labels.len()).step_by(rows) {
        let range = first..(first + rows).min(labels.len());
        chunk(x, head, (&labels[range.clone()], first), &mut losses[range], &mut grads);
    }
    let total: f64 = losses.iter().map(|&loss| f64::from(loss)).sum();
    let mut y = device.take(1);
    y.host_mut().fill(total as f32);
    let links = [(x.link(), grads.x), (head.link(), grads.head)];
    let total = Tensor::output(device, &[1], y, &[x, head], move |dy| {
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

/// Gradients of the summed loss.
struct Grads {
    /// `[n, d]`
    x: Option<Buffer>,
    /// `[vocab, d]`
    head: Option<Buffer>,
}

fn check(x: &Tensor, head: &Tensor, labels: &[u32]) -> Result<()> {
    let vocab = matrix_rows(head);
    if x.cols() != head.cols() {
        return Err(shapes("linear_cross_entropy", x, head.shape()));
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
fn chunk(x: &Tensor, head: &Tensor, (labels, first): (&[u32], usize), losses: &mut [f32], grads: &mut Grads) {
    let (n, d, vocab) = (labels.len(), x.cols(), matrix_rows(head));
    let values = first * d..(first + n) * d;
    let rows = Mat::new(&x.host()[values.clone()], n, d);
    let table = Mat::new(head.host(), vocab, d);
    let mut logits = x.device().take(n * vocab);
    matmul(logits.host_mut(), rows, table.t(), 1.0, false);
    if grads.x.is_none() && grads.head.is_none() {
        return kernel::cross_entropy(losses, None, logits.host(), labels, 0.0);
    }
    let mut slope = x.device().take(n * vocab);
    kernel::cross_entropy(losses, Some(slope.host_mut()), logits.host(), labels, 0.0);
    let slope = Mat::new(slope.host(), n, vocab);
    if let Some(dx) = &mut grads.x {
        matmul(&mut dx.host_mut()[values], slope, table, 1.0, false);
    }
    if let Some(dhead) = &mut grads.head {
        matmul(dhead.host_mut(), slope.t(), rows, 1.0, true);
    }
}
