//! Multinomial logistic regression with an L2 penalty: a convex problem, solved to its minimum.
//!
//! Minimises `mean cross-entropy + strength / 2 ||W||²` (a mean weighted by the rows' classes, where these have
//! weights) over features that were centred and scaled to unit deviation, by L-BFGS (Nocedal and Wright, Numerical Optimization, algorithm 7.5) in double precision.
//! Biases are not penalised.

use super::Classes;
use super::scaling::Scaling;
use crate::metrics::mean_loss;
use std::collections::VecDeque;

/// Steps of the solver at most; features of a few hundred columns take a few dozen.
const MOST_STEPS: usize = 300;
/// The solver stops when no partial derivative exceeds this.
const FLAT: f64 = 1e-5;
/// Pairs of steps that L-BFGS remembers.
const MEMORY: usize = 10;
/// Armijo's constant.
const DECREASE: f64 = 1e-4;

/// A linear classifier on raw features: row `c` of `weight` and `bias[c]` give class `c`'s logit.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Linear {
    /// `[classes, columns]`, row-major.
    pub(crate) weight: Vec<f32>,
    /// `[classes]`
    pub(crate) bias: Vec<f32>,
    /// Steps the solver took.
    pub(crate) steps: usize,
}

/// Fits features, one list per row, to labels below `classes`.
pub(super) fn fit<'a>(
    features: &[Vec<f32>],
    labels: &'a [u32],
    classes: impl Into<Classes<'a>>,
    strength: f64,
) -> Linear {
    let problem = Problem::new(features, labels, classes, strength);
    let (solution, steps) = minimise(&problem);
    problem.unscale(&solution, steps)
}

/// The strength, of those given, whose solution on four fifths of the rows has the lowest loss on the other
/// fifth. Rows are expected in random order.
pub(super) fn choose<'a>(
    features: &[Vec<f32>],
    labels: &'a [u32],
    classes: impl Into<Classes<'a>>,
    strengths: &[f64],
) -> f64 {
    let (classes, held_out) = (classes.into(), features.len() / 5);
    let ((test, train), (test_labels, train_labels)) =
        (features.split_at(held_out), labels.split_at(held_out));
    let loss = |strength: f64| {
        let model = fit(train, train_labels, classes, strength);
        let logits: Vec<Vec<f32>> = test.iter().map(|row| logits(&model, row)).collect();
        mean_loss(&logits, test_labels, |label| classes.weight(label))
    };
    let scored = strengths.iter().map(|&strength| (loss(strength), strength));
    scored.min_by(|a, b| a.0.total_cmp(&b.0)).map_or(1.0, |(_, strength)| strength)
}

/// The logits of one row.
pub(crate) fn logits(model: &Linear, row: &[f32]) -> Vec<f32> {
    let dot =
        |weights: &[f32]| weights.iter().zip(row).map(|(w, x)| f64::from(*w) * f64::from(*x)).sum::<f64>();
    let rows = model.weight.chunks(row.len().max(1));
    rows.zip(&model.bias).map(|(weights, bias)| (dot(weights) + f64::from(*bias)) as f32).collect()
}

/// The standardised problem. The unknowns are, per class, one weight per column and then the bias.
struct Problem<'a> {
    rows: Vec<f64>,
    labels: &'a [u32],
    scaling: Scaling,
    classes: Classes<'a>,
    strength: f64,
}

impl<'a> Problem<'a> {
    fn new(features: &[Vec<f32>], labels: &'a [u32], classes: impl Into<Classes<'a>>, strength: f64) -> Self {
        let classes = classes.into();
        let scaling = Scaling::of(features);
        let rows = features.iter().flat_map(|row| scaling.apply(row)).collect();
        Self { rows, labels, scaling, classes, strength }
    }

    fn columns(&self) -> usize {
        self.scaling.columns()
    }

    fn unknowns(&self) -> usize {
        self.classes.count * (self.columns() + 1)
    }

