//! From a file to labelled rows without duplicates.

use super::columns::Columns;
use super::duplicates;
use super::error::{Error, Result, shown};
use super::filter::Filter;
use super::guess::Guess;
use super::label::{self, Label};
use super::labels::Labels;
use super::problems::Problems;
use super::several;
use super::source::Source;
use super::summary::RowCounts;
use super::table::Table;
use offshoot_models::Task;
use serde::{Deserialize, Serialize};

/// What to take from a data file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LoadOptions {
    /// The columns; those that are not given are guessed.
    pub columns: Columns,
    /// The classes, in their order; default: those of the rows, sorted as numbers if all are numbers, else as texts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<Vec<String>>,
    /// Only rows for which all of these hold; default: every row.
    #[serde(rename = "where")]
    pub filters: Vec<Filter>,
    /// Whether rows that cannot be used (a wrong number of fields, an empty text, no label, ...) are left out
    /// and counted; default: they are an error.
    pub skip_bad_rows: bool,
}

/// A labelled row.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Example {
    /// The text, as in the file.
    pub text: String,
    /// The second text, if the rows are pairs.
    pub pair: Option<String>,
    /// What it is labelled with.
    pub label: Label,
    /// The line of the file where the row begins, from 1.
    pub line: usize,
}

/// The labelled rows of a file.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// The file, for messages.
    pub file: String,
    /// The rows, in the file's order.
    pub examples: Vec<Example>,
    /// What its labels are for.
    pub task: Task,
    /// The classes; none where labels are numbers.
    pub labels: Labels,
    /// The columns that were used, those that were guessed too.
    pub columns: Columns,
    /// A sentence that says which columns were guessed, if any were.
    pub guess: Option<String>,
    /// How many rows were read, and what became of them.
    pub counts: RowCounts,
    skip_bad_rows: bool,
}

/// Loads rows to train on. Rows that are the same (text, second text and label, but for spaces around them)
/// are kept once; texts that stand with different labels are dropped altogether, since no one can say which
/// label is right.
///
/// # Errors
/// As [`super::read_table`]; a filter that keeps nothing; columns that are not there or not obvious; rows
/// without text or a label of the task; fewer than 2 classes or more than [`Labels::MOST`]; one number only; a label
/// that is not among those given, or any given where labels are numbers.
pub fn load(source: &Source, options: &LoadOptions, task: Task) -> Result<Dataset> {
    let given = options.labels.as_deref().map(|names| label::given(task, names)).transpose()?;
    let mut rows = Rows::read(source, options, task)?;
    let dropped = duplicates::drop(&mut rows.drafts);
    (rows.counts.duplicates, rows.counts.conflicting) = dropped;
    let labels = given.map_or_else(|| rows.classes(), Ok)?;
    rows.label(labels)
}

/// Loads rows whose classes are known already, to evaluate or test on. Nothing is dropped, so that a result
/// can be compared with others' on the same file.
///
/// # Errors
/// As [`load`], but for the number of classes; a label that is not among `labels`.
pub fn load_with_labels(
    source: &Source,
    options: &LoadOptions,
    task: Task,
    labels: &Labels,
) -> Result<Dataset> {
    Rows::read(source, options, task)?.label(labels.clone())
}

impl Dataset {
    /// Rows that come from no file, for tests.
    #[cfg(test)]
    pub(super) fn of(file: &str, examples: Vec<Example>, labels: Labels) -> Self {
        let counts = RowCounts { read: examples.len(), ..RowCounts::default() };
        let (file, columns, task) = (file.to_owned(), Columns::default(), Task::default());
        Self { file, examples, task, labels, columns, guess: None, counts, skip_bad_rows: false }
    }

    /// Loads a test file that goes with these rows: the same columns and classes. Filters do not apply to it.
    ///
    /// # Errors
    /// As [`load_with_labels`].
    pub fn load_test(&self, source: &Source) -> Result<Self> {
        let columns = self.columns.clone();
        let options = LoadOptions { columns, skip_bad_rows: self.skip_bad_rows, ..LoadOptions::default() };
        load_with_labels(source, &options, self.task, &self.labels)
    }
}

/// A row whose label is a text still.
pub(super) struct Draft {
    pub(super) text: String,
    pub(super) pair: Option<String>,
    pub(super) label: String,
    pub(super) line: usize,
}

/// The rows of a file before their classes are known.
struct Rows {
    table: Table,
    drafts: Vec<Draft>,
    columns: Columns,
    guess: Option<String>,
    counts: RowCounts,
    skip_bad_rows: bool,
    task: Task,
}

impl Rows {
    fn read(source: &Source, options: &LoadOptions, task: Task) -> Result<Self> {
        let (mut table, mut problems) = several::read(source, false)?;
        let read = table.rows.len() + problems.count;
        let unfiltered = table.rows.len();
        options.filters.iter().try_for_each(|filter| filter.apply(&mut table))?;
        let filtered = unfiltered - table.rows.len();
        let mut rows = Self::draft(table, (options, task), &mut problems)?;
        rows.counts = RowCounts { read, filtered, unusable: problems.count, ..RowCounts::default() };
        if !options.skip_bad_rows || rows.drafts.is_empty() {
            problems.check()?;
        }
        Ok(rows)
    }

