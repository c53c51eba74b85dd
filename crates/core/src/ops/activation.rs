//! Non-linearities and the softmax.

use super::same_shape;
use crate::{Activation, Result, Tensor};
use offshoot_kernels::{activation as kernel, elementwise, softmax};

impl Tensor {
    /// A non-linearity, value by value.
    pub fn activation(&self, kind: Activation) -> Tensor {
        let mut y = self.device().take(self.len());
        kernel::activation(kind, y.host_mut(), self.host());
        let to_x = self.link();
        let x = self.save_if(to_x.is_some());
        Tensor::output(self.device(), self.shape(), y, &[self], move |dy| {
            if let (Some(link), Some(x)) = (to_x, x) {
                link.receive(|dx| kernel::activation_backward(kind, dx, dy.host(), x.host()));
            }
            Ok(())
        })
    }

    /// `f(g) x`, value by value, for a gate `g`. Of the three factors of its backward only `g` and `x` are
    /// kept.
    ///
    /// # Errors
    /// [`Error::Shapes`](crate::Error::Shapes) if the sizes differ.
    pub fn gated(&self, gate: &Tensor, kind: Activation) -> Result<Tensor> {
        same_shape("gated", self, gate)?;
        let mut y = self.device().take(self.len());
        kernel::activation(kind, y.host_mut(), gate.host());
        elementwise::mul_assign(y.host_mut(), self.host());
        let (to_x, to_gate) = (self.link(), gate.link());
        let g = gate.save_if(to_x.is_some() || to_gate.is_some());
        let x = self.save_if(to_gate.is_some());
        Ok(Tensor::output(self.device(), self.shape(), y, &[self, gate], move |dy| {
            if let (Some(link), Some(g)) = (to_x, &g) {
                link.receive(|dx| {
                    kernel::activation(kind, dx, g.host());
                    elementwise::mul_assign(dx, dy.host());
                });
            }
            if let (Some(link), Some(g), Some(x)) = (to_gate, &g, x) {
                link.receive(|dg| {
                    kernel::activation_backward(kind, dg, dy.host(), g.host());
                    elementwise::mul_assign(dg, x.host());
                });
            }
            Ok(())
        }))
    }

    /// `tanh(x)`.
    pub fn tanh(&self) -> Tensor {
        self.activation(Activation::Tanh)
    }

    /// `1 / (1 + exp(-x))`.
    pub fn sigmoid(&self) -> Tensor {
        self.activation(Activation::Sigmoid)
    }

    /// `max(x, 0)`.
    pub fn relu(&self) -> Tensor {
        self.activation(Activation::Relu)
    }

    /// The softmax of each row of `x` `[n, d]`.
    pub fn softmax(&self) -> Tensor {
        let cols = self.cols();
        let mut y = self.device().take(self.len());
        softmax::softmax(y.host_mut(), self.host(), cols);
        let y = Tensor::from_buffer(self.device(), self.shape(), y);
        let (to_x, saved) = (self.link(), y.save_if(self.is_tracked()));
        y.recorded(&[self], move |dy| {
            if let (Some(link), Some(y)) = (to_x, saved) {
                link.receive(|dx| softmax::softmax_backward(dx, dy.host(), y.host(), cols));
            }
            Ok(())
        })
    }
}
