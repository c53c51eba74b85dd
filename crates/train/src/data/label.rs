//! What a row is labelled with, by the task: the one place where labels are read.

use super::error::{Error, shown};
use super::labels::Labels;
use offshoot_models::Task;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};

/// What a row is labelled with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Label {
    /// Its class: the place of its name in [`Labels::names`].
    Class(u32),
    /// A finite number.
    Number(f64),
}

impl Default for Label {
    fn default() -> Self {
        Self::Class(0)
    }
}

impl From<u32> for Label {
    fn from(class: u32) -> Self {
        Self::Class(class)
    }
}

impl From<f64> for Label {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

// A label is never NaN, so equality is reflexive.
impl Eq for Label {}

impl Hash for Label {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            // As the class alone: hashes of rows in reports and states of before there were numbers stay what they were.
            Self::Class(class) => class.hash(state),
            Self::Number(number) => number.to_bits().hash(state),
        }
    }
}

impl Label {
    /// The class, if it is one.
    pub fn class(&self) -> Option<u32> {
        match self {
            Self::Class(class) => Some(*class),
            Self::Number(_) => None,
        }
    }

    /// The number, if it is one.
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Class(_) => None,
        }
    }

    /// As files have it: a class by its name, if it has one.
    pub fn written(&self, names: &[String]) -> Option<String> {
        match self {
            Self::Class(class) => names.get(*class as usize).cloned(),
            Self::Number(number) => Some(number.to_string()),
        }
    }

    /// Which rows it is to be drawn alike with: those of its class, and all that have numbers.
    pub(crate) fn stratum(&self) -> usize {
        self.class().map_or(0, |class| class as usize)
    }
}

/// A label's text with one form for one meaning, or why it is no label of the task.
pub(super) fn label_text(task: Task, text: &str) -> Result<String, String> {
    match task {
        Task::Regression => match number(text) {
            Some(number) => Ok(number.to_string()),
            None => Err(format!("the label {} is no finite number", shown(text))),
        },
        _ => Ok(text.to_owned()),
    }
}

/// What a checked label's text says; nothing where it is none of the classes.
pub(super) fn target(task: Task, text: &str, classes: &BTreeMap<&str, u32>) -> Option<Label> {
    match task {
        Task::Regression => number(text).map(Label::Number),
        _ => classes.get(text).copied().map(Label::Class),
    }
}

/// The names that labels have, where the task has names.
pub(super) fn names<'a>(task: Task, labels: impl Iterator<Item = &'a str>) -> Labels {
    match task {
        Task::Regression => Labels::default(),
        _ => Labels::of(labels),
    }
}

/// Why labels in an order are refused where they are numbers.
pub(crate) const UNORDERED: &str =
    "--labels: a regression has numbers and no classes to put in order; leave it out";

/// The names that labels are given, in their order.
pub(super) fn given(task: Task, names: &[String]) -> Result<Labels, Error> {
    match task {
        Task::Regression => Err(Error::Setting(UNORDERED.into())),
        _ => Labels::given(names),
    }
}

/// A number that the engine can compute with, in one form: zero has no sign.
pub(super) fn number(text: &str) -> Option<f64> {
    let number: f64 = text.trim().parse().ok()?;
    (number as f32).is_finite().then_some(number + 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fnv::Fnv;

    #[test]
    fn numbers_have_one_form_and_what_is_none_is_named() {
        for (text, number) in [("1.50", "1.5"), ("1e2", "100"), ("-0", "0"), ("+3", "3"), ("-2.25", "-2.25")]
        {
            assert_eq!(label_text(Task::Regression, text).as_deref(), Ok(number));
        }
        for text in ["nan", "inf", "1e400", "1e39", "1,5", "five", ""] {
            let said = label_text(Task::Regression, text).unwrap_err();
            assert!(said.contains(text) && said.contains("no finite number"), "{said}");
        }
        assert_eq!(label_text(Task::Classification, "1.50").as_deref(), Ok("1.50"));
    }

    #[test]
    fn a_class_hashes_as_its_number_and_numbers_as_themselves() {
        let hash = |hashed: &dyn Fn(&mut Fnv)| {
            let mut state = Fnv::default();
            hashed(&mut state);
            state.finish()
        };
        let of = |target: Label| hash(&|state: &mut Fnv| target.hash(state));
        assert_eq!(of(7.into()), hash(&|state: &mut Fnv| 7_u32.hash(state)));
        assert_ne!(of(7.0.into()), of(7.5.into()));
    }

    #[test]
    fn json_tells_a_class_from_a_number() {
        for target in [Label::Class(1), Label::Number(1.0), Label::Number(-2.5)] {
            let text = serde_json::to_string(&target).unwrap();
            assert_eq!(serde_json::from_str::<Label>(&text).unwrap(), target, "{text}");
        }
    }
}
