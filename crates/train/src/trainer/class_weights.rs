//! Weights of classes in the loss of a classification.

use crate::{Error, Result};
use offshoot_methods::{MethodConfig, Saves};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::str::FromStr;

/// By what the loss of a row is multiplied, which its label decides. The mean is over the sum of these weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "class weights are \"balanced\", or labels with their weights, as in {spam = 5}"
)]
pub enum ClassWeights {
    /// Chosen by a rule.
    Rule(Rule),
    /// By label; 1 for those that are not named.
    Given(BTreeMap<String, f32>),
}

/// A rule by which weights are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rule {
    /// Every class counts as much as any other: rows / (classes * rows of the class), over the rows to train on.
    Balanced,
}

impl ClassWeights {
    /// Whether a method has a loss that weights multiply.
    pub fn fits(method: &MethodConfig) -> bool {
        let solved = matches!(method, MethodConfig::Features(_) | MethodConfig::FeaturesMlp(_));
        solved || !matches!(method.saves(), Saves::Prompt | Saves::Features | Saves::Fitted)
    }

    /// Checks that a method can honour weights.
    ///
    /// # Errors
    /// If it cannot; the message names it.
    pub(crate) fn check_method(method: &MethodConfig) -> Result<()> {
        if Self::fits(method) {
            return Ok(());
        }
        let name = method.info().name;
        Err(Error::invalid(format!(
            "`{name}` has no loss that class weights could multiply; leave --class-weights out, or choose another method"
        )))
    }

    /// Whether every weight is a positive number.
    pub(super) fn positive(&self) -> bool {
        match self {
            Self::Rule(_) => true,
            Self::Given(weights) => weights.values().all(|weight| weight.is_finite() && *weight > 0.0),
        }
    }

    /// The weight of each class, of which there are so many rows to train on.
    ///
    /// # Errors
    /// A label that is no class; the message lists the classes.
    pub(crate) fn of(&self, labels: &[String], counts: &[usize]) -> Result<Vec<f32>> {
        let given = match self {
            Self::Rule(Rule::Balanced) => return Ok(balanced(counts)),
            Self::Given(given) => given,
        };
        if let Some(unknown) = given.keys().find(|name| !labels.contains(name)) {
            let (unknown, known) = (unknown.escape_debug(), labels.iter().take(20).map(|l| l.escape_debug()));
            let known = known.map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", ");
            return Err(Error::invalid(format!(
                "--class-weights: there is no label `{unknown}`; there are {known}"
            )));
        }
        Ok(labels.iter().map(|label| given.get(label).copied().unwrap_or(1.0)).collect())
    }
}

fn balanced(counts: &[usize]) -> Vec<f32> {
    let rows: usize = counts.iter().sum();
    // A class without a row has no loss of its own to multiply.
    let weight = |count: &usize| if *count == 0 { 1.0 } else { rows as f64 / (counts.len() * count) as f64 };
    counts.iter().map(|count| weight(count) as f32).collect()
}

impl FromStr for ClassWeights {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if text.trim() == "balanced" {
            return Ok(Self::Rule(Rule::Balanced));
        }
        let pair = |pair: &str| {
            let (label, weight) = pair.rsplit_once('=')?;
            Some((label.trim().to_owned(), weight.trim().parse().ok()?))
        };
        let given: Option<BTreeMap<String, f32>> = text.split(',').map(pair).collect();
        let wrong = || Error::invalid("write balanced, or LABEL=WEIGHT,... as in spam=5,ham=1");
        given.map(Self::Given).filter(Self::positive).ok_or_else(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels() -> Vec<String> {
        ["ham", "spam"].map(str::to_owned).to_vec()
    }

    #[test]
    fn weights_are_found_for_classes() {
        let weights = |text: &str| text.parse::<ClassWeights>().unwrap().of(&labels(), &[30, 10]);
        assert_eq!(weights("balanced").unwrap(), [40.0 / 60.0, 2.0]);
        assert_eq!(weights("spam=5").unwrap(), [1.0, 5.0]);
        assert_eq!(weights(" spam = 0.5,ham=2").unwrap(), [2.0, 0.5]);
        let message = weights("eggs=2").unwrap_err().to_string();
        assert!(message.contains("no label `eggs`; there are `ham`, `spam`"), "{message}");
        assert_eq!(balanced(&[4, 0]), [0.5, 1.0]);
    }

    #[test]
    fn what_is_no_weight_is_refused() {
        for text in ["", "even", "spam", "spam=", "spam=-1", "spam=0", "spam=nan", "spam=inf"] {
            assert!(text.parse::<ClassWeights>().unwrap_err().to_string().contains("spam=5,ham=1"), "{text}");
        }
    }

    #[test]
    fn recipes_hold_both_forms() {
        for text in ["weights = \"balanced\"", "weights = { spam = 5, ham = 0.5 }"] {
            let read: BTreeMap<String, ClassWeights> = toml::from_str(text).unwrap();
            assert_eq!(
                toml::from_str::<BTreeMap<String, ClassWeights>>(&toml::to_string(&read).unwrap()).unwrap(),
                read
            );
        }
        let error = toml::from_str::<BTreeMap<String, ClassWeights>>("weights = \"even\"").unwrap_err();
        assert!(error.to_string().contains("class weights are \"balanced\""), "{error}");
    }

    #[test]
    fn methods_without_a_loss_are_told() {
        for (name, fits) in [
            ("lora", true),
            ("head", true),
            ("full", true),
            ("features", true),
            ("features-mlp", true),
            ("features-knn", false),
            ("features-forest", false),
            ("features-xgboost", false),
            ("in-context", false),
            ("hard-prompt", false),
        ] {
            assert_eq!(ClassWeights::fits(&MethodConfig::named(name).unwrap()), fits, "{name}");
        }
    }
}
