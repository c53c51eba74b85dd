//! What steps cost, measured on tiny ones.

use crate::Result;
use crate::frozen::Depth;
use crate::rows::{Tokens, pack};
use crate::trainer::{Learner, TrainSettings};
use offshoot_core::{Counter, Mode, Pass, Tape, backward};

/// Bytes as a function of a micro-batch's rows and tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Linear {
    pub(super) fixed: f64,
    pub(super) per_row: f64,
    pub(super) per_token: f64,
}

/// What a training step uses of the pool.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Costs {
    /// Between the way up and the way back: what is saved for the latter.
    pub(super) kept: Linear,
    /// At most, gradients of what is trained among it.
    pub(super) most: Linear,
    /// Blocks that record something.
    pub(super) tracked: usize,
}

/// Most tokens of the longer row that is measured: a power of two, so that buffers are rounded up by as much as in
/// large batches.
const LONG: usize = 32;

impl Linear {
    /// Through what was measured with a row of `short` tokens, one of `long`, and two of `short`.
    fn through((short, long): (usize, usize), [one, longer, two]: [u64; 3]) -> Self {
        let (one, longer, two) = (one as f64, longer as f64, two as f64);
        let per_token = ((longer - one) / (long - short).max(1) as f64).max(0.0);
        let tokens = short as f64 * per_token;
        let per_row = (two - one - tokens).max(0.0);
        Self { fixed: (one - per_row - tokens).max(0.0), per_row, per_token }
    }

    pub(super) fn at(self, rows: usize, tokens: usize) -> f64 {
        self.fixed + self.per_row * rows as f64 + self.per_token * tokens as f64
    }
}

impl Costs {
    /// Those of a model and its method on rows like `row`, of at most `longest` tokens. No gradient is left
    /// behind.
    ///
    /// # Errors
    /// As the model fails on the row's tokens.
    pub(super) fn of<L: Learner>(
        learner: &L,
        (row, longest): (&L::Row, usize),
        depth: Depth,
        settings: &TrainSettings,
    ) -> Result<Self> {
        let long = longest.min(LONG);
        let short = long.div_ceil(4);
        let (mut kept, mut most) = ([0; 3], [0; 3]);
        for (index, (rows, tokens)) in [(1, short), (1, long), (2, short)].into_iter().enumerate() {
            (kept[index], most[index]) = step(learner, &row.sample(tokens), rows, settings)?;
        }
        let [kept, most] = [kept, most].map(|bytes| Linear::through((short, long), bytes));
        // Buffers of tiny steps serve no other.
        learner.device().release_unused();
        let layers = learner.backbone().shape().layers;
        Ok(Self { kept, most, tracked: layers - depth.blocks(layers) })
    }
}

/// Bytes that a step over `rows` times the same row keeps for the way back, and that it uses at most.
fn step<L: Learner>(learner: &L, row: &L::Row, rows: usize, settings: &TrainSettings) -> Result<(u64, u64)> {
    let (device, rows) = (learner.device(), vec![row; rows]);
    let batch = pack(rows.iter().copied())?;
    device.restart_peak();
    let before = device.pool_stats().used_bytes;
    let counter = Counter { seed: settings.seed, step: 0 };
    let mode = Mode::Train(Tape::new(), settings.dropout.then_some(counter));
    let mut pass = Pass::new(&batch, learner.adapter(), learner.params(), mode)?;
    let loss = learner.loss(&mut pass, &rows, settings)?;
    let kept = device.pool_stats().used_bytes.saturating_sub(before);
    if loss.is_tracked() {
        backward(learner.backbone(), &mut pass, &loss, 1.0)?;
    }
    let most = device.pool_stats().most_used_bytes.saturating_sub(before);
    learner.params().clear_gradients();
    Ok((kept, most))
}

#[cfg(test)]
mod tests {
    use super::Linear;

    #[test]
    fn a_plane_goes_through_three_points() {
        let bytes = |rows: u64, tokens: u64| 1000 + 50 * rows + 7 * tokens;
        let plane = Linear::through((8, 24), [bytes(1, 8), bytes(1, 24), bytes(2, 16)]);
        assert_eq!(plane, Linear { fixed: 1000.0, per_row: 50.0, per_token: 7.0 });
        assert_eq!(plane.at(3, 500), bytes(3, 500) as f64);
    }
}
