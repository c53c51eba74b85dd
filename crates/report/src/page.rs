//! The page.

use crate::Result;
use crate::view::View;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, Value};
use offshoot_train::Comparison;

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");

/// A comparison on the rows of `data` as one HTML page. What rows, names and messages say is text in it and never markup.
///
/// # Errors
/// If the template does not fit what is to be shown.
pub fn page(comparison: &Comparison, data: &str) -> Result<String> {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    let view = Value::from(Serde(View::of(comparison, data, STYLE)));
    Ok(environment.render_named_str("page.html", PAGE, view)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use offshoot_train::data::Example;
    use offshoot_train::{Answered, Answers, Judged, Metrics, NumberMetrics, Point, RunReport, Score, Shown};

    const HOSTILE: &str = "</td><script>alert('\"&')</script>";

    fn run(method: &str, accuracy: f64, parameters: usize) -> RunReport {
        let score = Score::Classes(Metrics { accuracy, macro_f1: accuracy, loss: 0.5 });
        RunReport {
            method: method.into(),
            model: HOSTILE.into(),
            test: Some(score),
            test_rows: 4,
            trainable_parameters: parameters,
            total_parameters: 10_000,
            train_seconds: 12.0,
            peak_rss_bytes: Some(300_000_000),
            curve: (1..6).map(|step| Point { step, loss: 1.0 / step as f64 }).collect(),
            validations: vec![score, score],
            labels: vec![HOSTILE.to_owned(), "good".to_owned()],
            answers: Some(Answers {
                rows: "the same".into(),
                said: Answered::Classes {
                    labels: vec![0, 0, 1, 1],
                    classes: vec![0, 1, 1, 1],
                    right: vec![0.9, 0.1, 0.8, 0.7],
                },
            }),
            command: format!("offshoot compare --methods {method}"),
            ..RunReport::default()
        }
    }

    fn comparison() -> Comparison {
        let failed = RunReport::failed("dora", HOSTILE, HOSTILE.into());
        let rows = vec![run("lora", 0.75, 1000), run("head", 0.5, 0), failed];
        let labels = [HOSTILE.to_owned(), "good".to_owned()];
        let judged = Judged { rows: 4, labels: &labels, majority: Some(0.5), ..Judged::default() };
        let row = Shown {
            line: 7,
            text: HOSTILE.into(),
            label: 0.into(),
            answers: vec![("lora".into(), 1.into()), ("head".into(), 0.into())],
        };
        let comparison = Comparison::new(rows, judged);
        Comparison { hardest: vec![row.clone()], disputed: vec![row], ..comparison }
    }

    #[test]
    fn a_page_has_every_part_and_needs_nothing() {
        let page = page(&comparison(), "reviews.csv").unwrap();
        for part in ["reviews.csv", "75.0 %", "lora", "failed", "<svg", "line 7", "--methods lora", "300 MB"]
        {
            assert!(page.contains(part), "{part} is missing");
        }
        for outside in ["src=", "href=", "url(h", "url(/", "url(\"", "@import", "<link"] {
            assert!(!page.contains(outside), "{outside} points elsewhere");
        }
    }

    #[test]
    fn what_files_say_is_never_markup() {
        let page = page(&comparison(), HOSTILE).unwrap();
        assert!(!page.contains("<script"), "markup of a row is in the page");
        assert!(page.contains("&lt;script&gt;"));
    }

    #[test]
    fn numbers_are_shown_as_numbers() {
        let wanted = [1.0, 2.0, 3.5, 5.0];
        let numbered = |method: &str, numbers: [f64; 4]| RunReport {
            test: Some(Score::Numbers(NumberMetrics::of(&numbers, &wanted))),
            answers: Some(Answers::of_numbers(&numbers, &wanted, "the same".into())),
            labels: Vec::new(),
            ..run(method, 0.0, 10)
        };
        let rows = vec![numbered("lora", [1.0, 2.0, 3.0, 5.0]), numbered("head", [4.0, 4.0, 3.0, 2.0])];
        let test: Vec<Example> = (0..4)
            .map(|row| Example {
                text: "a text".into(),
                pair: None,
                label: wanted[row].into(),
                line: row + 2,
            })
            .collect();
        let judged = Judged { rows: 4, test: &test, mean: Some(2.25), ..Judged::default() };
        let page = page(&Comparison::new(rows, judged), "pairs.csv").unwrap();
        for part in [
            "<th>MSE</th>",
            "<th>Pearson</th>",
            "<th>against the best</th>",
            "the mean of the training labels",
            "0.06250",
            "What was said, and what is",
            "labelled <strong>5.000</strong>",
            "MSE against seconds",
        ] {
            assert!(page.contains(part), "{part} is missing");
        }
        assert!(
            !page.contains("What was taken for what") && !page.contains("accuracy"),
            "there are no classes"
        );
    }

    #[test]
    fn a_comparison_of_nothing_is_a_page_too() {
        let nothing = Comparison::new(Vec::new(), Judged::default());
        assert!(page(&nothing, "").unwrap().contains("no method could be run"));
    }
}
