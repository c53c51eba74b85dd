//! How the loss on some rows changes with the embeddings of the trigger's tokens.

use super::ask::Asker;
use super::prompt::text_of;
use super::tracked::Tracked;
use crate::Result;
use crate::data::Example;
use crate::metrics::softmax;
use offshoot_core::{Tensor, forward};

/// The gradient `[p, d]` of the mean cross-entropy of the rows' classes with respect to the embeddings of the
/// trigger `ids`.
///
/// With scores `s_c = -nll_c / n_c + nll⁰_c / n_c` (the second of the empty text, where it is taken away) and
/// probabilities `p = softmax(s)` it is the sum over rows and classes of `(y_c - p_c) / n_c` times the gradient
/// of `nll_c - nll⁰_c`: one backward pass for each.
///
/// # Errors
/// As the model fails on a row.
pub(super) fn trigger_gradient(asker: &Asker<'_>, ids: &[u32], rows: &[Example]) -> Result<Tensor> {
    let texts: Vec<String> = rows.iter().map(text_of).collect();
    let scores = asker.scores(&texts, &[])?;
    let mut slope = Slope::new(asker, ids)?;
    let mut of_empty = vec![0.0; asker.answers.len()];
    for ((text, example), scores) in texts.iter().zip(rows).zip(scores) {
        let prompt = asker.tokens(&[], text)?;
        let scores: Vec<f32> = scores.into_iter().map(|score| score as f32).collect();
        for (class, p) in softmax(&scores).into_iter().enumerate() {
            let own = if example.label.class() == Some(class as u32) { 1.0 } else { 0.0 };
            let weight = (own - p) / (asker.answers[class].len() * rows.len()) as f64;
            slope.add(&prompt, &asker.answers[class], weight)?;
            of_empty[class] -= weight;
        }
    }
    if asker.prompt.calibrate {
        let empty = asker.tokens(&[], "")?;
        for (answer, weight) in asker.answers.iter().zip(of_empty) {
            slope.add(&empty, answer, weight)?;
        }
    }
    slope.tracked.finish()
}

/// A gradient that is being summed.
struct Slope<'a> {
    asker: &'a Asker<'a>,
    /// What every prompt begins with: start tokens, then the trigger.
    tracked: Tracked,
}

impl<'a> Slope<'a> {
    fn new(asker: &'a Asker<'a>, ids: &[u32]) -> Result<Self> {
        let mut head = asker.tokenizer.start_tokens()?;
        head.extend(ids);
        Ok(Self { asker, tracked: Tracked::new(asker.likelihood.backbone, head, ids.len())? })
    }

    /// Adds `weight` times the gradient of an answer's negative log-likelihood after a prompt.
    fn add(&mut self, prompt: &[u32], answer: &[u32], weight: f64) -> Result<()> {
        // Where the trigger grew together with what follows it, or nothing follows, there is no gradient to ask.
        let head = self.tracked.head.as_slice();
        let Some(rest) = prompt.strip_prefix(head).filter(|rest| !rest.is_empty()) else {
            return Ok(());
        };
        let likelihood = &self.asker.likelihood;
        self.tracked.add(&[rest, answer].concat(), weight, |pass| {
            let hidden = forward(likelihood.backbone, pass)?;
            let end = pass.layout().real(0).end;
            let before: Vec<u32> = (end - answer.len() - 1..end - 1).map(|row| row as u32).collect();
            Ok(pass.step().cross_entropy(&hidden.gather_rows(&before)?, likelihood.head, answer)?.1)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prompting::tests::{prepared, prompt};
    use offshoot_core::{Batch, Mode, Pass};

    /// The loss by its formula, with the rows of `slope` as they are.
    fn loss(slope: &Slope<'_>, rows: &[Example]) -> f64 {
        let asker = slope.asker;
        let likelihoods = |text: &str| -> Vec<f64> {
            let tokens = asker.tokens(&[], text).unwrap();
            let rest = tokens.strip_prefix(slope.tracked.head.as_slice()).unwrap();
            let one = |answer: &Vec<u32>| {
                let mut batch = Batch::new();
                batch.push(&[rest, answer].concat(), None, 0).unwrap();
                let mut pass =
                    Pass::new(&batch, &slope.tracked.rows, &slope.tracked.params, Mode::Evaluate).unwrap();
                let hidden = forward(asker.likelihood.backbone, &mut pass).unwrap();
                let last = hidden.rows() - answer.len() - 1..hidden.rows() - 1;
                let hidden = hidden.row_range(last).unwrap();
                let (losses, _) = pass.step().cross_entropy(&hidden, asker.likelihood.head, answer).unwrap();
                -losses.iter().map(|&loss| f64::from(loss)).sum::<f64>() / answer.len() as f64
            };
            asker.answers.iter().map(one).collect()
        };
        let empty = likelihoods("");
        let one = |example: &Example| {
            let scores: Vec<f64> =
                likelihoods(&example.text).iter().zip(&empty).map(|(a, b)| a - b).collect();
            scores.iter().map(|score| score.exp()).sum::<f64>().ln()
                - scores[example.label.class().unwrap() as usize]
        };
        rows.iter().map(one).sum::<f64>() / rows.len() as f64
    }

    #[test]
    fn the_gradient_is_the_loss_by_differences() {
        for family in ["llama-lm", "gemma3-lm", "gpt2-lm"] {
            let prepared = prepared(family);
            let mut prompt = prompt(&prepared, "Text: {text} Label:", true);
            prompt.trigger = "w7 w30".into();
            let ids = prepared.tokenizer.encode_plain(&prompt.trigger).unwrap();
            let asker = Asker::new(prepared.model.backbone.as_ref(), &prepared.tokenizer, &prompt).unwrap();
            let rows = &prepared.examples.train[..3];
            let gradient = trigger_gradient(&asker, &ids, rows).unwrap().to_vec();
            let length = gradient.iter().map(|g| g * g).sum::<f32>().sqrt();
            let mut slope = Slope::new(&asker, &ids).unwrap();
            // With the rows as they were the loss is that of the words.
            let of_words = asker.metrics(rows, &[]).unwrap().loss;
            assert!((loss(&slope, rows) - of_words).abs() < 1e-4, "{family}");
            let start = slope.tracked.params.get(slope.tracked.rows.rows).value().to_vec();
            let first = start.len() - gradient.len();
            let step = 0.02 * start.iter().map(|v| v.abs()).sum::<f32>() / start.len() as f32;
            let mut moved = |sign: f32| {
                let mut values = start.clone();
                values[first..].iter_mut().zip(&gradient).for_each(|(v, g)| *v += sign * step * g / length);
                slope.tracked.params.get_mut(slope.tracked.rows.rows).set(&values).unwrap();
                loss(&slope, rows)
            };
            // Along the gradient the slope is its length.
            let found = (moved(1.0) - moved(-1.0)) / f64::from(2.0 * step);
            let expected = f64::from(length);
            assert!((found - expected).abs() < 0.02 * expected, "{family}: {found} {expected}");
        }
    }
}
