//! The classes: their names, in a fixed order.

use super::error::{Error, Result, listed, shown};
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

/// The classes' names; a class is the place of its name. Sorted as numbers if all are numbers, else as texts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Labels {
    /// The names, all different.
    pub names: Vec<String>,
}

impl Labels {
    /// The most classes that a label column may have: with more it is a column of texts or numbers.
    pub const MOST: usize = 1000;

    /// The classes of some rows.
    pub fn of<'a>(labels: impl Iterator<Item = &'a str>) -> Self {
        let names: BTreeSet<&str> = labels.map(str::trim).collect();
        let mut names: Vec<&str> = names.into_iter().collect();
        let number = |name: &str| name.parse::<f64>().ok().filter(|number| number.is_finite());
        if names.iter().all(|name| number(name).is_some()) {
            // Stable: `1` and `1.0` are two names, in the order of their texts.
            names.sort_by(|a, b| number(a).partial_cmp(&number(b)).unwrap_or(Ordering::Equal));
        }
        Self { names: names.into_iter().map(str::to_owned).collect() }
    }

    /// The classes in the order in which they are named.
    pub(super) fn given(names: &[String]) -> Result<Self> {
        let names: Vec<String> = names.iter().map(|name| name.trim().to_owned()).collect();
        let different: BTreeSet<&String> = names.iter().filter(|name| !name.is_empty()).collect();
        if different.len() < names.len() || !(2..=Self::MOST).contains(&names.len()) {
            let most = Self::MOST;
            return Err(Error::Setting(format!(
                "--labels: name two labels or more, all different, at most {most}"
            )));
        }
        Ok(Self { names })
    }

    /// How many classes there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there is no class.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The class of a name; nothing if there is none. To look up many, see [`Labels::classes`].
    pub fn index(&self, name: &str) -> Option<u32> {
        self.names.iter().position(|known| known == name.trim()).and_then(|class| class.try_into().ok())
    }

    /// The class of every name.
    pub fn classes(&self) -> BTreeMap<&str, u32> {
        self.names.iter().map(String::as_str).zip(0..).collect()
    }

    pub(super) fn listed(&self) -> String {
        if self.len() == 1 { shown(&self.names[0]) } else { listed(self.names.iter().map(String::as_str)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(labels: &[&str]) -> Vec<String> {
        Labels::of(labels.iter().copied()).names
    }

    #[test]
    fn names_are_sorted_as_numbers_if_all_are() {
        assert_eq!(names(&["10", "9", "-1", " 9 "]), ["-1", "9", "10"]);
        assert_eq!(names(&["10", "9", "x"]), ["10", "9", "x"]);
        assert_eq!(names(&["nan", "1"]), ["1", "nan"]);
    }

    #[test]
    fn a_name_gives_its_class() {
        let labels = Labels::of(["neg", "pos"].into_iter());
        assert_eq!([labels.index(" pos"), labels.index("x")], [Some(1), None]);
        assert!(labels.classes().iter().all(|(name, class)| labels.index(name) == Some(*class)));
    }
}
