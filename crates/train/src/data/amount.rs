//! How many rows, or values: a count or a share.

use super::error::{Error, Result, shown};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;
use std::str::FromStr;

/// How many rows, or values of a model: a count (`2000`), or a share from 0 to 1 (`0.8`, `80%`). A whole number without `%` is a
/// count:
/// `1` is one, `1.0` and `100%` are all.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Amount {
    /// This many.
    Count(usize),
    /// This share of all, from 0 to 1; rounded down.
    Fraction(f64),
}

impl Amount {
    /// The number, of so many that there are.
    pub fn of(self, rows: usize) -> usize {
        match self {
            Self::Count(count) => count,
            // Not to lose a row where the product is a whole number but for rounding, as in 0.29 * 100.
            Self::Fraction(share) => (share * rows as f64 + 1e-6) as usize,
        }
    }

    fn fraction(share: f64, text: &str) -> Result<Self> {
        if (0.0..=1.0).contains(&share) { Ok(Self::Fraction(share)) } else { Err(refused(text)) }
    }
}

fn refused(text: &str) -> Error {
    let text = shown(text);
    Error::Setting(format!("{text} is not a number; write a count (2000) or a share (0.8 or 80%)"))
}

impl FromStr for Amount {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let trimmed = text.trim();
        let number = |text: &str| text.trim().parse::<f64>().map_err(|_| refused(trimmed));
        match (trimmed.parse(), trimmed.strip_suffix('%')) {
            (Ok(count), _) => Ok(Self::Count(count)),
            (_, Some(percent)) => Self::fraction(number(percent)? / 100.0, trimmed),
            (_, None) => Self::fraction(number(trimmed)?, trimmed),
        }
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Fraction(share) => write!(f, "{share:?}"),
        }
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        match self {
            Self::Count(count) => count.serialize(serializer),
            Self::Fraction(share) => share.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "a count (2000) or a share (0.8 or \"80%\")")]
        enum Written {
            Count(usize),
            Share(f64),
            Text(String),
        }
        match Written::deserialize(deserializer)? {
            Written::Count(count) => Ok(Self::Count(count)),
            Written::Share(share) => Self::fraction(share, &share.to_string()).map_err(de::Error::custom),
            Written::Text(text) => text.parse().map_err(de::Error::custom),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_shares_are_told_apart() {
        for (text, amount) in [
            ("2000", Amount::Count(2000)),
            (" 0 ", Amount::Count(0)),
            ("1", Amount::Count(1)),
            ("1.0", Amount::Fraction(1.0)),
            ("0.8", Amount::Fraction(0.8)),
            ("80%", Amount::Fraction(0.8)),
            ("12.5 %", Amount::Fraction(0.125)),
        ] {
            assert_eq!(text.parse::<Amount>().unwrap(), amount, "{text}");
            assert_eq!(amount.to_string().parse::<Amount>().unwrap(), amount, "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused_with_the_way_out() {
        for text in ["", "many", "1.5", "-1", "101%", "nan", "inf", "%"] {
            let message = text.parse::<Amount>().unwrap_err().to_string();
            assert!(message.contains("write a count (2000) or a share (0.8 or 80%)"), "{message}");
        }
    }

    #[test]
    fn shares_round_down_but_not_for_rounding_errors() {
        assert_eq!(Amount::Fraction(0.29).of(100), 29);
        assert_eq!(Amount::Fraction(0.1).of(19), 1);
        assert_eq!(Amount::Count(5).of(3), 5);
    }
}
