//! Linear models with an L2 penalty, multinomial logistic regression for classes and ridge regression for numbers: convex
//! problems, solved to their minimum.
//!
//! Minimises `mean loss + strength / 2 ||W||²`, where the loss is the cross-entropy or half of the squared error (so that
//! `strength` times the number of rows is what scikit-learn's `Ridge` calls alpha), and the mean is weighted by the rows' classes, where
//! these have weights, over features that were centred and scaled to unit deviation, by L-BFGS (Nocedal and Wright, Numerical
//! Optimization, algorithm 7.5) in double precision.
//! Biases are not penalised.

use super::scaling::Scaling;
use crate::data::Label;
use crate::weighted::Weighted;
use std::collections::VecDeque;

/// Steps of the solver at most; features of a few hundred columns take a few dozen.
const MOST_STEPS: usize = 300;
/// The solver stops when no partial derivative exceeds this.
const FLAT: f64 = 1e-5;
/// Pairs of steps that L-BFGS remembers.
const MEMORY: usize = 10;
/// Armijo's constant.
const DECREASE: f64 = 1e-4;

/// A linear model of raw features: row `c` of `weight` and `bias[c]` give output `c`, a class's logit or the number.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Linear {
    /// `[outputs, columns]`, row-major.
    pub(crate) weight: Vec<f32>,
    /// `[outputs]`
    pub(crate) bias: Vec<f32>,
    /// Steps the solver took.
    pub(crate) steps: usize,
}

/// Features, one list per row, and what the rows are labelled with.
pub(crate) type Rows<'a> = (&'a [Vec<f32>], &'a [Label]);

/// Fits features to labels of the objective's kind.
pub(crate) fn fit(rows: Rows<'_>, objective: Weighted<'_>, strength: f64) -> Linear {
    let problem = Problem::new(rows, objective, strength);
    let (solution, steps) = minimise(&problem);
    problem.unscale(&solution, steps)
}

/// The strength, of those given, whose solution on four fifths of the rows has the lowest loss on the other
/// fifth. Rows are expected in random order.
pub(crate) fn choose((features, labels): Rows<'_>, objective: Weighted<'_>, strengths: &[f64]) -> f64 {
    let held_out = features.len() / 5;
    let ((test, train), (test_labels, train_labels)) =
        (features.split_at(held_out), labels.split_at(held_out));
    let loss = |strength: f64| {
        let model = fit((train, train_labels), objective, strength);
        let outputs: Vec<Vec<f32>> = test.iter().map(|row| outputs(&model, row)).collect();
        objective.mean_loss(&outputs, test_labels)
    };
    let scored = strengths.iter().map(|&strength| (loss(strength), strength));
    scored.min_by(|a, b| a.0.total_cmp(&b.0)).map_or(1.0, |(_, strength)| strength)
}

/// The outputs for one row.
pub(crate) fn outputs(model: &Linear, row: &[f32]) -> Vec<f32> {
    let dot =
        |weights: &[f32]| weights.iter().zip(row).map(|(w, x)| f64::from(*w) * f64::from(*x)).sum::<f64>();
    let rows = model.weight.chunks(row.len().max(1));
    rows.zip(&model.bias).map(|(weights, bias)| (dot(weights) + f64::from(*bias)) as f32).collect()
}

/// The standardised problem. The unknowns are, per output, one weight per column and then the bias.
struct Problem<'a> {
    rows: Vec<f64>,
    labels: &'a [Label],
    scaling: Scaling,
    objective: Weighted<'a>,
    strength: f64,
}

impl<'a> Problem<'a> {
    fn new((features, labels): Rows<'a>, objective: Weighted<'a>, strength: f64) -> Self {
        let scaling = Scaling::of(features);
        let rows = features.iter().flat_map(|row| scaling.apply(row)).collect();
        Self { rows, labels, scaling, objective, strength }
    }

    fn columns(&self) -> usize {
        self.scaling.columns()
    }

