//! A random forest of classification trees.

use super::fitted::Columns;
use super::tree::{self, Form, Node, Tree};
use crate::Result;
use offshoot_core::Rng;
use offshoot_methods::features_forest::Config;
use offshoot_models::weights::Tensors;
use rayon::prelude::*;
use std::ops::Range;

/// Trees that were grown.
#[derive(Clone, Debug, PartialEq)]
pub struct Forest {
    trees: Vec<Tree>,
    columns: usize,
    classes: usize,
}

impl Forest {
    /// Grows the trees on features, one list per row, with labels below `classes`.
    pub(super) fn fit(
        (features, labels): (&[Vec<f32>], &[u32]),
        classes: usize,
        config: &Config,
        seed: u64,
    ) -> Self {
        let columns = features.first().map_or(0, Vec::len);
        let rng = Rng::new(seed).fork("forest");
        let grow = |tree: usize| {
            Grower {
                features,
                labels,
                classes,
                min_leaf: config.min_leaf,
                rng: rng.fork(&format!("tree {tree}")),
                order: (0..columns).collect(),
            }
            .grow()
        };
        Self { trees: (0..config.trees).into_par_iter().map(grow).collect(), columns, classes }
    }

    pub(crate) fn columns(&self) -> usize {
        self.columns
    }

    pub(crate) fn classes(&self) -> usize {
        self.classes
    }

    /// How many values it is.
    pub(crate) fn values(&self) -> usize {
        self.trees.iter().map(Tree::values).sum()
    }

    /// The log-probabilities of one row: of the mean over the trees, in which one more tree knows nothing, so that
    /// no class is impossible.
    pub(crate) fn logits(&self, row: &[f32]) -> Vec<f32> {
        let mut sums = vec![1.0 / self.classes.max(1) as f64; self.classes];
        for tree in &self.trees {
            for (sum, share) in sums.iter_mut().zip(tree.answer(row, self.classes)) {
                *sum += f64::from(*share);
            }
        }
        let trees = (self.trees.len() + 1) as f64;
        sums.into_iter().map(|sum| (sum / trees).ln() as f32).collect()
    }

    pub(super) fn columns_of_file(&self) -> Columns {
        tree::columns_of_file(&self.trees, form([self.columns, self.classes]))
    }

    /// Reads trees for rows of so many columns and so many classes.
    pub(super) fn read(tensors: &Tensors, [columns, classes]: [usize; 2]) -> Result<Self> {
        Ok(Self { trees: tree::read(tensors, form([columns, classes]))?, columns, classes })
    }
}

/// A leaf holds the share of each class.
fn form([columns, classes]: [usize; 2]) -> Form<'static> {
    Form { name: "forest", columns, width: classes }
}

/// One tree while it grows.
struct Grower<'a> {
    features: &'a [Vec<f32>],
    labels: &'a [u32],
    classes: usize,
    min_leaf: usize,
    rng: Rng,
    /// All features; those to be looked at next are drawn to the front.
    order: Vec<usize>,
}

/// The best way found to split a node's rows.
#[derive(Clone, Copy)]
struct Split {
    feature: usize,
    threshold: f32,
    score: f64,
}

impl Grower<'_> {
    fn grow(mut self) -> Tree {
        let n = self.features.len();
        let mut rows: Vec<usize> = (0..n).map(|_| self.rng.below(n)).collect();
        let mut tree = Tree::default();
        // Parts of the rows that wait to become nodes, and the node whose right child each will be.
        let mut waiting: Vec<(Range<usize>, Option<usize>)> = vec![(0..n, None)];
        while let Some((part, parent)) = waiting.pop() {
            let at = tree.nodes.len();
            if let Some(parent) = parent {
                tree.lead_right(parent);
            }
            let own = &mut rows[part.clone()];
            let Some(split) = self.split(own) else {
                tree.push_leaf(self.shares(own));
                continue;
            };
            tree.nodes.push(Node::Split { feature: split.feature, threshold: split.threshold, right: 0 });
            let middle = part.start + self.part(own, split);
            waiting.push((middle..part.end, Some(at)));
            waiting.push((part.start..middle, None));
        }
        tree
    }

    /// The best split of the rows by some features; none if the rows are a leaf. Where none of them splits, others
    /// are looked at.
    fn split(&mut self, rows: &[usize]) -> Option<Split> {
        let mut counts = vec![0_usize; self.classes];
        rows.iter().for_each(|&row| counts[self.labels[row] as usize] += 1);
        if rows.len() < 2 * self.min_leaf || counts.iter().filter(|&&count| count > 0).count() < 2 {
            return None;
        }
        let looked_at = (self.order.len() as f64).sqrt().ceil() as usize;
        let mut best: Option<Split> = None;
        for i in 0..self.order.len() {
            if i >= looked_at && best.is_some() {
                break;
            }
            let drawn = i + self.rng.below(self.order.len() - i);
            self.order.swap(i, drawn);
            let found = self.threshold(rows, self.order[i], &counts);
            best = match (best, found) {
                (Some(best), Some(found)) if found.score <= best.score => Some(best),
                (best, found) => found.or(best),
            };
        }
        best
    }

    /// The threshold of a feature with the least impurity. Gini's is least where the sum over both sides of the
    /// squared counts, by the side's rows, is largest.
    fn threshold(&self, rows: &[usize], feature: usize, counts: &[usize]) -> Option<Split> {
        let value = |row: usize| (self.features[row][feature], self.labels[row] as usize);
        let mut values: Vec<(f32, usize)> = rows.iter().map(|&row| value(row)).collect();
        values.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        let (mut left, mut right) = (vec![0.0_f64; counts.len()], Vec::new());
        right.extend(counts.iter().map(|&count| count as f64));
        let (mut of_left, mut of_right) = (0.0, right.iter().map(|count| count * count).sum::<f64>());
        let mut best: Option<Split> = None;
        for (at, pair) in values.windows(2).enumerate() {
            let ((low, label), (high, _)) = (pair[0], pair[1]);
            of_left += 2.0 * left[label] + 1.0;
            of_right -= 2.0 * right[label] - 1.0;
            left[label] += 1.0;
            right[label] -= 1.0;
            let (before, after) = (at + 1, values.len() - at - 1);
            if low >= high || before.min(after) < self.min_leaf {
                continue;
            }
            let score = of_left / before as f64 + of_right / after as f64;
            if best.is_none_or(|best| score > best.score) {
                best = Some(Split { feature, threshold: between(low, high), score });
            }
        }
        best
    }

    /// Brings the rows up to the threshold before the others; how many they are.
    fn part(&self, rows: &mut [usize], split: Split) -> usize {
        let goes_left = |row: usize| self.features[row][split.feature] <= split.threshold;
        rows.sort_by_key(|&row| !goes_left(row));
        rows.partition_point(|&row| goes_left(row))
    }

    fn shares(&self, rows: &[usize]) -> Vec<f32> {
        let count = |class: usize| rows.iter().filter(|&&row| self.labels[row] as usize == class).count();
        (0..self.classes).map(|class| count(class) as f32 / rows.len().max(1) as f32).collect()
    }
}

