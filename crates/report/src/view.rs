//! Numbers as people read them, in the order of the page.

use crate::plots::{CURVE, Figure, NUMBERS, plots};
use crate::text::{bytes, count, rounded, seconds, share};
use offshoot_train::data::Label;
use offshoot_train::{Comparison, Difference, Measure, RunReport, Shown, Trial, Tuned};
use serde::Serialize;

/// Everything that the page shows.
#[derive(Serialize)]
pub(crate) struct View<'a> {
    style: &'a str,
    data: &'a str,
    model: String,
    /// Facts about the rows, in a line.
    facts: String,
    recommended: Option<&'a str>,
    reason: &'a str,
    /// The measures of the table.
    measures: [&'static str; 2],
    /// What differences are counted in, where methods are compared row by row.
    against: Option<&'static str>,
    rows: Vec<Row>,
    floors: Vec<(&'static str, String)>,
    quality: Vec<Figure>,
    curves: Vec<Figure>,
    numbers: Vec<Figure>,
    confusions: Vec<Confusion>,
    /// Rows to look at, of two kinds.
    looks: Vec<Look<'a>>,
    unfinished: String,
}

/// A method in the table.
#[derive(Serialize)]
struct Row {
    method: String,
    error: Option<String>,
    recommended: bool,
    quality: String,
    second: String,
    /// How far from the best.
    distance: String,
    worse: bool,
    parameters: String,
    share: String,
    time: String,
    memory: String,
    adapter: String,
    rate: String,
    /// The rates that were tried, with their losses.
    tried: String,
    spent: String,
    tokens: String,
    command: String,
}

/// Classes of a table that a person can read.
const CONFUSED: usize = 30;

/// How often classes were taken for each other by one method.
#[derive(Serialize)]
struct Confusion {
    method: String,
    /// A row for each class: its name, and counts with the share of the class.
    rows: Vec<(String, Vec<(usize, f64)>)>,
}

/// Rows of one kind.
#[derive(Serialize)]
struct Look<'a> {
    title: &'static str,
    caption: &'static str,
    rows: Vec<Seen<'a>>,
}

/// A test row as it is shown.
#[derive(Serialize)]
struct Seen<'a> {
    line: usize,
    text: &'a str,
    label: String,
    /// How many methods gave each answer, and which.
    answers: Vec<Said>,
}

#[derive(Serialize)]
struct Said {
    label: String,
    right: bool,
    count: usize,
    methods: String,
}

impl<'a> View<'a> {
    pub(crate) fn of(comparison: &'a Comparison, data: &'a str, style: &'a str) -> Self {
        let (curves, others): (Vec<_>, Vec<_>) =
            plots(comparison).into_iter().partition(|figure| figure.name.starts_with(CURVE));
        let (numbers, quality) = others.into_iter().partition(|figure| figure.name.starts_with(NUMBERS));
        let measure = comparison.measure();
        Self {
            style,
            data,
            model: models(comparison),
            facts: facts(comparison),
            recommended: comparison.recommended.as_deref(),
            reason: &comparison.reason,
            measures: comparison.measures().map(Measure::name),
            against: comparison.by_rows().then(|| measure.unit()),
            rows: comparison.rows.iter().map(|row| Row::of(row, comparison)).collect(),
            floors: comparison
                .floors()
                .into_iter()
                .filter_map(|floor| floor.measures.first().map(|(m, value)| (floor.what, m.shown(*value))))
                .collect(),
            quality,
            curves,
            numbers,
            confusions: comparison.rows.iter().filter_map(confusion).collect(),
            looks: looks(comparison),
            unfinished: comparison.unfinished.join(", "),
        }
    }
}

/// The models' names, each once.
fn models(comparison: &Comparison) -> String {
    let mut models: Vec<&str> = comparison.rows.iter().map(|row| row.model.as_str()).collect();
    models.sort_unstable();
    models.dedup();
    models.join(", ")
}

/// Rows, epochs and seeds.
fn facts(comparison: &Comparison) -> String {
    let Some(row) = comparison.rows.iter().find(|row| row.error.is_none()) else { return String::new() };
    let seeds = row.runs().len();
    let times = if seeds > 1 { format!(", each method {seeds} times") } else { String::new() };
    format!("{} rows to train on, {} to test on{times}", count(row.train_rows), count(row.test_rows))
}