    fn draft(
        mut table: Table,
        (options, task): (&LoadOptions, Task),
        problems: &mut Problems,
    ) -> Result<Self> {
        let mut guess = Guess::new(&table);
        let texts = guess.texts(&options.columns)?;
        let label = guess.label(&options.columns, &texts, task)?;
        let guess = guess.sentence();
        let mut drafts = Vec::with_capacity(table.rows.len());
        for row in std::mem::take(&mut table.rows) {
            let text = row.get(label).map(str::trim).filter(|label| !label.is_empty());
            let label = text.map(|text| label::label_text(task, text));
            match (texts.texts(&row), label) {
                (Ok((text, pair)), Some(Ok(label))) => {
                    drafts.push(Draft { text, pair, label, line: row.line });
                }
                (Err(reason), _) => problems.push(row.line, reason),
                (_, Some(Err(reason))) => problems.push(row.line, reason),
                (_, None) => problems.push(row.line, "the label is empty"),
            }
        }
        let name = |column: usize| Some(table.columns[column].clone());
        let columns =
            Columns { text: name(texts.text), text_pair: texts.pair.and_then(name), label: name(label) };
        let (counts, skip_bad_rows) = (RowCounts::default(), options.skip_bad_rows);
        Ok(Self { table, drafts, columns, guess, counts, skip_bad_rows, task })
    }

    /// The classes of rows to train on; none where labels are numbers, of which there must be two.
    fn classes(&self) -> Result<Labels> {
        let texts = || self.drafts.iter().map(|draft| draft.label.as_str());
        let labels = label::names(self.task, texts());
        let (file, column) =
            (self.table.file.clone(), shown(self.columns.label.as_deref().unwrap_or_default()));
        match labels.len() {
            0 if texts().min() != texts().max() => Ok(labels),
            0 if !self.drafts.is_empty() => {
                let label = shown(&self.drafts[0].label);
                Err(Error::OneNumber { file, column, label })
            }
            0 => Err(Error::Empty(format!("{file}, without texts that stand with different labels,"))),
            1 => Err(Error::OneClass { file, column, label: labels.listed() }),
            classes if classes > Labels::MOST => {
                let columns = self.table.listed_columns();
                Err(Error::TooManyClasses { file, column, classes, most: Labels::MOST, columns })
            }
            _ => Ok(labels),
        }
    }

