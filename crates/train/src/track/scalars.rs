//! What of a run is a number over its steps: the one place that decides it, whoever draws them.

use crate::trainer::Event;
use crate::{RunReport, Score};

/// A number at a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Scalar {
    /// Its name; those before the `/` are drawn together.
    pub(super) tag: &'static str,
    /// Optimizer steps that were done.
    pub(super) step: u64,
    pub(super) value: f64,
}

/// The numbers of an event, after `step` steps.
pub(super) fn of_event(event: &Event, step: u64) -> Vec<Scalar> {
    let numbers = match *event {
        // Methods that are solved embed rows, which has no loss.
        Event::Step { loss, .. } if !loss.is_nan() => vec![("train/loss", Some(loss))],
        Event::Epoch { validation: Some(score), .. } => {
            vec![("validation/loss", Some(score.loss())), ("validation/accuracy", score.accuracy())]
        }
        _ => Vec::new(),
    };
    at(step, numbers)
}

/// The numbers of a run that is done.
pub(super) fn of_report(report: &RunReport) -> Vec<Scalar> {
    let mut numbers = vec![
        ("trainable_parameters", Some(report.trainable_parameters as f64)),
        ("train_seconds", Some(report.train_seconds)),
        ("tokens_per_second", Some(report.tokens_per_second)),
        ("peak_memory_bytes", report.peak_rss_bytes.map(|bytes| bytes as f64)),
    ];
    match report.test {
        Some(Score::Classes(test)) => numbers.extend([
            ("test/accuracy", Some(test.accuracy)),
            ("test/macro_f1", Some(test.macro_f1)),
            ("test/loss", Some(test.loss)),
        ]),
        Some(Score::Text(test)) => {
            numbers.extend([("test/loss", Some(test.loss)), ("test/perplexity", Some(test.perplexity))]);
        }
        None => {}
    }
    numbers.extend(report.generated.iter().flat_map(|written| {
        [("test/exact_match", Some(written.exact_match)), ("test/rouge_l", Some(written.rouge_l))]
    }));
    at(report.steps, numbers)
}

fn at(step: u64, numbers: Vec<(&'static str, Option<f64>)>) -> Vec<Scalar> {
    let scalar = |(tag, value): (_, Option<f64>)| Some(Scalar { tag, step, value: value? });
    numbers.into_iter().filter_map(scalar).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{LmMetrics, Metrics, TextMetrics};

    fn tags(scalars: &[Scalar]) -> Vec<&str> {
        scalars.iter().map(|scalar| scalar.tag).collect()
    }

    #[test]
    fn each_task_has_its_numbers() {
        let metrics = Metrics { accuracy: 0.5, macro_f1: 0.25, loss: 1.5 };
        let classes = RunReport { test: Some(Score::Classes(metrics)), steps: 7, ..RunReport::default() };
        let scalars = of_report(&classes);
        assert!(scalars.contains(&Scalar { tag: "test/macro_f1", step: 7, value: 0.25 }), "{scalars:?}");
        assert!(!tags(&scalars).contains(&"peak_memory_bytes"), "where the system does not tell");
        let text = RunReport {
            test: Some(Score::Text(LmMetrics::of(6.0, 3))),
            generated: Some(TextMetrics::default()),
            ..RunReport::default()
        };
        assert_eq!(
            tags(&of_report(&text))[3..],
            ["test/loss", "test/perplexity", "test/exact_match", "test/rouge_l"]
        );
        let epoch = |score| Event::Epoch { epoch: 1, loss: 0.0, validation: score };
        assert_eq!(tags(&of_event(&epoch(text.test), 1)), ["validation/loss"]);
        assert_eq!(of_event(&epoch(None), 1), []);
        assert_eq!(of_event(&Event::Step { step: 1, steps: 2, loss: f64::NAN, tokens: 3 }, 1), []);
    }
}