impl Row {
    fn of(row: &RunReport, comparison: &Comparison) -> Self {
        let (quality, second) = scored(row);
        let difference = comparison.differences.iter().find(|difference| difference.method == row.method);
        let best = comparison.differences.first().is_some_and(|first| first.best == row.method);
        let distance = difference.map(distance).or(best.then(|| "the best".to_owned()));
        Self {
            method: row.method.clone(),
            error: row.error.clone(),
            recommended: comparison.recommended.as_deref() == Some(row.method.as_str()),
            quality,
            second,
            distance: distance.unwrap_or_default(),
            worse: difference.is_some_and(Difference::is_real),
            parameters: count(row.trainable_parameters),
            share: share(row.trainable_parameters, row.total_parameters),
            time: seconds(row.train_seconds),
            memory: row.peak_rss_bytes.map_or_else(String::new, bytes),
            adapter: bytes(row.adapter_bytes),
            rate: rounded(row.learning_rate),
            tried: row.tuned.as_ref().map_or_else(String::new, tried),
            spent: seconds(row.spent_seconds.max(row.train_seconds + row.evaluate_seconds)),
            tokens: count(row.tokens_per_second as usize),
            command: row.command.clone(),
        }
    }
}

/// The first and the second number of a score.
fn scored(row: &RunReport) -> (String, String) {
    let measures = row.score().map(|score| score.measures()).unwrap_or_default();
    let shown =
        |at: usize| measures.get(at).map_or_else(String::new, |(measure, value)| measure.shown(*value));
    let spread = measures
        .first()
        .zip(row.spread())
        .map(|((measure, _), spread)| format!(" ± {}", measure.signed(spread).trim_start_matches('+')));
    (shown(0) + &spread.unwrap_or_default(), shown(1))
}

/// `7e-4: 0.412, 2e-3: 0.520`
fn tried(tuned: &Tuned) -> String {
    let trial = |trial: &Trial| {
        let loss = trial.loss.map_or_else(|| "not finite".to_owned(), |loss| format!("{loss:.3}"));
        format!("{}: {loss}", rounded(trial.rate))
    };
    tuned.tried.iter().map(trial).collect::<Vec<_>>().join(", ")
}

fn distance(difference: &Difference) -> String {
    let signed = |value| difference.measure.signed(value);
    format!("{} ({} to {})", signed(difference.difference), signed(difference.low), signed(difference.high))
}

fn confusion(row: &RunReport) -> Option<Confusion> {
    let run = row.runs().first().filter(|run| run.labels.len() <= CONFUSED)?;
    let counts = run.answers.as_ref()?.confusion(run.labels.len())?;
    let shares = |counts: &Vec<usize>| {
        let all = counts.iter().sum::<usize>().max(1) as f64;
        counts.iter().map(|&count| (count, count as f64 / all)).collect()
    };
    let rows = run.labels.iter().zip(&counts).map(|(name, row)| (name.clone(), shares(row)));
    Some(Confusion { method: row.method.clone(), rows: rows.collect() })
}

fn looks(comparison: &Comparison) -> Vec<Look<'_>> {
    let kinds = [
        (
            "The hardest rows",
            "From the right answer to these the methods were farthest. Wrong labels collect here: read them first.",
            &comparison.hardest,
        ),
        ("The most disputed rows", "On these the methods disagree the most.", &comparison.disputed),
    ];
    let kinds = kinds.into_iter().filter(|(_, _, rows)| !rows.is_empty());
    kinds
        .map(|(title, caption, rows)| Look {
            title,
            caption,
            rows: rows.iter().map(|row| Seen::of(row, &comparison.labels)).collect(),
        })
        .collect()
}

impl<'a> Seen<'a> {
    fn of(row: &'a Shown, labels: &[String]) -> Self {
        let mut answers: Vec<Said> = Vec::new();
        for (method, answer) in &row.answers {
            let label = shown(answer, labels);
            match answers.iter_mut().find(|said| said.label == label) {
                Some(said) => {
                    said.count += 1;
                    said.methods.push_str(&format!(", {method}"));
                }
                None => {
                    let (right, methods) = (*answer == row.label, method.clone());
                    answers.push(Said { label, right, count: 1, methods });
                }
            }
        }
        answers.sort_by_key(|said| std::cmp::Reverse(said.count));
        Self { line: row.line, text: &row.text, label: shown(&row.label, labels), answers }
    }
}

/// A class by its name, a number with the digits that tell something.
fn shown(label: &Label, labels: &[String]) -> String {
    match label.number() {
        Some(number) => Measure::Mse.shown(number),
        None => label.written(labels).unwrap_or_else(|| "?".to_owned()),
    }
}
