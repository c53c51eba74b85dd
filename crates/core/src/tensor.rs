//! The tensor: a pooled buffer, a shape and, if it needs a gradient, its place on the tape.

use crate::buffer::Buffer;
use crate::tape::{Slot, Tape};
use crate::{Device, Error, Result};
use std::fmt;
use std::sync::Arc;

/// Dense row-major `f32` values. Cloning shares the values.
///
/// Operations are methods, one file per kind under `ops/`; each returns a new tensor and records its backward
/// only when an input is tracked.
#[derive(Clone)]
pub struct Tensor {
    buffer: Arc<Buffer>,
    shape: Arc<[usize]>,
    device: Device,
    node: Option<Node>,
}

/// The place of a tracked tensor on the tape.
#[derive(Clone)]
struct Node {
    tape: Tape,
    slot: Arc<Slot>,
}

/// What a backward closure keeps of an input: where its gradient goes, and nothing of its values.
pub(crate) struct Link {
    slot: Arc<Slot>,
    device: Device,
    len: usize,
}

impl Link {
    /// Computes a gradient into a fresh buffer (of unspecified content) and adds it to the slot.
    pub(crate) fn receive(&self, compute: impl FnOnce(&mut [f32])) {
        let mut gradient = self.empty();
        compute(gradient.host_mut());
        self.slot.add(gradient);
    }

    /// Adds a gradient that is already there.
    pub(crate) fn give(&self, gradient: Buffer) {
        self.slot.add(gradient);
    }

    /// Takes out what was collected.
    pub(crate) fn take(&self) -> Option<Buffer> {
        self.slot.take()
    }

    /// A buffer of the gradient's size, of unspecified content.
    pub(crate) fn empty(&self) -> Buffer {
        self.device.take(self.len)
    }
}

impl Tensor {
    /// A tensor of the given values.
    ///
    /// # Errors
    /// [`Error::Shapes`] if the number of values is not the product of the shape.
    pub fn new(device: &Device, shape: &[usize], values: &[f32]) -> Result<Self> {
        if shape.iter().product::<usize>() != values.len() {
            return Err(Error::Shapes { op: "tensor", left: shape.to_vec(), right: vec![values.len()] });
        }
        let mut buffer = device.take(values.len());
        buffer.host_mut().copy_from_slice(values);
        Ok(Self::from_buffer(device, shape, buffer))
    }

    /// A tensor filled with one value.
    pub fn full(device: &Device, shape: &[usize], value: f32) -> Self {
        let mut buffer = device.take(shape.iter().product());
        buffer.host_mut().fill(value);
        Self::from_buffer(device, shape, buffer)
    }

    /// A tensor of zeros.
    pub fn zeros(device: &Device, shape: &[usize]) -> Self {
        Self::full(device, shape, 0.0)
    }

