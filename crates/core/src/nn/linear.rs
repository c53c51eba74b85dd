//! A projection.

use crate::{Params, Result, Step, Tensor, Weight};

/// `y = x Wᵀ + b`, with W `[out, in]`.
#[derive(Clone)]
pub struct Linear {
    /// `[out, in]`, or `[in, out]` with `input_major`.
    pub weight: Weight,
    /// `[out]`
    pub bias: Option<Weight>,
    /// Columns of x.
    pub inputs: usize,
    /// Columns of y.
    pub outputs: usize,
    /// Whether the weight stands the other way, `[in, out]`, as in GPT-2's files.
    pub input_major: bool,
}

impl Linear {
    /// `x` `[n, in]` to `[n, out]`.
    ///
    /// # Errors
    /// If `x` has another number of columns.
    pub fn forward(&self, x: &Tensor, step: &Step<'_>) -> Result<Tensor> {
        if !self.input_major {
            return step.affine(x, &self.weight, self.bias.as_ref());
        }
        let y = x.matmul(&step.weight(&self.weight))?;
        match &self.bias {
            Some(bias) => y.add_row(&step.weight(bias)),
            None => Ok(y),
        }
    }

    /// Its weights, in file order.
    pub fn weights_mut(&mut self) -> Vec<&mut Weight> {
        std::iter::once(&mut self.weight).chain(self.bias.as_mut()).collect()
    }

    /// Its weights, in file order.
    pub fn weights(&self) -> Vec<&Weight> {
        std::iter::once(&self.weight).chain(self.bias.as_ref()).collect()
    }

    /// Lends the projection to a method.
    pub fn lend<'a>(&'a self, params: &'a Params) -> Base<'a> {
        Base { linear: self, params }
    }
}

/// A projection lent to a method: it may be applied and measured, not changed.
pub struct Base<'a> {
    linear: &'a Linear,
    params: &'a Params,
}

impl Base<'_> {
    /// `x Wᵀ` without the bias; `x` is `[n, in]`. A gradient flows to `x`, never to the weight.
    ///
    /// # Errors
    /// If `x` has another number of columns.
    pub fn product(&self, x: &Tensor) -> Result<Tensor> {
        let weight = &self.linear.weight;
        match (weight.blocks(), self.linear.input_major) {
            (Some(blocks), false) => x.linear_quantized(blocks),
            (None, false) => x.linear(&weight.value(self.params)),
            (_, true) => x.matmul(&weight.value(self.params)),
        }
    }

    /// The bias `[out]`, if there is one.
    pub fn bias(&self) -> Option<Tensor> {
        self.linear.bias.as_ref().map(|bias| bias.value(self.params))
    }

    /// The squared length of each row of W: `[out]`.
    ///
    /// # Errors
    /// Never on a well-formed weight.
    pub fn squared_row_norms(&self) -> Result<Tensor> {
        if let Some(blocks) = self.linear.weight.blocks() {
            return Ok(blocks.squared_row_norms());
        }
        let weight = self.linear.weight.value(self.params);
        let squares = weight.mul(&weight)?;
        if !self.linear.input_major {
            return Ok(squares.sum_rows());
        }
        let ones = Tensor::full(squares.device(), &[1, squares.rows()], 1.0);
        ones.matmul(&squares)?.reshape(&[squares.cols()])
    }
}
