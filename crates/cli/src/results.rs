//! Reports as people read them.

use crate::sparkline::sparkline;
use crate::table;
use crate::text::{bytes, count, percent, rounded, seconds, share, some};
use offshoot::train::{Comparison, Metrics, RunReport, Score, Shots, TextMetrics, Trial, Tuned};

const HEADER: [&str; 8] =
    ["method", "accuracy", "macro F1", "trained", "share", "training", "peak memory", "adapter"];

/// Where the task is language modelling.
const TEXT_HEADER: [&str; 8] =
    ["method", "loss", "perplexity", "trained", "share", "training", "peak memory", "adapter"];

/// What stands behind the perplexity where texts were generated.
const WRITTEN_HEADER: [&str; 2] = ["exact match", "ROUGE-L"];

/// A comparison's rows, and the floor as the last one where there is one.
pub(crate) fn table(comparison: &Comparison) -> String {
    if comparison.rows.iter().any(|row| row.generated.is_some()) {
        return written_table(comparison);
    }
    let rows = comparison.rows.iter().map(cells);
    match comparison.majority_baseline {
        Some(floor) => {
            let floor = vec!["(majority class)".to_owned(), percent(floor)];
            let counted = comparison.naive_bayes.map(|Metrics { accuracy, macro_f1, .. }| {
                vec!["(naive Bayes)".to_owned(), percent(accuracy), format!("{macro_f1:.3}")]
            });
            table::table(&HEADER, rows.chain(counted.into_iter().chain([floor]).map(padded)), 1)
        }
        None => table::table(&TEXT_HEADER, rows, 1),
    }
}

/// What each method reached on parts of the training rows, and on all of them; none where there was no part.
pub(crate) fn parts(comparison: &Comparison) -> Option<String> {
    by_size(comparison, &comparison.sizes(), Comparison::on)
}

/// What each method reached at the sizes at which they train as much as each other; none where there was no such.
pub(crate) fn sized(comparison: &Comparison) -> Option<String> {
    by_size(comparison, &comparison.budgets(), Comparison::sized_to)
}

/// A column for each size, a row for each method that was run `at` any.
fn by_size(
    comparison: &Comparison,
    sizes: &[usize],
    at: for<'a> fn(&'a Comparison, &str, usize) -> Option<&'a RunReport>,
) -> Option<String> {
    sizes.first()?;
    let cells = |row: &RunReport| {
        let cell = |&size: &usize| at(comparison, &row.method, size).map_or_else(String::new, quality);
        std::iter::once(row.method.clone()).chain(sizes.iter().map(cell)).collect::<Vec<_>>()
    };
    let header: Vec<String> =
        std::iter::once("method".to_owned()).chain(sizes.iter().map(|&size| count(size))).collect();
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    let ran = |row: &&RunReport| sizes.iter().any(|&size| at(comparison, &row.method, size).is_some());
    Some(table::table(&header, comparison.rows.iter().filter(ran).map(cells), 1))
}

/// The table with what was generated.
fn written_table(comparison: &Comparison) -> String {
    let (before, after) = TEXT_HEADER.split_at(3);
    let header = [before, &WRITTEN_HEADER, after].concat();
    let written = |row: &RunReport| match row.generated {
        Some(TextMetrics { exact_match, rouge_l, .. }) => [percent(exact_match), format!("{rouge_l:.3}")],
        None => [String::new(), String::new()],
    };
    let cells = |row: &RunReport| {
        let mut cells = cells(row);
        cells.splice(3..3, written(row));
        cells
    };
    table::table(&header, comparison.rows.iter().map(cells), 1)
}

fn cells(row: &RunReport) -> Vec<String> {
    if row.error.is_some() {
        return padded(vec![row.method.clone(), "failed".to_owned()]);
    }
    vec![
        row.method.clone(),
        quality(row),
        second(row),
        count(row.trainable_parameters),
        share(row.trainable_parameters, row.total_parameters),
        seconds(row.train_seconds),
        row.peak_rss_bytes.map_or_else(String::new, bytes),
        bytes(row.adapter_bytes),
    ]
}

