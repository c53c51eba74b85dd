//! Which rows are shown before a text.

use super::prompt::{Demonstration, Prompt, text_of};
use crate::Result;
use crate::data::Example;
use crate::rows::{Row, bucketed, pack};
use offshoot_core::{Backbone, Mode, NoAdapter, Params, Pass, Rng, forward};
use offshoot_models::Tokenizer;

/// Texts are compared by so many of their first tokens.
const MOST_TOKENS: usize = 512;

/// A labelled row as it is shown.
pub(super) fn shown(prompt: &Prompt, example: &Example) -> Demonstration {
    let word = example.label.class().and_then(|class| prompt.words.get(class as usize));
    let answer = word.cloned().unwrap_or_default();
    Demonstration { text: text_of(example), answer }
}

/// Rows drawn at random, `count` of them or all there are: in turn one of each class that has any left. Their
/// order is random.
pub(super) fn drawn(rows: &[Example], count: usize, rng: &mut Rng) -> Vec<usize> {
    let classes = rows.iter().map(|row| row.label.stratum() + 1).max().unwrap_or(0);
    let mut queues = vec![Vec::new(); classes];
    for row in rng.permutation(rows.len()) {
        queues[rows[row].label.stratum()].push(row);
    }
    let mut drawn = Vec::new();
    let order = rng.permutation(classes);
    while drawn.len() < count.min(rows.len()) {
        let round = order.iter().filter_map(|&class| queues[class].pop()).collect::<Vec<_>>();
        drawn.extend(round.into_iter().take(count - drawn.len()));
    }
    rng.permutation(drawn.len()).into_iter().map(|place| drawn[place]).collect()
}

/// The examples of each text where it has its own: those nearest by the cosine of mean final hidden states, the
/// nearest last. Nothing where the prompt has the same for all. `tokens` bounds the micro-batches.
///
/// # Errors
/// As the model fails on a text.
pub(crate) fn nearest(
    backbone: &dyn Backbone,
    tokenizer: &Tokenizer,
    prompt: &Prompt,
    texts: &[String],
    tokens: usize,
) -> Result<Vec<Vec<Demonstration>>> {
    if prompt.nearest == 0 {
        return Ok(Vec::new());
    }
    let embedder = Embedder { backbone, tokenizer, tokens };
    let pool: Vec<&str> = prompt.examples.iter().map(|example| example.text.as_str()).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let (pool, rows) = (embedder.units(&pool)?, embedder.units(&texts)?);
    let of_row = |row: &Vec<f32>| {
        let mut near: Vec<(f32, usize)> =
            pool.iter().enumerate().map(|(place, other)| (dot(row, other), place)).collect();
        near.sort_by(|a, b| b.0.total_cmp(&a.0));
        let near = near.into_iter().take(prompt.nearest).rev();
        near.map(|(_, place)| prompt.examples[place].clone()).collect()
    };
    Ok(rows.iter().map(of_row).collect())
}

/// A frozen model that tells how near texts are.
struct Embedder<'a> {
    backbone: &'a dyn Backbone,
    tokenizer: &'a Tokenizer,
    tokens: usize,
}

impl Embedder<'_> {
    /// The mean final hidden state of each text, of length 1.
    fn units(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>> {
        let most = self.backbone.shape().positions.min(MOST_TOKENS);
        let texts: Vec<_> = texts.iter().map(|text| (*text, None)).collect();
        let mut rows = Vec::with_capacity(texts.len());
        for encoded in self.tokenizer.encode_all(&texts, most)? {
            // An empty text may have no token, and a row must have one.
            let ids = if encoded.ids.is_empty() { vec![0] } else { encoded.ids };
            let types = vec![0; ids.len()];
            rows.push(Row { ids, types, label: 0.into(), line: 0, truncated: encoded.truncated });
        }
        let (mut units, none) = (vec![Vec::new(); rows.len()], Params::new());
        for indices in bucketed(&rows, self.tokens) {
            let batch = pack(indices.iter().map(|&row| &rows[row]))?;
            let mut pass = Pass::new(&batch, &NoAdapter, &none, Mode::Evaluate)?;
            let hidden = forward(self.backbone, &mut pass)?;
            let real: Vec<_> = (0..indices.len()).map(|row| pass.layout().real(row)).collect();
            let means = hidden.segment_mean(&real)?;
            let values = means.to_vec();
            for (index, mean) in indices.iter().zip(values.chunks(means.cols().max(1))) {
                units[*index] = unit(mean.to_vec());
            }
        }
        Ok(units)
    }
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn unit(mut vector: Vec<f32>) -> Vec<f32> {
    let length = dot(&vector, &vector).sqrt().max(f32::MIN_POSITIVE);
    vector.iter_mut().for_each(|value| *value /= length);
    vector
}
