//! `x wᵀ`, the projection of every layer, onto a bias or onto another projection's output.

use super::matmul::mat;
use super::{OutputHead, matrix_rows, shapes, with_cols};
use crate::buffer::Buffer;
use crate::tensor::Link;
use crate::{Quantized, Result, Tensor};
use offshoot_kernels::elementwise::sum_columns;
use offshoot_kernels::gemm::{Arithmetic, Operand, Start, product_onto, product_outer, product_straight};

impl Tensor {
    /// `x wᵀ` for `x` `[n, in]` and a weight `[out, in]` as checkpoints store it: `[n, out]`.
    ///
    /// # Errors
    /// [`Error::Shapes`](crate::Error::Shapes) if the inner sizes differ.
    pub fn linear(&self, weight: &Tensor) -> Result<Tensor> {
        self.affine(OutputHead::Dense(weight), None)
    }

    /// `x wᵀ` for `x` `[n, in]` and a quantised weight `[out, in]`: `[n, out]`. A gradient flows to x only.
    ///
    /// # Errors
    /// [`Error::Shapes`](crate::Error::Shapes) if the inner sizes differ.
    pub fn linear_quantized(&self, weight: &Quantized) -> Result<Tensor> {
        self.affine(OutputHead::Quantized(weight), None)
    }

    /// `x wᵀ + bias` for `x` `[n, in]`, a weight `[out, in]` in f32 or in blocks, and a bias `[out]`: `[n, out]`. The
    /// sums begin with the bias.
    ///
    /// # Errors
    /// [`Error::Shapes`](crate::Error::Shapes) if the sizes differ.
    pub fn affine(&self, weight: OutputHead<'_>, bias: Option<&Tensor>) -> Result<Tensor> {
        let (outputs, _) = weight.shape();
        if let Some(bias) = bias.filter(|bias| bias.len() != outputs) {
            return Err(shapes("affine", bias, &[outputs]));
        }
        let shape = with_cols(self, outputs);
        let mut y = self.device().take(shape.iter().product());
        let start = bias.map_or(Start::Zero, |bias| Start::Row(bias.host()));
        let projection = Projection::run(&mut y, start, self, weight)?;
        let to_bias = bias.and_then(Tensor::link);
        let inputs: Vec<&Tensor> = [Some(self), weight.tensor(), bias].into_iter().flatten().collect();
        Ok(Tensor::output(self.device(), &shape, y, &inputs, move |dy| {
            if let Some(link) = to_bias {
                link.receive(|dbias| sum_columns(dbias, dy.host()));
            }
            projection.play_back(&dy);
            Ok(())
        }))
    }

    /// `y + x wᵀ` for `y` `[n, out]`, `x` `[n, in]` and a weight `[out, in]`. The sums take the place of y where nobody
    /// else holds it.
    ///
    /// # Errors
    /// [`Error::Shapes`](crate::Error::Shapes) if the sizes differ.
    pub fn add_linear(mut self, x: &Tensor, weight: &Tensor) -> Result<Tensor> {
        let (shape, to_y) = (with_cols(x, matrix_rows(weight)), self.link());
        if self.shape() != shape {
            return Err(shapes("add_linear", &self, &shape));
        }
        let mut y = self.take_values();
        let projection = Projection::run(&mut y, Start::Output, x, OutputHead::Dense(weight))?;
        Ok(Tensor::output(x.device(), &shape, y, &[&self, x, weight], move |dy| {
            projection.play_back(&dy);
            if let Some(link) = to_y {
                link.give(dy);
            }
            Ok(())
        }))
    }
}

/// What a projection's backward needs.
struct Projection {
    rows: usize,
    outputs: usize,
    arithmetic: Arithmetic,
    to_x: Option<(Link, Saved)>,
    to_weight: Option<(Link, Tensor)>,
}

/// A weight that is kept for the gradient of its input.
enum Saved {
    Dense(Tensor),
    Quantized(Quantized),
}

impl Saved {
    fn operand(&self) -> Operand<'_> {
        match self {
            Self::Dense(weight) => mat(weight).into(),
            Self::Quantized(weight) => weight.operand(),
        }
    }
}

impl Projection {
    /// `y = start + x wᵀ`.
    fn run(y: &mut Buffer, start: Start<'_>, x: &Tensor, weight: OutputHead<'_>) -> Result<Self> {
        let (outputs, inputs) = weight.shape();
        if x.cols() != inputs {
            return Err(shapes("linear", x, &[outputs, inputs]));
        }
        let (rows, arithmetic) = (matrix_rows(x), x.device().arithmetic());
        product_onto(y.host_mut(), x.host(), rows, weight.operand(), start, arithmetic);
        let saved = || match weight {
            OutputHead::Dense(weight) => Saved::Dense(weight.detach()),
            OutputHead::Quantized(weight) => Saved::Quantized(weight.clone()),
        };
        let to_weight = weight.tensor().and_then(Tensor::link).map(|link| (link, x.detach()));
        Ok(Self { rows, outputs, arithmetic, to_x: x.link().map(|link| (link, saved())), to_weight })
    }

    /// Hands on the gradients of x and, if it is trained, of the weight.
    fn play_back(self, dy: &Buffer) {
        let Self { rows, outputs, arithmetic, to_x, to_weight } = self;
        if let Some((link, weight)) = to_x {
            link.receive(|dx| product_straight(dx, dy.host(), rows, weight.operand(), arithmetic));
        }
        if let Some((link, x)) = to_weight {
            link.receive(|dw| product_outer(dw, dy.host(), outputs, mat(&x), Start::Zero, arithmetic));
        }
    }
}