fn padded(mut cells: Vec<String>) -> Vec<String> {
    cells.resize(HEADER.len(), String::new());
    cells
}

/// A finished row in a line, with its curve where that is `drawn`.
pub(crate) fn line(row: &RunReport, drawn: bool) -> String {
    if let Some(error) = &row.error {
        return format!("{:<14} failed: {error}", row.method);
    }
    let curve = row
        .runs()
        .first()
        .filter(|_| drawn)
        .map(|run| format!("{:<16} ", sparkline(run.curve.iter().map(|point| point.loss), 16)));
    format!(
        "{:<14} {}{} {}, {} trained ({}), {}",
        row.method,
        curve.unwrap_or_default(),
        if score(row).is_some_and(|score| score.accuracy().is_none()) { "loss" } else { "accuracy" },
        quality(row),
        count(row.trainable_parameters),
        share(row.trainable_parameters, row.total_parameters),
        seconds(row.train_seconds)
    )
}

/// `lora: learning rate 7e-4, the best of 7e-4 (0.412), 2.1e-3 (0.520), 2.3e-4 (0.431) on 600 rows each; 12 s`
pub(crate) fn tuned(method: &str, tuned: &Tuned) -> String {
    let trial = |trial: &Trial| {
        let loss = trial.loss.map_or_else(|| "not finite".to_owned(), |loss| format!("{loss:.3}"));
        format!("{} ({loss})", rounded(trial.rate))
    };
    format!(
        "{method}: learning rate {}, the best of {} on {} rows each; {}",
        rounded(tuned.rate),
        tuned.tried.iter().map(trial).collect::<Vec<_>>().join(", "),
        count(tuned.rows),
        seconds(tuned.seconds)
    )
}

/// One run in full.
pub(crate) fn run(row: &RunReport) -> String {
    let mut lines = vec![format!(
        "{}: {} of {} parameters trained ({}) in {} ({} tokens a second{})",
        row.method,
        count(row.trainable_parameters),
        count(row.total_parameters),
        share(row.trainable_parameters, row.total_parameters),
        seconds(row.train_seconds),
        count(row.tokens_per_second as usize),
        row.peak_rss_bytes.map_or_else(String::new, |peak| format!(", {} at most", bytes(peak))),
    )];
    let parts = [("validation", row.validation), ("test", row.test)];
    lines.extend(parts.iter().filter_map(|(part, metrics)| Some(scored(part, &(*metrics)?))));
    lines.extend(row.generated.iter().map(written));
    lines.extend(row.shots.as_ref().and_then(shots));
    lines.join("\n")
}

/// `test: accuracy 77.3 %, macro F1 0.772, loss 0.4821`.
pub(crate) fn measured(part: &str, metrics: &Metrics) -> String {
    let Metrics { accuracy, macro_f1, loss } = metrics;
    format!("{part}: accuracy {}, macro F1 {macro_f1:.3}, loss {loss:.4}", percent(*accuracy))
}

/// A score of either task.
pub(crate) fn scored(part: &str, score: &Score) -> String {
    match score {
        Score::Classes(metrics) => measured(part, metrics),
        Score::Text(metrics) => format!(
            "{part}: loss {:.4}, perplexity {:.2} on {} tokens",
            metrics.loss,
            metrics.perplexity,
            count(metrics.predicted as usize)
        ),
    }
}

/// `generated: exact match 2.0 %, ROUGE-L 0.312 on 50 rows`
pub(crate) fn written(metrics: &TextMetrics) -> String {
    let TextMetrics { exact_match, rouge_l, rows } = metrics;
    let rows = some(*rows, "row");
    format!("generated: exact match {}, ROUGE-L {rouge_l:.3} on {rows}", percent(*exact_match))
}

/// How many rows had no room for all examples; nothing if all had.
pub(crate) fn shots(shots: &Shots) -> Option<String> {
    let Shots { asked, rows, fewer, mean } = shots;
    let (fewer_rows, rows) = (count(*fewer), count(*rows));
    (*fewer > 0).then(|| {
        format!(
            "examples: {fewer_rows} of {rows} rows had no room for all {asked}, {mean:.1} in the mean (--max-length)"
        )
    })
}

