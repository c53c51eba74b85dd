//! The optimizer.

use crate::{Error, Params, Result};
pub use offshoot_kernels::adamw::AdamW as Settings;
use offshoot_kernels::adamw::adamw;

/// AdamW (Loshchilov and Hutter 2019): decay apart from the gradient, on every parameter. First and second
/// moments are `f32`.
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

    /// An optimizer that goes on after so many steps, with the [`moments`](Self::moments) that it had then.
    ///
    /// # Errors
    /// [`Error::Invalid`] if they are not of these parameters.
    pub fn resumed(params: &Params, moments: Vec<(Vec<f32>, Vec<f32>)>, steps: u64) -> Result<Self> {
        let sizes = params.iter().map(|p| (p.value().len(), p.value().len()));
        if !sizes.eq(moments.iter().map(|(m, v)| (m.len(), v.len()))) {
            return Err(Error::invalid("these are moments of other parameters"));
        }
        Ok(Self { moments, steps })
    }

    /// Steps done.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The first and second moments of each parameter, in their order.
    pub fn moments(&self) -> impl Iterator<Item = (&[f32], &[f32])> {
        self.moments.iter().map(|(m, v)| (m.as_slice(), v.as_slice()))
    }

    /// Updates every parameter that has a gradient, and forgets the gradients. `gradient_scale` multiplies
    /// them first.
    ///
    /// # Errors
    /// [`Error::Invalid`] if these are not the parameters it was made for, as after one was registered too
    /// late.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Device, Param, Step, Tape, Tensor};

    /// An eps so large that the gradient's scale shows, which it hides otherwise.
    const SETTINGS: Settings = Settings { lr: 0.01, beta1: 0.9, beta2: 0.999, eps: 0.25, weight_decay: 0.1 };

    fn params() -> Params {
        let mut params = Params::new();
        for name in ["trained", "idle"] {
            params.insert(name, Tensor::new(&Device::cpu(), &[2], &[1.0, -2.0]).unwrap()).unwrap();
        }
        params
    }

    /// Leaves `gradient` on the first parameter.
    fn collect(params: &Params, gradient: [f32; 2]) {
        let tape = Tape::new();
        let x = Step::tracked(params, &tape).param(params.find("trained").unwrap());
        let slope = Tensor::new(x.device(), &[2], &gradient).unwrap();
        tape.backward(&x.mul(&slope).unwrap().sum(), 1.0).unwrap();
    }

    #[test]
    fn three_steps_give_the_values_of_torch() {
        /// A gradient, and the values after its step by the formula of `torch.optim.AdamW`, computed in f64:
        /// decay by `1 - lr weight_decay`, then `lr m' / (sqrt(v') + eps)`, with each gradient halved first.
        const STEPS: [([f32; 2], [f64; 2]); 3] = [
            ([1.0, -4.0], [0.992_333_333, -1.989_111_111]),
            ([2.0, 0.5], [0.984_007_795, -1.982_251_248]),
            ([-3.0, 0.0], [0.983_564_632, -1.976_626_259]),
        ];
        let mut params = params();
        let mut optimizer = AdamW::new(&params);
        for (gradient, expected) in STEPS {
            collect(&params, gradient);
            optimizer.step(&mut params, &SETTINGS, 0.5).unwrap();
            let values = params.snapshot().swap_remove(0);
            // Three steps of f32 rounding of values up to 2.
            let close =
                values.iter().zip(expected).all(|(&ours, theirs)| (f64::from(ours) - theirs).abs() < 1e-6);
            assert!(close, "step {}: {values:?}, not {expected:?}", optimizer.steps());
        }
    }

    #[test]
    fn a_parameter_without_a_gradient_does_not_move() {
        let mut params = params();
        collect(&params, [1.0, 1.0]);
        AdamW::new(&params).step(&mut params, &SETTINGS, 1.0).unwrap();
        let values = params.snapshot();
        assert_ne!(values[0], [1.0, -2.0]);
        assert_eq!(values[1], [1.0, -2.0], "not even by weight decay, as in torch");
    }

    #[test]
    fn a_step_forgets_the_gradients() {
        let mut params = params();
        collect(&params, [1.0, 1.0]);
        AdamW::new(&params).step(&mut params, &SETTINGS, 1.0).unwrap();
        assert!(params.iter().all(|p: &Param| p.gradient().is_none()));
    }

    #[test]
    fn an_optimizer_goes_on_from_its_moments() {
        let (mut params, mut again) = (params(), params());
        let (mut unbroken, mut before) = (AdamW::new(&params), AdamW::new(&again));
        collect(&params, [1.0, -4.0]);
        collect(&again, [1.0, -4.0]);
        unbroken.step(&mut params, &SETTINGS, 1.0).unwrap();
        before.step(&mut again, &SETTINGS, 1.0).unwrap();
        let moments: Vec<_> = before.moments().map(|(m, v)| (m.to_vec(), v.to_vec())).collect();
        assert!(AdamW::resumed(&again, moments[..1].to_vec(), 1).is_err());
        let mut after = AdamW::resumed(&again, moments, before.steps()).unwrap();
        collect(&params, [2.0, 0.5]);
        collect(&again, [2.0, 0.5]);
        unbroken.step(&mut params, &SETTINGS, 1.0).unwrap();
        after.step(&mut again, &SETTINGS, 1.0).unwrap();
        assert_eq!(params.snapshot(), again.snapshot());
    }

    #[test]
    fn a_parameter_registered_too_late_is_not_forgotten_silently() {
        let mut params = params();
        let mut optimizer = AdamW::new(&params);
        params.insert("late", Tensor::zeros(&Device::cpu(), &[1])).unwrap();
        assert!(optimizer.step(&mut params, &SETTINGS, 1.0).is_err());
        assert_eq!(optimizer.steps(), 0);
    }
}
