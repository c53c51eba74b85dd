//! Cross-entropy of logits against class labels, with its gradient in the same pass.

use crate::math::exp;
use crate::parallel::for_rows_with;
use crate::reduce::{max, sum, sum_of};
use crate::softmax::exponentials;

/// `losses[i] = -sum_j target[i, j] log softmax(logits[i])[j]`, unscaled, per row.
///
/// The target is `1 - smoothing` on the label plus `smoothing / c` everywhere. `losses` [n]; `logits` [n, c]; `labels` [n], each
/// below c. `grad` [n, c], if asked for, receives `softmax(logits) - target`: the caller scales it.
pub fn cross_entropy(
    losses: &mut [f32],
    grad: Option<&mut [f32]>,
    logits: &[f32],
    labels: &[u32],
    smoothing: f32,
) {
    if labels.is_empty() {
        return assert!(losses.is_empty() && logits.is_empty(), "no labels, yet rows");
    }
    let c = logits.len() / labels.len();
    assert!(logits.len() == c * labels.len() && c > 0, "logits are not [labels.len(), classes]");
    assert_eq!(losses.len(), labels.len(), "one loss per label");
    assert!(labels.iter().all(|&l| (l as usize) < c), "label is not below the number of classes");
    match grad {
        Some(grad) => with_gradient(losses, grad, logits, labels, smoothing),
        None => losses_only(losses, logits, labels, smoothing),
    }
}

fn with_gradient(losses: &mut [f32], grad: &mut [f32], logits: &[f32], labels: &[u32], smoothing: f32) {
    let c = logits.len() / labels.len();
    assert_eq!(grad.len(), logits.len(), "gradient is not [n, c]");
    for_rows_with(
        (grad, c),
        (losses, 1),
        #[inline(always)]
        |first, grad, losses| {
            let rows = logits[first * c..].chunks_exact(c).zip(&labels[first..]);
            for ((grad, loss), (x, &label)) in grad.chunks_exact_mut(c).zip(losses).zip(rows) {
                let (peak, total) = exponentials(grad, x);
                *loss = row_loss(x, peak + total.ln(), label as usize, smoothing);
                let (r, even) = (1.0 / total, smoothing / c as f32);
                grad.iter_mut().for_each(|g| *g = g.mul_add(r, -even));
                grad[label as usize] -= 1.0 - smoothing;
            }
        },
    );
}

fn losses_only(losses: &mut [f32], logits: &[f32], labels: &[u32], smoothing: f32) {
    let c = logits.len() / labels.len();
    for (chunk, out) in losses.chunks_mut(1).enumerate() {
        let x = &logits[chunk * c..(chunk + 1) * c];
        let peak = max(x);
        let total = sum_of(
            x,
            #[inline(always)]
            |x| exp(x - peak),
        );
        out[0] = row_loss(x, peak + total.ln(), labels[chunk] as usize, smoothing);
    }
}

/// The loss of one row: `log_sum` is the logarithm of the sum of the exponentials of `x` [c].
#[inline(always)]
fn row_loss(x: &[f32], log_sum: f32, label: usize, smoothing: f32) -> f32 {
    let sharp = log_sum - x[label];
    if smoothing == 0.0 {
        return sharp;
    }
    let even = log_sum - sum(x) / x.len() as f32;
    (1.0 - smoothing) * sharp + smoothing * even
}
