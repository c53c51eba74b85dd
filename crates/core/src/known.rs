//! What a forward pass need not compute again, because no trained value changes it.

use crate::{Backbone, Pass, Result, Tensor};

/// Outputs of the lowest blocks for every row of a batch, from an earlier pass.
#[derive(Clone, Debug)]
pub struct Known {
    /// How many blocks are known.
    pub blocks: usize,
    /// The outputs `[n, d]` of the last of them, in order: at least of the highest, and of all where the
    /// adapter [reads states](crate::Adapter::reads_states).
    pub states: Vec<Tensor>,
}

/// How many blocks, from the first, have outputs that depend on no trained value. `pass` is a training pass; a
/// batch of one token is enough.
///
/// # Errors
/// As the backbone and the hooks fail.
pub fn frozen_blocks(backbone: &dyn Backbone, pass: &mut Pass<'_>) -> Result<usize> {
    let mut x = backbone.embed(pass)?;
    for layer in 0..backbone.shape().layers {
        if x.is_tracked() {
            return Ok(layer.saturating_sub(1));
        }
        x = backbone.block(layer, &x, pass)?;
    }
    Ok(backbone.shape().layers - usize::from(x.is_tracked()))
}

/// The outputs `[n, d]` of the lowest `blocks` blocks: of all of them, or of the highest alone.
///
/// # Errors
/// As the backbone and the hooks fail.
pub fn lowest_blocks(
    backbone: &dyn Backbone,
    pass: &Pass<'_>,
    blocks: usize,
    all: bool,
) -> Result<Vec<Tensor>> {
    let mut x = backbone.embed(pass)?;
    let mut states = Vec::new();
    for layer in 0..blocks {
        x = backbone.block(layer, &x, pass)?;
        if all || layer + 1 == blocks {
            states.push(x.clone());
        }
    }
    Ok(states)
}

/// Shows the adapters what they would have seen; gives the highest known output.
pub(crate) fn replay(known: Known, pass: &mut Pass<'_>) -> Result<Tensor> {
    let first = known.blocks.saturating_sub(known.states.len());
    // A block's segment of the tape has the same index whether or not it was computed.
    (0..first).for_each(|_| pass.cut());
    let mut last = None;
    for (index, state) in known.states.into_iter().enumerate() {
        pass.cut();
        pass.state(first + index, &state)?;
        last = Some(state);
    }
    last.ok_or_else(|| crate::Error::invalid("what is known of a batch holds no output"))
}
