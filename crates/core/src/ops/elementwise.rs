//! Sums, products and scalings, value by value or with one row for all rows.

use super::{matrix_rows, row_fits, same_shape};
use crate::{Result, Tensor};
use offshoot_kernels::elementwise as kernel;

impl Tensor {
    /// `a + b`, value by value.
    ///
    /// # Errors
    /// [`Error::Shapes`](crate::Error::Shapes) if the sizes differ.
    pub fn add(&self, other: &Tensor) -> Result<Tensor> {
        same_shape("add", self, other)?;
        let mut y = self.device().take(self.len());
        kernel::add(y.host_mut(), self.host(), other.host());
        let (to_a, to_b) = (self.link(), other.link());
        Ok(Tensor::output(self.device(), self.shape(), y, &[self, other], move |dy| {
            match (to_a, to_b) {
                (Some(a), Some(b)) => {
                    a.receive(|da| da.copy_from_slice(dy.host()));
                    b.give(dy);
                }
                (Some(link), None) | (None, Some(link)) => link.give(dy),
                (None, None) => {}
            }
            Ok(())
        }))
    }

    /// `a - b`, value by value.
    ///
    /// # Errors
    /// [`Error::Shapes`](crate::Error::Shapes) if the sizes differ.
    pub fn sub(&self, other: &Tensor) -> Result<Tensor> {
        same_shape("sub", self, other)?;
        self.add(&other.scale(-1.0))
    }

    /// `a b`, value by value.
    ///
    /// # Errors
    /// [`Error::Shapes`](crate::Error::Shapes) if the sizes differ.
    pub fn mul(&self, other: &Tensor) -> Result<Tensor> {
        same_shape("mul", self, other)?;
        let mut y = self.device().take(self.len());
        kernel::mul(y.host_mut(), self.host(), other.host());
        let (to_a, to_b) = (self.link(), other.link());
        let (a, b) = (self.save_if(to_b.is_some()), other.save_if(to_a.is_some()));
        Ok(Tensor::output(self.device(), self.shape(), y, &[self, other], move |dy| {
            if let (Some(link), Some(b)) = (to_a, b) {
                link.receive(|da| kernel::mul(da, dy.host(), b.host()));
            }
            if let (Some(link), Some(a)) = (to_b, a) {
                link.receive(|db| kernel::mul(db, dy.host(), a.host()));
            }
            Ok(())
        }))
    }

    /// `c x` for a constant `c`.
    pub fn scale(&self, factor: f32) -> Tensor {
        let mut y = self.device().take(self.len());
        kernel::scale(y.host_mut(), self.host(), factor);
        let to_x = self.link();
        Tensor::output(self.device(), self.shape(), y, &[self], move |dy| {
            if let Some(link) = to_x {
                link.receive(|dx| kernel::scale(dx, dy.host(), factor));
            }
            Ok(())
        })
    }

    /// `x + c` for a constant `c`.
    pub fn add_scalar(&self, constant: f32) -> Tensor {
        let mut y = self.device().take(self.len());
        kernel::add_scalar(y.host_mut(), self.host(), constant);
        let to_x = self.link();
        Tensor::output(self.device(), self.shape(), y, &[self], move |dy| {
            if let Some(link) = to_x {
                link.give(dy);
            }
            Ok(())
        })
    }

    /// Adds the row `[d]` to every row of `x` `[n, d]`: a bias.
    ///
    /// # Errors
    /// [`Error::Shapes`](crate::Error::Shapes) if the row does not fit.
    pub fn add_row(&self, row: &Tensor) -> Result<Tensor> {
        row_fits("add_row", self, row)?;
        let mut y = self.device().take(self.len());
        kernel::add_row(y.host_mut(), self.host(), row.host());
        let (to_x, to_row) = (self.link(), row.link());
        Ok(Tensor::output(self.device(), self.shape(), y, &[self, row], move |dy| {
            if let Some(link) = to_row {
                link.receive(|drow| kernel::sum_columns(drow, dy.host()));
            }
            if let Some(link) = to_x {
                link.give(dy);
            }
            Ok(())
        }))
    }

    /// Multiplies every row of `x` `[n, d]` by the row `[d]`.
    ///
    /// # Errors
    /// [`Error::Shapes`](crate::Error::Shapes) if the row does not fit.
    pub fn mul_row(&self, row: &Tensor) -> Result<Tensor> {
        row_fits("mul_row", self, row)?;
        let mut y = self.device().take(self.len());
        kernel::mul_row(y.host_mut(), self.host(), row.host());
        let (to_x, to_row) = (self.link(), row.link());
        let (x, saved) = (self.save_if(to_row.is_some()), row.save_if(to_x.is_some()));
        Ok(Tensor::output(self.device(), self.shape(), y, &[self, row], move |dy| {
            if let (Some(link), Some(x)) = (to_row, x) {
                link.receive(|drow| kernel::dot_columns(drow, dy.host(), x.host()));
            }
            if let (Some(link), Some(row)) = (to_x, saved) {
                link.receive(|dx| kernel::mul_row(dx, dy.host(), row.host()));
            }
            Ok(())
        }))
    }

    /// `1 / x`, value by value.
    pub fn recip(&self) -> Tensor {
        self.by_output(kernel::recip, |dy, y| -dy * y * y)
    }

    /// The square root, value by value.
    pub fn sqrt(&self) -> Tensor {
        self.by_output(kernel::sqrt, |dy, y| 0.5 * dy / y)
    }

    /// The sum of each row of `x` `[n, d]`: `[n]`.
    pub fn sum_rows(&self) -> Tensor {
        let (n, cols) = (matrix_rows(self), self.cols());
        let mut y = self.device().take(n);
        kernel::sum_rows(y.host_mut(), self.host(), cols);
        let to_x = self.link();
        Tensor::output(self.device(), &[n], y, &[self], move |dy| {
            if let Some(link) = to_x {
                link.receive(|dx| {
                    dx.chunks_mut(cols.max(1)).zip(dy.host()).for_each(|(row, dy)| row.fill(*dy))
                });
            }
            Ok(())
        })
    }

    /// An operation on small tensors whose gradient follows from its output: `backward(dy, y)`.
    fn by_output(&self, forward: fn(&mut [f32], &[f32]), backward: fn(f32, f32) -> f32) -> Tensor {
        let mut y = self.device().take(self.len());
        forward(y.host_mut(), self.host());
        let y = Tensor::from_buffer(self.device(), self.shape(), y);
        let (to_x, saved) = (self.link(), y.save_if(self.is_tracked()));
        y.recorded(&[self], move |dy| {
            if let (Some(link), Some(y)) = (to_x, saved) {
                let pairs = dy.host().iter().zip(y.host());
                link.receive(|dx| dx.iter_mut().zip(pairs).for_each(|(dx, (&dy, &y))| *dx = backward(dy, y)));
            }
            Ok(())
        })
    }
}
