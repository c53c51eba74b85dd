//! Classifiers on features that are no network, and their file.

use super::boosted::Boosted;
use super::forest::Forest;
use super::neighbours::Neighbours;
use crate::{Error, Result};
use offshoot_methods::MethodConfig;
use offshoot_models::weights::{Named, Tensors, write_safetensors};
use std::path::Path;

/// Names, shapes and values of a file.
pub(super) type Columns = Vec<(String, Vec<usize>, Vec<f32>)>;

/// What was fitted to features.
#[derive(Clone, Debug, PartialEq)]
pub enum Fitted {
    /// Labelled features, the nearest of which vote.
    Neighbours(Neighbours),
    /// Trees whose shares are averaged.
    Forest(Forest),
    /// Trees whose values are added up.
    Boosted(Boosted),
}

impl Fitted {
    /// The log-probabilities of one row of features.
    ///
    /// # Errors
    /// If it was fitted to rows of another width.
    pub(crate) fn logits(&self, row: &[f32]) -> Result<Vec<f32>> {
        let columns = match self {
            Self::Neighbours(fitted) => fitted.columns(),
            Self::Forest(fitted) => fitted.columns(),
            Self::Boosted(fitted) => fitted.columns(),
        };
        if row.len() != columns {
            let own = row.len();
            return Err(Error::invalid(format!("it was fitted to {columns} features, and there are {own}")));
        }
        Ok(match self {
            Self::Neighbours(fitted) => fitted.logits(row),
            Self::Forest(fitted) => fitted.logits(row),
            Self::Boosted(fitted) => fitted.logits(row),
        })
    }

    /// The number of classes.
    pub(crate) fn classes(&self) -> usize {
        match self {
            Self::Neighbours(fitted) => fitted.classes(),
            Self::Forest(fitted) => fitted.classes(),
            Self::Boosted(fitted) => fitted.classes(),
        }
    }

    /// How many values it is.
    pub(crate) fn values(&self) -> usize {
        match self {
            Self::Neighbours(fitted) => fitted.values(),
            Self::Forest(fitted) => fitted.values(),
            Self::Boosted(fitted) => fitted.values(),
        }
    }

    /// Writes it as safetensors.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let columns = match self {
            Self::Neighbours(fitted) => fitted.columns_of_file(),
            Self::Forest(fitted) => fitted.columns_of_file(),
            Self::Boosted(fitted) => fitted.columns_of_file(),
        };
        let named: Vec<Named<'_>> = columns
            .iter()
            .map(|(name, shape, values)| (name.clone(), shape.clone(), values.as_slice()))
            .collect();
        Ok(write_safetensors(path, &named)?)
    }

    /// What the file of a method holds, for rows of so many columns and so many classes.
    ///
    /// # Errors
    /// If it does not hold that.
    pub(crate) fn of(tensors: &Tensors, method: &MethodConfig, sizes: [usize; 2]) -> Result<Self> {
        match method {
            MethodConfig::FeaturesKnn(config) => {
                Ok(Self::Neighbours(Neighbours::read(tensors, sizes, config.k)?))
            }
            MethodConfig::FeaturesForest(_) => Ok(Self::Forest(Forest::read(tensors, sizes)?)),
            MethodConfig::FeaturesXgboost(_) => Ok(Self::Boosted(Boosted::read(tensors, sizes)?)),
            _ => Err(Error::invalid(format!("`{}` has no such file", method.info().name))),
        }
    }
}

/// A whole number below `bound`, as a file of floats has it.
pub(super) fn whole(value: f32, bound: usize, what: &str) -> Result<usize> {
    let fits = value >= 0.0 && value.fract() == 0.0 && (value as usize) < bound;
    fits.then_some(value as usize).ok_or_else(|| {
        Error::invalid(format!("`{what}` holds {value}, where a whole number below {bound} stands"))
    })
}
