//! `--where column=value`: the rows that are used.

use super::error::{Error, Result, shown};
use super::table::{Row, Table};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// How many of a column's values a message lists.
const LISTED: usize = 10;

/// Keeps the rows whose `column` has `value`; written `column=value`, in a recipe too. Spaces around the
/// value do not count, and a row without the column has the empty value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Filter {
    /// The column.
    pub column: String,
    /// The value that it must have.
    pub value: String,
}

impl Filter {
    /// Keeps the rows that the filter lets through.
    pub(super) fn apply(&self, table: &mut Table) -> Result<()> {
        let column = table.column(&self.column)?;
        let value = |row: &Row| row.get(column).unwrap_or_default().trim().to_owned();
        if !table.rows.iter().any(|row| value(row) == self.value.trim()) {
            let found = frequent(table.rows.iter().map(value));
            return Err(Error::NoRowLeft {
                file: table.file.clone(),
                filter: shown(&self.to_string()),
                found,
            });
        }
        table.rows.retain(|row| value(row) == self.value.trim());
        Ok(())
    }
}

/// The most frequent values with their counts, as a message shows them.
fn frequent(values: impl Iterator<Item = String>) -> String {
    let mut counts = BTreeMap::new();
    values.for_each(|value| *counts.entry(value).or_insert(0_usize) += 1);
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let listed = counts.iter().take(LISTED).map(|(value, count)| format!("{} ({count})", shown(value)));
    let mut listed = listed.collect::<Vec<_>>().join(", ");
    if counts.len() > LISTED {
        listed.push_str(&format!(" and {} more", counts.len() - LISTED));
    }
    listed
}

impl FromStr for Filter {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text.split_once('=') {
            Some((column, value)) if !column.trim().is_empty() => {
                Ok(Self { column: column.trim().to_owned(), value: value.trim().to_owned() })
            }
            _ => {
                let text = shown(text);
                Err(Error::Setting(format!("{text} is not a filter; write COLUMN=VALUE, as in source=imdb")))
            }
        }
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.column, self.value)
    }
}

impl TryFrom<String> for Filter {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Filter> for String {
    fn from(filter: Filter) -> Self {
        filter.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::super::format::read_text;
    use super::*;

    fn table(text: &str) -> Table {
        read_text(text, &super::super::csv::FORMAT).unwrap()
    }

    fn apply(text: &str, filter: &str) -> Result<Vec<usize>> {
        let mut table = table(text);
        filter.parse::<Filter>()?.apply(&mut table)?;
        Ok(table.rows.iter().map(|row| row.line).collect())
    }

    #[test]
    fn rows_with_the_value_are_kept() {
        let rows = "a,source\n1,imdb\n2,rt\n3, imdb \n4,\n";
        assert_eq!(apply(rows, "source=imdb").unwrap(), [2, 4]);
        assert_eq!(apply(rows, "source=").unwrap(), [5]);
    }

    #[test]
    fn what_keeps_nothing_lists_the_most_frequent_values() {
        let rows: String = (0..12).map(|row| format!("{row}\n")).collect();
        let message = apply(&format!("n\n7\n{rows}"), "n=x").unwrap_err().to_string();
        assert!(
            message.starts_with("data: no row has `n=x`; the column's values are `7` (2), `0` (1)"),
            "{message}"
        );
        assert!(message.ends_with("`6` (1) and 2 more"), "{message}");
    }

    #[test]
    fn an_unknown_column_lists_the_columns() {
        let message = apply("a,b\n1,2\n", "c=1").unwrap_err().to_string();
        assert_eq!(message, "data has no column `c`; its columns are `a`, `b`");
    }

    #[test]
    fn a_filter_is_its_text() {
        let filter: Filter = serde_json::from_str("\"a = b=c\"").unwrap();
        assert_eq!((filter.column.as_str(), filter.value.as_str()), ("a", "b=c"));
        assert_eq!(serde_json::to_string(&filter).unwrap(), "\"a=b=c\"");
        for text in ["source", "=imdb", ""] {
            assert!(text.parse::<Filter>().unwrap_err().to_string().contains("COLUMN=VALUE"));
        }
    }
}
