//! Cross-entropy of logits against class labels, with its gradient in the same pass.

use crate::math::exp;
use crate::parallel::{for_row_results, for_rows_with};
use crate::profile::{Kind, time};
use crate::reduce::{max, sum, sum_of};
use crate::softmax::exponentials;

/// `losses[i] = -sum_j target[i, j] log softmax(logits[i])[j]`, unscaled, per row.
///
/// The target is `1 - smoothing` on the label plus `smoothing / c` everywhere. `losses` `[n]`; `logits` `[n,
/// c]`; `labels` `[n]`, each below c. `grad` `[n, c]`, if asked for, receives `softmax(logits) - target`: the
/// caller scales it.
pub fn cross_entropy(
    losses: &mut [f32],
    grad: Option<&mut [f32]>,
    logits: &[f32],
    labels: &[u32],
    smoothing: f32,
) {
    let _timed = time(Kind::Loss);
    if classes(losses, logits, labels).is_none() {
        return;
    }
    match grad {
        Some(grad) => with_gradient(losses, grad, logits, labels, smoothing),
        None => losses_only(losses, logits, labels, smoothing),
    }
}

/// [`cross_entropy`] with a weight for each class `[c]`: the label's share of the target is multiplied by the
/// label's weight, and what is spread over all classes by the weight of each. The caller divides by the sum of the
/// labels' weights for the mean.
pub fn weighted_cross_entropy(
    losses: &mut [f32],
    mut grad: Option<&mut [f32]>,
    logits: &[f32],
    (labels, weights): (&[u32], &[f32]),
    smoothing: f32,
) {
    let _timed = time(Kind::Loss);
    let Some(c) = classes(losses, logits, labels) else { return };
    assert_eq!(weights.len(), c, "one weight per class");
    let even = smoothing / c as f32;
    for (row, (loss, &label)) in losses.iter_mut().zip(labels).enumerate() {
        let (x, label) = (&logits[row * c..(row + 1) * c], label as usize);
        let (peak, own) = (max(x), (1.0 - smoothing) * weights[label]);
        let log_sum = peak + x.iter().map(|x| exp(x - peak)).sum::<f32>().ln();
        let spread: f32 = x.iter().zip(weights).map(|(x, weight)| weight * (log_sum - x)).sum();
        *loss = own * (log_sum - x[label]) + even * spread;
        if let Some(grad) = &mut grad {
            let grad = &mut grad[row * c..(row + 1) * c];
            let target = own + even * weights.iter().sum::<f32>();
            for ((grad, x), weight) in grad.iter_mut().zip(x).zip(weights) {
                *grad = target * exp(x - log_sum) - even * weight;
            }
            grad[label] -= own;
        }
    }
}

/// [`cross_entropy`] without smoothing, whose gradient takes the place of the `logits` `[n, c]`: for a
/// vocabulary, a second matrix of that size would not stay in any cache.
pub fn cross_entropy_in_place(losses: &mut [f32], logits: &mut [f32], labels: &[u32]) {
    let _timed = time(Kind::Loss);
    let Some(c) = classes(losses, logits, labels) else { return };
    for_rows_with(
        (logits, c),
        (losses, 1),
        #[inline(always)]
        |first, logits, losses| {
            for ((x, loss), &label) in logits.chunks_exact_mut(c).zip(losses).zip(&labels[first..]) {
                let (wanted, peak) = (x[label as usize], max(x));
                x.iter_mut().for_each(|x| *x = exp(*x - peak));
                let total = sum(x);
                *loss = peak + total.ln() - wanted;
                let r = 1.0 / total;
                x.iter_mut().for_each(|x| *x *= r);
                x[label as usize] -= 1.0;
            }
        },
    );
}

/// The number of classes, where there are rows; all lengths and labels fit.
fn classes(losses: &[f32], logits: &[f32], labels: &[u32]) -> Option<usize> {
    if labels.is_empty() {
        assert!(losses.is_empty() && logits.is_empty(), "no labels, yet rows");
        return None;
    }
    let c = logits.len() / labels.len();
    assert!(logits.len() == c * labels.len() && c > 0, "logits are not [labels.len(), classes]");
    assert_eq!(losses.len(), labels.len(), "one loss per label");
    assert!(labels.iter().all(|&l| (l as usize) < c), "label is not below the number of classes");
    Some(c)
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
    for_row_results(
        losses,
        c,
        #[inline(always)]
        |i| {
            let x = &logits[i * c..(i + 1) * c];
            let peak = max(x);
            let total = sum_of(
                x,
                #[inline(always)]
                |x| exp(x - peak),
            );
            row_loss(x, peak + total.ln(), labels[i] as usize, smoothing)
        },
    );
}

/// The loss of one row: `log_sum` is the logarithm of the sum of the exponentials of `x` `[c]`.
#[inline(always)]
fn row_loss(x: &[f32], log_sum: f32, label: usize, smoothing: f32) -> f32 {
    let sharp = log_sum - x[label];
    if smoothing == 0.0 {
        return sharp;
    }
    let even = log_sum - sum(x) / x.len() as f32;
    (1.0 - smoothing) * sharp + smoothing * even
}

#[cfg(test)]
mod tests {
    use super::{cross_entropy, cross_entropy_in_place, weighted_cross_entropy};
    use crate::testing::{assert_close, assert_same_on_threads, differences, noise, wide};

    /// Some roundings of numbers up to 10.
    const TOLERANCE: f64 = 3e-6;

