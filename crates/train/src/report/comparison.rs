//! Several methods side by side, and which of them to use.

use super::bootstrap::{Difference, difference};
use super::gain::Gain;
use super::look::{Shown, to_look_at};
use super::recommend::recommend;
use super::{Answers, RunReport};
use crate::data::Example;
use crate::{Measure, Metrics};
use serde::{Deserialize, Serialize};

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
    /// The mean squared error of the mean of the training labels, where labels are numbers: the floor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mean_baseline: Option<f64>,
    /// How far each method is from the best one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<Difference>,
    /// The test rows from whose labels the methods were farthest, the hardest first.
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

/// What a comparison is judged by.
#[derive(Clone, Copy, Debug, Default)]
pub struct Judged<'a> {
    /// How many rows the choice rests on.
    pub rows: usize,
    /// The names of the classes, where there are classes.
    pub labels: &'a [String],
    /// The test rows, where there is one answer for each.
    pub test: &'a [Example],
    /// Share of the most frequent class.
    pub majority: Option<f64>,
    /// What counting words gives.
    pub naive_bayes: Option<Metrics>,
    /// The mean squared error of the mean of the training labels, where labels are numbers.
    pub mean: Option<f64>,
}

impl Judged<'_> {
    /// The floor that a method which has learnt anything is above, in what methods are ranked by.
    pub(super) fn floor(&self) -> Option<(Measure, f64)> {
        let mean = self.mean.map(|mse| (Measure::Mse, mse));
        mean.or(self.majority.map(|share| (Measure::Accuracy, share)))
    }
}

