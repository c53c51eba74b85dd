//! The tape: what a backward pass has to do, in the order in which the forward pass went.
//!
//! An operation with a tracked input leaves one closure that owns exactly what its backward needs and hands
//! gradients to the [`Slot`]s of its inputs. The tape is cut at each transformer block. Playing it back
//! consumes it from the end, so a block's saved activations are freed as soon as its backward is done, and
//! nothing below the lowest trainable tensor was ever recorded.

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

    /// Starts a new segment: what is recorded from here on is played back, and freed, before what came
    /// earlier.
    pub fn cut(&self) {
        let mut segments = self.lock();
        // A prologue that recorded nothing counts too, so that a block's segment has the same index under
        // every method.
        if segments.is_empty() {
            segments.push(Vec::new());
        }
        segments.push(Vec::new());
    }

    /// How many operations each segment holds.
    pub fn recorded(&self) -> Vec<usize> {
        self.lock().iter().map(Vec::len).collect()
    }

    /// Adds the gradient of `loss` (one value) to the slot of every parameter it depends on, and empties the
    /// tape.
    ///
    /// `weight` multiplies the loss: 1 / (labelled positions of the whole optimizer step), for one.
    ///
    /// # Errors
    /// [`Error::Untracked`] if the loss depends on no parameter; [`Error::Shapes`] if it is not one value.
    pub fn backward(&self, loss: &Tensor, weight: f32) -> Result<()> {
        self.start(loss, weight)?;
        self.play(0)
    }

    /// Gives the loss its own gradient.
    pub(crate) fn start(&self, loss: &Tensor, weight: f32) -> Result<()> {
        if loss.len() != 1 {
            return Err(Error::Shapes { op: "backward", left: loss.shape().to_vec(), right: vec![1] });
        }
        loss.link().ok_or(Error::Untracked)?.receive(|gradient| gradient.fill(weight));
        Ok(())
    }

    /// Plays segments back, last first, until only the first `rest` are left.
    pub(crate) fn play(&self, rest: usize) -> Result<()> {
        while let Some(segment) = self.pop(rest) {
            for backward in segment.into_iter().rev() {
                backward()?;
            }
        }
        Ok(())
    }

    /// The number of segments.
    pub(crate) fn segments(&self) -> usize {
        self.lock().len()
    }

    /// Drops what the last segment holds, and with it the activations that it saved.
    pub(crate) fn forget(&self) {
        let forgotten = self.lock().last_mut().map(std::mem::take);
        drop(forgotten);
    }

    pub(crate) fn push(&self, backward: Backward) {
        let mut segments = self.lock();
        match segments.last_mut() {
            Some(segment) => segment.push(backward),
            None => segments.push(vec![backward]),
        }
    }

    /// Takes the last segment but for the first `rest`, so that closures run without the lock.
    fn pop(&self, rest: usize) -> Option<Vec<Backward>> {
        let mut segments = self.lock();
        if segments.len() > rest { segments.pop() } else { None }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Device, ParamId, Params, Step};

    /// One parameter `[2]` on a device.
    fn params() -> (Params, ParamId) {
        let mut params = Params::new();
        let value = Tensor::new(&Device::cpu(), &[2], &[3.0, -2.0]).unwrap();
        let id = params.insert("w", value).unwrap();
        (params, id)
    }

    #[test]
    fn nothing_is_recorded_without_a_tracked_input() {
        let (params, id) = params();
        let (tape, frozen) = (Tape::new(), Step::detached(&params).param(id));
        let y = frozen.mul(&frozen).unwrap().softmax().sum();
        assert!(!y.is_tracked());
        let tracked = Step::tracked(&params, &tape).param(id);
        assert!(!tracked.detach().tanh().is_tracked());
        assert!(tape.recorded().is_empty());
        assert!(tracked.mul(&frozen).unwrap().is_tracked());
        assert_eq!(tape.recorded(), [1]);
    }

    #[test]
    fn segments_are_counted_even_if_the_prologue_is_empty() {
        let (params, id) = params();
        let tape = Tape::new();
        tape.cut();
        let x = Step::tracked(&params, &tape).param(id).tanh().tanh();
        tape.cut();
        let y = x.sum();
        assert_eq!(tape.recorded(), [0, 2, 1]);
        tape.backward(&y, 1.0).unwrap();
        assert!(tape.recorded().is_empty());
        let slope = |w: f32| (1.0 - w.tanh().powi(2)) * (1.0 - w.tanh().tanh().powi(2));
        let gradient = params.get(id).gradient().unwrap();
        // Two roundings of f32 in each of a few factors.
        assert!(gradient.iter().zip([3.0, -2.0]).all(|(g, w)| (g - slope(w)).abs() < 1e-6), "{gradient:?}");
    }

    #[test]
    fn the_weight_multiplies_and_calls_accumulate() {
        let (params, id) = params();
        for (weight, expected) in [(0.5, [3.0, -2.0]), (1.5, [12.0, -8.0])] {
            let tape = Tape::new();
            let w = Step::tracked(&params, &tape).param(id);
            tape.backward(&w.mul(&w).unwrap().sum(), weight).unwrap();
            assert_eq!(params.get(id).gradient().unwrap(), expected);
        }
        params.clear_gradients();
        assert!(params.get(id).gradient().is_none());
    }

    #[test]
    fn a_parameter_may_itself_be_the_loss() {
        let mut params = Params::new();
        let id = params.insert("w", Tensor::full(&Device::cpu(), &[1], 4.0)).unwrap();
        let tape = Tape::new();
        tape.backward(&Step::tracked(&params, &tape).param(id), 0.25).unwrap();
        assert_eq!(params.get(id).gradient().unwrap(), [0.25]);
    }

    #[test]
    fn going_back_frees_what_was_saved_on_the_way() {
        const DEPTH: u64 = 32;
        let (params, id) = params();
        let tape = Tape::new();
        let mut x = Step::tracked(&params, &tape).param(id);
        let device = x.device().clone();
        (0..DEPTH).for_each(|_| x = x.tanh());
        let loss = x.sum();
        drop(x);
        let forward = device.pool_stats();
        assert!(forward.allocations >= DEPTH, "the inputs of {DEPTH} steps are kept");
        tape.backward(&loss, 1.0).unwrap();
        // A gradient in, a gradient out; all others are memory of steps that are done.
        let backward = device.pool_stats().allocations - forward.allocations;
        assert!(backward <= 2, "{backward} buffers were needed to go back");
        drop(loss);
        device.release_unused();
        let held = device.pool_stats().held_bytes;
        assert_eq!(held, 2 * 64 * 4, "the value and the gradient, of the smallest size there is");
    }
}
