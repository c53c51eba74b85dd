//! A network of one hidden layer, trained on features. How many passes it makes over the rows is chosen on a fifth
//! of them that it does not train on; then it is trained on all.

use super::regression::Rows;
use super::scaling::Scaling;
use crate::data::Label;
use crate::scale::Scale;
use crate::weighted::Weighted;
use crate::{Error, Result};
use offshoot_core::nn::{Head, HeadLayer, Linear};
use offshoot_core::optim::{AdamW, Settings};
use offshoot_core::{Activation, Device, Kind, Params, Part, Place, Rng, Step, Tape, Tensor, Weight};
use offshoot_methods::features_mlp::Config;

/// Rows of one step.
const BATCH: usize = 32;
/// Rows that are told at once, where nothing is trained.
const PART: usize = 1024;
/// Passes without a better loss after which no more are tried.
const PATIENCE: usize = 10;

/// What was trained.
pub(super) struct Trained {
    /// The values of the head's weights, in its order.
    pub(super) values: Vec<Vec<f32>>,
    /// Optimizer steps of the training on all rows.
    pub(super) steps: u64,
    /// Passes that were chosen.
    pub(super) epochs: usize,
}

/// A head of one hidden layer, as it begins.
pub(super) fn head(device: &Device, [inputs, width, outputs]: [usize; 3], rng: &mut Rng) -> Head {
    // He et al. 2015: the deviation that keeps activations behind a relu at one scale.
    let mut drawn = |inputs: usize, outputs: usize| {
        rng.normal_tensor(device, &[outputs, inputs], (2.0 / inputs.max(1) as f64).sqrt())
    };
    let hidden = linear("classifier.hidden", drawn(inputs, width));
    let out = match outputs {
        // A number is learnt from the mean of all on: drawn at random, it would begin with errors larger than theirs,
        // which few rows do not undo before they are known by heart.
        1 => Tensor::zeros(device, &[1, width]),
        _ => drawn(width, outputs),
    };
    let out = linear("classifier.out", out);
    Head::new(vec![
        HeadLayer { linear: hidden, dropout: 0.0, activation: Some(Activation::Relu) },
        HeadLayer { linear: out, dropout: 0.0, activation: None },
    ])
}

/// A projection of a head with these weights `[outputs, inputs]`, and a bias of zero.
pub(crate) fn linear(name: &str, weight: Tensor) -> Linear {
    let (outputs, inputs) = (weight.rows(), weight.cols());
    let bias = Tensor::zeros(weight.device(), &[outputs]);
    let place = |kind| Place { part: Part::Head, kind };
    let weight = Weight::frozen(format!("{name}.weight"), place(Kind::Matrix), weight);
    let bias = Some(Weight::frozen(format!("{name}.bias"), place(Kind::Bias), bias));
    Linear { weight, bias, inputs, outputs, input_major: false }
}

/// Trains the network on features, one list per row, with labels of the objective's kind. Rows are expected in random
/// order.
pub(super) fn fit(
    (features, labels): Rows<'_>,
    objective: Weighted<'_>,
    config: &Config,
    device: &Device,
    seed: u64,
) -> Result<Trained> {
    let scaling = Scaling::of(features);
    let rows: Vec<Vec<f32>> =
        features.iter().map(|row| scaling.apply(row).into_iter().map(|x| x as f32).collect()).collect();
    let sizes = [scaling.columns(), config.width, objective.outputs()];
    let rng = Rng::new(seed).fork("mlp");
    let held_out = rows.len() / 5;
    let ((test, train), (test_labels, train_labels)) = (rows.split_at(held_out), labels.split_at(held_out));
    let mut tried = Network::new(device, sizes, objective, &rng)?;
    let epochs = tried.choose((train, train_labels), (test, test_labels), config)?;
    let mut network = Network::new(device, sizes, objective, &rng)?;
    (0..epochs).try_for_each(|epoch| network.epoch((&rows, labels), config, epoch))?;
    Ok(Trained { values: folded(&network.params, &scaling), steps: network.optimizer.steps(), epochs })
}