    fn unknowns(&self) -> usize {
        self.objective.outputs() * (self.columns() + 1)
    }

    /// The objective at `w`, and its gradient into `gradient`.
    fn evaluate(&self, w: &[f64], gradient: &mut [f64]) -> f64 {
        let (columns, stride) = (self.columns(), self.columns() + 1);
        let n = self.objective.total(self.labels);
        gradient.fill(0.0);
        let mut total = 0.0;
        let mut scores = vec![0.0; self.objective.outputs()];
        for (row, label) in self.rows.chunks(columns.max(1)).zip(self.labels) {
            for (score, own) in scores.iter_mut().zip(w.chunks(stride)) {
                *score = dot(&own[..columns], row) + own[columns];
            }
            total += self.objective.derive(&mut scores, label);
            for (score, own) in scores.iter().zip(gradient.chunks_mut(stride)) {
                add_scaled(&mut own[..columns], score / n, row);
                own[columns] += score / n;
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
    use crate::Objective;
    use offshoot_core::Rng;

    fn blobs(n: usize, seed: u64) -> (Vec<Vec<f32>>, Vec<Label>) {
        let mut rng = Rng::new(seed);
        let labels: Vec<u32> = (0..n).map(|i| (i % 3) as u32).collect();
        let centre = |label: u32, c: usize| if label as usize == c { 2.0 } else { 0.0 };
        let row = |label: &u32| {
            (0..5).map(|c| (10.0 * c as f64 + centre(*label, c) + rng.normal()) as f32).collect()
        };
        (labels.iter().map(row).collect(), labels.into_iter().map(Label::Class).collect())
    }

    #[test]
    fn the_minimum_is_flat() {
        let (features, labels) = blobs(90, 1);
        let problem = Problem::new((&features, &labels), 3.into(), 0.05);
        let (solution, steps) = minimise(&problem);
        let mut gradient = vec![0.0; solution.len()];
        problem.evaluate(&solution, &mut gradient);
        assert!(gradient.iter().all(|g| g.abs() < FLAT) && steps > 3);
    }

    #[test]
    fn the_gradient_is_the_derivative() {
        let (features, labels) = blobs(12, 2);
        let problem = Problem::new((&features, &labels), 3.into(), 0.3);
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
        let heavier = Weighted { objective: 3.into(), weights: &weights };
        let weighted = fit((&features, &labels), heavier, 0.1);
        let again = |row: &usize| if labels[*row].class() == Some(1) { 2 } else { 1 };
        let rows: Vec<usize> = (0..60).flat_map(|row| std::iter::repeat_n(row, again(&row))).collect();
        let problem = Problem {
            // The same scaling: that of features does not hang on weights.
            scaling: Scaling::of(&features),
            rows: rows.iter().flat_map(|&row| Scaling::of(&features).apply(&features[row])).collect(),
            labels: &rows.iter().map(|&row| labels[row].clone()).collect::<Vec<Label>>(),
            objective: 3.into(),
            strength: 0.1,
        };
        let (solution, steps) = minimise(&problem);
        let twice = problem.unscale(&solution, steps);
        for (a, b) in weighted.weight.iter().zip(&twice.weight) {
            assert!((a - b).abs() < 1e-3, "{a} {b}");
        }
        assert!(weighted.bias[1] > fit((&features, &labels), 3.into(), 0.1).bias[1]);
    }

    #[test]
    fn the_chosen_strength_is_neither_absurd_extreme() {
        let (features, labels) = blobs(150, 4);
        assert_eq!(choose((&features, &labels), 3.into(), &[1e4, 1e-2, 1e5]), 1e-2);
    }

    #[test]
    fn separates_what_can_be_separated_on_raw_features() {
        let (features, labels) = blobs(300, 3);
        let model = fit((&features, &labels), 3.into(), 1e-3);
        let hits = features
            .iter()
            .zip(&labels)
            .filter(|(row, l)| l.class() == Some(crate::argmax(&outputs(&model, row)) as u32));
        assert!(hits.count() > 250);
    }

    /// Numbers that are nearly linear in three features, one of which is in units of its own.
    fn line(n: usize) -> (Vec<Vec<f32>>, Vec<Label>) {
        let mut rng = Rng::new(7);
        let rows: Vec<Vec<f32>> = (0..n)
            .map(|_| vec![rng.normal() as f32, 1000.0 + 50.0 * rng.normal() as f32, rng.normal() as f32])
            .collect();
        let number = |row: &Vec<f32>| {
            let [a, b, c] = [row[0], row[1], row[2]].map(f64::from);
            2.0 * a - 0.04 * (b - 1000.0) + 0.5 * c + 1.5 + 0.3 * rng.normal()
        };
        let labels = rows.iter().map(number).map(Label::Number).collect();
        (rows, labels)
    }

    /// Gauss's elimination with the largest pivot.
    fn solved(mut matrix: Vec<Vec<f64>>, mut right: Vec<f64>) -> Vec<f64> {
        let n = right.len();
        for column in 0..n {
            let largest =
                (column..n).max_by(|&a, &b| matrix[a][column].abs().total_cmp(&matrix[b][column].abs()));
            matrix.swap(column, largest.unwrap());
            right.swap(column, largest.unwrap());
            for row in (0..n).filter(|&row| row != column) {
                let factor = matrix[row][column] / matrix[column][column];
                let pivot = matrix[column].clone();
                matrix[row].iter_mut().zip(pivot).for_each(|(a, b)| *a -= factor * b);
                right[row] -= factor * right[column];
            }
        }
        (0..n).map(|row| right[row] / matrix[row][row]).collect()
    }

    /// The normal equations, `(XᵀX / n + strength) w = Xᵀy / n`, on features and numbers that are centred here.
    #[test]
    fn ridge_regression_is_its_closed_form() {
        let (rows, labels) = line(60);
        let strength = 0.2;
        let model = fit((&rows, &labels), Objective::Number.into(), strength);
        let n = rows.len() as f64;
        let numbers: Vec<f64> = labels.iter().filter_map(Label::number).collect();
        let mean_of = |column: usize| rows.iter().map(|row| f64::from(row[column])).sum::<f64>() / n;
        let means = [0, 1, 2].map(mean_of);
        let square = |column: usize| {
            rows.iter().map(|row| (f64::from(row[column]) - means[column]).powi(2)).sum::<f64>()
        };
        let deviations = [0, 1, 2].map(|column| (square(column) / n).sqrt());
        let at =
            |row: usize, column: usize| (f64::from(rows[row][column]) - means[column]) / deviations[column];
        let mean = numbers.iter().sum::<f64>() / n;
        let gram = |a: usize, b: usize| {
            let sum: f64 = (0..rows.len()).map(|row| at(row, a) * at(row, b)).sum();
            sum / n + if a == b { strength } else { 0.0 }
        };
        let matrix = (0..3).map(|a| (0..3).map(|b| gram(a, b)).collect()).collect();
        let right =
            (0..3).map(|a| (0..rows.len()).map(|row| at(row, a) * (numbers[row] - mean)).sum::<f64>() / n);
        let weights = solved(matrix, right.collect());
        for (row, features) in rows.iter().enumerate() {
            let expected = mean + (0..3).map(|column| weights[column] * at(row, column)).sum::<f64>();
            let found = f64::from(outputs(&model, features)[0]);
            // The solver stops where no derivative exceeds 1e-5; the rest is f32.
            assert!((found - expected).abs() < 2e-4, "{row}: {found} {expected}");
        }
    }

    #[test]
    fn the_penalty_of_numbers_is_chosen_by_their_error() {
        let (rows, labels) = line(100);
        assert_eq!(choose((&rows, &labels), Objective::Number.into(), &[1e3, 1e-3, 1e4]), 1e-3);
    }
}
