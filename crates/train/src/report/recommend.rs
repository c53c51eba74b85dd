//! Which method to use: the cheapest that is not really worse than the best.

use super::bootstrap::Difference;
use super::{Judged, RunReport};
use crate::Score;

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

/// A method that may be recommended: its accuracy, on which rows.
struct Candidate<'a> {
    row: &'a RunReport,
    accuracy: f64,
    on: &'static str,
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
            Some(Candidate { row, accuracy: score.accuracy()?, on })
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
    let by_accuracy = || candidates.iter().max_by(|a, b| a.accuracy.total_cmp(&b.accuracy));
    let Some(best) = candidates.iter().find(|c| Some(c.row.method.as_str()) == named).or_else(by_accuracy)
    else {
        return lowest_loss(rows);
    };
    let error = (best.accuracy * (1.0 - best.accuracy) / judged.rows.max(1) as f64).sqrt();
    let as_good = |candidate: &&Candidate<'_>| match differences
        .iter()
        .find(|difference| difference.method == candidate.row.method)
    {
        Some(difference) => !difference.is_real(),
        None => candidate.accuracy >= best.accuracy - error,
    };
    let cost = |candidate: &Candidate<'_>| (candidate.row.trainable_parameters, candidate.row.train_seconds);
    let cheaper = |a: &&Candidate<'_>, b: &&Candidate<'_>| {
        cost(a).partial_cmp(&cost(b)).unwrap_or(std::cmp::Ordering::Equal)
    };
    let floor = judged.majority.unwrap_or(0.0);
    // Few rows leave much open, but not that one should use what has learnt nothing.
    let learnt = |candidate: &&Candidate<'_>| candidate.accuracy > floor;
    let choice = candidates.iter().filter(as_good).filter(learnt).min_by(cheaper).unwrap_or(best);
    let difference = differences.iter().find(|difference| difference.method == choice.row.method);
    let mut reason = reason(choice, best, difference, error);
    if choice.accuracy <= floor {
        reason.push_str("; but no method is above the majority class: look at the data");
    } else if let Some(counted) = judged.naive_bayes.filter(|counted| choice.accuracy <= counted.accuracy) {
        let counted = percent(counted.accuracy);
        reason.push_str(&format!("; but counting words, without a model, is right in {counted}"));
    }
    (Some(choice.row.method.clone()), reason)
}

/// Why a method is recommended, in a sentence.
fn reason(
    choice: &Candidate<'_>,
    best: &Candidate<'_>,
    difference: Option<&Difference>,
    error: f64,
) -> String {
    let share = choice.row.trainable_parameters as f64 / choice.row.total_parameters.max(1) as f64;
    let found = format!("{} on the {} rows", percent(choice.accuracy), choice.on);
    let trained = format!("{} of the parameters trained", percent(share));
    let the_best = format!("{}, {}", best.row.method, percent(best.accuracy));
    match difference {
        _ if choice.row.method == best.row.method => format!("{found}, the best, and {trained}"),
        Some(difference) => format!(
            "{found}, not really worse than the best ({the_best}; the difference is between {} and {} points, \
             paired bootstrap), and {trained}, the fewest of those",
            points(difference.low),
            points(difference.high)
        ),
        None => format!(
            "{found}, within one standard error ({}) of the best ({the_best}), and {trained}, the fewest of those",
            percent(error)
        ),
    }
}

/// A difference of shares, with its sign.
fn points(share: f64) -> String {
    format!("{:+.1}", 100.0 * share)
}

/// A share for people: with as many digits as tell it from zero.
fn percent(share: f64) -> String {
    let digits = if share == 0.0 || share >= 0.001 { 1 } else { 3 };
    format!("{:.digits$} %", 100.0 * share)
}
