//! An adapter as a change of the model's own weights, once it is trained: what is written to disk then is an
//! ordinary model, which costs nothing extra to run.

use crate::nn::Linear;
use crate::{Adapter, Backbone, Error, Kind, Params, Result, Site, Tensor, Weight};
use std::collections::BTreeMap;

/// The weights of a backbone with an adapter in them, computed one at a time as they are asked for.
pub struct Merge<'a> {
    backbone: &'a dyn Backbone,
    adapter: &'a dyn Adapter,
    params: &'a Params,
    /// By the names of weight and bias.
    projections: BTreeMap<&'a str, (Site, &'a Linear)>,
}

impl<'a> Merge<'a> {
    /// Merges `adapter`, whose values are in `params`, into `backbone`: the one that it was built on, with the
    /// weights that it trained.
    ///
    /// An adapter whose method cannot be merged is not noticed here: it would be left out.
    ///
    /// # Errors
    /// If the adapter adds a bias to a projection that has none.
    pub fn new(backbone: &'a dyn Backbone, adapter: &'a dyn Adapter, params: &'a Params) -> Result<Self> {
        let mut projections = BTreeMap::new();
        for (site, linear) in backbone.projections() {
            if linear.bias.is_none() && adapter.merge_bias(params, site, None)?.is_some() {
                return Err(Error::invalid(format!(
                    "the adapter adds a bias to {}, and this model has none there to merge it into",
                    backbone.module(site)
                )));
            }
            projections.extend(linear.weights().into_iter().map(|weight| (weight.name(), (site, linear))));
        }
        Ok(Self { backbone, adapter, params, projections })
    }

    /// One of the backbone's weights with the adapter in it, as files hold it.
    ///
    /// # Errors
    /// If the adapter's values do not fit.
    pub fn value(&self, weight: &Weight) -> Result<Tensor> {
        match self.projections.get(weight.name()) {
            Some((site, linear)) if weight.place().kind != Kind::Bias => {
                let dense = self.dense(linear)?;
                let merged = self.adapter.merge_weight(self.params, *site, &dense)?.unwrap_or(dense);
                if self.backbone.input_major_files() { transposed(&merged) } else { Ok(merged) }
            }
            Some((site, _)) => Ok(self.bias(*site, weight)?.unwrap_or_else(|| weight.value(self.params))),
            None => Ok(weight.value(self.params)),
        }
    }

    /// The shape that files give one of the backbone's weights.
    pub fn shape(&self, weight: &Weight) -> Vec<usize> {
        match self.projections.get(weight.name()) {
            Some((_, linear)) if weight.place().kind != Kind::Bias => {
                let (inputs, outputs) = (linear.inputs, linear.outputs);
                if self.backbone.input_major_files() { vec![inputs, outputs] } else { vec![outputs, inputs] }
            }
            _ => weight.shape().to_vec(),
        }
    }

    /// The merged model in memory. Weights that the adapter leaves alone are shared with the base; nothing is
    /// trained any more.
    ///
    /// # Errors
    /// If the adapter's values do not fit.
    pub fn backbone(&self) -> Result<Box<dyn Backbone>> {
        let mut fork = self.backbone.fork();
        for weight in fork.weights_mut() {
            let changed = match self.projections.get(weight.name()) {
                Some((site, linear)) if weight.place().kind != Kind::Bias => {
                    let merged = self.adapter.merge_weight(self.params, *site, &self.dense(linear)?)?;
                    let placed =
                        |merged: Tensor| if linear.input_major { transposed(&merged) } else { Ok(merged) };
                    merged.map(placed).transpose()?
                }
                Some((site, _)) => self.bias(*site, weight)?,
                None => None,
            };
            let trained = || weight.param().map(|_| weight.value(self.params));
            if let Some(value) = changed.or_else(trained) {
                *weight = Weight::frozen(weight.name(), weight.place(), value);
            }
        }
        Ok(fork)
    }

    fn bias(&self, site: Site, weight: &Weight) -> Result<Option<Tensor>> {
        self.adapter.merge_bias(self.params, site, Some(&weight.value(self.params)))
    }

    /// The weight of a projection as `[out, in]`.
    fn dense(&self, linear: &Linear) -> Result<Tensor> {
        let value = linear.weight.value(self.params);
        if linear.input_major { transposed(&value) } else { Ok(value) }
    }
}

/// A matrix `[n, d]` whose row i is multiplied by value i of `factors` `[n]`, untracked.
///
/// # Errors
/// [`Error::Shapes`] if there are not as many factors as rows.
pub fn scale_rows(x: &Tensor, factors: &Tensor) -> Result<Tensor> {
    if factors.len() != x.rows() {
        let (left, right) = (x.shape().to_vec(), factors.shape().to_vec());
        return Err(Error::Shapes { op: "scale_rows", left, right });
    }
    let mut values = x.to_vec();
    let rows = values.chunks_mut(x.cols().max(1)).zip(factors.to_vec());
    rows.for_each(|(row, factor)| row.iter_mut().for_each(|value| *value *= factor));
    Tensor::new(x.device(), x.shape(), &values)
}

/// The transpose `[d, n]` of a matrix `[n, d]`, untracked.
fn transposed(x: &Tensor) -> Result<Tensor> {
    let (values, cols) = (x.to_vec(), x.cols());
    let values: Vec<f32> = (0..cols).flat_map(|j| values.iter().skip(j).step_by(cols).copied()).collect();
    Tensor::new(x.device(), &[cols, x.rows()], &values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Device;

    fn matrix(rows: usize, cols: usize) -> Tensor {
        let values: Vec<f32> = (0..rows * cols).map(|i| i as f32).collect();
        Tensor::new(&Device::cpu(), &[rows, cols], &values).unwrap()
    }

    #[test]
    fn each_row_has_a_factor_of_its_own() {
        let factors = Tensor::new(&Device::cpu(), &[2], &[10.0, -1.0]).unwrap();
        let scaled = scale_rows(&matrix(2, 3), &factors).unwrap();
        assert_eq!(scaled.to_vec(), [0.0, 10.0, 20.0, -3.0, -4.0, -5.0]);
        assert!(scale_rows(&matrix(3, 2), &factors).is_err());
    }

    #[test]
    fn rows_become_columns() {
        let x = transposed(&matrix(2, 3)).unwrap();
        assert_eq!((x.shape(), x.to_vec()), (&[3, 2][..], vec![0.0, 3.0, 1.0, 4.0, 2.0, 5.0]));
    }
}
