//! Trees that ask one feature after another, and how they stand in a file.

use super::fitted::{Columns, whole};
use crate::{Error, Result};
use offshoot_models::weights::Tensors;

/// One tree: its nodes with each left child right behind its parent, and what its leaves hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Tree {
    pub(super) nodes: Vec<Node>,
    /// `[leaves, width]`
    pub(super) leaves: Vec<f32>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Node {
    /// A value up to the threshold goes to the next node, one above it to the node `right`.
    Split { feature: usize, threshold: f32, right: usize },
    /// The leaf of this number.
    Leaf(usize),
}

/// What a file of trees is to fit.
#[derive(Clone, Copy)]
pub(super) struct Form<'a> {
    /// What stands before the tensors' names.
    pub(super) name: &'a str,
    /// Features of a row.
    pub(super) columns: usize,
    /// Values of a leaf.
    pub(super) width: usize,
}

impl Tree {
    /// What the leaf holds that a row comes to, `width` values.
    pub(super) fn answer(&self, row: &[f32], width: usize) -> &[f32] {
        let mut at = 0;
        loop {
            match self.nodes[at] {
                Node::Leaf(leaf) => return &self.leaves[leaf * width..(leaf + 1) * width],
                Node::Split { feature, threshold, right } => {
                    at = if row[feature] <= threshold { at + 1 } else { right };
                }
            }
        }
    }

    /// How many values it is: a feature, a threshold and a way on for each node, and the leaves.
    pub(super) fn values(&self) -> usize {
        3 * self.nodes.len() + self.leaves.len()
    }

    /// The node that is made next is the right child of this one.
    pub(super) fn lead_right(&mut self, parent: usize) {
        let next = self.nodes.len();
        if let Some(Node::Split { right, .. }) = self.nodes.get_mut(parent) {
            *right = next;
        }
    }

    /// Adds a leaf.
    pub(super) fn push_leaf(&mut self, values: impl IntoIterator<Item = f32>) {
        let before = self.leaves.len();
        self.leaves.extend(values);
        let width = (self.leaves.len() - before).max(1);
        self.nodes.push(Node::Leaf(before / width));
    }

    /// A tree from its nodes and the leaves that are left, and the leaves of the trees after it.
    fn read<'a>(nodes: &[f32], leaves: &'a [f32], form: Form<'_>) -> Result<(Self, &'a [f32])> {
        let (size, name) = (nodes.len() / 3, format!("{}.nodes", form.name));
        let mut tree = Self::default();
        let mut found = 0;
        for (at, node) in nodes.chunks_exact(3).enumerate() {
            if node[0] < 0.0 {
                tree.nodes.push(Node::Leaf(found));
                found += 1;
                continue;
            }
            let (feature, right) = (whole(node[0], form.columns, &name)?, whole(node[2], size, &name)?);
            // Every step leads further on, so a row's way through the tree ends.
            if right <= at + 1 {
                return Err(Error::invalid(format!("a node of `{name}` does not lead on")));
            }
            tree.nodes.push(Node::Split { feature, threshold: node[1], right });
        }
        let last_is_leaf = matches!(tree.nodes.last(), Some(Node::Leaf(_)));
        let values = found.checked_mul(form.width).filter(|values| last_is_leaf && *values <= leaves.len());
        let values =
            values.ok_or_else(|| Error::invalid(format!("a tree of `{name}` has not its leaves")))?;
        let (own, rest) = leaves.split_at(values);
        tree.leaves = own.to_vec();
        Ok((tree, rest))
    }
}

impl Node {
    /// The three values in a file: a leaf has no feature.
    fn file(&self) -> [f32; 3] {
        match *self {
            Self::Split { feature, threshold, right } => [feature as f32, threshold, right as f32],
            Self::Leaf(_) => [-1.0, 0.0, 0.0],
        }
    }
}

/// The tensors of trees.
pub(super) fn columns_of_file(trees: &[Tree], form: Form<'_>) -> Columns {
    let nodes: Vec<f32> = trees.iter().flat_map(|tree| tree.nodes.iter().flat_map(Node::file)).collect();
    let leaves: Vec<f32> = trees.iter().flat_map(|tree| tree.leaves.iter().copied()).collect();
    let sizes: Vec<f32> = trees.iter().map(|tree| tree.nodes.len() as f32).collect();
    let part = |part: &str, shape, values| (format!("{}.{part}", form.name), shape, values);
    vec![
        part("leaves", vec![leaves.len() / form.width.max(1), form.width], leaves),
        part("nodes", vec![nodes.len() / 3, 3], nodes),
        part("sizes", vec![sizes.len()], sizes),
    ]
}

/// The trees of a file, of which there is one at least.
pub(super) fn read(tensors: &Tensors, form: Form<'_>) -> Result<Vec<Tree>> {
    let mut nodes = part(tensors, form, "nodes", Some(3))?;
    let mut leaves = part(tensors, form, "leaves", Some(form.width))?;
    let sizes = part(tensors, form, "sizes", None)?;
    if !leaves.iter().all(|value| value.is_finite()) {
        return Err(Error::invalid(format!("`{}.leaves` holds what is no number", form.name)));
    }
    let mut trees = Vec::with_capacity(sizes.len());
    for &size in sizes {
        let size = whole(size, nodes.len() / 3 + 1, &format!("{}.sizes", form.name))?;
        let (own, rest) = nodes.split_at(3 * size);
        let (tree, others) = Tree::read(own, leaves, form)?;
        (nodes, leaves) = (rest, others);
        trees.push(tree);
    }
    if trees.is_empty() || !nodes.is_empty() || !leaves.is_empty() {
        let name = form.name;
        return Err(Error::invalid(format!(
            "`{name}.sizes` are not those of `{name}.nodes` and `{name}.leaves`"
        )));
    }
    Ok(trees)
}

/// A tensor's values, in rows of so many.
fn part<'a>(tensors: &'a Tensors, form: Form<'_>, part: &str, width: Option<usize>) -> Result<&'a [f32]> {
    let name = format!("{}.{part}", form.name);
    let (shape, values) =
        tensors.get(&name).ok_or_else(|| Error::invalid(format!("there is no tensor `{name}`")))?;
    match width {
        Some(width) if shape.len() != 2 || shape[1] != width => {
            Err(Error::invalid(format!("`{name}` is {shape:?}; it must be [.., {width}]")))
        }
        _ => Ok(values),
    }
}
