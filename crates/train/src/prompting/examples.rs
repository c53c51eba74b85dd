//! Which labelled rows are shown before a text.

use super::prompt::{Demonstration, Prompt, text_of};
use crate::Result;
use crate::classifier::Classifier;
use crate::data::Example;
use crate::rows::Row;
use crate::run::Prepared;
use offshoot_core::Rng;
use offshoot_core::nn::Head;
use offshoot_methods::MethodConfig;
use offshoot_models::Pooling;

/// A row as it is shown.
pub(super) fn shown(prompt: &Prompt, example: &Example) -> Demonstration {
    let word = prompt.words.get(example.label as usize).cloned().unwrap_or_default();
    Demonstration { text: text_of(example), word }
}

/// Rows drawn at random, `count` of them or all there are: in turn one of each class that has any left. Their
/// order is random.
pub(super) fn drawn(rows: &[Example], count: usize, rng: &mut Rng) -> Vec<usize> {
    let classes = rows.iter().map(|row| row.label as usize + 1).max().unwrap_or(0);
    let mut queues = vec![Vec::new(); classes];
    for row in rng.permutation(rows.len()) {
        queues[rows[row].label as usize].push(row);
    }
    let mut drawn = Vec::new();
    let order = rng.permutation(classes);
    while drawn.len() < count.min(rows.len()) {
        let round = order.iter().filter_map(|&class| queues[class].pop()).collect::<Vec<_>>();
        drawn.extend(round.into_iter().take(count - drawn.len()));
    }
    rng.permutation(drawn.len()).into_iter().map(|place| drawn[place]).collect()
}

/// For every row its nearest training rows by the cosine of mean final hidden states, the nearest last.
pub(super) fn nearest(
    prepared: &Prepared,
    prompt: &Prompt,
    rows: &[Row],
    tokens: usize,
) -> Result<Vec<Vec<Demonstration>>> {
    let method = MethodConfig::named("in-context")?;
    let head = Head::new(Vec::new());
    let mut reader = Classifier::with_head(&prepared.model, &method, head, &mut Rng::new(0))?;
    reader.pooling = Pooling::Mean;
    let embed = |rows: &[Row]| -> Result<Vec<Vec<f32>>> {
        Ok(reader.features(rows, tokens, |_| ())?.into_iter().map(unit).collect())
    };
    let (train, rows) = (embed(&prepared.train)?, embed(rows)?);
    let of_row = |row: &Vec<f32>| {
        let mut near: Vec<(f32, usize)> =
            train.iter().enumerate().map(|(place, other)| (dot(row, other), place)).collect();
        near.sort_by(|a, b| b.0.total_cmp(&a.0));
        let near = near.into_iter().take(prompt.nearest).rev();
        near.map(|(_, place)| shown(prompt, &prepared.examples.train[place])).collect()
    };
    Ok(rows.iter().map(of_row).collect())
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn unit(mut vector: Vec<f32>) -> Vec<f32> {
    let length = dot(&vector, &vector).sqrt().max(f32::MIN_POSITIVE);
    vector.iter_mut().for_each(|value| *value /= length);
    vector
}