    fn label(self, labels: Labels) -> Result<Dataset> {
        let (classes, task) = (labels.classes(), self.task);
        let target = |label: &str| label::target(task, label, &classes);
        let unseen = || self.drafts.iter().filter(|draft| target(&draft.label).is_none());
        if let Some(first) = unseen().next() {
            let (file, line) = self.table.place(first.line).unwrap_or((&self.table.file, first.line));
            return Err(Error::UnseenLabel {
                file: file.to_owned(),
                line,
                label: shown(&first.label),
                known: labels.listed(),
                rows: unseen().count(),
            });
        }
        let example = |draft: Draft| {
            let Draft { text, pair, label, line } = draft;
            target(&label).map(|label| Example { text, pair, label, line })
        };
        let examples = self.drafts.into_iter().filter_map(example).collect();
        let Self { table, columns, guess, counts, skip_bad_rows, .. } = self;
        Ok(Dataset { file: table.file, examples, task, labels, columns, guess, counts, skip_bad_rows })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    fn file(folder: &tempfile::TempDir, name: &str, text: &str) -> Source {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        Source::open(&path, None).unwrap()
    }

    fn load_text(text: &str, options: &str) -> Result<Dataset> {
        let folder = tempfile::tempdir().unwrap();
        load(&file(&folder, "a.csv", text), &toml::from_str(options).unwrap(), Task::Classification)
    }

    fn message(text: &str, options: &str) -> String {
        load_text(text, options).unwrap_err().to_string()
    }

    #[test]
    fn rows_are_filtered_labelled_and_counted() {
        let rows = "text,label,source\ngood,1,a\nbad,0,a\n good ,1,a\nodd,1,a\nodd,0,a\nfine,1,b\n";
        let data = load_text(rows, "where = [\"source=a\"]").unwrap();
        let kept: Vec<_> =
            data.examples.iter().map(|row| (row.text.as_str(), row.label.class(), row.line)).collect();
        assert_eq!(kept, [("good", Some(1), 2), ("bad", Some(0), 3)]);
        assert_eq!(data.labels.names, ["0", "1"]);
        let counts = RowCounts { read: 6, unusable: 0, filtered: 1, duplicates: 1, conflicting: 2 };
        assert_eq!(data.counts, counts);
        assert_eq!(data.columns.text.as_deref(), Some("text"));
        assert!(data.guess.unwrap().starts_with("the text is column `text`"));
    }

    #[test]
    fn unusable_rows_are_named_or_left_out() {
        let rows = "text,label\n ,0\na,\nb,0\nc,1\nd\n";
        let said = message(rows, "");
        for line in ["3 rows", "line 6: 1 fields", "line 2: the text is empty", "line 3: the label is empty"]
        {
            assert!(said.contains(line), "{said}");
        }
        let data = load_text(rows, "skip_bad_rows = true").unwrap();
        assert_eq!((data.examples.len(), data.counts.unusable, data.counts.read), (2, 3, 5));
        let said = message("text,label\n,0\n,1\n,0\n,1\n", "skip_bad_rows = true");
        assert!(said.contains("4 rows that cannot be used"), "{said}");
    }

    #[test]
    fn one_class_and_too_many_are_refused() {
        let said = message("text,label\na,x\nb,x\n", "");
        assert!(said.contains("every row has the label `x` (column `label`)"), "{said}");
        let rows: String = (0..1001).map(|row| format!("t{row},l{row}\n")).collect();
        let said = message(&format!("text,label\n{rows}"), "");
        assert!(
            said.contains("column `label` has 1001 different values, which looks like free text"),
            "{said}"
        );
        assert!(said.contains("the columns are `text`, `label`"), "{said}");
        let said = message("text,label\na,x\na,y\n", "");
        assert!(said.contains("holds no rows"), "{said}");
    }

    #[test]
    fn given_labels_decide_the_order() {
        let rows = "text,label\na,yes\nb,no\n";
        let data = load_text(rows, "labels = [\"yes\", \" maybe\", \"no\"]").unwrap();
        assert_eq!(data.labels.names, ["yes", "maybe", "no"]);
        assert_eq!(data.examples.iter().map(|row| row.label.class()).collect::<Vec<_>>(), [Some(0), Some(2)]);
        let said = message(rows, "labels = [\"yes\", \"maybe\"]");
        assert!(
            said.contains("line 3: the label `no` was not among") && said.contains("`yes`, `maybe`"),
            "{said}"
        );
        for labels in ["[\"yes\"]", "[\"a\", \"a\"]", "[\"a\", \" \"]"] {
            assert!(
                message(rows, &format!("labels = {labels}")).contains("two labels or more, all different")
            );
        }
    }

    #[test]
    fn numbers_are_compared_as_numbers() {
        let folder = tempfile::tempdir().unwrap();
        let rows = "text,score\na,4\na,4.0\nb,1e1\nc,2\nc,3\n";
        let options = LoadOptions::default();
        let data = load(&file(&folder, "a.csv", rows), &options, Task::Regression).unwrap();
        let kept: Vec<_> = data.examples.iter().map(|row| (row.text.as_str(), row.label.number())).collect();
        assert_eq!(kept, [("a", Some(4.0)), ("b", Some(10.0))]);
        assert_eq!((data.counts.duplicates, data.counts.conflicting, data.labels.len()), (1, 2, 0));
        let test = data.load_test(&file(&folder, "t.csv", "text,score\nx,-7\n")).unwrap();
        assert_eq!(
            test.examples[0].label,
            Label::Number(-7.0),
            "a number need not be among those trained on"
        );
        let load = |name, rows, options| {
            load(&file(&folder, name, rows), &toml::from_str(options).unwrap(), Task::Regression)
        };
        let some = load("b.csv", "text,score\na,1\nb,x\nc,2\n", "skip_bad_rows = true");
        assert_eq!(some.unwrap().counts.unusable, 1);
        let ordered = load("a.csv", rows, "labels = [\"4\", \"10\"]").unwrap_err().to_string();
        assert!(ordered.contains("--labels") && ordered.contains("leave it out"), "{ordered}");
    }

    #[test]
    fn a_test_file_has_the_same_columns_and_classes() {
        let folder = tempfile::tempdir().unwrap();
        let train = file(&folder, "train.csv", "body,mood,label\na,up,1\nb,down,2\n");
        let columns = Columns { text: Some("body".into()), label: Some("mood".into()), text_pair: None };
        let options = LoadOptions { columns, ..LoadOptions::default() };
        let train = load(&train, &options, Task::Classification).unwrap();
        let test = train.load_test(&file(&folder, "test.jsonl", "{\"mood\":\"up\",\"body\":\"c\"}")).unwrap();
        assert_eq!((test.examples[0].label.class(), test.guess), (Some(1), None));
        let unseen = file(&folder, "b.csv", "body,mood\nc,up\nd,left\ne,right\n");
        let said = train.load_test(&unseen).unwrap_err().to_string();
        assert!(said.contains("b.csv, line 3: the label `left` was not among"), "{said}");
        assert!(said.contains("which are `down`, `up` (2 such rows"), "{said}");
    }

    #[test]
    fn unknown_settings_are_refused() {
        assert!(toml::from_str::<LoadOptions>("filter = []").is_err());
        let options: LoadOptions = toml::from_str("where = [\"a=b\"]\ncolumns.text = \"t\"").unwrap();
        assert_eq!(toml::from_str::<LoadOptions>(&toml::to_string(&options).unwrap()).unwrap(), options);
    }
}
