//! Blocks whose activations are not kept: only their inputs are, and going back they are computed again.
//!
//! This costs a block's forward pass once more and saves all that its backward pass reads: per token some ten
//! times the width of the residual stream.

use crate::tensor::Link;
use crate::{Backbone, Pass, Result, Tensor};

/// A block that recorded nothing, and what is needed to record it.
pub(crate) struct Forgotten {
    layer: usize,
    /// Segments of the tape before the block's own.
    below: usize,
    /// `[n, d]`
    input: Tensor,
    /// Where the gradient of its output is collected.
    output: Link,
}

impl Forgotten {
    /// The block that has just recorded on the pass's tape, whose record is dropped: `input` and `output`
    /// `[n, d]`. None if nothing of it is tracked.
    pub(crate) fn new(layer: usize, input: &Tensor, output: &Tensor, pass: &Pass<'_>) -> Option<Self> {
        let (tape, output) = (pass.tape()?, output.link()?);
        tape.forget();
        Some(Self { layer, below: tape.segments().saturating_sub(1), input: input.clone(), output })
    }

    /// Records the block again and plays it back.
    fn backward(self, backbone: &dyn Backbone, pass: &Pass<'_>) -> Result<()> {
        let Some(tape) = pass.tape() else { return Ok(()) };
        // What came after the block: the ones above it, and what its adapter made of its output.
        tape.play(self.below)?;
        let Some(gradient) = self.output.take() else { return Ok(()) };
        tape.cut();
        let again = backbone.block(self.layer, &self.input, pass)?;
        if let Some(link) = again.link() {
            link.give(gradient);
        }
        tape.play(self.below)
    }
}

/// Adds the gradient of `loss` (one value), times `weight`, to the slot of every parameter it depends on: the
/// way back of a training pass through [`forward`](crate::forward).
///
/// # Errors
/// As [`Tape::backward`](crate::Tape::backward); as the backbone and the hooks fail.
pub fn backward(backbone: &dyn Backbone, pass: &mut Pass<'_>, loss: &Tensor, weight: f32) -> Result<()> {
    let tape = pass.tape().cloned().ok_or(crate::Error::Untracked)?;
    tape.start(loss, weight)?;
    while let Some(block) = pass.forgotten() {
        block.backward(backbone, pass)?;
    }
    tape.play(0)
}