/// The network's values, its first layer's for features as they are.
fn folded(params: &Params, scaling: &Scaling) -> Vec<Vec<f32>> {
    let mut values = params.snapshot();
    let [weight, bias, ..] = values.as_mut_slice() else { return values };
    for (row, bias) in weight.chunks_mut(scaling.columns().max(1)).zip(bias) {
        let scaled: Vec<f64> = row.iter().map(|&w| f64::from(w)).collect();
        let (own, shifted) = scaling.fold(&scaled, f64::from(*bias));
        row.copy_from_slice(&own);
        *bias = shifted;
    }
    values
}

/// The network while it is trained.
struct Network<'a> {
    head: Head,
    params: Params,
    optimizer: AdamW,
    objective: Weighted<'a>,
    device: Device,
    rng: Rng,
}

impl<'a> Network<'a> {
    fn new(device: &Device, sizes: [usize; 3], objective: Weighted<'a>, rng: &Rng) -> Result<Self> {
        let mut params = Params::new();
        let mut head = head(device, sizes, &mut rng.fork("initial"));
        head.train(&mut params)?;
        let optimizer = AdamW::new(&params);
        Ok(Self { objective, head, params, optimizer, device: device.clone(), rng: rng.clone() })
    }

    /// After how many passes over the rows those held out are told best.
    fn choose(&mut self, rows: Rows<'_>, held_out: Rows<'_>, config: &Config) -> Result<usize> {
        let mut best = (f64::INFINITY, 1);
        for epoch in 0..config.epochs {
            self.epoch(rows, config, epoch)?;
            let loss = self.loss(held_out)?;
            if loss < best.0 {
                best = (loss, epoch + 1);
            } else if epoch + 1 >= best.1 + PATIENCE {
                break;
            }
        }
        Ok(best.1)
    }

    fn epoch(&mut self, (rows, labels): Rows<'_>, config: &Config, epoch: usize) -> Result<()> {
        let order = self.rng.fork(&format!("epoch {epoch}")).permutation(rows.len());
        for part in order.chunks(BATCH) {
            let batch = batch(&self.device, &part.iter().map(|&i| &rows[i]).collect::<Vec<_>>())?;
            let own: Vec<&Label> = part.iter().map(|&i| &labels[i]).collect();
            self.step(&batch, &own, config)?;
        }
        Ok(())
    }

    fn step(&mut self, batch: &Tensor, labels: &[&Label], config: &Config) -> Result<()> {
        let tape = Tape::new();
        let logits = self.head.forward(batch, &Step::tracked(&self.params, &tape))?;
        let loss = self.objective.loss(&logits, labels, (0.0, Scale::default()))?;
        tape.backward(&loss, 1.0 / self.objective.total(labels.iter().copied()) as f32)?;
        let norm = self.params.gradient_norm();
        if !norm.is_finite() {
            let reason = "the network's gradient is not finite; set a smaller features-mlp.rate";
            return Err(Error::invalid(reason));
        }
        let settings = Settings {
            lr: config.rate,
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            weight_decay: config.weight_decay,
        };
        Ok(self.optimizer.step(&mut self.params, &settings, 1.0)?)
    }

    fn loss(&self, (rows, labels): Rows<'_>) -> Result<f64> {
        if rows.is_empty() {
            return Ok(f64::INFINITY);
        }
        let outputs = logits(&self.head, &self.params, rows)?;
        Ok(self.objective.mean_loss(&outputs, labels))
    }
}

/// What a head says of rows of features.
pub(super) fn logits(head: &Head, params: &Params, rows: &[Vec<f32>]) -> Result<Vec<Vec<f32>>> {
    let Some(device) = params.iter().next().map(|param| param.value().device()) else {
        return Ok(Vec::new());
    };
    let mut logits = Vec::with_capacity(rows.len());
    for part in rows.chunks(PART) {
        let part: Vec<&Vec<f32>> = part.iter().collect();
        let values = head.forward(&batch(device, &part)?, &Step::detached(params))?.to_vec();
        logits.extend(values.chunks(head.classes()).map(<[f32]>::to_vec));
    }
    Ok(logits)
}

/// `[rows, columns]`
fn batch(device: &Device, rows: &[&Vec<f32>]) -> Result<Tensor> {
    let columns = rows.first().map_or(0, |row| row.len());
    let values: Vec<f32> = rows.iter().flat_map(|row| row.iter().copied()).collect();
    Ok(Tensor::new(device, &[rows.len(), columns], &values)?)
}

#[cfg(test)]
mod tests {
    use super::super::regression;
    use super::*;
    use crate::Objective;

