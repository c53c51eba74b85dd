//! How many rows go where.

use super::amount::Amount;
use super::error::{Error, Result};
use super::split::Beside;
use serde::{Deserialize, Serialize};

/// The most rows that are taken for validation when it is not said how many.
const MOST_VALIDATION: usize = 1000;

/// How many rows to train, validate and test on.
///
/// Shares are shares of all rows of the file, as they are once filtered and without duplicates. What is asked
/// for is what there will be, to the row, or it is an error; what is not asked for gives way. Not given,
///
/// - `test` is 20 % of the rows, or what the others leave if that is less. With a test file it is all of that
///   file, and a `test` that is given is a number or a share of that file's rows.
/// - `train` is all rows that are not for testing or validation.
/// - `validation`, with a file of its own, is all of that file, as `test` is; else it is 10 % of what is not for testing, at most 1000, taken from the training rows, if `train`
///   is not given. If it is, none of those rows is taken: validation gets a tenth as many (at most 1000) of
///   the rows that are left, or none if there are not so many.
///
/// `test = 0` and `validation = 0` are for none. Shares are rounded down, but where they make a whole (0.8,
/// 0.1, 0.1) no row is left over: training gets it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SplitOptions {
    /// Rows to train on.
    pub train: Option<Amount>,
    /// Rows to choose the best epoch by.
    pub validation: Option<Amount>,
    /// Rows to test on.
    pub test: Option<Amount>,
}

/// Which parts have files of their own, so that nothing is taken from the rows to train on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Own {
    pub(super) validation: bool,
    pub(super) test: bool,
}

impl Own {
    pub(super) fn of<D>(beside: &Beside<'_, D>) -> Self {
        Self { validation: beside.validation.is_some(), test: beside.test.is_some() }
    }
}

/// Numbers of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sizes {
    pub(super) train: usize,
    pub(super) validation: usize,
    pub(super) test: usize,
}

impl SplitOptions {
    /// The sizes for a file of `rows`.
    pub(super) fn sizes(&self, file: &str, rows: usize, own: Own) -> Result<Sizes> {
        let drawn = |own, amount| if own { Some(Amount::Count(0)) } else { amount };
        let (validation, test) = (drawn(own.validation, self.validation), drawn(own.test, self.test));
        let asked = Self { validation, test, ..*self };
        let of = |amount: Option<Amount>| amount.map(|amount| amount.of(rows));
        let (validation, test) = (of(asked.validation), of(asked.test));
        let others = validation.unwrap_or(0).saturating_add(test.unwrap_or(0));
        let train = if asked.is_whole() { Some(rows.saturating_sub(others)) } else { of(asked.train) };
        let free = rows.checked_sub(others.saturating_add(train.unwrap_or(0)));
        let free = free.ok_or_else(|| asked.too_few(file, rows))?;
        let nothing = |part, way_out| Error::NothingLeft { file: file.to_owned(), rows, part, way_out };

        let test = test.unwrap_or((rows / 5).max(1).min(free));
        if asked.test.is_none() && test == 0 {
            return Err(nothing("testing", "ask for fewer, give a test file, or say --test 0"));
        }
        let free = rows - train.unwrap_or(0) - validation.unwrap_or(0) - test;
        let validation = validation.unwrap_or_else(|| default_validation(train, free));
        let train = train.unwrap_or(rows - validation - test);
        if train == 0 {
            return Err(nothing("training", "ask for fewer rows for testing and validation"));
        }
        Ok(Sizes { train, validation, test })
    }

    /// Whether shares are given that make a whole, training's among them.
    fn is_whole(&self) -> bool {
        let share = |amount| match amount {
            None | Some(Amount::Count(0)) => Some(0.0),
            Some(Amount::Fraction(share)) => Some(share),
            Some(Amount::Count(_)) => None,
        };
        let shares = [self.train, self.validation, self.test].map(share);
        let sum: Option<f64> = shares.into_iter().sum();
        self.train.is_some() && sum.is_some_and(|sum| (sum - 1.0).abs() < 1e-9)
    }

