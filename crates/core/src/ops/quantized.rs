//! Products with frozen matrices that stay quantised.

use super::{matrix_rows, shapes, with_cols};
use crate::{Quantized, Result, Tensor};
use offshoot_kernels::gemm::{product, product_straight};

impl Tensor {
    /// `x wᵀ` for `x` `[n, in]` and a quantised weight `[out, in]`: `[n, out]`. A gradient flows to x only.
    ///
    /// # Errors
    /// [`Error::Shapes`](crate::Error::Shapes) if the inner sizes differ.
    pub fn linear_quantized(&self, weight: &Quantized) -> Result<Tensor> {
        if self.cols() != weight.cols() {
            return Err(shapes("linear", self, weight.shape()));
        }
        let (n, shape) = (matrix_rows(self), with_cols(self, weight.rows()));
        let mut y = self.device().take(n * weight.rows());
        let arithmetic = self.device().arithmetic();
        product(y.host_mut(), self.host(), n, weight.operand(), arithmetic);
        let saved = self.link().map(|link| (link, weight.clone()));
        Ok(Tensor::output(self.device(), &shape, y, &[self], move |dy| {
            if let Some((link, w)) = saved {
                link.receive(|dx| product_straight(dx, dy.host(), n, w.operand(), arithmetic));
            }
            Ok(())
        }))
    }
}
