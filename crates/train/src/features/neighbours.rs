//! The nearest rows vote.

use super::fitted::{Columns, whole};
use crate::{Error, Metrics, Result};
use offshoot_models::weights::Tensors;
use rayon::prelude::*;

/// Numbers of neighbours that are tried where none is given.
const CANDIDATES: [usize; 7] = [1, 3, 5, 9, 15, 25, 51];
/// Rows on which they are tried at most: each is compared with every other.
const TRIED: usize = 2000;

/// Labelled features, each of length 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Neighbours {
    /// `[rows, columns]`
    features: Vec<f32>,
    labels: Vec<u32>,
    columns: usize,
    classes: usize,
    k: usize,
}

impl Neighbours {
    /// Keeps the rows. Where `k` is not given, it is chosen by how well each row is told by the others.
    pub(super) fn fit((features, labels): (&[Vec<f32>], &[u32]), classes: usize, k: Option<usize>) -> Self {
        let columns = features.first().map_or(0, Vec::len);
        let features = features.iter().flat_map(|row| unit(row)).collect();
        let rows = Self { features, labels: labels.to_vec(), columns, classes, k: 1 };
        let k = k.unwrap_or_else(|| rows.choose());
        Self { k: k.min(labels.len().max(1)), ..rows }
    }

    /// How many neighbours vote.
    pub(crate) fn k(&self) -> usize {
        self.k
    }

    pub(crate) fn columns(&self) -> usize {
        self.columns
    }

    pub(crate) fn classes(&self) -> usize {
        self.classes
    }

    /// How many values it is.
    pub(crate) fn values(&self) -> usize {
        self.features.len()
    }

    /// The log-probabilities of one row.
    pub(crate) fn logits(&self, row: &[f32]) -> Vec<f32> {
        self.vote(&self.nearest(&unit(row), None, self.k))
    }

    /// Each training row's log-probabilities by its neighbours, itself left out.
    pub(super) fn of_others(&self) -> Vec<Vec<f32>> {
        let rows: Vec<(usize, &[f32])> = self.rows().enumerate().collect();
        rows.par_iter().map(|(own, row)| self.vote(&self.nearest(row, Some(*own), self.k))).collect()
    }

    fn rows(&self) -> impl Iterator<Item = &[f32]> {
        self.features.chunks(self.columns.max(1))
    }

    fn choose(&self) -> usize {
        let most = CANDIDATES[CANDIDATES.len() - 1];
        let tried: Vec<(usize, &[f32])> = self.rows().enumerate().take(TRIED).collect();
        let nearest: Vec<Vec<u32>> =
            tried.par_iter().map(|(own, row)| self.nearest(row, Some(*own), most)).collect();
        let told = |k: usize| {
            let votes: Vec<Vec<f32>> =
                nearest.iter().map(|labels| self.vote(&labels[..k.min(labels.len())])).collect();
            Metrics::of(&votes, &self.labels[..votes.len()])
        };
        let scored = CANDIDATES.iter().map(|&k| (told(k), k));
        let better =
            |a: &Metrics, b: &Metrics| a.accuracy.total_cmp(&b.accuracy).then(b.loss.total_cmp(&a.loss));
        scored.max_by(|a, b| better(&a.0, &b.0)).map_or(1, |(_, k)| k)
    }

    /// The labels of the `k` rows nearest to a row of length 1, nearest first; of equals the first come first.
    fn nearest(&self, row: &[f32], left_out: Option<usize>, k: usize) -> Vec<u32> {
        let cosines = self.rows().map(|other| dot(row, other)).enumerate();
        let mut found: Vec<(usize, f32)> = cosines.filter(|(index, _)| Some(*index) != left_out).collect();
        let nearer = |a: &(usize, f32), b: &(usize, f32)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
        if found.len() > k {
            found.select_nth_unstable_by(k, nearer);
            found.truncate(k);
        }
        found.sort_unstable_by(nearer);
        found.into_iter().map(|(index, _)| self.labels[index]).collect()
    }

    /// `ln((n_c + 1 / C) / (k + 1))`
    fn vote(&self, labels: &[u32]) -> Vec<f32> {
        let prior = 1.0 / self.classes.max(1) as f64;
        let count = |class: usize| labels.iter().filter(|label| **label as usize == class).count() as f64;
        let share = |class| (count(class) + prior) / (labels.len() + 1) as f64;
        (0..self.classes).map(|class| share(class).ln() as f32).collect()
    }

