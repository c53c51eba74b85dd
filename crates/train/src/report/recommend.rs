//! Which method to use: the cheapest that is not really worse than the best.

use super::bootstrap::Difference;
use super::{Judged, RunReport};
use crate::{Measure, Score};

/// Language models have no accuracy: the lowest loss is recommended.
fn lowest_loss(rows: &[RunReport]) -> (Option<String>, String) {
    let mut hashes: Vec<&str> =
        rows.iter().filter(|row| row.judged().is_some()).map(|row| row.rows_hash.as_str()).collect();
    hashes.dedup();
    if hashes.len() > 1 {
        return (None, "losses on other rows, or by other tokenizers, cannot be compared".into());
    }
    let judged = rows.iter().filter_map(|row| row.judged().map(|(score, on)| (row, score.loss(), on)));
    match judged.min_by(|a, b| a.1.total_cmp(&b.1)) {
        Some((row, loss, on)) => {
            (Some(row.method.clone()), format!("a loss of {loss:.4} on the {on} rows, the lowest"))
        }
        None => (None, "no method could be run".into()),
    }
}

/// A method that may be recommended: what it has of what methods are ranked by, on which rows.
struct Candidate<'a> {
    row: &'a RunReport,
    measure: Measure,
    value: f64,
    on: &'static str,
}

impl Candidate<'_> {
    /// The larger the better.
    fn rank(&self) -> f64 {
        self.measure.upwards(self.value)
    }

    fn shown(&self) -> String {
        shown(self.measure, self.value)
    }
}

fn candidates<'a>(rows: &'a [RunReport], differences: &[Difference]) -> Vec<Candidate<'a>> {
    let compared = |row: &RunReport| {
        differences.iter().any(|difference| [&difference.method, &difference.best].contains(&&row.method))
    };
    let score = |row: &'a RunReport| -> Option<(Score, &'static str)> {
        if differences.is_empty() {
            row.judged()
        } else {
            row.test.filter(|_| compared(row)).map(|s| (s, "test"))
        }
    };
    rows.iter()
        .filter_map(|row| {
            let (score, on) = score(row)?;
            let (measure, value) = score.ranked();
            (measure != Measure::Loss).then_some(Candidate { row, measure, value, on })
        })
        .collect()
}

/// The method to use, and why.
pub(super) fn recommend(
    rows: &[RunReport],
    differences: &[Difference],
    judged: &Judged<'_>,
) -> (Option<String>, String) {
    let candidates = candidates(rows, differences);
    let named = differences.first().map(|difference| difference.best.as_str());
    let by_rank = || candidates.iter().max_by(|a, b| a.rank().total_cmp(&b.rank()));
    let Some(best) = candidates.iter().find(|c| Some(c.row.method.as_str()) == named).or_else(by_rank) else {
        return lowest_loss(rows);
    };
    // Of a share alone is known how far chance takes it.
    let share = if best.measure == Measure::Accuracy { best.value } else { 0.0 };
    let error = (share * (1.0 - share) / judged.rows.max(1) as f64).sqrt();
    let as_good = |candidate: &&Candidate<'_>| match differences
        .iter()
        .find(|difference| difference.method == candidate.row.method)
    {
        Some(difference) => !difference.is_real(),
        None => candidate.rank() >= best.rank() - error,
    };
    let cost = |candidate: &Candidate<'_>| (candidate.row.trainable_parameters, candidate.row.train_seconds);
    let cheaper = |a: &&Candidate<'_>, b: &&Candidate<'_>| {
        cost(a).partial_cmp(&cost(b)).unwrap_or(std::cmp::Ordering::Equal)
    };
    let floor = judged.floor().filter(|(measure, _)| *measure == best.measure);
    let floor = floor.map_or(f64::NEG_INFINITY, |(measure, value)| measure.upwards(value));
    // Few rows leave much open, but not that one should use what has learnt nothing.
    let learnt = |candidate: &&Candidate<'_>| candidate.rank() > floor;
    let choice = candidates.iter().filter(as_good).filter(learnt).min_by(cheaper).unwrap_or(best);
    let difference = differences.iter().find(|difference| difference.method == choice.row.method);
    let warning = warning(choice, floor, judged).unwrap_or_default();
    (Some(choice.row.method.clone()), reason(choice, best, difference, error) + &warning)
}

/// What is to be said where something without a model is as good.
fn warning(choice: &Candidate<'_>, floor: f64, judged: &Judged<'_>) -> Option<String> {
    if choice.rank() <= floor {
        let least =
            if judged.mean.is_some() { "better than the mean label" } else { "above the majority class" };
        return Some(format!("; but no method is {least}: look at the data"));
    }
    let counted = judged.naive_bayes.filter(|counted| choice.value <= counted.accuracy)?;
    let counted = shown(Measure::Accuracy, counted.accuracy);
    Some(format!("; but counting words, without a model, is right in {counted}"))
}

/// Why a method is recommended, in a sentence.
fn reason(
    choice: &Candidate<'_>,
    best: &Candidate<'_>,
    difference: Option<&Difference>,
    error: f64,
) -> String {
    let share = choice.row.trainable_parameters as f64 / choice.row.total_parameters.max(1) as f64;
    let found = format!("{} on the {} rows", choice.shown(), choice.on);
    let trained = format!("{} of the parameters trained", percent(share));
    let the_best = format!("{}, {}", best.row.method, best.shown());
    match difference {
        _ if choice.row.method == best.row.method => format!("{found}, the best, and {trained}"),
        Some(Difference { measure, low, high, .. }) => format!(
            "{found}, not really worse than the best ({the_best}; the difference is between {} and {}{}, \
             paired bootstrap), and {trained}, the fewest of those",
            measure.signed(*low),
            measure.signed(*high),
            measure.unit()
        ),
        None => format!(
            "{found}, within one standard error ({}) of the best ({the_best}), and {trained}, the fewest of those",
            percent(error)
        ),
    }
}

/// `77.3 %`, `an MSE of 0.4012`
fn shown(measure: Measure, value: f64) -> String {
    match measure {
        Measure::Accuracy => percent(value),
        _ => format!("an {} of {}", measure.name(), measure.shown(value)),
    }
}

/// A share for people: with as many digits as tell it from zero.
fn percent(share: f64) -> String {
    let digits = if share == 0.0 || share >= 0.001 { 1 } else { 3 };
    format!("{:.digits$} %", 100.0 * share)
}
