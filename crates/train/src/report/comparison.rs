//! Several methods side by side, and which of them to use.

use super::bootstrap::{Difference, difference};
use super::gain::Gain;
use super::recommend::recommend;
use super::{Answers, RunReport};
use crate::Metrics;
use crate::data::Example;
use serde::{Deserialize, Serialize};

/// Rows of each kind that a person is shown.
const SHOWN: usize = 12;
/// Characters of their texts.
const TEXT: usize = 400;

/// A comparison.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Comparison {
    /// One row per method, in the order they were asked for.
    pub rows: Vec<RunReport>,
    /// The names of the classes, where there are classes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// Share of the most frequent class among the test rows: the floor, where there are classes.
    pub majority_baseline: Option<f64>,
    /// What counting words gives, with no model at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub naive_bayes: Option<Metrics>,
    /// How far each method is from the most accurate one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<Difference>,
    /// The test rows to whose own class the methods gave the least, the hardest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hardest: Vec<Shown>,
    /// The test rows that the methods answer most differently.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub disputed: Vec<Shown>,
    /// The method to use, if any run succeeded.
    pub recommended: Option<String>,
    /// Why.
    pub reason: String,
    /// The methods on parts of the training rows, the largest part first: `train_rows` says how large.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<RunReport>,
    /// What all training rows bought each method over the largest part of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gains: Vec<Gain>,
    /// The methods sized to train about as many values as each other: `sized_to` says how many.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sized: Vec<RunReport>,
    /// The methods that were not run to their end, because the comparison was stopped.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unfinished: Vec<String>,
    /// What ended it before, if that was an error that left something to go on with.
    #[serde(skip)]
    pub broken: Option<String>,
}

/// A test row with what the methods said of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Shown {
    /// Its line in the file.
    pub line: usize,
    /// Its text, cut.
    pub text: String,
    /// Its class.
    pub label: u32,
    /// The class that each method chose, with the method.
    pub answers: Vec<(String, u32)>,
}

/// What a comparison is judged by.
#[derive(Clone, Copy, Debug, Default)]
pub struct Judged<'a> {
    /// How many rows the choice rests on.
    pub rows: usize,
    /// The names of the classes, where there are classes.
    pub labels: &'a [String],
    /// The test rows, where there are classes.
    pub test: &'a [Example],
    /// Share of the most frequent class.
    pub majority: Option<f64>,
    /// What counting words gives.
    pub naive_bayes: Option<Metrics>,
}

impl Comparison {
    /// Puts rows together and recommends a method: the one with the fewest trained values, and of these the
    /// fastest, that is not really worse than the best. Where rows were answered one by one, a paired bootstrap
    /// says which are; else one standard error of the best accuracy does.
    pub fn new(rows: Vec<RunReport>, judged: Judged<'_>) -> Self {
        let differences = differences(&rows);
        let (recommended, reason) = recommend(&rows, &differences, &judged);
        let (hardest, disputed) = to_look_at(&rows, judged.test);
        Self {
            rows,
            labels: judged.labels.to_vec(),
            majority_baseline: judged.majority,
            naive_bayes: judged.naive_bayes,
            differences,
            hardest,
            disputed,
            recommended,
            reason,
            parts: Vec::new(),
            gains: Vec::new(),
            sized: Vec::new(),
            unfinished: Vec::new(),
            broken: None,
        }
    }

    /// Whether methods are measured by an accuracy.
    pub fn has_classes(&self) -> bool {
        let accuracy = |row: &RunReport| row.test.or(row.validation).and_then(|score| score.accuracy());
        self.majority_baseline.is_some() || self.rows.iter().any(|row| accuracy(row).is_some())
    }

    /// Several comparisons as one; of one, itself. Methods are told apart by the names that they have by now.
    pub fn merged(mut parts: Vec<Self>) -> Self {
        if parts.len() == 1 {
            return parts.remove(0);
        }
        let majority = shared(&parts, |part| part.majority_baseline);
        let naive_bayes = shared(&parts, |part| part.naive_bayes);
        let rows: Vec<RunReport> = parts.into_iter().flat_map(|part| part.rows).collect();
        let labels =
            rows.iter().find(|row| !row.labels.is_empty()).map(|row| row.labels.clone()).unwrap_or_default();
        let tested = rows.iter().map(|row| row.test_rows).max().unwrap_or(0);
        Self::new(rows, Judged { rows: tested, labels: &labels, majority, naive_bayes, test: &[] })
    }
}

/// What those comparisons that say it say alike.
fn shared<T: PartialEq>(parts: &[Comparison], of: fn(&Comparison) -> Option<T>) -> Option<T> {
    let first = parts.iter().find_map(of)?;
    parts.iter().filter_map(of).all(|other| other == first).then_some(first)
}