    fn reference(x: &[f64], labels: &[u32], smoothing: f64) -> Vec<f64> {
        let c = x.len() / labels.len();
        let loss = |(x, &label): (&[f64], &u32)| {
            let log_sum = x.iter().map(|x| x.exp()).sum::<f64>().ln();
            let even: f64 = x.iter().map(|x| log_sum - x).sum::<f64>() / c as f64;
            (1.0 - smoothing) * (log_sum - x[label as usize]) + smoothing * even
        };
        x.chunks_exact(c).zip(labels).map(loss).collect()
    }

    fn inputs(n: usize, c: usize) -> (Vec<f32>, Vec<u32>) {
        let logits = noise(1, n * c).iter().map(|x| 5.0 * x).collect();
        (logits, (0..n).map(|i| (i * 7 % c) as u32).collect())
    }

    #[test]
    fn in_place_is_the_same() {
        for (n, c) in [(1, 1), (7, 2), (17, 33), (3, 40_000)] {
            let (mut logits, labels) = inputs(n, c);
            let (mut losses, mut grad) = (noise(2, n), noise(3, n * c));
            cross_entropy(&mut losses, Some(&mut grad), &logits, &labels, 0.0);
            let mut losses_in_place = noise(4, n);
            cross_entropy_in_place(&mut losses_in_place, &mut logits, &labels);
            assert!(losses == losses_in_place && grad == logits, "[{n}, {c}]");
        }
    }

    #[test]
    fn losses_and_gradient() {
        for (n, c) in [(1, 1), (7, 2), (17, 33), (3, 130), (300, 70)] {
            for smoothing in [0.0, 0.1, 1.0] {
                let (logits, labels) = inputs(n, c);
                let (mut losses, mut grad) = (noise(2, n), noise(3, n * c));
                cross_entropy(&mut losses, Some(&mut grad), &logits, &labels, smoothing);
                let smooth = f64::from(smoothing);
                assert_close(&losses, &reference(&wide(&logits), &labels, smooth), TOLERANCE);
                let mut alone = noise(4, n);
                cross_entropy(&mut alone, None, &logits, &labels, smoothing);
                assert_close(&alone, &wide(&losses), TOLERANCE);
                if n * c < 1000 {
                    let sum = |x: &[f64]| reference(x, &labels, smooth).iter().sum();
                    assert_close(&grad, &differences(&logits, sum), TOLERANCE);
                }
            }
        }
    }

    /// torch's `CrossEntropyLoss(weight=..., label_smoothing=..., reduction="sum")`.
    fn weighted(x: &[f64], labels: &[u32], weights: &[f64], smoothing: f64) -> Vec<f64> {
        let c = weights.len();
        let loss = |(x, &label): (&[f64], &u32)| {
            let log_sum = x.iter().map(|x| x.exp()).sum::<f64>().ln();
            let all: f64 = x.iter().zip(weights).map(|(x, weight)| weight * (log_sum - x)).sum();
            let label = label as usize;
            (1.0 - smoothing) * weights[label] * (log_sum - x[label]) + smoothing / c as f64 * all
        };
        x.chunks_exact(c).zip(labels).map(loss).collect()
    }

    #[test]
    fn weights_multiply_losses_and_gradients() {
        for (n, c) in [(1, 1), (7, 2), (17, 33)] {
            for smoothing in [0.0, 0.1] {
                let (logits, labels) = inputs(n, c);
                let weights: Vec<f32> = (0..c).map(|class| 0.25 + class as f32).collect();
                let (mut losses, mut grad) = (noise(2, n), noise(3, n * c));
                let given = (labels.as_slice(), weights.as_slice());
                weighted_cross_entropy(&mut losses, Some(&mut grad), &logits, given, smoothing);
                let expected = |x: &[f64]| weighted(x, &labels, &wide(&weights), f64::from(smoothing));
                assert_close(&losses, &expected(&wide(&logits)), 10.0 * TOLERANCE);
                assert_close(&grad, &differences(&logits, |x| expected(x).iter().sum()), 10.0 * TOLERANCE);
                let mut alone = noise(4, n);
                weighted_cross_entropy(&mut alone, None, &logits, given, smoothing);
                assert_eq!(alone, losses);
                let (mut plain, ones) = (noise(5, n), vec![1.0; c]);
                cross_entropy(&mut plain, None, &logits, &labels, smoothing);
                weighted_cross_entropy(&mut alone, None, &logits, (&labels, &ones), smoothing);
                assert_close(&alone, &wide(&plain), TOLERANCE);
            }
        }
    }

    #[test]
    fn extremes() {
        let (mut losses, mut grad) = ([0.0; 2], [0.0; 4]);
        cross_entropy(&mut losses, Some(&mut grad), &[1e4, -1e4, 1e4, -1e4], &[0, 1], 0.0);
        assert_eq!((losses, grad), ([0.0, 2e4], [0.0, 0.0, 1.0, -1.0]));
        cross_entropy(&mut losses, None, &[f32::NAN, 1.0, 0.0, 0.0], &[0, 0], 0.0);
        assert!(losses[0].is_nan() && losses[1].is_finite());
        cross_entropy(&mut [], None, &[], &[], 0.0);
    }

    #[test]
    fn same_bits_on_any_number_of_threads() {
        let (logits, labels) = inputs(2000, 33);
        assert_same_on_threads(|| {
            let (mut losses, mut grad) = (vec![0.0; 2000], vec![0.0; logits.len()]);
            cross_entropy(&mut losses, Some(&mut grad), &logits, &labels, 0.1);
            let mut alone = vec![0.0; 2000];
            cross_entropy(&mut alone, None, &logits, &labels, 0.1);
            [losses, grad, alone].concat()
        });
    }

    #[test]
    #[should_panic(expected = "below the number of classes")]
    fn labels_are_checked() {
        cross_entropy(&mut [0.0], None, &[0.0; 3], &[3], 0.0);
    }
}
