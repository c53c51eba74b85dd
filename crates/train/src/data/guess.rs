//! Guessing which columns are meant: from their names, or because no other column fits. What is guessed is
//! said.

use super::columns::{Columns, Places};
use super::error::{Error, Result, shown};
use super::label::number;
use super::table::Table;
use offshoot_models::Task;
use std::collections::BTreeSet;

/// Names of a text column.
const TEXTS: &[&str] = &["text", "sentence", "review", "content", "comment"];
/// Names of the two columns of a pair.
const PAIRS: &[(&str, &str)] = &[
    ("premise", "hypothesis"),
    ("sentence1", "sentence2"),
    ("question1", "question2"),
    ("question", "sentence"),
    ("question", "passage"),
    ("text1", "text2"),
    ("text_a", "text_b"),
];
/// Names of a label column.
const LABELS: &[&str] = &["label", "labels", "class", "category", "target", "sentiment", "stars"];
/// Further names where labels are numbers.
const NUMBERS: &[&str] = &["score", "similarity", "similarity_score", "rating", "value"];
/// A column is long if its texts have this many characters or more on average.
const LONG: usize = 20;
/// A column that may be a label without being named so has no more different values than this.
const FEW: usize = 50;
/// How many rows a guess looks at.
const LOOKED_AT: usize = 10_000;

/// Finds a table's columns and keeps what was guessed.
pub(super) struct Guess<'a> {
    table: &'a Table,
    guessed: Vec<(&'static str, String, &'static str)>,
}

impl<'a> Guess<'a> {
    pub(super) fn new(table: &'a Table) -> Self {
        Self { table, guessed: Vec::new() }
    }

    /// The places of the texts.
    pub(super) fn texts(&mut self, columns: &Columns) -> Result<Places> {
        let given = |name: &Option<String>| name.as_deref().map(|name| self.table.column(name)).transpose();
        let (text, mut pair) = (given(&columns.text)?, given(&columns.text_pair)?);
        let label = given(&columns.label)?;
        let text = match (text, pair) {
            (Some(text), _) => text,
            (None, None) => match self.named_pair() {
                Some((first, second)) => {
                    pair = Some(self.guess("second text", "--text-pair", second));
                    self.guess("text", "--text", first)
                }
                None => self.guessed_text(&[label])?,
            },
            (None, Some(_)) => self.guessed_text(&[pair, label])?,
        };
        self.different(Some(text), pair, ["text", "second text"])?;
        self.different(Some(text), label, ["text", "label"])?;
        self.different(pair, label, ["second text", "label"])?;
        Ok(Places { text, pair })
    }

    /// The place of the label.
    pub(super) fn label(&mut self, columns: &Columns, texts: &Places, task: Task) -> Result<usize> {
        if let Some(name) = &columns.label {
            return self.table.column(name);
        }
        let taken = [Some(texts.text), texts.pair];
        let (names, property, fits): (_, _, fn(&Self, usize) -> bool) = match task {
            Task::Regression => ([LABELS, NUMBERS].concat(), "has only numbers", Self::is_numbers),
            _ => (LABELS.to_vec(), "has few different values", Self::is_few),
        };
        let named = self.named(&names, &taken);
        let fitting = || self.others(&taken).filter(|column| fits(self, *column)).collect();
        let candidates = if named.is_empty() { fitting() } else { named };
        self.only("label", "--label", property, &candidates)
    }

    /// The sentence that says what was guessed.
    pub(super) fn sentence(&self) -> Option<String> {
        let column = |(what, column, _): &(_, String, _)| format!("the {what} is column {}", shown(column));
        let columns: Vec<String> = self.guessed.iter().map(column).collect();
        let flags: Vec<&str> = self.guessed.iter().map(|(_, _, flag)| *flag).collect();
        let said = format!("{} (guessed; choose with {})", columns.join(", "), flags.join(" and "));
        (!columns.is_empty()).then_some(said)
    }

