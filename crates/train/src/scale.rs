//! Numbers brought to mean 0 and deviation 1 for training, and a head that was trained on them brought back.
//!
//! Methods' learning rates are for outputs of the size of logits, and the gradient's norm is clipped at 1: a head that
//! begins at 0 would not reach prices or years in an epoch. So it learns the scaled numbers, and in the end the constants
//! become a part of its last layer. A saved head gives the numbers themselves, in every program.

use crate::Result;
use crate::data::Label;
use offshoot_core::Params;
use offshoot_core::nn::Linear;

/// What numbers are scaled by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Scale {
    shift: f64,
    unit: f64,
}

impl Default for Scale {
    fn default() -> Self {
        Self { shift: 0.0, unit: 1.0 }
    }
}

impl Scale {
    /// The mean and the deviation of numbers. Where nothing can be shifted, as with a head without bias, zero stays
    /// zero and the unit is the root of their mean square.
    pub(crate) fn of(numbers: &[f64], shifts: bool) -> Self {
        let mean = |values: &dyn Fn(f64) -> f64| {
            numbers.iter().map(|&number| values(number)).sum::<f64>() / numbers.len().max(1) as f64
        };
        let shift = if shifts { mean(&|number| number) } else { 0.0 };
        let deviation = mean(&|number| (number - shift).powi(2)).sqrt();
        // Numbers that do not vary have no scale of their own.
        let varies = deviation > 1e-12 * shift.abs().max(f64::MIN_POSITIVE);
        Self { shift, unit: if varies && deviation.is_finite() { deviation } else { 1.0 } }
    }

    /// A number, scaled.
    pub(crate) fn inward(self, number: f64) -> f64 {
        (number - self.shift) / self.unit
    }

    /// A label, scaled if it is a number.
    pub(crate) fn label(self, label: &Label) -> Label {
        label.number().map_or_else(|| label.clone(), |number| Label::Number(self.inward(number)))
    }

    /// Scaled outputs in the labels' own unit.
    pub(crate) fn outputs(self, mut outputs: Vec<Vec<f32>>) -> Vec<Vec<f32>> {
        if self != Self::default() {
            let values = outputs.iter_mut().flatten();
            values.for_each(|value| *value = self.outward(f64::from(*value)) as f32);
        }
        outputs
    }

    /// A scaled number as it was.
    pub(crate) fn outward(self, number: f64) -> f64 {
        number * self.unit + self.shift
    }

    /// What a squared error on the scale is to be multiplied with.
    pub(crate) fn square(self) -> f64 {
        self.unit * self.unit
    }

    /// Makes a layer that gives scaled numbers give the numbers.
    ///
    /// # Errors
    /// If the layer is not among the parameters.
    pub(crate) fn fold(self, layer: &Linear, params: &mut Params) -> Result<()> {
        change(layer, params, |weight| weight * self.unit, |bias| self.outward(bias))
    }

    /// Makes a layer that gives numbers give them scaled.
    ///
    /// # Errors
    /// If the layer is not among the parameters.
    pub(crate) fn unfold(self, layer: &Linear, params: &mut Params) -> Result<()> {
        change(layer, params, |weight| weight / self.unit, |bias| self.inward(bias))
    }
}

fn change(
    layer: &Linear,
    params: &mut Params,
    weight: impl Fn(f64) -> f64,
    bias: impl Fn(f64) -> f64,
) -> Result<()> {
    let change = |values: &[f32], by: &dyn Fn(f64) -> f64| -> Vec<f32> {
        values.iter().map(|&value| by(f64::from(value)) as f32).collect()
    };
    let own =
        [Some((&layer.weight, &weight as &dyn Fn(f64) -> f64)), layer.bias.as_ref().map(|b| (b, &bias as _))];
    for (weight, by) in own.into_iter().flatten() {
        let values = change(&weight.value(params).to_vec(), by);
        if let Some(id) = weight.param() {
            params.get_mut(id).set(&values)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::linear;
    use offshoot_core::{Device, Step, Tensor};

    #[test]
    fn numbers_are_brought_to_mean_zero_and_deviation_one_and_back() {
        let numbers = [1990.0, 2000.0, 2010.0, 2040.0];
        let scale = Scale::of(&numbers, true);
        let scaled = numbers.map(|number| scale.inward(number));
        assert!(scaled.iter().sum::<f64>().abs() < 1e-12);
        assert!((scaled.iter().map(|x| x * x).sum::<f64>() / 4.0 - 1.0).abs() < 1e-12);
        assert!(numbers.iter().zip(scaled).all(|(number, x)| (scale.outward(x) - number).abs() < 1e-9));
        // By hand: deviations -20, -10, 0, 30 from 2010 have the mean square 350.
        assert!((scale.square() - 350.0).abs() < 1e-9);
        let unshifted = Scale::of(&[3.0, 4.0], false);
        assert!(unshifted.inward(0.0) == 0.0 && (unshifted.square() - 12.5).abs() < 1e-12);
        for same in [[7.0; 3].as_slice(), &[0.0; 2], &[]] {
            assert_eq!(Scale::of(same, true).square(), 1.0);
        }
    }

    #[test]
    fn a_folded_layer_gives_the_numbers_and_an_unfolded_one_the_scaled_ones() {
        let (device, mut params) = (Device::cpu(), Params::new());
        let mut layer = linear("out", Tensor::new(&device, &[1, 2], &[0.5, -1.5]).unwrap());
        layer.weights_mut().into_iter().for_each(|weight| weight.train(&mut params).unwrap());
        let scale = Scale::of(&[100.0, 300.0], true);
        let x = Tensor::new(&device, &[1, 2], &[1.0, 2.0]).unwrap();
        let said = |params: &Params| f64::from(layer.forward(&x, &Step::detached(params)).unwrap().value());
        let scaled = said(&params);
        scale.fold(&layer, &mut params).unwrap();
        assert!((said(&params) - (200.0 + 100.0 * scaled)).abs() < 1e-3, "{}", said(&params));
        scale.unfold(&layer, &mut params).unwrap();
        assert!((said(&params) - scaled).abs() < 1e-6);
    }
}