/// A threshold that `low` does not exceed and `high` does.
fn between(low: f32, high: f32) -> f32 {
    let middle = low + (high - low) / 2.0;
    if middle < high { middle } else { low }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Metrics;

    const ONE: Config = Config { trees: 1, min_leaf: 1 };

    /// Rings around a centre, which no line parts, beside columns of noise.
    fn rings(n: usize, seed: u64) -> (Vec<Vec<f32>>, Vec<u32>) {
        let mut rng = Rng::new(seed);
        let row = |_| (0..6).map(|_| rng.normal() as f32).collect::<Vec<f32>>();
        let rows: Vec<Vec<f32>> = (0..n).map(row).collect();
        let labels = rows.iter().map(|row| u32::from(row[0] * row[0] + row[1] * row[1] > 1.4)).collect();
        (rows, labels)
    }

    fn accuracy(forest: &Forest, (rows, labels): (&[Vec<f32>], &[u32])) -> f64 {
        let logits: Vec<Vec<f32>> = rows.iter().map(|row| forest.logits(row)).collect();
        Metrics::of(&logits, labels).accuracy
    }

    #[test]
    fn the_best_threshold_is_that_of_least_impurity() {
        let features: Vec<Vec<f32>> = [1.0, 2.0, 4.0, 8.0, 9.0].iter().map(|&x| vec![x]).collect();
        let labels = [0, 0, 0, 1, 0];
        let (rng, order) = (Rng::new(0), vec![0]);
        let grower = Grower { features: &features, labels: &labels, classes: 2, min_leaf: 1, rng, order };
        let split = grower.threshold(&[0, 1, 2, 3, 4], 0, &[4, 1]).unwrap();
        // By hand: after 1, 2, 4 the sums are 9 / 3 + 2 / 2 = 4; before and after them they are 3.5 at most.
        assert_eq!((split.threshold, split.score), (6.0, 4.0));
        let wide = Grower { min_leaf: 4, ..grower };
        assert!(wide.threshold(&[0, 1, 2, 3, 4], 0, &[4, 1]).is_none_or(|split| split.threshold < 2.0));
    }

    #[test]
    fn a_forest_learns_from_wrong_labels_what_one_of_its_trees_does_not() {
        let (rows, labels) = rings(600, 1);
        let wrong = |(i, label): (usize, &u32)| if i % 6 == 0 { 1 - label } else { *label };
        let taught: Vec<u32> = labels[300..].iter().enumerate().map(wrong).collect();
        let (new, own) = ((&rows[..300], &labels[..300]), (&rows[300..], taught.as_slice()));
        let tree = Forest::fit(own, 2, &ONE, 1);
        let forest = Forest::fit(own, 2, &Config { trees: 100, ..ONE }, 1);
        let (of_tree, of_forest) = (accuracy(&tree, new), accuracy(&forest, new));
        assert!(of_forest > 0.85 && of_forest > of_tree + 0.05, "{of_forest} {of_tree}");
        assert!(accuracy(&forest, own) > 0.99, "grown in full, trees know their own rows");
    }

    #[test]
    fn the_seed_decides_the_trees() {
        let (rows, labels) = rings(60, 2);
        let fit = |seed| Forest::fit((&rows, &labels), 2, &Config { trees: 3, ..ONE }, seed);
        assert_eq!(fit(1), fit(1));
        assert_ne!(fit(1), fit(2));
    }

    #[test]
    fn leaves_have_the_rows_that_are_asked_for() {
        let (rows, labels) = rings(200, 3);
        let small = Forest::fit((&rows, &labels), 2, &ONE, 1).values();
        let large = Forest::fit((&rows, &labels), 2, &Config { min_leaf: 40, ..ONE }, 1);
        assert!(large.values() < small / 3 && large.trees[0].nodes.len() <= 9, "{:?}", large.trees[0].nodes);
    }

    #[test]
    fn rows_that_nothing_tells_apart_are_one_leaf() {
        let forest = Forest::fit((&vec![vec![1.0, 2.0]; 4], &[0, 1, 0, 1]), 2, &ONE, 7);
        assert_eq!(forest.trees[0].nodes, [Node::Leaf(0)]);
        assert_eq!(Forest::fit((&[vec![f32::MAX], vec![f32::MIN]], &[0, 1]), 2, &ONE, 3).classes(), 2);
    }
}
