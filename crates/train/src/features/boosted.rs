//! Boosted trees: XGBoost grows them, and they are kept and asked here.

use super::fitted::Columns;
use super::tree::{self, Form, Node, Tree};
use super::xgboost::{Booster, Library};
use crate::{Error, Metrics, Result};
use offshoot_methods::features_xgboost::Config;
use offshoot_models::weights::Tensors;
use rayon::prelude::*;
use serde::Deserialize;

/// Rounds without a better loss after which no more are tried.
const PATIENCE: usize = 10;

/// Trees whose leaves' values are added up, one for each class and round.
#[derive(Clone, Debug, PartialEq)]
pub struct Boosted {
    trees: Vec<Tree>,
    columns: usize,
    classes: usize,
}

impl Boosted {
    /// Grows trees on features, one list per row, with labels below `classes`. How many rounds, is chosen on a fifth
    /// of the rows; rows are expected in random order.
    pub(super) fn fit(
        library: &Library,
        (features, labels): (&[Vec<f32>], &[u32]),
        classes: usize,
        config: &Config,
        seed: u64,
    ) -> Result<Self> {
        let held_out = features.len() / 5;
        let ((test, train), (test_labels, train_labels)) =
            (features.split_at(held_out), labels.split_at(held_out));
        let settings = settings(config, classes, seed);
        let mut tried = Booster::new(library, (train, train_labels), &settings)?;
        let rounds = choose(&mut tried, (test, test_labels), config.rounds)?;
        let mut booster = Booster::new(library, (features, labels), &settings)?;
        (0..rounds).try_for_each(|_| booster.round())?;
        Self::of(&booster.model()?, features.first().map_or(0, Vec::len), classes)
    }

    /// The trees of a model as XGBoost writes it.
    pub(super) fn of(model: &str, columns: usize, classes: usize) -> Result<Self> {
        let unreadable = |error| Error::invalid(format!("XGBoost's model cannot be read: {error}"));
        let model: File = serde_json::from_str(model).map_err(unreadable)?;
        let trees = model.learner.gradient_booster.model.trees;
        if trees.is_empty() || !trees.len().is_multiple_of(classes.max(1)) {
            return Err(Error::invalid(format!(
                "XGBoost's model has {} trees, and there are {classes} classes",
                trees.len()
            )));
        }
        let trees = trees.iter().map(|tree| tree.tree(columns)).collect::<Result<_>>()?;
        Ok(Self { trees, columns, classes })
    }

    pub(crate) fn columns(&self) -> usize {
        self.columns
    }

    pub(crate) fn classes(&self) -> usize {
        self.classes
    }

    pub(crate) fn values(&self) -> usize {
        self.trees.iter().map(Tree::values).sum()
    }

    /// How many rounds were made.
    pub(super) fn rounds(&self) -> usize {
        self.trees.len() / self.classes.max(1)
    }

    /// The logits of one row: per class the sum over its trees.
    pub(crate) fn logits(&self, row: &[f32]) -> Vec<f32> {
        let mut sums = vec![0.0_f64; self.classes];
        for (index, tree) in self.trees.iter().enumerate() {
            sums[index % self.classes] += f64::from(tree.answer(row, 1)[0]);
        }
        sums.into_iter().map(|sum| sum as f32).collect()
    }

    pub(super) fn columns_of_file(&self) -> Columns {
        tree::columns_of_file(&self.trees, form(self.columns))
    }

    pub(super) fn read(tensors: &Tensors, [columns, classes]: [usize; 2]) -> Result<Self> {
        let trees = tree::read(tensors, form(columns))?;
        if classes == 0 || !trees.len().is_multiple_of(classes) {
            let trees = trees.len();
            return Err(Error::invalid(format!(
                "`boosted.sizes`: {trees} trees are not for {classes} classes"
            )));
        }
        Ok(Self { trees, columns, classes })
    }
}

