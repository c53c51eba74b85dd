//! What of a run is a number over its steps: the one place that decides it, whoever draws them.

use crate::trainer::Event;
use crate::{Measure, RunReport, Score};

/// A number at a step.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Scalar {
    /// Its name; those before the `/` are drawn together.
    pub(super) tag: String,
    /// Optimizer steps that were done.
    pub(super) step: u64,
    pub(super) value: f64,
}

/// The numbers of an event, after `step` steps.
pub(super) fn of_event(event: &Event, step: u64) -> Vec<Scalar> {
    let numbers = match event {
        // Methods that are solved embed rows, which has no loss.
        Event::Step { loss, .. } if !loss.is_nan() => vec![("train/loss".to_owned(), *loss)],
        Event::Epoch { validation: Some(score), .. } => measured("validation", score),
        _ => Vec::new(),
    };
    at(step, numbers)
}

/// The numbers of a run that is done.
pub(super) fn of_report(report: &RunReport) -> Vec<Scalar> {
    let mut numbers = vec![
        ("trainable_parameters".to_owned(), report.trainable_parameters as f64),
        ("train_seconds".to_owned(), report.train_seconds),
        ("tokens_per_second".to_owned(), report.tokens_per_second),
    ];
    numbers.extend(report.peak_rss_bytes.map(|bytes| ("peak_memory_bytes".to_owned(), bytes as f64)));
    numbers.extend(report.test.iter().flat_map(|score| measured("test", score)));
    numbers.extend(report.generated.iter().flat_map(|written| {
        [named("test", "exact match", written.exact_match), named("test", "ROUGE-L", written.rouge_l)]
    }));
    at(report.steps, numbers)
}

/// The loss, which every task has, and whatever else a task measures.
fn measured(part: &str, score: &Score) -> Vec<(String, f64)> {
    let others = score.measures().into_iter().filter(|(measure, _)| *measure != Measure::Loss);
    let others = others.map(|(measure, value)| named(part, measure.name(), value));
    std::iter::once(named(part, "loss", score.loss())).chain(others).collect()
}

/// `test/macro-f1`
fn named(part: &str, measure: &str, value: f64) -> (String, f64) {
    (format!("{part}/{}", measure.to_lowercase().replace(' ', "-")), value)
}

fn at(step: u64, numbers: Vec<(String, f64)>) -> Vec<Scalar> {
    numbers.into_iter().map(|(tag, value)| Scalar { tag, step, value }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{LmMetrics, Metrics, NumberMetrics, TextMetrics};

    fn tags(scalars: &[Scalar]) -> Vec<&str> {
        scalars.iter().map(|scalar| scalar.tag.as_str()).collect()
    }

    #[test]
    fn each_task_has_its_numbers() {
        let metrics = Metrics { accuracy: 0.5, macro_f1: 0.25, loss: 1.5 };
        let classes = RunReport { test: Some(Score::Classes(metrics)), steps: 7, ..RunReport::default() };
        let scalars = of_report(&classes);
        let f1 = Scalar { tag: "test/macro-f1".into(), step: 7, value: 0.25 };
        assert!(scalars.contains(&f1), "{scalars:?}");
        assert!(!tags(&scalars).contains(&"peak_memory_bytes"), "where the system does not tell");
        let text = RunReport {
            test: Some(Score::Text(LmMetrics::of(6.0, 3))),
            generated: Some(TextMetrics::default()),
            ..RunReport::default()
        };
        assert_eq!(
            tags(&of_report(&text))[3..],
            ["test/loss", "test/perplexity", "test/exact-match", "test/rouge-l"]
        );
        let epoch = |score| Event::Epoch { epoch: 1, loss: 0.0, validation: score };
        assert_eq!(tags(&of_event(&epoch(text.test), 1)), ["validation/loss", "validation/perplexity"]);
        let numbers = Score::Numbers(NumberMetrics { mse: 2.0, pearson: 0.5, spearman: 0.25 });
        let scalars = of_event(&epoch(Some(numbers)), 1);
        assert_eq!(
            tags(&scalars),
            ["validation/loss", "validation/mse", "validation/pearson", "validation/spearman"]
        );
        assert_eq!((scalars[0].value, scalars[3].value), (2.0, 0.25));
        assert_eq!(of_event(&epoch(None), 1), []);
        assert_eq!(of_event(&Event::Step { step: 1, steps: 2, loss: f64::NAN, tokens: 3 }, 1), []);
    }
}
