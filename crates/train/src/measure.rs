//! The measures by which results are told: what each is called, which way is better, and how it is written.

use serde::{Deserialize, Serialize};

/// A measure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Measure {
    /// The share of rows that were classified right.
    #[default]
    Accuracy,
    /// The mean over classes of the harmonic mean of precision and recall.
    MacroF1,
    /// A mean loss, in nats.
    Loss,
    /// `exp(loss)`
    Perplexity,
    /// The mean squared error, in squares of the labels' unit.
    Mse,
    /// Pearson's correlation.
    Pearson,
    /// Spearman's, of ranks.
    Spearman,
}

impl Measure {
    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Accuracy => "accuracy",
            Self::MacroF1 => "macro F1",
            Self::Loss => "loss",
            Self::Perplexity => "perplexity",
            Self::Mse => "MSE",
            Self::Pearson => "Pearson",
            Self::Spearman => "Spearman",
        }
    }

    /// Its name with its unit, for an axis.
    pub fn axis(self) -> &'static str {
        if self == Self::Accuracy { "accuracy, %" } else { self.name() }
    }

    /// Whether less of it is better.
    pub fn falls(self) -> bool {
        matches!(self, Self::Loss | Self::Perplexity | Self::Mse)
    }

    /// A value so that the larger is the better.
    pub(crate) fn upwards(self, value: f64) -> f64 {
        if self.falls() { -value } else { value }
    }

    /// `77.3 %`, `0.772`
    pub fn shown(self, value: f64) -> String {
        match self {
            Self::Accuracy => format!("{:.1} %", 100.0 * value),
            Self::MacroF1 | Self::Pearson | Self::Spearman => format!("{value:.3}"),
            Self::Loss => format!("{value:.4}"),
            Self::Perplexity => format!("{value:.2}"),
            Self::Mse => significant(value),
        }
    }

    /// The value on the axis that [`axis`](Self::axis) names.
    pub fn plotted(self, value: f64) -> f64 {
        if self == Self::Accuracy { 100.0 * value } else { value }
    }

    /// A difference with its sign: `+1.2` (points of accuracy), `-0.03127`. What is shown as nothing has none.
    pub fn signed(self, difference: f64) -> String {
        let shown = match self {
            Self::Accuracy => format!("{:+.1}", 100.0 * difference),
            Self::Mse if difference < 0.0 => format!("-{}", significant(-difference)),
            Self::Mse => format!("+{}", significant(difference)),
            _ => format!("{difference:+.4}"),
        };
        let nothing = shown.chars().all(|c| !c.is_ascii_digit() || c == '0');
        if nothing { shown.trim_start_matches(['+', '-']).to_owned() } else { shown }
    }

    /// What a difference is counted in: `points`, or nothing that has a name.
    pub fn unit(self) -> &'static str {
        if self == Self::Accuracy { " points" } else { "" }
    }
}

/// With four digits that tell something: labels have any unit.
fn significant(value: f64) -> String {
    let digits = if value == 0.0 { 0 } else { value.abs().log10().floor() as i32 };
    match digits {
        -5..=9 => format!("{value:.*}", (3 - digits).max(0) as usize),
        _ => format!("{value:.3e}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_any_size_are_readable() {
        let shown = |value| Measure::Mse.shown(value);
        let all = [0.0, 0.001_234_56, 0.5, 1.0, 12.345_6, 123_456.7, 1.5e12, 2e-9].map(shown);
        assert_eq!(all, ["0.000", "0.001235", "0.5000", "1.000", "12.35", "123457", "1.500e12", "2.000e-9"]);
    }

    #[test]
    fn differences_have_a_sign_unless_they_are_nothing() {
        assert_eq!(
            [0.0123, -0.5, 0.0, 1e-5].map(|d| Measure::Accuracy.signed(d)),
            ["+1.2", "-50.0", "0.0", "0.0"]
        );
        assert_eq!([0.25, -0.0312, 0.0].map(|d| Measure::Mse.signed(d)), ["+0.2500", "-0.03120", "0.000"]);
    }
}
