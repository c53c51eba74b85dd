//! The loss.

use super::{matrix_rows, shapes};
use crate::{Error, Result, Tensor};
use offshoot_kernels::{cross_entropy as kernel, elementwise};

/// The summed cross-entropy of logits `[n, c]` against labels `[n]`, as one value, with label smoothing.
///
/// The sum, not the mean: the mean is over all labelled positions of an optimizer step, whatever its
/// micro-batches.
///
/// # Errors
/// [`Error::Shapes`] if there is not one label per row; [`Error::Index`] if a label is not a class.
pub fn cross_entropy(logits: &Tensor, labels: &[u32], smoothing: f32) -> Result<Tensor> {
    weighted_cross_entropy(logits, (labels, &[]), smoothing)
}

/// [`cross_entropy`] with a weight for each class `[c]`, or none at all for weights of one. The mean is over the sum
/// of the labels' weights.
///
/// # Errors
/// As [`cross_entropy`]; [`Error::Shapes`] if there is not one weight per class.
pub fn weighted_cross_entropy(
    logits: &Tensor,
    (labels, weights): (&[u32], &[f32]),
    smoothing: f32,
) -> Result<Tensor> {
    let (n, classes) = (matrix_rows(logits), logits.cols());
    if labels.len() != n {
        return Err(shapes("cross_entropy", logits, &[labels.len()]));
    }
    if ![0, classes].contains(&weights.len()) {
        return Err(shapes("cross_entropy", logits, &[weights.len()]));
    }
    if let Some(&label) = labels.iter().find(|&&l| l as usize >= classes) {
        return Err(Error::Index { op: "cross_entropy", index: label as usize, rows: classes });
    }
    let device = logits.device();
    let mut losses = device.take(n);
    let mut gradient = logits.is_tracked().then(|| device.take(logits.len()));
    let into = gradient.as_mut().map(|g| g.host_mut());
    if weights.is_empty() {
        kernel::cross_entropy(losses.host_mut(), into, logits.host(), labels, smoothing);
    } else {
        let labelled = (labels, weights);
        kernel::weighted_cross_entropy(losses.host_mut(), into, logits.host(), labelled, smoothing);
    }
    let total: f64 = losses.host().iter().map(|&l| f64::from(l)).sum();
    let mut y = device.take(1);
    y.host_mut().fill(total as f32);
    let to_logits = logits.link();
    Ok(Tensor::output(device, &[1], y, &[logits], move |dy| {
        if let (Some(link), Some(gradient)) = (to_logits, gradient) {
            let factor = dy.host().first().copied().unwrap_or(0.0);
            link.receive(|dx| elementwise::scale(dx, gradient.host(), factor));
        }
        Ok(())
    }))
}
