//! What a head is for together with what rows of each class count, for whoever sums losses.

use crate::data::Label;
use crate::scale::Scale;
use crate::{Objective, Result};
use offshoot_core::Tensor;

/// An objective, with weights of its classes where it has any.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weighted<'a> {
    pub(crate) objective: Objective,
    /// What the loss of a row of each class is multiplied by; none for 1.
    pub(crate) weights: &'a [f32],
}

impl<T: Into<Objective>> From<T> for Weighted<'_> {
    fn from(objective: T) -> Self {
        Self { objective: objective.into(), weights: &[] }
    }
}

impl Weighted<'_> {
    /// How many outputs the head has.
    pub(crate) fn outputs(&self) -> usize {
        self.objective.outputs()
    }

    fn weight(&self, label: &Label) -> f64 {
        let own = label.class().and_then(|class| self.weights.get(class as usize));
        own.map_or(1.0, |&weight| f64::from(weight))
    }

    /// What a sum of these rows' losses is divided by for their mean; 1 where there is no row.
    pub(crate) fn total<'b>(&self, labels: impl IntoIterator<Item = &'b Label>) -> f64 {
        let total: f64 = labels.into_iter().map(|label| self.weight(label)).sum();
        if total > 0.0 { total } else { 1.0 }
    }

    /// [`Objective::loss`] with these weights.
    ///
    /// # Errors
    /// As that.
    pub(crate) fn loss(&self, outputs: &Tensor, labels: &[&Label], how: (f32, Scale)) -> Result<Tensor> {
        self.objective.loss(outputs, (labels, self.weights), how)
    }

    /// [`Objective::derive`] with these weights.
    pub(crate) fn derive(&self, outputs: &mut [f64], label: &Label) -> f64 {
        let (weight, loss) = (self.weight(label), self.objective.derive(outputs, label));
        outputs.iter_mut().for_each(|derivative| *derivative *= weight);
        weight * loss
    }

    /// The mean of the losses that a solver is told, row by row.
    pub(crate) fn mean_loss(&self, outputs: &[Vec<f32>], labels: &[Label]) -> f64 {
        let own = |(row, label): (&Vec<f32>, &Label)| {
            let mut outputs: Vec<f64> = row.iter().map(|&output| f64::from(output)).collect();
            self.derive(&mut outputs, label)
        };
        outputs.iter().zip(labels).map(own).sum::<f64>() / self.total(labels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mean_is_over_the_weights() {
        let weighted = Weighted { objective: 2.into(), weights: &[3.0, 0.5] };
        let labels = [Label::Class(0), Label::Class(1), Label::Class(1)];
        let outputs: Vec<Vec<f32>> = vec![vec![0.0, 0.0], vec![0.0, 3f32.ln()], vec![3f32.ln(), 0.0]];
        assert_eq!((weighted.total(&labels), weighted.total([])), (4.0, 1.0));
        // By hand: 3 ln 2, and half of ln 4/3 and of ln 4.
        let expected = (3.0 * 2f64.ln() + 0.5 * (4.0 / 3.0_f64).ln() + 0.5 * 4f64.ln()) / 4.0;
        assert!((weighted.mean_loss(&outputs, &labels) - expected).abs() < 1e-6);
    }

    #[test]
    fn a_weight_multiplies_a_loss_and_its_derivatives() {
        let derived = |weights: &[f32]| {
            let mut outputs = [0.5, -0.25];
            let loss = Weighted { objective: 2.into(), weights }.derive(&mut outputs, &Label::Class(1));
            [loss, outputs[0], outputs[1]]
        };
        let (plain, heavy) = (derived(&[]), derived(&[1.0, 4.0]));
        assert_eq!(plain.map(|value| 4.0 * value), heavy);
    }

    #[test]
    fn numbers_have_no_weights() {
        let numbers = Weighted::from(Objective::Number);
        let labels = [Label::Number(1.0), Label::Number(3.0)];
        assert_eq!(numbers.total(&labels), 2.0);
        assert_eq!(numbers.mean_loss(&[vec![2.0], vec![3.0]], &labels), 0.25);
    }
}
