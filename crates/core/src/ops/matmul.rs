//! Matrix products.

use super::{OutputHead, matrix_rows, shapes, with_cols};
use crate::{Result, Tensor};
use offshoot_kernels::gemm::{Dense, Start, product, product_few, product_outer, product_straight};

/// A tensor as a matrix, `[rows, cols]`.
pub(super) fn mat(x: &Tensor) -> Dense<'_> {
    Dense::new(x.host(), matrix_rows(x), x.cols())
}

impl Tensor {
    /// [`linear`](Self::linear) for very few rows and a weight in f32 or in blocks, without gradients: the sums
    /// have another order.
    ///
    /// # Errors
    /// [`Error::Shapes`](crate::Error::Shapes) if the inner sizes differ.
    pub(crate) fn decode(&self, weight: OutputHead<'_>) -> Result<Tensor> {
        let (outputs, inputs) = weight.shape();
        if self.cols() != inputs {
            return Err(shapes("linear", self, &[outputs, inputs]));
        }
        let n = matrix_rows(self);
        let mut y = self.device().take(n * outputs);
        match weight {
            OutputHead::Dense(weight) => product_few(y.host_mut(), self.host(), n, mat(weight)),
            OutputHead::Quantized(weight) => product_few(y.host_mut(), self.host(), n, weight.matrix()),
        }
        Ok(Tensor::from_buffer(self.device(), &with_cols(self, outputs), y))
    }

    /// `a b` for `a` `[m, k]` and `b` `[k, n]`: `[m, n]`.
    ///
    /// # Errors
    /// [`Error::Shapes`](crate::Error::Shapes) if the inner sizes differ.
    pub fn matmul(&self, other: &Tensor) -> Result<Tensor> {
        let (m, k, n) = (matrix_rows(self), self.cols(), other.cols());
        if k != matrix_rows(other) {
            return Err(shapes("matmul", self, other.shape()));
        }
        let mut y = self.device().take(m * n);
        let arithmetic = self.device().arithmetic();
        product_straight(y.host_mut(), self.host(), m, mat(other), arithmetic);
        let (to_a, to_b) = (self.link(), other.link());
        let (a, b) = (self.save_if(to_b.is_some()), other.save_if(to_a.is_some()));
        Ok(Tensor::output(self.device(), &with_cols(self, n), y, &[self, other], move |dy| {
            if let (Some(link), Some(b)) = (to_a, b) {
                link.receive(|da| product(da, dy.host(), m, mat(&b), arithmetic));
            }
            if let (Some(link), Some(a)) = (to_b, a) {
                let dy = Dense::new(dy.host(), m, n);
                link.receive(|db| product_outer(db, a.host(), k, dy, Start::Zero, arithmetic));
            }
            Ok(())
        }))
    }
}