    fn guessed_text(&mut self, taken: &[Option<usize>]) -> Result<usize> {
        if self.table.columns.len() == 1 {
            return Ok(self.guess("text", "--text", 0));
        }
        let named = self.named(TEXTS, taken);
        let long = || self.others(taken).filter(|column| self.is_long(*column)).collect();
        let candidates = if named.is_empty() { long() } else { named };
        self.only("text", "--text", "has long texts", &candidates)
    }

    /// The guess, if there is one candidate only.
    fn only(
        &mut self,
        what: &'static str,
        flag: &'static str,
        property: &str,
        candidates: &[usize],
    ) -> Result<usize> {
        let why = match candidates {
            [one] => return Ok(self.guess(what, flag, *one)),
            [] => format!("no column is named so or {property}"),
            several => {
                let names: Vec<String> =
                    several.iter().take(5).map(|at| shown(&self.table.columns[*at])).collect();
                format!("it could be any of {}", names.join(", "))
            }
        };
        let (file, columns) = (self.table.file.clone(), self.table.listed_columns());
        Err(Error::NotObvious { file, what, why, flag, columns })
    }

    fn guess(&mut self, what: &'static str, flag: &'static str, column: usize) -> usize {
        self.guessed.push((what, self.table.columns[column].clone(), flag));
        column
    }

    fn different(&self, one: Option<usize>, other: Option<usize>, roles: [&'static str; 2]) -> Result<()> {
        match one {
            Some(column) if one == other => {
                Err(Error::SameColumn(shown(&self.table.columns[column]), roles[0], roles[1]))
            }
            _ => Ok(()),
        }
    }

    fn named_pair(&self) -> Option<(usize, usize)> {
        PAIRS.iter().find_map(|(first, second)| Some((self.find(first)?, self.find(second)?)))
    }

    fn find(&self, name: &str) -> Option<usize> {
        self.table.columns.iter().position(|column| column.eq_ignore_ascii_case(name))
    }

    fn others(&self, taken: &[Option<usize>]) -> impl Iterator<Item = usize> {
        (0..self.table.columns.len()).filter(move |column| !taken.contains(&Some(*column)))
    }

    fn named(&self, names: &[&str], taken: &[Option<usize>]) -> Vec<usize> {
        let is_named =
            |column: &usize| names.iter().any(|name| self.table.columns[*column].eq_ignore_ascii_case(name));
        self.others(taken).filter(is_named).collect()
    }

    fn is_long(&self, column: usize) -> bool {
        let rows = &self.table.rows[..self.table.rows.len().min(LOOKED_AT)];
        let characters: usize =
            rows.iter().map(|row| row.get(column).map_or(0, |text| text.chars().count())).sum();
        characters >= LONG * rows.len()
    }

    fn is_numbers(&self, column: usize) -> bool {
        let rows = &self.table.rows[..self.table.rows.len().min(LOOKED_AT)];
        !rows.is_empty() && rows.iter().all(|row| row.get(column).and_then(number).is_some())
    }

    /// Two values or more, each in two rows or more on average.
    fn is_few(&self, column: usize) -> bool {
        let rows = &self.table.rows[..self.table.rows.len().min(LOOKED_AT)];
        let mut values = BTreeSet::new();
        for row in rows {
            values.insert(row.get(column).unwrap_or_default().trim());
            if values.len() > FEW {
                return false;
            }
        }
        values.len() >= 2 && values.len() * 2 <= rows.len()
    }
}

#[cfg(test)]
mod tests {
    use super::super::format::read_text;
    use super::*;

    fn table(text: &str) -> Table {
        read_text(text, &super::super::csv::FORMAT).unwrap()
    }

