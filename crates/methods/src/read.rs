//! READ, Wang et al. 2023, <https://arxiv.org/abs/2305.15348>, section 3: a recurrent network beside the
//! backbone.
//!
//! For every token on its own, a cell climbs the layers: `h_i = cell(norm(x_i), h_{i-1})`, with `x_i` the
//! output of block `i`, `h_0 = 0` and a root-mean-square norm shared by all layers. The mean of the states
//! (or the last) gives the correction `scale (W h + b)` to the last block's output. Nothing back-propagates
//! through the backbone.
//!
//! Cells, aggregation and the learned norm are those of the authors' code, which also has a second kind of
//! start, norms elsewhere and two directions, off by default; its output projection starts random, ours at
//! zero, so that training starts from the backbone as it is. No library has files for it: the names are ours.

use crate::dense::Dense;
use crate::{Info, MOST, Merging, Method, Saves, Target, check_factor, check_size};
use offshoot_core::{Adapter, ParamId, Result, Shape, Step, Tensor};
use serde::{Deserialize, Serialize};

/// How `read` presents itself.
pub const INFO: Info = Info {
    name: "read",
    summary: "a recurrent side network over the layers' outputs",
    paper: "Wang et al. 2023, https://arxiv.org/abs/2305.15348",
    // A small network trained from scratch on normalised inputs: Adam's customary rate for those.
    learning_rate: 1e-3,
    saves: Saves::Weights,
    starts_as_identity: true,
    merging: Merging::Never("its recurrent network runs beside the model, which has no place for it"),
};

/// Settings of `read`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Width of the recurrent state. Default: hidden / 8.
    pub width: Option<usize>,
    /// The recurrent cell. Default `gru`, which the authors use.
    pub cell: Cell,
    /// How the states become one. Default `mean`.
    pub aggregation: Aggregation,
    /// Factor on the correction. Default 1.
    pub scale: f64,
}

/// A recurrent cell, with torch's equations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cell {
    /// `tanh(W x + U h)`, Elman 1990.
    Rnn,
    /// Two gates, Cho et al. 2014.
    #[default]
    Gru,
    /// Three gates and a memory, Hochreiter and Schmidhuber 1997.
    Lstm,
}

/// How the states of all layers become one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Aggregation {
    /// Their mean.
    #[default]
    Mean,
    /// That of the last layer.
    Last,
}

impl Default for Config {
    fn default() -> Self {
        Self { width: None, cell: Cell::default(), aggregation: Aggregation::default(), scale: 1.0 }
    }
}

fn default_width(shape: &Shape) -> usize {
    (shape.hidden / 8).max(1)
}

impl Method for Config {
    fn resolve(&mut self, shape: &Shape) {
        self.width.get_or_insert(default_width(shape));
    }

    fn build(&self, target: &mut Target<'_>) -> Result<Box<dyn Adapter>> {
        let shape = target.shape();
        let width = self.width.unwrap_or(default_width(&shape));
        check_size(INFO.name, "width", width, 1..=MOST)?;
        check_factor(INFO.name, "scale", self.scale)?;
        let ones = Tensor::full(target.device, &[shape.hidden], 1.0);
        Ok(Box::new(Read {
            norm: target.params.insert("read.norm.weight", ones)?,
            cell: self.cell,
            width,
            input: self.gates(target, "ih", shape.hidden, width)?,
            state: self.gates(target, "hh", width, width)?,
            projection: Dense::zero(target, "read.projection", (width, shape.hidden))?,
            layers: shape.layers,
            aggregation: self.aggregation,
            scale: self.scale as f32,
        }))
    }
}

impl Config {
    /// One of the cell's two projections, drawn as torch draws them: uniform in `±1 / sqrt(width)`.
    fn gates(&self, target: &mut Target<'_>, name: &str, inputs: usize, width: usize) -> Result<Dense> {
        let weight = target.uniform(&[self.cell.gates() * width, inputs], (1.0 / width as f64).sqrt());
        Dense::insert(target, [format!("read.cell.weight_{name}"), format!("read.cell.bias_{name}")], weight)
    }
}

impl Cell {
    /// How many vectors of the state's width its projections give.
    fn gates(self) -> usize {
        match self {
            Self::Rnn => 1,
            Self::Gru => 3,
            Self::Lstm => 4,
        }
    }

    /// The next state and memory `[n, r]`, from the cell's two projections `[n, gates r]`.
    fn next(self, x: &Tensor, h: &Tensor, state: &Tensor, memory: Tensor) -> Result<(Tensor, Tensor)> {
        let width = state.cols();
        let gate = |of: &Tensor, index: usize| of.columns(index * width..(index + 1) * width);
        let both = |index| gate(x, index)?.add(&gate(h, index)?);
        match self {
            Self::Rnn => Ok((both(0)?.tanh(), memory)),
            Self::Gru => {
                let (reset, update) = (both(0)?.sigmoid(), both(1)?.sigmoid());
                let new = gate(x, 2)?.add(&reset.mul(&gate(h, 2)?)?)?.tanh();
                Ok((new.add(&update.mul(&state.sub(&new)?)?)?, memory))
            }
            Self::Lstm => {
                let [input, forget, output] = [both(0)?, both(1)?, both(3)?].map(|g| g.sigmoid());
                let memory = forget.mul(&memory)?.add(&input.mul(&both(2)?.tanh())?)?;
                Ok((output.mul(&memory.tanh())?, memory))
            }
        }
    }
}