    fn too_few(&self, file: &str, rows: usize) -> Error {
        let part = |name, amount: Option<Amount>| {
            let amount = amount.filter(|amount| amount.of(rows) > 0)?;
            Some(match amount {
                Amount::Count(count) => format!("{count} for {name}"),
                Amount::Fraction(_) => format!("{} ({amount}) for {name}", amount.of(rows)),
            })
        };
        let parts = [("training", self.train), ("validation", self.validation), ("testing", self.test)];
        let asked: Vec<String> = parts.into_iter().filter_map(|(name, amount)| part(name, amount)).collect();
        Error::TooFewRows { file: file.to_owned(), rows, asked: asked.join(" and ") }
    }
}

fn default_validation(train: Option<usize>, free: usize) -> usize {
    match train {
        None => (free / 10).min(MOST_VALIDATION),
        Some(train) => Some((train / 10).clamp(1, MOST_VALIDATION)).filter(|rows| *rows <= free).unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(options: &str, rows: usize, test_file: bool) -> Result<[usize; 3]> {
        let options: SplitOptions = toml::from_str(options).unwrap();
        options
            .sizes("a.csv", rows, Own { validation: false, test: test_file })
            .map(|sizes| [sizes.train, sizes.validation, sizes.test])
    }

    #[test]
    fn the_table_of_defaults_holds() {
        for (options, rows, test_file, expected) in [
            ("", 1000, false, [720, 80, 200]),
            ("", 1000, true, [900, 100, 0]),
            ("", 100_000, false, [79_000, 1000, 20_000]),
            ("", 2, false, [1, 0, 1]),
            ("train = 2000\ntest = 2000", 24_904, false, [2000, 200, 2000]),
            ("train = 500", 1000, false, [500, 50, 200]),
            ("train = 780", 1000, false, [780, 0, 200]),
            ("train = 950", 1000, false, [950, 0, 50]),
            ("train = 5", 1000, false, [5, 1, 200]),
            ("train = 1000", 1000, true, [1000, 0, 0]),
            ("train = 0.5", 1000, true, [500, 50, 0]),
            ("train = 1.0", 1000, true, [1000, 0, 0]),
            ("validation = 0", 1000, false, [800, 0, 200]),
            ("validation = 900", 1000, false, [0, 0, 0]),
            ("test = 0", 1000, false, [900, 100, 0]),
            ("train = 0.8\nvalidation = 0.1\ntest = 0.1", 15, false, [13, 1, 1]),
            ("train = \"80%\"\ntest = \"20%\"", 11, false, [9, 0, 2]),
        ] {
            let found = sizes(options, rows, test_file);
            if expected == [0; 3] {
                assert!(matches!(found, Err(Error::NothingLeft { part: "training", .. })), "{options}");
            } else {
                assert_eq!(found.unwrap(), expected, "{options} of {rows}");
            }
        }
    }

    #[test]
    fn more_than_there_is_says_how_much_there_is() {
        let message = sizes("train = 9000\ntest = 0.1", 8434, false).unwrap_err().to_string();
        assert_eq!(
            message,
            "a.csv has 8434 rows once filtered and without duplicates, but asked for were 9000 for training \
             and 843 (0.1) for testing; ask for fewer"
        );
        assert!(sizes("train = 9223372036854775807\ntest = 9223372036854775807", 3, false).is_err());
        assert!(sizes("train = 0.9\ntest = 0.2", 100, false).is_err());
    }

    #[test]
    fn a_part_that_would_be_empty_is_refused() {
        let message = sizes("train = 10", 10, false).unwrap_err().to_string();
        assert!(message.contains("leaves none for testing; ask for fewer, give a test file"), "{message}");
        assert!(matches!(sizes("train = 0", 10, false), Err(Error::NothingLeft { part: "training", .. })));
    }

    #[test]
    fn unknown_settings_and_odd_amounts_are_refused() {
        assert!(toml::from_str::<SplitOptions>("tests = 3").is_err());
        assert!(toml::from_str::<SplitOptions>("test = -3").is_err());
        let options: SplitOptions = toml::from_str("train = 2000\ntest = \"20%\"").unwrap();
        assert_eq!(toml::to_string(&options).unwrap(), "train = 2000\ntest = 0.2\n");
    }
}
