//! Reports as people read them.

use crate::sparkline::sparkline;
use crate::table;
use crate::text::{bytes, count, percent, rounded, seconds, share, some};
use offshoot::train::{Comparison, Measure, RunReport, Score, Shots, TextMetrics, Trial, Tuned};

/// What stands behind the measures.
const COSTS: [&str; 5] = ["trained", "share", "training", "peak memory", "adapter"];

/// What stands behind the perplexity where texts were generated.
const WRITTEN_HEADER: [&str; 2] = ["exact match", "ROUGE-L"];

/// A comparison's rows, and the floor as the last one where there is one.
pub(crate) fn table(comparison: &Comparison) -> String {
    if comparison.rows.iter().any(|row| row.generated.is_some()) {
        return written_table(comparison);
    }
    let rows = comparison.rows.iter().map(cells);
    let floors = comparison.floors().into_iter().map(|floor| {
        let shown = floor.measures.iter().map(|(measure, value)| measure.shown(*value));
        padded(std::iter::once(format!("({})", floor.name)).chain(shown).collect())
    });
    table::table(&header(comparison, &[]), rows.chain(floors), 1)
}

fn header(comparison: &Comparison, further: &[&'static str]) -> Vec<&'static str> {
    let [first, second] = comparison.measures().map(Measure::name);
    [&["method", first, second], further, &COSTS].concat()
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
    let header = header(comparison, &WRITTEN_HEADER);
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
    cells.resize(3 + COSTS.len(), String::new());
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
        row.score().map_or(Measure::default(), |score| score.ranked().0).name(),
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

/// `test: accuracy 77.3 %, macro F1 0.772, loss 0.4821`
pub(crate) fn scored(part: &str, score: &Score) -> String {
    let shown = |(measure, value): (Measure, f64)| format!("{} {}", measure.name(), measure.shown(value));
    let measures: Vec<String> = score.measures().into_iter().map(shown).collect();
    let on = match score {
        Score::Text(metrics) => format!(" on {} tokens", count(metrics.predicted as usize)),
        _ => String::new(),
    };
    format!("{part}: {}{on}", measures.join(", "))
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

/// What methods are ranked by, with how far seeds are apart.
fn quality(row: &RunReport) -> String {
    let Some((measure, value)) = row.score().map(|score| score.ranked()) else {
        return "not measured".to_owned();
    };
    let spread = row.spread().map(|spread| format!(" ± {}", measure.signed(spread).trim_start_matches('+')));
    measure.shown(value) + &spread.unwrap_or_default()
}

/// The second measure: macro F1, Pearson's correlation or perplexity.
fn second(row: &RunReport) -> String {
    let measures = row.score().map(|score| score.measures()).unwrap_or_default();
    measures.get(1).map_or_else(String::new, |(measure, value)| measure.shown(*value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use offshoot::train::{Judged, Metrics, NumberMetrics};

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
    fn numbers_have_their_own_measures_and_floor() {
        let run = |mse| {
            let test = Some(Score::Numbers(NumberMetrics { mse, pearson: 0.87, spearman: 0.86 }));
            RunReport { test, ..row(0.0) }
        };
        let rows = vec![RunReport::mean(vec![run(0.5), run(0.6)])];
        let text = table(&Comparison::new(rows, Judged { rows: 100, mean: Some(2.0), ..Judged::default() }));
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].contains("|              MSE | Pearson | trained |"), "{text}");
        assert!(lines[2].contains("| 0.5500 ± 0.05000 |   0.870 |"), "{text}");
        assert!(lines[3].contains("| (mean label) |            2.000 |"), "{text}");
        assert!(super::run(&run(0.5)).ends_with("test: MSE 0.5000, Pearson 0.870, Spearman 0.860"));
        assert!(line(&run(0.5), false).contains(" MSE 0.5000, "));
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
