//! Layer and root-mean-square normalisation.

use super::{matrix_rows, row_fits};
use crate::{Result, Tensor};
use offshoot_kernels::norm as kernel;

impl Tensor {
    /// `(x - mean) / sqrt(variance + eps) * weight + bias` for each row of `x` `[n, d]` (Ba et al. 2016).
    ///
    /// # Errors
    /// [`Error::Shapes`](crate::Error::Shapes) if weight or bias is not `[d]`.
    pub fn layer_norm(&self, weight: &Tensor, bias: &Tensor, eps: f32) -> Result<Tensor> {
        row_fits("layer_norm", self, weight)?;
        row_fits("layer_norm", self, bias)?;
        let device = self.device();
        let (mut y, mut stats) = (device.take(self.len()), device.take(2 * matrix_rows(self)));
        kernel::layer_norm(y.host_mut(), stats.host_mut(), self.host(), weight.host(), bias.host(), eps);
        let (to_x, to_w, to_b) = (self.link(), weight.link(), bias.link());
        let saved = (to_x.is_some() || to_w.is_some()).then(|| (self.detach(), weight.detach()));
        Ok(Tensor::output(device, self.shape(), y, &[self, weight, bias], move |dy| {
            let (dy, stats) = (dy.host(), stats.host());
            if let Some((x, w)) = &saved {
                let (x, w) = (x.host(), w.host());
                if let Some(link) = to_x {
                    link.receive(|dx| kernel::layer_norm_backward(Some(dx), None, None, dy, x, w, stats));
                }
                if let Some(link) = to_w {
                    link.receive(|dw| kernel::layer_norm_backward(None, Some(dw), None, dy, x, w, stats));
                }
            }
            if let Some(link) = to_b {
                link.receive(|db| offshoot_kernels::elementwise::sum_columns(db, dy));
            }
            Ok(())
        }))
    }

    /// `x / sqrt(mean(x²) + eps) * weight` for each row of `x` `[n, d]` (Zhang and Sennrich 2019).
    ///
    /// # Errors
    /// [`Error::Shapes`](crate::Error::Shapes) if weight is not `[d]`.
    pub fn rms_norm(&self, weight: &Tensor, eps: f32) -> Result<Tensor> {
        row_fits("rms_norm", self, weight)?;
        let device = self.device();
        let (mut y, mut stats) = (device.take(self.len()), device.take(matrix_rows(self)));
        kernel::rms_norm(y.host_mut(), stats.host_mut(), self.host(), weight.host(), eps);
        let (to_x, to_w) = (self.link(), weight.link());
        let (x, w) = (self.detach(), weight.detach());
        Ok(Tensor::output(device, self.shape(), y, &[self, weight], move |dy| {
            let (dy, x, w, stats) = (dy.host(), x.host(), w.host(), stats.host());
            if let Some(link) = to_x {
                link.receive(|dx| kernel::rms_norm_backward(Some(dx), None, dy, x, w, stats));
            }
            if let Some(link) = to_w {
                link.receive(|dw| kernel::rms_norm_backward(None, Some(dw), dy, x, w, stats));
            }
            Ok(())
        }))
    }
}