    /// The objective at `w`, and its gradient into `gradient`.
    fn evaluate(&self, w: &[f64], gradient: &mut [f64]) -> f64 {
        let (columns, stride) = (self.columns(), self.columns() + 1);
        let n = self.classes.total(self.labels);
        gradient.fill(0.0);
        let mut total = 0.0;
        let mut scores = vec![0.0; self.classes.count];
        for (row, &label) in self.rows.chunks(columns.max(1)).zip(self.labels) {
            for (score, own) in scores.iter_mut().zip(w.chunks(stride)) {
                *score = dot(&own[..columns], row) + own[columns];
            }
            let weight = self.classes.weight(label);
            total += weight * softmax_in_place(&mut scores, label as usize);
            for (score, own) in scores.iter().zip(gradient.chunks_mut(stride)) {
                add_scaled(&mut own[..columns], weight * score / n, row);
                own[columns] += weight * score / n;
            }
        }
        total / n + self.penalty(w, gradient)
    }

    fn penalty(&self, w: &[f64], gradient: &mut [f64]) -> f64 {
        let (columns, stride) = (self.columns(), self.columns() + 1);
        let mut squares = 0.0;
        for (own, gradient) in w.chunks(stride).zip(gradient.chunks_mut(stride)) {
            squares += dot(&own[..columns], &own[..columns]);
            add_scaled(&mut gradient[..columns], self.strength, &own[..columns]);
        }
        0.5 * self.strength * squares
    }

    /// The solution in terms of raw features.
    fn unscale(&self, solution: &[f64], steps: usize) -> Linear {
        let (columns, stride) = (self.columns(), self.columns() + 1);
        let mut model = Linear { weight: Vec::new(), bias: Vec::new(), steps };
        for own in solution.chunks(stride) {
            let (weights, bias) = self.scaling.fold(&own[..columns], own[columns]);
            model.bias.push(bias);
            model.weight.extend(weights);
        }
        model
    }
}

/// Turns scores into probabilities minus the target, and returns the cross-entropy.
fn softmax_in_place(scores: &mut [f64], label: usize) -> f64 {
    let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let own = scores[label] - largest;
    scores.iter_mut().for_each(|s| *s = (*s - largest).exp());
    let total: f64 = scores.iter().sum();
    scores.iter_mut().for_each(|s| *s /= total);
    scores[label] -= 1.0;
    total.ln() - own
}

/// L-BFGS with a backtracking line search, from zero.
fn minimise(problem: &Problem<'_>) -> (Vec<f64>, usize) {
    let n = problem.unknowns();
    let (mut w, mut gradient) = (vec![0.0; n], vec![0.0; n]);
    let mut value = problem.evaluate(&w, &mut gradient);
    let mut pairs: VecDeque<(Vec<f64>, Vec<f64>)> = VecDeque::new();
    for step in 0..MOST_STEPS {
        if gradient.iter().all(|g| g.abs() < FLAT) {
            return (w, step);
        }
        let direction = direction(&gradient, &pairs);
        let Some((next, next_value, next_gradient)) = line_search(problem, &w, value, &gradient, &direction)
        else {
            return (w, step);
        };
        let moved: Vec<f64> = next.iter().zip(&w).map(|(a, b)| a - b).collect();
        let turned: Vec<f64> = next_gradient.iter().zip(&gradient).map(|(a, b)| a - b).collect();
        if dot(&moved, &turned) > 1e-12 {
            pairs.push_back((moved, turned));
            if pairs.len() > MEMORY {
                pairs.pop_front();
            }
        }
        (w, value, gradient) = (next, next_value, next_gradient);
    }
    (w, MOST_STEPS)
}

/// The two-loop recursion.
fn direction(gradient: &[f64], pairs: &VecDeque<(Vec<f64>, Vec<f64>)>) -> Vec<f64> {
    let mut q: Vec<f64> = gradient.iter().map(|g| -g).collect();
    let mut alphas = Vec::with_capacity(pairs.len());
    for (s, y) in pairs.iter().rev() {
        let alpha = dot(s, &q) / dot(s, y);
        add_scaled(&mut q, -alpha, y);
        alphas.push(alpha);
    }
    if let Some((s, y)) = pairs.back() {
        let factor = dot(s, y) / dot(y, y);
        q.iter_mut().for_each(|x| *x *= factor);
    }
    for ((s, y), alpha) in pairs.iter().zip(alphas.iter().rev()) {
        let beta = dot(y, &q) / dot(s, y);
        add_scaled(&mut q, alpha - beta, s);
    }
    q
}