fn form(columns: usize) -> Form<'static> {
    Form { name: "boosted", columns, width: 1 }
}

/// After how many rounds the rows held out are told best.
fn choose(booster: &mut Booster<'_>, (rows, labels): (&[Vec<f32>], &[u32]), most: usize) -> Result<usize> {
    let mut best = (f64::INFINITY, 1);
    if rows.is_empty() {
        return Ok(most);
    }
    let mut asked = booster.ask(rows)?;
    for round in 1..=most {
        booster.round()?;
        let loss = Metrics::of(&asked.logits(booster)?, labels).loss;
        if loss < best.0 {
            best = (loss, round);
        } else if round >= best.1 + PATIENCE {
            break;
        }
    }
    Ok(best.1)
}

/// What the library is told.
pub(super) fn settings(config: &Config, classes: usize, seed: u64) -> Vec<(&'static str, String)> {
    vec![
        ("objective", "multi:softprob".into()),
        ("num_class", classes.to_string()),
        // The same for every class, so that it changes no answer and the trees are the whole model.
        ("base_score", "0.5".into()),
        ("tree_method", "hist".into()),
        ("max_depth", config.depth.to_string()),
        ("eta", config.eta.to_string()),
        ("colsample_bytree", config.features.to_string()),
        ("lambda", config.lambda.to_string()),
        ("seed", (seed & u64::from(u32::MAX >> 1)).to_string()),
        ("nthread", rayon::current_num_threads().to_string()),
        ("verbosity", "0".into()),
    ]
}

/// What is needed of XGBoost's model file, <https://xgboost.readthedocs.io/en/stable/tutorials/saving_model.html>.
#[derive(Deserialize)]
struct File {
    learner: Learner,
}

#[derive(Deserialize)]
struct Learner {
    gradient_booster: GradientBooster,
}

#[derive(Deserialize)]
struct GradientBooster {
    model: Trees,
}

#[derive(Deserialize)]
struct Trees {
    trees: Vec<Written>,
}

/// A tree with its nodes in any order, the first of which is the root.
#[derive(Deserialize)]
struct Written {
    /// -1 for a leaf.
    left_children: Vec<i64>,
    right_children: Vec<i64>,
    split_indices: Vec<usize>,
    /// The threshold that a value must be below to go left; a leaf's value.
    split_conditions: Vec<f32>,
}

impl Written {
    fn tree(&self, columns: usize) -> Result<Tree> {
        let broken = || Error::invalid("XGBoost's model has a tree that is none");
        let mut tree = Tree::default();
        let mut waiting = vec![(0, None)];
        while let Some((at, parent)) = waiting.pop() {
            if tree.nodes.len() > self.left_children.len() {
                return Err(broken());
            }
            if let Some(parent) = parent {
                tree.lead_right(parent);
            }
            let node = self.node(at).ok_or_else(broken)?;
            match node {
                (-1, _, _, value) => tree.push_leaf([value]),
                (left, right, feature, threshold) if feature < columns => {
                    waiting.push((usize::try_from(right).map_err(|_| broken())?, Some(tree.nodes.len())));
                    waiting.push((usize::try_from(left).map_err(|_| broken())?, None));
                    // Below the threshold is up to the number before it.
                    tree.nodes.push(Node::Split { feature, threshold: threshold.next_down(), right: 0 });
                }
                _ => return Err(broken()),
            }
        }
        Ok(tree)
    }

    fn node(&self, at: usize) -> Option<(i64, i64, usize, f32)> {
        let (left, right) = (*self.left_children.get(at)?, *self.right_children.get(at)?);
        Some((left, right, *self.split_indices.get(at)?, *self.split_conditions.get(at)?))
    }
}

/// Answers to many rows.
pub(super) fn all(boosted: &Boosted, rows: &[Vec<f32>]) -> Vec<Vec<f32>> {
    rows.par_iter().map(|row| boosted.logits(row)).collect()
}