    /// The sizes of the axes.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The number of values.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.buffer.len()
    }

    /// The size of the first axis; 1 for a scalar.
    pub fn rows(&self) -> usize {
        self.shape.first().copied().unwrap_or(1)
    }

    /// The size of the last axis; 1 for a scalar.
    pub fn cols(&self) -> usize {
        self.shape.last().copied().unwrap_or(1)
    }

    /// Where the tensor lives.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Whether a gradient flows into it.
    pub fn is_tracked(&self) -> bool {
        self.node.is_some()
    }

    /// A copy of the values in row-major order.
    pub fn to_vec(&self) -> Vec<f32> {
        self.buffer.host().to_vec()
    }

    /// The one value of a one-element tensor (the first value of any other).
    pub fn value(&self) -> f32 {
        self.buffer.host().first().copied().unwrap_or(f32::NAN)
    }

    /// The same values, untracked: no gradient passes.
    pub fn detach(&self) -> Self {
        Self { node: None, ..self.clone() }
    }

    /// The same values under another shape. Gradients are flat, so this records nothing.
    ///
    /// # Errors
    /// [`Error::Shapes`] if the number of values differs.
    pub fn reshape(&self, shape: &[usize]) -> Result<Self> {
        if shape.iter().product::<usize>() != self.len() {
            return Err(Error::Shapes { op: "reshape", left: self.shape.to_vec(), right: shape.to_vec() });
        }
        Ok(Self { shape: shape.into(), ..self.clone() })
    }

    pub(crate) fn from_buffer(device: &Device, shape: &[usize], buffer: Buffer) -> Self {
        Self { buffer: Arc::new(buffer), shape: shape.into(), device: device.clone(), node: None }
    }

    /// The values, for the operations of this crate: nothing above it may assume that they can be indexed.
    pub(crate) fn host(&self) -> &[f32] {
        self.buffer.host()
    }

    /// The values, to be changed in place; copied first if somebody else holds them.
    pub(crate) fn host_mut(&mut self) -> &mut [f32] {
        if Arc::get_mut(&mut self.buffer).is_none() {
            self.buffer = Arc::new(self.buffer.duplicate());
        }
        match Arc::get_mut(&mut self.buffer) {
            Some(buffer) => buffer.host_mut(),
            None => &mut [],
        }
    }

    /// Takes the values out, copied if somebody else holds them: what is left keeps its place on the tape.
    pub(crate) fn take_values(&mut self) -> Buffer {
        let nothing = Arc::new(self.device.take(0));
        let held = std::mem::replace(&mut self.buffer, nothing);
        Arc::try_unwrap(held).unwrap_or_else(|held| held.duplicate())
    }

    /// Tracks the tensor as a leaf: gradients that reach it are added to `slot`.
    pub(crate) fn leaf(&self, tape: &Tape, slot: &Arc<Slot>) -> Self {
        let node = Node { tape: tape.clone(), slot: Arc::clone(slot) };
        Self { node: Some(node), ..self.clone() }
    }

    pub(crate) fn link(&self) -> Option<Link> {
        let node = self.node.as_ref()?;
        Some(Link { slot: Arc::clone(&node.slot), device: self.device.clone(), len: self.len() })
    }

    /// The tensor itself, untracked, if `needed`: what a backward closure saves.
    pub(crate) fn save_if(&self, needed: bool) -> Option<Self> {
        needed.then(|| self.detach())
    }

    /// Wraps an operation's output and, if an input is tracked, records `backward`, which receives the
    /// output's gradient.
    pub(crate) fn output(
        device: &Device,
        shape: &[usize],
        buffer: Buffer,
        inputs: &[&Tensor],
        backward: impl FnOnce(Buffer) -> Result<()> + Send + 'static,
    ) -> Self {
        Self::from_buffer(device, shape, buffer).recorded(inputs, backward)
    }

    /// Like [`output`](Self::output), for a tensor whose values the backward pass needs too.
    pub(crate) fn recorded(
        mut self,
        inputs: &[&Tensor],
        backward: impl FnOnce(Buffer) -> Result<()> + Send + 'static,
    ) -> Self {
        let Some(node) = inputs.iter().find_map(|x| x.node.as_ref()) else { return self };
        let slot = Arc::new(Slot::default());
        let own = Arc::clone(&slot);
        // An output that the loss does not depend on has no gradient: there is nothing to do then.
        node.tape.push(Box::new(move || own.take().map_or(Ok(()), backward)));
        self.node = Some(Node { tape: node.tape.clone(), slot });
        self
    }
}

impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tracked = if self.is_tracked() { ", tracked" } else { "" };
        write!(f, "Tensor({:?}{tracked})", self.shape)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_and_columns_are_the_first_and_the_last_axis() {
        let device = Device::cpu();
        let sizes = |shape: &[usize]| {
            let x = Tensor::zeros(&device, shape);
            (x.len(), x.rows(), x.cols())
        };
        assert_eq!(sizes(&[2, 3, 4]), (24, 2, 4));
        assert_eq!(sizes(&[5]), (5, 5, 5));
        assert_eq!(sizes(&[]), (1, 1, 1));
        assert_eq!(sizes(&[0, 3]), (0, 0, 3));
    }

    #[test]
    fn values_go_in_and_come_out_in_row_major_order() {
        let x = Tensor::new(&Device::cpu(), &[2, 2], &[1.0, 2.0, 3.0, 4.0]).unwrap();
        assert_eq!(x.to_vec(), [1.0, 2.0, 3.0, 4.0]);
        assert_eq!(x.reshape(&[4, 1]).unwrap().to_vec(), x.to_vec());
        assert_eq!(x.value(), 1.0);
        assert!(Tensor::zeros(x.device(), &[0]).value().is_nan());
    }

    #[test]
    fn a_change_in_place_spares_those_who_share_the_values() {
        let mut x = Tensor::full(&Device::cpu(), &[3], 1.0);
        let (shared, before) = (x.clone(), x.device().pool_stats().allocations);
        x.host_mut()[0] = 9.0;
        assert_eq!((x.to_vec(), shared.to_vec()), (vec![9.0, 1.0, 1.0], vec![1.0; 3]));
        x.host_mut()[1] = 8.0;
        let copies = x.device().pool_stats().allocations - before;
        assert_eq!(copies, 1, "the second change has the values to itself");
    }
}
