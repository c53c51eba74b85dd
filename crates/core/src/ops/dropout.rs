//! Dropout from counters: the mask is computed again in the backward pass, not kept.

use super::dropout_fits;
use crate::{Result, Tensor};
use offshoot_kernels::dropout::dropout;

impl Tensor {
    /// Sets each value to zero with probability `p` and divides the others by `1 - p` (Srivastava et al.
    /// 2014).
    ///
    /// Whether a value stays depends only on its row's key and its column.
    ///
    /// # Errors
    /// [`Error::Shapes`](crate::Error::Shapes) if there is not one key per row;
    /// [`Error::Invalid`](crate::Error::Invalid) if `p` is not in [0, 1].
    pub fn dropout(&self, p: f32, row_keys: Vec<u64>) -> Result<Tensor> {
        let cols = self.cols();
        dropout_fits("dropout", self, p, &row_keys)?;
        let mut y = self.device().take(self.len());
        dropout(y.host_mut(), self.host(), cols, &row_keys, p);
        let to_x = self.link();
        Ok(Tensor::output(self.device(), self.shape(), y, &[self], move |dy| {
            if let Some(link) = to_x {
                link.receive(|dx| dropout(dx, dy.host(), cols, &row_keys, p));
            }
            Ok(())
        }))
    }
}
