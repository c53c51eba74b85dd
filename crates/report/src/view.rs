//! Numbers as people read them, in the order of the page.

use crate::plots::{Figure, plots};
use crate::text::{bytes, count, percent, rounded, seconds, share};
use offshoot_train::{Comparison, Difference, RunReport, Score, Shown, Trial, Tuned};
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
    classes: bool,
    rows: Vec<Row>,
    floors: Vec<(&'static str, String)>,
    quality: Vec<Figure>,
    curves: Vec<Figure>,
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
    label: &'a str,
    /// How many methods gave each answer, and which.
    answers: Vec<Said<'a>>,
}

#[derive(Serialize)]
struct Said<'a> {
    label: &'a str,
    right: bool,
    count: usize,
    methods: String,
}

impl<'a> View<'a> {
    pub(crate) fn of(comparison: &'a Comparison, data: &'a str, style: &'a str) -> Self {
        let (curves, quality) =
            plots(comparison).into_iter().partition(|figure| figure.name.starts_with("curve-"));
        let floor = |name, accuracy: Option<f64>| accuracy.map(|accuracy| (name, percent(accuracy)));
        let counted = comparison.naive_bayes.map(|metrics| metrics.accuracy);
        Self {
            style,
            data,
            model: models(comparison),
            facts: facts(comparison),
            recommended: comparison.recommended.as_deref(),
            reason: &comparison.reason,
            classes: comparison.has_classes(),
            rows: comparison.rows.iter().map(|row| Row::of(row, comparison)).collect(),
            floors: [
                floor("counting words (naive Bayes)", counted),
                floor("the most frequent class", comparison.majority_baseline),
            ]
            .into_iter()
            .flatten()
            .collect(),
            quality,
            curves,
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
    match row.test.or(row.validation) {
        None => (String::new(), String::new()),
        Some(Score::Classes(metrics)) => {
            let spread = row.spread().map_or_else(String::new, |s| format!(" ± {:.1}", 100.0 * s));
            (format!("{}{spread}", percent(metrics.accuracy)), format!("{:.3}", metrics.macro_f1))
        }
        Some(Score::Text(metrics)) => (format!("{:.4}", metrics.loss), format!("{:.2}", metrics.perplexity)),
    }
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
    // Nothing is +0.0 or -0.0.
    let points = |share: f64| match format!("{:+.1}", 100.0 * share) {
        zero if zero.ends_with("0.0") && zero.len() == 4 => "0.0".to_owned(),
        points => points,
    };
    let Difference { accuracy, low, high, .. } = difference;
    format!("{} ({} to {})", points(*accuracy), points(*low), points(*high))
}

fn confusion(row: &RunReport) -> Option<Confusion> {
    let run = row.runs().first().filter(|run| run.labels.len() <= CONFUSED)?;
    let counts = run.answers.as_ref()?.confusion(run.labels.len());
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
            "To the right answer of these the methods gave the least. Wrong labels collect here: read them first.",
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
    fn of(row: &'a Shown, labels: &'a [String]) -> Self {
        let name = |class: u32| labels.get(class as usize).map_or("?", String::as_str);
        let said = |class: u32| {
            let methods: Vec<&str> =
                row.answers.iter().filter(|(_, answer)| *answer == class).map(|(m, _)| m.as_str()).collect();
            Said {
                label: name(class),
                right: class == row.label,
                count: methods.len(),
                methods: methods.join(", "),
            }
        };
        let mut answers: Vec<Said<'a>> = (0..labels.len() as u32).map(said).collect();
        answers.retain(|said| said.count > 0);
        answers.sort_by_key(|said| std::cmp::Reverse(said.count));
        Self { line: row.line, text: &row.text, label: name(row.label), answers }
    }
}
