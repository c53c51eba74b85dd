//! The only owner of what is trained.

use crate::tape::{Slot, Tape};
use crate::{Error, Result, Tensor};
use offshoot_kernels::reduce;
use std::sync::Arc;

/// A handle to one trained tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ParamId(usize);

/// One trained tensor: its name, value and gradient.
pub struct Param {
    name: String,
    value: Tensor,
    slot: Arc<Slot>,
}

impl Param {
    /// The module path under which files know it, without a library's wrapper prefix.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The value, untracked.
    pub fn value(&self) -> &Tensor {
        &self.value
    }

    /// A copy of the gradient collected so far, if any reached it.
    pub fn gradient(&self) -> Option<Vec<f32>> {
        self.slot.with(|g| g.map(|g| g.host().to_vec()))
    }

    /// Replaces the value.
    ///
    /// # Errors
    /// [`Error::Shapes`] if the number of values differs.
    pub fn set(&mut self, values: &[f32]) -> Result<()> {
        if values.len() != self.value.len() {
            let (left, right) = (self.value.shape().to_vec(), vec![values.len()]);
            return Err(Error::Shapes { op: "set", left, right });
        }
        self.value.host_mut().copy_from_slice(values);
        Ok(())
    }

    pub(crate) fn value_mut(&mut self) -> &mut [f32] {
        self.value.host_mut()
    }

    pub(crate) fn slot(&self) -> &Slot {
        &self.slot
    }
}

/// Every trained tensor, in the order in which methods registered them.
#[derive(Default)]
pub struct Params {
    items: Vec<Param>,
}

impl Params {
    /// Nothing trained yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Registers a tensor to be trained.
    ///
    /// # Errors
    /// [`Error::DuplicateParam`] if the name is taken.
    pub fn insert(&mut self, name: impl Into<String>, value: Tensor) -> Result<ParamId> {
        let name = name.into();
        if self.find(&name).is_some() {
            return Err(Error::DuplicateParam(name));
        }
        self.items.push(Param { name, value: value.detach(), slot: Arc::default() });
        Ok(ParamId(self.items.len() - 1))
    }

    /// The parameter behind a handle.
    pub fn get(&self, id: ParamId) -> &Param {
        &self.items[id.0]
    }

    /// The parameter behind a handle, to be changed.
    pub fn get_mut(&mut self, id: ParamId) -> &mut Param {
        &mut self.items[id.0]
    }

    /// The handle of a name.
    pub fn find(&self, name: &str) -> Option<ParamId> {
        self.items.iter().position(|p| p.name == name).map(ParamId)
    }