impl Comparison {
    /// Puts rows together and recommends a method: the one with the fewest trained values, and of these the
    /// fastest, that is not really worse than the best. Where rows were answered one by one, a paired bootstrap
    /// says which are; else, for accuracies, one standard error of the best does.
    pub fn new(rows: Vec<RunReport>, judged: Judged<'_>) -> Self {
        let differences = differences(&rows);
        let (recommended, reason) = recommend(&rows, &differences, &judged);
        let (hardest, disputed) = to_look_at(&rows, judged.test);
        Self {
            rows,
            labels: judged.labels.to_vec(),
            majority_baseline: judged.majority,
            naive_bayes: judged.naive_bayes,
            mean_baseline: judged.mean,
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

    /// What methods are ranked by.
    pub fn measure(&self) -> Measure {
        self.measures()[0]
    }

    /// The two measures that a table shows, that which methods are ranked by first.
    pub fn measures(&self) -> [Measure; 2] {
        let all = self.rows.iter().find_map(RunReport::score).map(|score| score.measures());
        match (all.as_deref(), self.mean_baseline, self.majority_baseline) {
            (Some([first, second, ..]), ..) => [first.0, second.0],
            (_, Some(_), _) => [Measure::Mse, Measure::Pearson],
            (_, _, Some(_)) => [Measure::Accuracy, Measure::MacroF1],
            _ => [Measure::Loss, Measure::Perplexity],
        }
    }

    /// Whether methods are compared row by row.
    pub fn by_rows(&self) -> bool {
        self.measure() != Measure::Loss
    }

    /// Several comparisons as one; of one, itself. Methods are told apart by the names that they have by now.
    pub fn merged(mut parts: Vec<Self>) -> Self {
        if parts.len() == 1 {
            return parts.remove(0);
        }
        let majority = shared(&parts, |part| part.majority_baseline);
        let naive_bayes = shared(&parts, |part| part.naive_bayes);
        let mean = shared(&parts, |part| part.mean_baseline);
        let rows: Vec<RunReport> = parts.into_iter().flat_map(|part| part.rows).collect();
        let labels =
            rows.iter().find(|row| !row.labels.is_empty()).map(|row| row.labels.clone()).unwrap_or_default();
        let tested = rows.iter().map(|row| row.test_rows).max().unwrap_or(0);
        Self::new(rows, Judged { rows: tested, labels: &labels, majority, naive_bayes, mean, test: &[] })
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
    /// What methods are ranked by.
    pub(super) measure: Measure,
    /// Each row's part of it, in the mean over the runs.
    pub(super) ranked: Vec<f64>,
}

impl<'a> Known<'a> {
    pub(super) fn of(row: &'a RunReport) -> Option<Self> {
        let answers: Vec<&Answers> = row.runs().iter().filter_map(|run| run.answers.as_ref()).collect();
        let (rows, labels) = answers.first().map(|a| (a.rows.as_str(), a.labels()))?;
        let alike = |a: &&Answers| a.rows == rows && a.labels() == labels && a.count().is_some();
        if labels.is_empty() || !answers.iter().all(alike) {
            return None;
        }
        let (runs, measure) = (answers.len() as f64, answers[0].ranked().0);
        let mut ranked = vec![0.0; labels.len()];
        for own in answers.iter().map(|answers| answers.ranked().1) {
            ranked.iter_mut().zip(own).for_each(|(sum, own)| *sum += own / runs);
        }
        Some(Self { method: &row.method, rows, measure, ranked })
    }

    /// How good it is on all rows: the larger the better.
    fn sum(&self) -> f64 {
        self.measure.upwards(self.ranked.iter().sum())
    }
}

/// Each method against the best one, of those that answered the rows that most of them answered.
fn differences(rows: &[RunReport]) -> Vec<Difference> {
    let mut known: Vec<Known<'_>> = rows.iter().filter_map(Known::of).collect();
    let shared = |rows: &str| known.iter().filter(|other| other.rows == rows).count();
    let Some(rows) = known.iter().map(|one| one.rows).max_by_key(|rows| shared(rows)) else {
        return Vec::new();
    };
    known.retain(|one| one.rows == rows);
    let Some(best) = known.iter().max_by(|a, b| a.sum().total_cmp(&b.sum())) else { return Vec::new() };
    let others = known.iter().filter(|other| other.method != best.method);
    others
        .filter(|other| other.measure == best.measure)
        .map(|other| difference(best.measure, (other.method, &other.ranked), (best.method, &best.ranked)))
        .collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::report::Answered;
    use crate::{NumberMetrics, Score};

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

    pub(in crate::report) fn test_rows(count: usize) -> Vec<Example> {
        let row = |line| Example {
            text: format!("text {line}"),
            pair: None,
            label: (line as u32 % 2).into(),
            line,
        };
        (0..count).map(row).collect()
    }

    /// A method that is wrong in these rows, in each of its runs.
    pub(in crate::report) fn answered(
        method: &str,
        parameters: usize,
        test: &[Example],
        wrong: &[usize],
    ) -> RunReport {
        let run = |seed| {
            let right = |row: usize| !wrong.contains(&row);
            let class = |row: usize| test[row].label.class().unwrap();
            let said = Answered::Classes {
                labels: (0..test.len()).map(class).collect(),
                classes: (0..test.len()).map(|row| class(row) ^ u32::from(!right(row))).collect(),
                right: (0..test.len()).map(|row| if right(row) { 0.9 } else { 0.2 }).collect(),
            };
            let answers = Answers { rows: test.len().to_string(), said };
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

    /// A method whose answers are off by so much, upwards and downwards in turn.
    pub(in crate::report) fn numbered(
        method: &str,
        parameters: usize,
        test: &[Example],
        off: impl Fn(usize) -> f64,
    ) -> RunReport {
        let wanted: Vec<f64> = test.iter().filter_map(|row| row.label.number()).collect();
        let sign = |row: usize| if row.is_multiple_of(2) { 1.0 } else { -1.0 };
        let numbers: Vec<f64> = (0..wanted.len()).map(|row| wanted[row] + sign(row) * off(row)).collect();
        let score = Score::Numbers(NumberMetrics::of(&numbers, &wanted));
        RunReport {
            test: Some(score),
            answers: Some(Answers::of_numbers(&numbers, &wanted, "rows".into())),
            ..row(method, 0.0, parameters, 1.0)
        }
    }

    pub(in crate::report) fn numbers(count: usize) -> Vec<Example> {
        let row = |line| Example {
            text: format!("text {line}"),
            pair: None,
            label: f64::from(line as u32 % 7).into(),
            line,
        };
        (0..count).map(row).collect()
    }

    #[test]
    fn numbers_are_ranked_by_their_squared_error() {
        let test = numbers(200);
        let rows = vec![
            numbered("full", 900, &test, |row| 0.2 + 0.1 * (row % 3) as f64),
            numbered("lora", 10, &test, |row| 0.2 + 0.1 * ((row + 1) % 3) as f64 + 0.001),
            numbered("head", 1, &test, |_| 1.5),
        ];
        let judged = Judged { rows: 200, test: &test, mean: Some(4.0), ..Judged::default() };
        let comparison = Comparison::new(rows, judged);
        assert_eq!(comparison.measures(), [Measure::Mse, Measure::Pearson]);
        let real: Vec<(&str, bool)> =
            comparison.differences.iter().map(|d| (d.method.as_str(), d.is_real())).collect();
        assert_eq!(real, [("lora", false), ("head", true)], "{:?}", comparison.differences);
        let head = &comparison.differences[1];
        // By hand: 2.25 less the mean of 0.04, 0.09 and 0.16 over 67, 67 and 66 rows.
        let expected = 2.25 - (67.0 * 0.04 + 67.0 * 0.09 + 66.0 * 0.16) / 200.0;
        assert!((head.difference - expected).abs() < 1e-9 && head.low > 2.1 && head.high < 2.2, "{head:?}");
        assert_eq!(comparison.recommended.as_deref(), Some("lora"));
        let reason = &comparison.reason;
        assert!(
            reason.contains("an MSE of 0.09") && reason.contains("not really worse than the best (full"),
            "{reason}"
        );
        let beaten = Judged { rows: 200, test: &test, mean: Some(0.01), ..Judged::default() };
        let reason = Comparison::new(vec![numbered("head", 1, &test, |_| 1.5)], beaten).reason;
        assert!(reason.ends_with("no method is better than the mean label: look at the data"), "{reason}");
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
}