    /// Two features whose product's sign is the class: no linear classifier tells them.
    fn crossed(n: usize) -> (Vec<Vec<f32>>, Vec<Label>) {
        let mut rng = Rng::new(5);
        let rows: Vec<Vec<f32>> =
            (0..n).map(|_| vec![3.0 + rng.normal() as f32, 0.1 * rng.normal() as f32, 7.0]).collect();
        let class = |row: &Vec<f32>| Label::Class(u32::from((row[0] - 3.0) * row[1] > 0.0));
        let labels = rows.iter().map(class).collect();
        (rows, labels)
    }

    fn answers(trained: &Trained, rows: &[Vec<f32>], sizes: [usize; 3]) -> Vec<Vec<f32>> {
        let (mut params, mut head) = (Params::new(), head(&Device::cpu(), sizes, &mut Rng::new(9)));
        head.train(&mut params).unwrap();
        params.restore(&trained.values).unwrap();
        logits(&head, &params, rows).unwrap()
    }

    #[test]
    fn learns_what_no_linear_classifier_can() {
        let (rows, labels) = crossed(600);
        let config = Config { width: 16, rate: 1e-2, ..Config::default() };
        let trained = fit((&rows[200..], &labels[200..]), 2.into(), &config, &Device::cpu(), 1).unwrap();
        let accuracy =
            |outputs: &[Vec<f32>]| Objective::Classes(2).score(outputs, labels[..200].iter()).accuracy();
        let network = accuracy(&answers(&trained, &rows[..200], [3, 16, 2]));
        let line = regression::fit((&rows[200..], &labels[200..]), 2.into(), 1e-3);
        let line: Vec<Vec<f32>> = rows[..200].iter().map(|row| regression::outputs(&line, row)).collect();
        let line = accuracy(&line);
        assert!(network > Some(0.9) && line < Some(0.7), "{network:?} {line:?}");
    }

    /// Where features tell nothing of the numbers, the answer stays near their mean.
    #[test]
    fn what_cannot_be_learnt_is_hardly_worse_than_the_mean() {
        let mut rng = Rng::new(11);
        let rows: Vec<Vec<f32>> = (0..300).map(|_| (0..100).map(|_| rng.normal() as f32).collect()).collect();
        let labels: Vec<Label> = (0..300).map(|_| Label::Number(rng.normal())).collect();
        let config = Config { width: 64, ..Config::default() };
        let trained =
            fit((&rows[100..], &labels[100..]), Objective::Number.into(), &config, &Device::cpu(), 1)
                .unwrap();
        let outputs = answers(&trained, &rows[..100], [100, 64, 1]);
        let error = Objective::Number.score(&outputs, labels[..100].iter()).loss();
        let variance =
            Scale::of(&labels[..100].iter().filter_map(Label::number).collect::<Vec<_>>(), true).square();
        assert!(error < 1.3 * variance, "{error} {variance}");
    }

    #[test]
    fn the_seed_decides_all_values() {
        let (rows, labels) = crossed(100);
        let config = Config { width: 4, epochs: 3, ..Config::default() };
        let fit = |seed| fit((&rows, &labels), 2.into(), &config, &Device::cpu(), seed).unwrap().values;
        assert_eq!(fit(1), fit(1));
        assert_ne!(fit(1), fit(2));
    }

    #[test]
    fn a_heavier_class_is_told_more_often() {
        let (rows, labels) = crossed(200);
        let config = Config { width: 4, epochs: 20, rate: 1e-2, ..Config::default() };
        let told = |weights: &[f32]| {
            let classes = Weighted { objective: 2.into(), weights };
            let trained = fit((&rows, &labels), classes, &config, &Device::cpu(), 1).unwrap();
            answers(&trained, &rows, [3, 4, 2]).iter().filter(|row| crate::argmax(row) == 1).count()
        };
        assert!(told(&[1.0, 20.0]) > told(&[20.0, 1.0]) + 20);
        assert_eq!(told(&[]), told(&[1.0, 1.0]));
    }

    #[test]
    fn one_row_is_enough_to_train_on() {
        let (rows, labels) = crossed(1);
        let trained = fit((&rows, &labels), 2.into(), &Config::default(), &Device::cpu(), 0).unwrap();
        assert!(trained.values.iter().flatten().all(|value| value.is_finite()));
    }
}