/// What a row is judged by: the test rows, or those for validation where there are no test rows.
fn score(row: &RunReport) -> Option<Score> {
    row.test.or(row.validation)
}

/// The accuracy or, for a language model, the loss.
fn quality(row: &RunReport) -> String {
    let spread = row.spread().map_or_else(String::new, |spread| format!(" ± {:.1}", 100.0 * spread));
    score(row).map_or_else(
        || "not measured".to_owned(),
        |score| score.accuracy().map_or_else(|| format!("{:.4}", score.loss()), |a| percent(a) + &spread),
    )
}

/// Macro F1 or perplexity.
fn second(row: &RunReport) -> String {
    match score(row) {
        Some(Score::Classes(metrics)) => format!("{:.3}", metrics.macro_f1),
        Some(Score::Text(metrics)) => format!("{:.2}", metrics.perplexity),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use offshoot::train::Judged;

    fn row(accuracy: f64) -> RunReport {
        let test = Some(Score::Classes(Metrics { accuracy, macro_f1: 0.5, loss: 1.0 }));
        let (trainable_parameters, total_parameters) = (1_000, 50_000);
        RunReport {
            method: "lora".into(),
            test,
            trainable_parameters,
            total_parameters,
            ..RunReport::default()
        }
    }

    #[test]
    fn the_table_has_every_method_and_the_floor() {
        let mean = RunReport::mean(vec![row(0.7), row(0.8)]);
        let failed = RunReport::failed("full", "model", "no memory".into());
        let counted = Metrics { accuracy: 0.625, ..Metrics::default() };
        let judged =
            Judged { rows: 100, majority: Some(0.5), naive_bayes: Some(counted), ..Judged::default() };
        let text = table(&Comparison::new(vec![mean, failed], judged));
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[2].contains("75.0 % ± 5.0") && lines[2].contains("| 2.0 % |"), "{text}");
        assert!(
            lines[3].contains("failed")
                && lines[4].contains("| (naive Bayes)    |       62.5 % |")
                && lines[5].contains("| (majority class) |       50.0 % |"),
            "{text}"
        );
    }

    #[test]
    fn a_search_says_what_was_tried() {
        let trial = |rate, loss| Trial { rate, loss };
        let tried = vec![trial(7e-4, Some(0.41)), trial(2.1e-3, None), trial(2.333_333e-4, Some(0.5))];
        let found = Tuned { rate: 7e-4, tried, rows: 1200, seconds: 12.0, ..Tuned::default() };
        assert_eq!(
            tuned("lora", &found),
            "lora: learning rate 7e-4, the best of 7e-4 (0.410), 2.1e-3 (not finite), 2.3e-4 (0.500) on 1,200 rows \
             each; 12 s"
        );
    }

    #[test]
    fn what_was_generated_has_its_columns() {
        let generated = Some(TextMetrics { exact_match: 0.25, rouge_l: 0.5, rows: 8 });
        let shots = Some(Shots { asked: 4, rows: 9, fewer: 2, mean: 3.5 });
        let one = RunReport { generated, shots, ..row(0.5) };
        let text = table(&Comparison::new(vec![one.clone(), row(0.6)], Judged::default()));
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].contains("| exact match | ROUGE-L | trained |"), "{text}");
        assert!(lines[2].contains("|      25.0 % |   0.500 |   1,000 |"), "{text}");
        let text = run(&one);
        assert!(text.contains("generated: exact match 25.0 %, ROUGE-L 0.500 on 8 rows"), "{text}");
        assert!(text.contains("2 of 9 rows had no room for all 4, 3.5 in the mean"), "{text}");
    }

    #[test]
    fn a_run_without_test_rows_shows_its_validation() {
        let mut row = row(0.7);
        row.validation = row.test.take();
        assert!(run(&row).ends_with("validation: accuracy 70.0 %, macro F1 0.500, loss 1.0000"));
        assert!(line(&row, false).contains("accuracy 70.0 %"));
    }
}