/// What a method said of each test row, over all its runs.
pub(super) struct Known<'a> {
    pub(super) method: &'a str,
    /// A hash of the rows.
    pub(super) rows: &'a str,
    /// The share of its runs that were right.
    pub(super) right: Vec<f64>,
}

impl<'a> Known<'a> {
    pub(super) fn of(row: &'a RunReport) -> Option<Self> {
        let answers: Vec<&Answers> = row.runs().iter().filter_map(|run| run.answers.as_ref()).collect();
        let (rows, labels) = answers.first().map(|a| (a.rows.as_str(), a.labels.as_slice()))?;
        let alike = |a: &&Answers| a.rows == rows && a.labels == labels && a.classes.len() == labels.len();
        if labels.is_empty() || !answers.iter().all(alike) {
            return None;
        }
        let share = |(at, &label): (usize, &u32)| {
            answers.iter().filter(|a| a.classes[at] == label).count() as f64 / answers.len() as f64
        };
        let right = labels.iter().enumerate().map(share).collect();
        Some(Self { method: &row.method, rows, right })
    }

    fn sum(&self) -> f64 {
        self.right.iter().sum()
    }
}

/// Each method against the most accurate one, of those that answered the rows that most of them answered.
fn differences(rows: &[RunReport]) -> Vec<Difference> {
    let mut known: Vec<Known<'_>> = rows.iter().filter_map(Known::of).collect();
    let shared = |rows: &str| known.iter().filter(|other| other.rows == rows).count();
    let Some(rows) = known.iter().map(|one| one.rows).max_by_key(|rows| shared(rows)) else {
        return Vec::new();
    };
    known.retain(|one| one.rows == rows);
    let Some(best) = known.iter().max_by(|a, b| a.sum().total_cmp(&b.sum())) else { return Vec::new() };
    let others = known.iter().filter(|other| other.method != best.method);
    others.map(|other| difference((other.method, &other.right), (best.method, &best.right))).collect()
}

/// The hardest rows and the most disputed ones, by the first run of each method.
fn to_look_at(rows: &[RunReport], test: &[Example]) -> (Vec<Shown>, Vec<Shown>) {
    let known: Vec<(&str, &Answers)> = rows
        .iter()
        .filter_map(|row| Some((row.method.as_str(), row.runs().first()?.answers.as_ref()?)))
        .filter(|(_, answers)| answers.classes.len() == test.len() && answers.right.len() == test.len())
        .collect();
    if known.is_empty() {
        return (Vec::new(), Vec::new());
    }
    let easy = |row: usize| known.iter().map(|(_, a)| f64::from(a.right[row])).sum::<f64>();
    // The fewer share the commonest answer, the more it is disputed; equals are told apart by how hard they are.
    let agreed = |row: usize| {
        let same = |class| known.iter().filter(|(_, a)| a.classes[row] == class).count();
        let most = known.iter().map(|(_, a)| same(a.classes[row])).max().unwrap_or(0);
        most as f64 + easy(row) / (2 * known.len()) as f64
    };
    let shown = |row: usize| Shown {
        line: test[row].line,
        text: cut(&test[row]),
        label: test[row].label,
        answers: known.iter().map(|(method, a)| ((*method).to_owned(), a.classes[row])).collect(),
    };
    let lowest = |by: &dyn Fn(usize) -> f64| {
        let mut ranked: Vec<(f64, usize)> = (0..test.len()).map(|row| (by(row), row)).collect();
        ranked.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        ranked.into_iter().take(SHOWN).map(|(_, row)| shown(row)).collect()
    };
    (lowest(&easy), if known.len() > 1 { lowest(&agreed) } else { Vec::new() })
}