    pub(super) fn columns_of_file(&self) -> Columns {
        let rows = self.labels.len();
        vec![
            ("neighbours.features".into(), vec![rows, self.columns], self.features.clone()),
            ("neighbours.labels".into(), vec![rows], self.labels.iter().map(|&label| label as f32).collect()),
        ]
    }

    /// Reads what was kept, for rows of so many columns and so many classes.
    pub(super) fn read(tensors: &Tensors, [columns, classes]: [usize; 2], k: Option<usize>) -> Result<Self> {
        let part = |name: &str| {
            tensors.get(name).ok_or_else(|| Error::invalid(format!("there is no tensor `{name}`")))
        };
        let (shape, features) = part("neighbours.features")?;
        let (_, labels) = part("neighbours.labels")?;
        if *shape != [labels.len(), columns] {
            return Err(Error::invalid(format!(
                "`neighbours.features` is {shape:?}; it must be [{}, {columns}]",
                labels.len()
            )));
        }
        let label = |&value: &f32| whole(value, classes, "neighbours.labels").map(|label| label as u32);
        let labels = labels.iter().map(label).collect::<Result<Vec<u32>>>()?;
        let k = k.unwrap_or(1).min(labels.len());
        Ok(Self { features: features.clone(), labels, columns, classes, k })
    }
}

/// A row at length 1; zeros stay zeros.
fn unit(row: &[f32]) -> Vec<f32> {
    let length = row.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt();
    let factor = if length > 0.0 { 1.0 / length } else { 0.0 };
    row.iter().map(|&x| (f64::from(x) * factor) as f32).collect()
}

/// In eight sums, which a processor adds side by side.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0_f32; 8];
    let (left, right) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f32 = left.remainder().iter().zip(right.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in left.zip(right) {
        for (sum, (x, y)) in sums.iter_mut().zip(x.iter().zip(y)) {
            *sum += x * y;
        }
    }
    sums.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Directions in a plane, in degrees.
    fn directions(degrees: &[f32]) -> Vec<Vec<f32>> {
        let row = |(i, d): (usize, &f32)| {
            let (y, x) = d.to_radians().sin_cos();
            // Lengths differ and mean nothing.
            vec![x * (i + 1) as f32, y * (i + 1) as f32]
        };
        degrees.iter().enumerate().map(row).collect()
    }

    #[test]
    fn the_nearest_by_angle_vote() {
        let rows = directions(&[0.0, 10.0, 20.0, 90.0, 100.0]);
        let fitted = Neighbours::fit((&rows, &[0, 0, 1, 1, 1]), 2, Some(3));
        let logits = fitted.logits(&directions(&[8.0])[0]);
        // Two of class 0 and one of class 1, with half a vote for each.
        let expected = [(2.5_f32 / 4.0).ln(), (1.5_f32 / 4.0).ln()];
        assert!(logits.iter().zip(expected).all(|(ours, theirs)| (ours - theirs).abs() < 1e-6), "{logits:?}");
        assert_eq!(fitted.nearest(&unit(&directions(&[95.0])[0]), None, 1), [1]);
    }

    #[test]
    fn noisy_labels_ask_for_more_neighbours_than_one() {
        let degrees: Vec<f32> = (0..120).map(|i| i as f32).collect();
        let clean: Vec<u32> = (0..120).map(|i| u32::from(i >= 60)).collect();
        // Every seventh label is wrong.
        let noisy: Vec<u32> =
            clean.iter().enumerate().map(|(i, l)| if i % 7 == 3 { 1 - l } else { *l }).collect();
        let fit = |k| Neighbours::fit((&directions(&degrees), &noisy), 2, k);
        let right = |fitted: &Neighbours| Metrics::of(&fitted.of_others(), &clean).accuracy;
        let (chosen, one) = (fit(None), fit(Some(1)));
        assert!(chosen.k() > 3 && right(&chosen) > right(&one) + 0.1, "{}", chosen.k());
    }

    #[test]
    fn a_row_is_not_its_own_neighbour_among_the_others() {
        let rows = directions(&[0.0, 5.0, 90.0]);
        let fitted = Neighbours::fit((&rows, &[0, 1, 1]), 2, Some(1));
        assert_eq!(crate::argmax(&fitted.of_others()[0]), 1);
        assert_eq!(crate::argmax(&fitted.logits(&rows[0])), 0);
    }

    #[test]
    fn one_row_and_zero_features_have_an_answer() {
        let fitted = Neighbours::fit((&[vec![0.0, 0.0]], &[1]), 2, None);
        assert_eq!(crate::argmax(&fitted.logits(&[0.0, 0.0])), 1);
        assert!(fitted.of_others()[0].iter().all(|logit| logit.is_finite()));
    }
}