    /// All parameters, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Param> {
        self.items.iter()
    }

    /// All parameters, in order, to be changed.
    pub fn iter_mut(&mut self) -> impl ExactSizeIterator<Item = &mut Param> {
        self.items.iter_mut()
    }

    /// The number of trained values.
    pub fn count(&self) -> usize {
        self.items.iter().map(|p| p.value.len()).sum()
    }

    /// The same values with gradients of their own, for a pass beside others.
    pub fn lane(&self) -> Self {
        let item = |p: &Param| Param { name: p.name.clone(), value: p.value.clone(), slot: Arc::default() };
        Self { items: self.items.iter().map(item).collect() }
    }

    /// Adds the gradients of a [`lane`](Self::lane).
    pub fn join(&self, lane: Self) {
        for (own, other) in self.items.iter().zip(lane.items) {
            if let Some(gradient) = other.slot.take() {
                own.slot.add(gradient);
            }
        }
    }

    /// Forgets all gradients.
    pub fn clear_gradients(&self) {
        self.items.iter().for_each(|p| drop(p.slot.take()));
    }

    /// The Euclidean norm of all gradients together; not finite if one of them is not.
    pub fn gradient_norm(&self) -> f64 {
        let squares = |p: &Param| p.slot.with(|g| g.map_or(0.0, |g| reduce::sum_of_squares(g.host())));
        self.items.iter().map(squares).sum::<f64>().sqrt()
    }

    /// All values, to be put back with [`restore`](Self::restore).
    pub fn snapshot(&self) -> Vec<Vec<f32>> {
        self.items.iter().map(|p| p.value.to_vec()).collect()
    }

    /// Puts the values of a snapshot back.
    ///
    /// # Errors
    /// [`Error::Shapes`], with the sizes of all parameters, if the snapshot is of others; nothing is changed
    /// then.
    pub fn restore(&mut self, snapshot: &[Vec<f32>]) -> Result<()> {
        let (left, right) = (self.items.iter().map(|p| p.value.len()), snapshot.iter().map(Vec::len));
        if !left.clone().eq(right.clone()) {
            return Err(Error::Shapes { op: "restore", left: left.collect(), right: right.collect() });
        }
        self.items.iter_mut().zip(snapshot).try_for_each(|(p, values)| p.set(values))
    }

    /// The value of a parameter, tracked on `tape` if there is one.
    pub(crate) fn tensor(&self, id: ParamId, tape: Option<&Tape>) -> Tensor {
        let param = self.get(id);
        match tape {
            Some(tape) => param.value.leaf(tape, &param.slot),
            None => param.value.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Device, Step};

    fn params(device: &Device) -> Params {
        let mut params = Params::new();
        params.insert("a", Tensor::new(device, &[2], &[3.0, 4.0]).unwrap()).unwrap();
        params.insert("b", Tensor::new(device, &[1, 1], &[12.0]).unwrap()).unwrap();
        params
    }

    /// Leaves each value as its own gradient.
    fn collect(params: &Params) {
        for param in params.iter() {
            let tape = Tape::new();
            let x = Step::tracked(params, &tape).param(params.find(param.name()).unwrap());
            tape.backward(&x.mul(&x).unwrap().sum(), 0.5).unwrap();
        }
    }

    #[test]
    fn parameters_keep_their_order_and_are_found_by_name() {
        let params = params(&Device::cpu());
        assert_eq!(params.iter().map(Param::name).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(params.count(), 3);
        assert_eq!(params.get(params.find("b").unwrap()).value().to_vec(), [12.0]);
        assert!(params.find("c").is_none());
    }

    #[test]
    fn the_norm_is_over_all_gradients_together() {
        let params = params(&Device::cpu());
        assert_eq!(params.gradient_norm(), 0.0);
        collect(&params);
        assert_eq!(params.get(ParamId(0)).gradient().unwrap(), [3.0, 4.0]);
        assert_eq!(params.gradient_norm(), 13.0);
    }

    #[test]
    fn the_norm_of_a_broken_gradient_is_not_finite() {
        let mut params = params(&Device::cpu());
        params.get_mut(ParamId(1)).set(&[f32::NAN]).unwrap();
        collect(&params);
        assert!(!params.gradient_norm().is_finite());
    }

    #[test]
    fn a_snapshot_is_put_back_whole_or_refused() {
        let mut params = params(&Device::cpu());
        let before = params.snapshot();
        params.get_mut(ParamId(0)).set(&[0.0, 0.0]).unwrap();
        assert!(params.restore(&before[..1]).is_err());
        assert!(params.restore(&[vec![1.0, 1.0], vec![1.0, 1.0]]).is_err());
        assert_eq!(params.snapshot(), [vec![0.0, 0.0], vec![12.0]]);
        params.restore(&before).unwrap();
        assert_eq!(params.snapshot(), before);
    }

    #[test]
    fn setting_a_value_does_not_change_what_was_handed_out() {
        let mut params = params(&Device::cpu());
        let earlier = params.get(ParamId(0)).value().clone();
        params.get_mut(ParamId(0)).set(&[1.0, 2.0]).unwrap();
        assert_eq!(earlier.to_vec(), [3.0, 4.0]);
        assert_eq!(params.get(ParamId(0)).value().to_vec(), [1.0, 2.0]);
    }
}