/// The beginning of a text.
fn cut(row: &Example) -> String {
    let text = match &row.pair {
        Some(pair) => format!("{} / {pair}", row.text),
        None => row.text.clone(),
    };
    match text.char_indices().nth(TEXT) {
        Some((end, _)) => format!("{}…", text[..end].trim_end()),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Score;

    fn row(method: &str, accuracy: f64, parameters: usize, seconds: f64) -> RunReport {
        RunReport {
            method: method.into(),
            test: Some(Score::Classes(Metrics { accuracy, ..Metrics::default() })),
            trainable_parameters: parameters,
            total_parameters: 1000,
            train_seconds: seconds,
            ..RunReport::default()
        }
    }

    fn compared(rows: Vec<RunReport>, count: usize) -> Comparison {
        Comparison::new(rows, Judged { rows: count, majority: Some(0.5), ..Judged::default() })
    }

    #[test]
    fn recommends_the_smallest_of_those_that_are_as_good_as_the_best() {
        let rows = vec![row("full", 0.82, 1000, 9.0), row("lora", 0.815, 10, 5.0), row("head", 0.7, 1, 1.0)];
        let comparison = compared(rows, 1000);
        assert_eq!(comparison.recommended.as_deref(), Some("lora"), "{}", comparison.reason);
        assert!(comparison.reason.contains("within one standard error (1.2 %) of the best (full, 82.0 %)"));
    }

    #[test]
    fn says_when_the_best_is_also_the_smallest() {
        let comparison = compared(vec![row("full", 0.6, 1000, 9.0), row("head", 0.8, 0, 1.0)], 100);
        assert_eq!(
            comparison.reason,
            "80.0 % on the test rows, the best, and 0.0 % of the parameters trained"
        );
    }

    #[test]
    fn says_when_nothing_beats_the_floor_or_nothing_ran() {
        assert!(compared(vec![row("head", 0.5, 1, 1.0)], 100).reason.contains("majority"));
        let failed = RunReport::failed("lora", "m", "no memory".into());
        assert_eq!(compared(vec![failed], 100).recommended, None);
    }

    fn test_rows(count: usize) -> Vec<Example> {
        let row = |line| Example { text: format!("text {line}"), pair: None, label: line as u32 % 2, line };
        (0..count).map(row).collect()
    }

    /// A method that is wrong in these rows, in each of its runs.
    fn answered(method: &str, parameters: usize, test: &[Example], wrong: &[usize]) -> RunReport {
        let run = |seed| {
            let right = |row: usize| !wrong.contains(&row);
            let answers = Answers {
                rows: test.len().to_string(),
                labels: test.iter().map(|row| row.label).collect(),
                classes: (0..test.len()).map(|row| test[row].label ^ u32::from(!right(row))).collect(),
                right: (0..test.len()).map(|row| if right(row) { 0.9 } else { 0.2 }).collect(),
            };
            let accuracy = 1.0 - wrong.len() as f64 / test.len() as f64;
            RunReport { seed: Some(seed), answers: Some(answers), ..row(method, accuracy, parameters, 1.0) }
        };
        RunReport::mean(vec![run(0), run(1)])
    }

    #[test]
    fn a_difference_that_rows_do_not_show_to_be_real_does_not_count() {
        let test = test_rows(200);
        let wrong = |count: usize| (0..count).map(|i| 7 * i % 200).collect::<Vec<_>>();
        let rows = vec![
            answered("full", 900, &test, &wrong(20)),
            answered("lora", 10, &test, &wrong(22)),
            answered("head", 1, &test, &wrong(60)),
        ];
        let labels = ["bad".to_owned(), "good".to_owned()];
        let judged = Judged { rows: 200, labels: &labels, test: &test, ..Judged::default() };
        let comparison = Comparison::new(rows, judged);
        let real: Vec<(&str, bool)> =
            comparison.differences.iter().map(|d| (d.method.as_str(), d.is_real())).collect();
        assert_eq!(real, [("lora", false), ("head", true)]);
        assert_eq!(comparison.recommended.as_deref(), Some("lora"));
        assert!(comparison.reason.contains("not really worse than the best (full, 90.0 %"));
    }

    #[test]
    fn comparisons_on_the_same_rows_become_one() {
        let test = test_rows(200);
        let part = |row| Comparison::new(vec![row], Judged { majority: Some(0.5), ..Judged::default() });
        let wrong: Vec<usize> = (0..90).collect();
        let parts = vec![part(answered("a", 9, &test, &[3])), part(answered("b", 2, &test, &wrong))];
        let merged = Comparison::merged(parts);
        assert_eq!((merged.rows.len(), merged.majority_baseline), (2, Some(0.5)));
        assert!(merged.differences[0].is_real() && merged.recommended.as_deref() == Some("a"));
        // Other rows are not comparable one by one.
        let elsewhere = part(answered("c", 1, &test[..100], &[]));
        let merged = Comparison::merged(vec![merged, elsewhere]);
        let compared: Vec<&str> = merged.differences.iter().map(|d| d.method.as_str()).collect();
        assert_eq!((merged.rows.len(), compared), (3, vec!["b"]));
        assert_eq!(merged.recommended.as_deref(), Some("a"), "c is more accurate, on easier rows");
    }

    #[test]
    fn the_rows_to_look_at_are_those_that_are_missed_and_those_that_are_disputed() {
        let test = test_rows(40);
        let rows = vec![
            answered("a", 1, &test, &[3, 9]),
            answered("b", 2, &test, &[3, 11]),
            answered("c", 3, &test, &[3]),
        ];
        let comparison = Comparison::new(rows, Judged { rows: 40, test: &test, ..Judged::default() });
        assert_eq!(comparison.hardest[0].line, 3);
        assert_eq!(comparison.hardest.len(), SHOWN);
        let disputed: Vec<usize> = comparison.disputed[..2].iter().map(|row| row.line).collect();
        assert_eq!(disputed, [9, 11]);
        assert_eq!(comparison.disputed[0].answers, [("a".into(), 0), ("b".into(), 1), ("c".into(), 1)]);
        let long = Example { text: "ä".repeat(1000), pair: None, label: 0, line: 1 };
        assert_eq!(cut(&long).chars().count(), TEXT + 1);
    }
}
