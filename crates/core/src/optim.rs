//! The optimizer.

use crate::{Error, Params, Result};
pub use offshoot_kernels::adamw::AdamW as Settings;
use offshoot_kernels::adamw::adamw;

/// AdamW (Loshchilov and Hutter 2019): decay apart from the gradient, on every parameter. First and second moments are `f32`.
pub struct AdamW {
    moments: Vec<(Vec<f32>, Vec<f32>)>,
    steps: u64,
}

impl AdamW {
    /// An optimizer for these parameters, at step 0.
    pub fn new(params: &Params) -> Self {
        let zeros = |len: usize| (vec![0.0; len], vec![0.0; len]);
        Self { moments: params.iter().map(|p| zeros(p.value().len())).collect(), steps: 0 }
    }

    /// Steps done.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Updates every parameter that has a gradient, and forgets the gradients. `gradient_scale` multiplies them first.
    ///
    /// # Errors
    /// [`Error::Invalid`] if these are not the parameters it was made for, as after one was registered too late.
    pub fn step(&mut self, params: &mut Params, settings: &Settings, gradient_scale: f32) -> Result<()> {
        let sizes = self.moments.iter().map(|(m, _)| m.len());
        if !sizes.eq(params.iter().map(|p| p.value().len())) {
            return Err(Error::invalid(
                "the optimizer was made for other parameters: make it after all are registered",
            ));
        }
        self.steps += 1;
        for (param, (m, v)) in params.iter_mut().zip(&mut self.moments) {
            if let Some(gradient) = param.slot().take() {
                adamw(param.value_mut(), gradient.host(), m, v, self.steps, gradient_scale, settings);
            }
        }
        Ok(())
    }
}
