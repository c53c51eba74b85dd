//! The tape: what a backward pass has to do, in the order in which the forward pass went.
//!
//! An operation with a tracked input leaves one closure that owns exactly what its backward needs and hands gradients to the
//! [`Slot`]s of its inputs. The tape is cut at each transformer block. Playing it back consumes it from the end, so a block's
//! saved activations are freed as soon as its backward is done, and nothing below the lowest trainable tensor was ever recorded.

use crate::buffer::Buffer;
use crate::{Error, Result, Tensor};
use offshoot_kernels::elementwise;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub(crate) type Backward = Box<dyn FnOnce() -> Result<()> + Send>;

/// The record of one forward pass. Cheap to clone; clones share the record.
#[derive(Clone, Default)]
pub struct Tape {
    /// Prologue, one segment per block, epilogue.
    segments: Arc<Mutex<Vec<Vec<Backward>>>>,
}

impl Tape {
    /// An empty tape.
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts a new segment: what is recorded from here on is played back, and freed, before what came earlier.
    pub fn cut(&self) {
        let mut segments = self.lock();
        // A prologue that recorded nothing counts too, so that a block's segment has the same index under every method.
        if segments.is_empty() {
            segments.push(Vec::new());
        }
        segments.push(Vec::new());
    }

    /// How many operations each segment holds.
    pub fn recorded(&self) -> Vec<usize> {
        self.lock().iter().map(Vec::len).collect()
    }

    /// Adds the gradient of `loss` (one value) to the slot of every parameter it depends on, and empties the tape.
    ///
    /// `weight` multiplies the loss: 1 / (labelled positions of the whole optimizer step), for one.
    ///
    /// # Errors
    /// [`Error::Untracked`] if the loss depends on no parameter; [`Error::Shapes`] if it is not one value.
    pub fn backward(&self, loss: &Tensor, weight: f32) -> Result<()> {
        if loss.len() != 1 {
            return Err(Error::Shapes { op: "backward", left: loss.shape().to_vec(), right: vec![1] });
        }
        let link = loss.link().ok_or(Error::Untracked)?;
        link.receive(|gradient| gradient.fill(weight));
        while let Some(segment) = self.pop() {
            for backward in segment.into_iter().rev() {
                backward()?;
            }
        }
        Ok(())
    }

    pub(crate) fn push(&self, backward: Backward) {
        let mut segments = self.lock();
        match segments.last_mut() {
            Some(segment) => segment.push(backward),
            None => segments.push(vec![backward]),
        }
    }

    /// Takes the last segment, so that closures run without the lock.
    fn pop(&self) -> Option<Vec<Backward>> {
        self.lock().pop()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Vec<Backward>>> {
        self.segments.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where the gradient of one tensor is collected.
#[derive(Default)]
pub(crate) struct Slot(Mutex<Option<Buffer>>);

impl Slot {
    /// Adds `gradient` to what is there. The first one is kept as it is, without a copy.
    pub(crate) fn add(&self, gradient: Buffer) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match held.as_mut() {
            Some(sum) => elementwise::add_assign(sum.host_mut(), gradient.host()),
            None => *held = Some(gradient),
        }
    }

    /// Takes the gradient out, leaving none.
    pub(crate) fn take(&self) -> Option<Buffer> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Looks at the gradient.
    pub(crate) fn with<T>(&self, look: impl FnOnce(Option<&Buffer>) -> T) -> T {
        look(self.0.lock().unwrap_or_else(PoisonError::into_inner).as_ref())
    }
}