struct Read {
    /// `[d]`
    norm: ParamId,
    cell: Cell,
    width: usize,
    /// `[gates r, d]`
    input: Dense,
    /// `[gates r, r]`
    state: Dense,
    /// `[d, r]`
    projection: Dense,
    layers: usize,
    aggregation: Aggregation,
    scale: f32,
}

/// As in the authors' norm.
const EPS: f32 = 1e-6;

impl Adapter for Read {
    fn reads_states(&self) -> bool {
        true
    }

    /// `side` is the state, the memory of an LSTM, and the sum of all states, each `[n, r]`.
    fn state(&self, step: &Step<'_>, _layer: usize, x: &Tensor, side: &mut Vec<Tensor>) -> Result<()> {
        let zeros = || Tensor::zeros(x.device(), &[x.rows(), self.width]);
        let [h, memory, sum] = match side.as_slice() {
            [h, memory, sum] => [h.clone(), memory.clone(), sum.clone()],
            _ => [zeros(), zeros(), zeros()],
        };
        let x = x.detach().rms_norm(&step.param(self.norm), EPS)?;
        let (from_x, from_h) = (self.input.forward(step, &x)?, self.state.forward(step, &h)?);
        let (h, memory) = self.cell.next(&from_x, &from_h, &h, memory)?;
        let sum = sum.add(&h)?;
        *side = vec![h, memory, sum];
        Ok(())
    }

    fn finish(&self, step: &Step<'_>, x: Tensor, side: &[Tensor]) -> Result<Tensor> {
        let [h, _, sum] = side else { return Ok(x) };
        let state = match self.aggregation {
            Aggregation::Mean => sum.scale(1.0 / self.layers as f32),
            Aggregation::Last => h.clone(),
        };
        x.add(&self.projection.forward(step, &state)?.scale(self.scale))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use offshoot_core::Device;

    /// Above the rounding of a few f32 operations on values of order 1.
    const TOLERANCE: f64 = 1e-6;

    /// One row of width 2: every gate's two values.
    const X: [f32; 8] = [0.3, -0.8, 1.1, 0.2, -0.5, 0.9, 0.4, -1.2];
    const H: [f32; 8] = [-0.6, 0.1, 0.7, -0.4, 1.3, -0.2, 0.5, 0.8];
    const STATE: [f32; 2] = [0.25, -0.75];
    const MEMORY: [f32; 2] = [0.9, -0.3];

    fn step(cell: Cell) -> (Vec<f32>, Vec<f32>) {
        let row = |values: &[f32]| Tensor::new(&Device::cpu(), &[1, values.len()], values).unwrap();
        let gates = 2 * cell.gates();
        let (h, c) = cell.next(&row(&X[..gates]), &row(&H[..gates]), &row(&STATE), row(&MEMORY)).unwrap();
        (h.to_vec(), c.to_vec())
    }

    fn sigmoid(x: f64) -> f64 {
        1.0 / (1.0 + (-x).exp())
    }

    /// What the two projections give for gate `g`, column `i`.
    fn at(g: usize, i: usize) -> (f64, f64) {
        (f64::from(X[2 * g + i]), f64::from(H[2 * g + i]))
    }

    fn sum(g: usize, i: usize) -> f64 {
        at(g, i).0 + at(g, i).1
    }

    fn assert_close(got: &[f32], want: impl Fn(usize) -> f64) {
        got.iter().enumerate().for_each(|(i, &x)| assert!((f64::from(x) - want(i)).abs() < TOLERANCE));
    }

    #[test]
    fn rnn_is_torchs() {
        assert_close(&step(Cell::Rnn).0, |i| sum(0, i).tanh());
    }

    #[test]
    fn gru_is_torchs() {
        assert_close(&step(Cell::Gru).0, |i| {
            let (r, z) = (sigmoid(sum(0, i)), sigmoid(sum(1, i)));
            let n = (at(2, i).0 + r * at(2, i).1).tanh();
            (1.0 - z) * n + z * f64::from(STATE[i])
        });
    }

    #[test]
    fn lstm_is_torchs() {
        let memory = |i| sigmoid(sum(1, i)) * f64::from(MEMORY[i]) + sigmoid(sum(0, i)) * sum(2, i).tanh();
        let (h, c) = step(Cell::Lstm);
        assert_close(&c, memory);
        assert_close(&h, |i| sigmoid(sum(3, i)) * memory(i).tanh());
    }
}
