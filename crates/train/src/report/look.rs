//! The test rows that a person should look at: those that methods were farthest from, and those that they disagree on.

use super::RunReport;
use crate::data::{Example, Label};
use serde::{Deserialize, Serialize};

/// Rows of each kind that a person is shown.
const SHOWN: usize = 12;
/// Characters of their texts.
const TEXT: usize = 400;

/// A test row with what the methods said of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Shown {
    /// Its line in the file.
    pub line: usize,
    /// Its text, cut.
    pub text: String,
    /// Its label.
    pub label: Label,
    /// What each method said, with the method.
    pub answers: Vec<(String, Label)>,
}

/// The hardest rows and the most disputed ones, by the first run of each method.
pub(super) fn to_look_at(rows: &[RunReport], test: &[Example]) -> (Vec<Shown>, Vec<Shown>) {
    let known: Vec<Looked<'_>> = rows.iter().filter_map(|row| Looked::of(row, test.len())).collect();
    if known.is_empty() {
        return (Vec::new(), Vec::new());
    }
    let error = |row: usize| known.iter().map(|method| method.errors[row]).sum::<f64>() / known.len() as f64;
    let shown = |row: usize| Shown {
        line: test[row].line,
        text: cut(&test[row]),
        label: test[row].label.clone(),
        answers: known.iter().map(|method| (method.name.to_owned(), method.said[row].clone())).collect(),
    };
    let highest = |by: &dyn Fn(usize) -> f64| {
        let mut ranked: Vec<(f64, usize)> = (0..test.len()).map(|row| (by(row), row)).collect();
        ranked.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        ranked.into_iter().take(SHOWN).map(|(_, row)| shown(row)).collect()
    };
    let disputed = |row: usize| disagreement(known.iter().map(|method| &method.said[row]), error(row));
    (highest(&error), if known.len() > 1 { highest(&disputed) } else { Vec::new() })
}

/// What a method's first run said of every test row.
struct Looked<'a> {
    name: &'a str,
    said: Vec<Label>,
    errors: Vec<f64>,
}

impl<'a> Looked<'a> {
    fn of(row: &'a RunReport, rows: usize) -> Option<Self> {
        let answers = row.runs().first()?.answers.as_ref()?;
        let known = || Self { name: &row.method, said: answers.said(), errors: answers.errors() };
        (answers.count() == Some(rows)).then(known)
    }
}

/// How much answers to one row differ, of which equals with a larger error come first: how many methods do not share
/// the commonest class, or the variance of numbers.
fn disagreement<'a>(said: impl Iterator<Item = &'a Label> + Clone, error: f64) -> f64 {
    let count = said.clone().count();
    let numbers: Vec<f64> = said.clone().filter_map(Label::number).collect();
    if numbers.len() == count {
        let mean = numbers.iter().sum::<f64>() / count.max(1) as f64;
        return numbers.iter().map(|number| (number - mean).powi(2)).sum();
    }
    let most = said.clone().map(|one| said.clone().filter(|other| *other == one).count()).max().unwrap_or(0);
    // The error is at most 1, and half of it less than one method.
    (count - most) as f64 + error / 2.0
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
    use super::super::comparison::tests::{answered, numbered, numbers, test_rows};
    use super::*;
    use crate::report::{Comparison, Judged};

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
        assert_eq!(
            comparison.disputed[0].answers,
            [("a".into(), 0.into()), ("b".into(), 1.into()), ("c".into(), 1.into())]
        );
        let long = Example { text: "ä".repeat(1000), pair: None, label: 0.into(), line: 1 };
        assert_eq!(cut(&long).chars().count(), TEXT + 1);
    }

    #[test]
    fn numbers_to_look_at_are_those_that_are_far_off_and_those_that_differ() {
        let test = numbers(40);
        let rows = vec![
            numbered("a", 1, &test, |row| if row == 3 { 9.0 } else { 0.0 }),
            numbered("b", 2, &test, |row| {
                [(3, 9.0), (11, 2.0)].iter().find(|(at, _)| *at == row).map_or(0.0, |f| f.1)
            }),
        ];
        let comparison = Comparison::new(rows, Judged { rows: 40, test: &test, ..Judged::default() });
        let lines = |rows: &[Shown]| rows[..2].iter().map(|row| row.line).collect::<Vec<_>>();
        assert_eq!((lines(&comparison.hardest), comparison.disputed[0].line), (vec![3, 11], 11));
        let answers = [("a".to_owned(), Label::Number(4.0)), ("b".to_owned(), Label::Number(2.0))];
        assert_eq!(
            (&comparison.disputed[0].label, &comparison.disputed[0].answers[..]),
            (&Label::Number(4.0), &answers[..])
        );
    }
}