    /// (text, pair, label) by name, and what is said.
    fn find(text: &str, columns: &Columns) -> Result<(String, Option<String>, String, Option<String>)> {
        let table = table(text);
        let mut guess = Guess::new(&table);
        let places = guess.texts(columns)?;
        let label = guess.label(columns, &places, Task::Classification)?;
        let name = |column: usize| table.columns[column].clone();
        Ok((name(places.text), places.pair.map(name), name(label), guess.sentence()))
    }

    fn given(text: &str, label: &str) -> Columns {
        let name = |name: &str| (!name.is_empty()).then(|| name.to_owned());
        Columns { text: name(text), text_pair: None, label: name(label) }
    }

    #[test]
    fn names_are_recognised_and_said() {
        let found = find("id,Review,stars\n1,good,5\n2,bad,1\n", &Columns::default()).unwrap();
        assert_eq!((found.0.as_str(), found.1, found.2.as_str()), ("Review", None, "stars"));
        assert_eq!(
            found.3.unwrap(),
            "the text is column `Review`, the label is column `stars` \
             (guessed; choose with --text and --label)"
        );
    }

    #[test]
    fn a_pair_is_recognised_by_its_two_names() {
        let rows = "premise,hypothesis,label\na,b,0\nc,d,1\n";
        let found = find(rows, &Columns::default()).unwrap();
        assert_eq!((found.0.as_str(), found.1.as_deref()), ("premise", Some("hypothesis")));
        assert_eq!(find(rows, &given("premise", "")).unwrap().1, None);
    }

    #[test]
    fn long_texts_and_few_values_are_recognised() {
        let rows: String =
            (0..8).map(|row| format!("{row},a text that is long enough {row},{}\n", row % 2)).collect();
        let found = find(&format!("id,body,answer\n{rows}"), &Columns::default()).unwrap();
        assert_eq!((found.0.as_str(), found.2.as_str()), ("body", "answer"));
    }

    #[test]
    fn numbers_are_recognised_where_they_are_asked_for() {
        let label = |text: &str, task| {
            let table = table(text);
            let mut guess = Guess::new(&table);
            let places = guess.texts(&Columns::default()).unwrap();
            guess.label(&Columns::default(), &places, task).map(|column| table.columns[column].clone())
        };
        let rows = "text,Score,note\na,0.5,x\nb,0.7,y\n";
        assert_eq!(label(rows, Task::Regression).unwrap(), "Score");
        assert!(label(rows, Task::Classification).is_err());
        let rows = "text,weight,note\na,0.5,x\nb,0.7,7\n";
        assert_eq!(label(rows, Task::Regression).unwrap(), "weight");
        let said = label("text,w,v\na,1,2\n", Task::Regression).unwrap_err().to_string();
        assert!(said.contains("it could be any of `w`, `v`"), "{said}");
    }

    #[test]
    fn what_is_given_is_not_guessed() {
        let rows = "text,body,label,answer\na,b,0,1\n";
        let found = find(rows, &given("body", "answer")).unwrap();
        assert_eq!((found.0.as_str(), found.2.as_str(), found.3), ("body", "answer", None));
    }

    #[test]
    fn what_is_not_obvious_lists_the_columns() {
        let message = find("text,review,label\na,b,0\n", &Columns::default()).unwrap_err().to_string();
        assert_eq!(
            message,
            "data: which column is the text is not obvious (it could be any of `text`, `review`); \
             name it with --text; the columns are `text`, `review`, `label`"
        );
        let message = find("text,x\na,b\nc,d\n", &Columns::default()).unwrap_err().to_string();
        assert!(message.contains("the label is not obvious (no column is named so"), "{message}");
    }

    #[test]
    fn an_unknown_column_and_one_in_two_roles_are_refused() {
        let rows = "text,label\na,b\n";
        let message = find(rows, &given("body", "")).unwrap_err().to_string();
        assert_eq!(message, "data has no column `body`; its columns are `text`, `label`");
        let message = find(rows, &given("label", "label")).unwrap_err().to_string();
        assert_eq!(message, "column `label` cannot be both the text and the label; name two columns");
    }
}
