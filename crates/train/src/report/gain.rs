//! What more training rows buy.

use super::bootstrap::difference;
use super::comparison::Known;
use super::{Comparison, RunReport};
use crate::Measure;
use serde::{Deserialize, Serialize};

/// How much better a method is on all training rows than on a part of them, on the same test rows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Gain {
    /// The method.
    pub method: String,
    /// How many rows the part has.
    pub from: usize,
    /// How many there are in all.
    pub to: usize,
    /// What methods are ranked by.
    pub measure: Measure,
    /// How much there is of it on all rows, less how much on the part.
    #[serde(alias = "accuracy")]
    pub difference: f64,
    /// The interval that holds 95 % of the draws of test rows.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
}

impl Gain {
    /// Whether it is really better: hardly any draw of rows has it as bad.
    pub fn is_real(&self) -> bool {
        if self.measure.falls() { self.high < 0.0 } else { self.low > 0.0 }
    }
}

/// What all rows bought a method over a part of them.
pub(super) fn gain(whole: &RunReport, part: &RunReport) -> Option<Gain> {
    let (ours, theirs) = (Known::of(whole)?, Known::of(part)?);
    let apart = difference(ours.measure, (ours.method, &ours.ranked), (theirs.method, &theirs.ranked));
    (ours.rows == theirs.rows).then(|| Gain {
        method: whole.method.clone(),
        from: part.train_rows,
        to: whole.train_rows,
        measure: apart.measure,
        difference: apart.difference,
        low: apart.low,
        high: apart.high,
    })
}

impl Comparison {
    /// Whether more rows would help the recommended method, as far as what the last ones bought can tell.
    pub fn more_rows(&self) -> Option<String> {
        let gain = self.gains.iter().find(|gain| Some(&gain.method) == self.recommended.as_ref())?;
        let signed = |difference| gain.measure.signed(difference);
        let Gain { method, from, to, measure, .. } = gain;
        let (difference, low, high) = (signed(gain.difference), signed(gain.low), signed(gain.high));
        let verb =
            if measure.falls() { format!("changed its {} by", measure.name()) } else { "gained".into() };
        let unit = measure.unit();
        let measured =
            format!("from {from} to {to} rows {method} {verb} {difference}{unit} ({low} to {high})");
        Some(match gain.is_real() {
            true => format!("{measured}, which is real: more rows like these are likely to help"),
            false => format!("{measured}, which may be chance: more rows like these may not help much"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::Round;
    use crate::report::Answers;

    /// A method that was right on the first so many of 400 test rows.
    fn row(method: &str, train_rows: usize, right: usize) -> RunReport {
        let logits: Vec<Vec<f32>> =
            (0..400).map(|i| if i < right { vec![0.0, 1.0] } else { vec![1.0, 0.0] }).collect();
        let answers = Answers::of(&logits, &[1; 400], "rows".into());
        RunReport { method: method.into(), train_rows, answers: Some(answers), ..RunReport::default() }
    }

    fn compared(right: [usize; 3]) -> Comparison {
        let mut compared = Comparison { recommended: Some("lora".into()), ..Comparison::default() };
        compared.add(row("lora", 1000, right[0]), Round::Whole);
        compared.add(row("lora", 300, right[1]), Round::Rows(300));
        compared.add(row("lora", 100, right[2]), Round::Rows(100));
        compared
    }

    #[test]
    fn a_gain_is_over_the_largest_part_and_says_whether_it_is_real() {
        let grows = compared([360, 300, 200]);
        let gain = &grows.gains[0];
        assert_eq!((gain.from, gain.to, gain.is_real()), (300, 1000, true));
        assert!((gain.difference - 0.15).abs() < 1e-12 && gain.low < 0.15 && gain.high > 0.15, "{gain:?}");
        assert!(grows.more_rows().unwrap().ends_with("likely to help"));
        let flat = compared([301, 300, 200]);
        assert!(!flat.gains[0].is_real());
        assert!(flat.more_rows().unwrap().contains("from 300 to 1000 rows lora gained +0.2 points"));
    }

    #[test]
    fn answers_are_dropped_from_parts_once_they_have_served() {
        let grows = compared([360, 300, 200]);
        assert!(grows.parts.iter().all(|part| part.answers.is_none()) && grows.rows[0].answers.is_some());
        assert!(Comparison::default().more_rows().is_none());
    }
}
