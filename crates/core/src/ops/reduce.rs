//! Reductions to one value.

use crate::Tensor;

impl Tensor {
    /// The sum of all values, as one value. The sum is taken in double precision.
    pub fn sum(&self) -> Tensor {
        let total: f64 = self.host().iter().map(|&x| f64::from(x)).sum();
        let mut y = self.device().take(1);
        y.host_mut().fill(total as f32);
        let to_x = self.link();
        Tensor::output(self.device(), &[1], y, &[self], move |dy| {
            if let Some(link) = to_x {
                let gradient = dy.host().first().copied().unwrap_or(0.0);
                link.receive(|dx| dx.fill(gradient));
            }
            Ok(())
        })
    }
}
