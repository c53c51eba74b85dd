//! Rotary position encoding.

use super::{matrix_rows, shapes};
use crate::{Result, Rotation, Tensor};
use offshoot_kernels::rope::rotate;
use std::sync::Arc;

impl Tensor {
    /// Turns every head of `x` `[n, heads e]` by the angles of its row (Su et al. 2021).
    ///
    /// # Errors
    /// [`Error::Shapes`](crate::Error::Shapes) if the rotation has another number of rows, or heads of
    /// another width.
    pub fn rotate(&self, rotation: &Arc<Rotation>) -> Result<Tensor> {
        let (dim, cols) = (rotation.dim(), self.cols());
        if dim == 0 || !cols.is_multiple_of(dim) || rotation.rows() != matrix_rows(self) {
            return Err(shapes("rotate", self, &[rotation.rows(), dim]));
        }
        let heads = cols / dim;
        let mut y = self.device().take(self.len());
        rotate(y.host_mut(), self.host(), rotation.angles(), heads, false);
        let saved = self.link().map(|link| (link, Arc::clone(rotation)));
        Ok(Tensor::output(self.device(), self.shape(), y, &[self], move |dy| {
            if let Some((link, rotation)) = saved {
                link.receive(|dx| rotate(dx, dy.host(), rotation.angles(), heads, true));
            }
            Ok(())
        }))
    }
}
