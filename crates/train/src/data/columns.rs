//! Which columns are the text, the second text and the label: given, or (see `guess`) guessed when that is
//! obvious.

use super::error::Result;
use super::guess::Guess;
use super::problems::Problems;
use super::table::{Row, Table};
use serde::{Deserialize, Serialize};

/// The columns that matter, by name. One that is not given is guessed when it is obvious: from its name, or
/// as the only column with long texts, or the only other one with few different values. A second text is
/// guessed only from the names of the two (such as premise and hypothesis), and never when the text is given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Columns {
    /// The text.
    pub text: Option<String>,
    /// The second text of a pair.
    pub text_pair: Option<String>,
    /// The label.
    pub label: Option<String>,
}

/// A text to predict for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// The text.
    pub text: String,
    /// The second text, if it is a pair.
    pub pair: Option<String>,
    /// The line of the file where its row begins, from 1.
    pub line: usize,
}

/// The columns found in a table, by place.
pub(super) struct Places {
    pub(super) text: usize,
    pub(super) pair: Option<usize>,
}

impl Places {
    /// The texts of a row, or why it has none.
    pub(super) fn texts(&self, row: &Row) -> std::result::Result<(String, Option<String>), &'static str> {
        let text = |column| row.get(column).filter(|text| !text.trim().is_empty()).map(str::to_owned);
        let first = text(self.text).ok_or("the text is empty")?;
        let pair = match self.pair {
            Some(column) => Some(text(column).ok_or("the second text is empty")?),
            None => None,
        };
        Ok((first, pair))
    }
}

impl Table {
    /// The texts to predict for, one a row, and the sentence that says which column was guessed, if one was.
    /// The label is neither needed nor looked for; a table of one column has its text there.
    ///
    /// # Errors
    /// A column that is not there or not obvious; rows with an empty text.
    pub fn inputs(&self, columns: &Columns) -> Result<(Vec<Input>, Option<String>)> {
        let mut guess = Guess::new(self);
        let places = guess.texts(columns)?;
        let mut problems = Problems::of(self);
        let mut inputs = Vec::with_capacity(self.rows.len());
        for row in &self.rows {
            match places.texts(row) {
                Ok((text, pair)) => inputs.push(Input { text, pair, line: row.line }),
                Err(reason) => problems.push(row.line, reason),
            }
        }
        problems.check().map(|()| (inputs, guess.sentence()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::format::read_text;
    use super::*;

    fn table(text: &str) -> Table {
        read_text(text, &super::super::csv::FORMAT).unwrap()
    }

    #[test]
    fn texts_to_predict_for_need_no_label() {
        let (inputs, said) = table("x\nshort\n").inputs(&Columns::default()).unwrap();
        assert_eq!(inputs, [Input { text: "short".into(), pair: None, line: 2 }]);
        assert!(said.unwrap().contains("`x`"));
        let error = table("text,y\n ,1\na,2\n").inputs(&Columns::default()).unwrap_err();
        assert!(error.to_string().contains("line 2: the text is empty"), "{error}");
    }

    #[test]
    fn unknown_settings_are_refused() {
        assert!(toml::from_str::<Columns>("txt = \"a\"").is_err());
        let columns = Columns { text: Some("a".into()), text_pair: None, label: Some("b".into()) };
        assert_eq!(toml::from_str::<Columns>(&toml::to_string(&columns).unwrap()).unwrap(), columns);
    }
}