/// Halves the step until the objective falls enough; none if it never does.
fn line_search(
    problem: &Problem<'_>,
    w: &[f64],
    value: f64,
    gradient: &[f64],
    direction: &[f64],
) -> Option<(Vec<f64>, f64, Vec<f64>)> {
    let slope = dot(gradient, direction);
    let mut next_gradient = vec![0.0; w.len()];
    let mut length = 1.0;
    for _ in 0..40 {
        let next: Vec<f64> = w.iter().zip(direction).map(|(w, d)| w + length * d).collect();
        let next_value = problem.evaluate(&next, &mut next_gradient);
        if next_value <= value + DECREASE * length * slope {
            return Some((next, next_value, next_gradient));
        }
        length *= 0.5;
    }
    None
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn add_scaled(a: &mut [f64], factor: f64, b: &[f64]) {
    a.iter_mut().zip(b).for_each(|(a, b)| *a += factor * b);
}

#[cfg(test)]
mod tests {
    use super::*;
    use offshoot_core::Rng;

    fn blobs(n: usize, seed: u64) -> (Vec<Vec<f32>>, Vec<u32>) {
        let mut rng = Rng::new(seed);
        let labels: Vec<u32> = (0..n).map(|i| (i % 3) as u32).collect();
        let centre = |label: u32, c: usize| if label as usize == c { 2.0 } else { 0.0 };
        let row = |label: &u32| {
            (0..5).map(|c| (10.0 * c as f64 + centre(*label, c) + rng.normal()) as f32).collect()
        };
        (labels.iter().map(row).collect(), labels)
    }

    #[test]
    fn the_minimum_is_flat() {
        let (features, labels) = blobs(90, 1);
        let problem = Problem::new(&features, &labels, 3, 0.05);
        let (solution, steps) = minimise(&problem);
        let mut gradient = vec![0.0; solution.len()];
        problem.evaluate(&solution, &mut gradient);
        assert!(gradient.iter().all(|g| g.abs() < FLAT) && steps > 3);
    }

    #[test]
    fn the_gradient_is_the_derivative() {
        let (features, labels) = blobs(12, 2);
        let problem = Problem::new(&features, &labels, 3, 0.3);
        let w: Vec<f64> = (0..problem.unknowns()).map(|i| (i as f64 * 0.7).sin()).collect();
        let (mut gradient, mut unused) = (vec![0.0; w.len()], vec![0.0; w.len()]);
        problem.evaluate(&w, &mut gradient);
        for i in 0..w.len() {
            let mut at = |by: f64| {
                let mut moved = w.clone();
                moved[i] += by;
                problem.evaluate(&moved, &mut unused)
            };
            let numeric = (at(1e-5) - at(-1e-5)) / 2e-5;
            assert!((numeric - gradient[i]).abs() < 1e-8, "{i}: {numeric} {}", gradient[i]);
        }
    }

    #[test]
    fn a_weight_of_two_is_each_row_twice() {
        let (features, labels) = blobs(60, 5);
        let weights = [1.0, 2.0, 1.0];
        let weighted = fit(&features, &labels, Classes { count: 3, weights: &weights }, 0.1);
        let again = |row: &usize| if labels[*row] == 1 { 2 } else { 1 };
        let rows: Vec<usize> = (0..60).flat_map(|row| std::iter::repeat_n(row, again(&row))).collect();
        let problem = Problem {
            // The same scaling: that of features does not hang on weights.
            scaling: Scaling::of(&features),
            rows: rows.iter().flat_map(|&row| Scaling::of(&features).apply(&features[row])).collect(),
            labels: &rows.iter().map(|&row| labels[row]).collect::<Vec<u32>>(),
            classes: 3.into(),
            strength: 0.1,
        };
        let (solution, steps) = minimise(&problem);
        let twice = problem.unscale(&solution, steps);
        for (a, b) in weighted.weight.iter().zip(&twice.weight) {
            assert!((a - b).abs() < 1e-3, "{a} {b}");
        }
        assert!(weighted.bias[1] > fit(&features, &labels, 3, 0.1).bias[1]);
    }

    #[test]
    fn the_chosen_strength_is_neither_absurd_extreme() {
        let (features, labels) = blobs(150, 4);
        assert_eq!(choose(&features, &labels, 3, &[1e4, 1e-2, 1e5]), 1e-2);
    }

    #[test]
    fn separates_what_can_be_separated_on_raw_features() {
        let (features, labels) = blobs(300, 3);
        let model = fit(&features, &labels, 3, 1e-3);
        let hits = features
            .iter()
            .zip(&labels)
            .filter(|(row, l)| crate::argmax(&logits(&model, row)) == **l as usize);
        assert!(hits.count() > 250);
    }
}
