//! The rounds of a comparison after its first: what methods reached on fewer rows, and at other sizes.

use super::gain::gain;
use super::{Comparison, RunReport};
use crate::compare::Round;

impl Comparison {
    /// Adds what a method did in a round; of parts of the rows the largest comes first.
    pub(crate) fn add(&mut self, row: RunReport, round: Round) {
        match round {
            Round::Whole => self.rows.push(row),
            Round::Rows(rows) => self.add_part(RunReport { train_rows: rows, ..row }),
            // Answers are many, and nobody asks for these.
            Round::Values(values) => {
                self.sized.push(RunReport { sized_to: Some(values), ..row.without_answers() });
            }
        }
    }

    fn add_part(&mut self, part: RunReport) {
        let whole = self.rows.iter().find(|row| row.method == part.method);
        let known = self.gains.iter().any(|gain| gain.method == part.method);
        let gain = whole.filter(|_| !known && part.error.is_none()).and_then(|whole| gain(whole, &part));
        self.gains.extend(gain);
        self.parts.push(part.without_answers());
    }

    /// The numbers of training rows that methods were run on, the smallest first; none where it was only all.
    pub fn sizes(&self) -> Vec<usize> {
        if self.parts.is_empty() {
            return Vec::new();
        }
        let sizes = self.parts.iter().chain(&self.rows).map(|row| row.train_rows);
        ordered(sizes.filter(|&size| size > 0).collect())
    }

    /// A method on so many training rows.
    pub fn on(&self, method: &str, rows: usize) -> Option<&RunReport> {
        let mut all = self.parts.iter().chain(&self.rows);
        all.find(|row| row.method == method && row.train_rows == rows && row.error.is_none())
    }

    /// The numbers of trained values that methods were sized to, the smallest first.
    pub fn budgets(&self) -> Vec<usize> {
        ordered(self.sized.iter().filter_map(|row| row.sized_to).collect())
    }

    /// A method that was sized to train so many values.
    pub fn sized_to(&self, method: &str, values: usize) -> Option<&RunReport> {
        self.sized
            .iter()
            .find(|row| row.method == method && row.sized_to == Some(values) && row.error.is_none())
    }

    /// A method at every size that it was run at, its own among them, by the number of values trained; none where it
    /// was only its own.
    pub fn by_values(&self, method: &str) -> Vec<&RunReport> {
        let of = |row: &&RunReport| row.method == method && row.error.is_none();
        let mut rows: Vec<&RunReport> = self.sized.iter().filter(of).collect();
        if !rows.is_empty() {
            rows.extend(self.rows.iter().filter(of));
        }
        rows.sort_by_key(|row| row.trainable_parameters);
        rows
    }
}

fn ordered(mut numbers: Vec<usize>) -> Vec<usize> {
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(method: &str, trained: usize) -> RunReport {
        RunReport { method: method.into(), trainable_parameters: trained, ..RunReport::default() }
    }

    #[test]
    fn a_methods_curve_has_its_own_size_in_its_place() {
        let mut comparison = Comparison::default();
        comparison.add(row("lora", 700), Round::Whole);
        comparison.add(row("head", 20), Round::Whole);
        comparison.add(row("lora", 100), Round::Values(90));
        comparison.add(row("lora", 1000), Round::Values(1000));
        comparison.add(RunReport { error: Some("too many".into()), ..row("prompt", 0) }, Round::Values(1000));
        assert_eq!(comparison.budgets(), [90, 1000]);
        let trained: Vec<usize> =
            comparison.by_values("lora").iter().map(|row| row.trainable_parameters).collect();
        assert_eq!(trained, [100, 700, 1000]);
        assert!(comparison.by_values("head").is_empty() && comparison.by_values("prompt").is_empty());
        assert!(comparison.sized_to("lora", 90).is_some() && comparison.sized_to("prompt", 1000).is_none());
    }
}
