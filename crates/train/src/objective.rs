//! What a head that reads whole sequences is for. All that differs between such tasks is here, but for how labels are
//! read (`data::label`) and what their measures are (`score`).

use crate::data::Label;
use crate::metrics::{argmax, softmax};
use crate::report::Answers;
use crate::scale::Scale;
use crate::{Metrics, NumberMetrics, Result, Score};
use offshoot_core::{Tensor, weighted_cross_entropy};
use offshoot_methods::{Info, MethodConfig, Saves};
use offshoot_models::Task;

/// What a head's outputs are to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Objective {
    /// Logits of so many classes, of which a row has one. The loss is their cross-entropy.
    Classes(usize),
    /// A number. The loss is the squared error.
    Number,
}

/// What is said of a row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Said {
    /// The label, where there are classes.
    pub label: Option<String>,
    /// The number, where there are none.
    pub number: Option<f64>,
    /// The probability of each label, in the order of the head's rows.
    pub probabilities: Vec<(String, f64)>,
}

impl From<usize> for Objective {
    fn from(classes: usize) -> Self {
        Self::Classes(classes)
    }
}

impl Objective {
    /// That of a task with labels of so many names.
    pub fn new(task: Task, names: usize) -> Self {
        match task {
            Task::Regression => Self::Number,
            Task::Classification | Task::LanguageModel => Self::Classes(names),
        }
    }

    /// That of a head that says nothing of itself: as in transformers, one output is a number.
    pub(crate) fn of_outputs(outputs: usize) -> Self {
        if outputs == 1 { Self::Number } else { Self::Classes(outputs) }
    }

    /// The task.
    pub fn task(self) -> Task {
        match self {
            Self::Classes(_) => Task::Classification,
            Self::Number => Task::Regression,
        }
    }

    /// The task and its size, in a few words.
    pub fn described(self) -> String {
        match self {
            Self::Classes(classes) => format!("classification into {classes} classes"),
            Self::Number => "regression, a number for each text".to_owned(),
        }
    }

    /// How many outputs the head has.
    pub fn outputs(self) -> usize {
        match self {
            Self::Classes(classes) => classes,
            Self::Number => 1,
        }
    }

    /// The names of the outputs, as the libraries' configs want one for each.
    pub(crate) fn output_names(self, labels: &[String]) -> Vec<String> {
        match self {
            Self::Classes(_) => labels.to_vec(),
            Self::Number => vec!["LABEL_0".to_owned()],
        }
    }

    /// What transformers calls it in a config.
    pub(crate) fn problem_type(self) -> &'static str {
        match self {
            Self::Classes(_) => "single_label_classification",
            Self::Number => "regression",
        }
    }

    /// Whether a method can serve it.
    pub fn fits(self, method: &MethodConfig) -> bool {
        match self {
            Self::Classes(_) => true,
            Self::Number => gives_numbers(method.info()),
        }
    }

    /// Why a method that does not fit is refused, and which fit.
    pub fn refusal(self, method: &MethodConfig) -> String {
        let fitting: Vec<&str> =
            MethodConfig::ALL.iter().filter(|info| gives_numbers(info)).map(|info| info.name).collect();
        format!(
            "`{}` tells classes apart and gives no numbers; for --task {} choose one of {}",
            method.info().name,
            self.task().name(),
            fitting.join(", ")
        )
    }

    /// The summed loss of outputs `[n, outputs]`, as one value. Where there are classes, with label smoothing and what
    /// the loss of a row of each is multiplied by (no weights for 1); numbers are brought to the head's scale.
    ///
    /// # Errors
    /// If there is not one label of this kind for each row, or a class is none of these.
    pub(crate) fn loss(
        self,
        outputs: &Tensor,
        (labels, weights): (&[&Label], &[f32]),
        (smoothing, scale): (f32, Scale),
    ) -> Result<Tensor> {
        match self {
            Self::Classes(_) => {
                let classes: Vec<u32> = labels.iter().filter_map(|label| label.class()).collect();
                Ok(weighted_cross_entropy(outputs, (&classes, weights), smoothing)?)
            }
            Self::Number => {
                let numbers = labels.iter().filter_map(|label| label.number());
                let wanted: Vec<f32> = numbers.map(|number| scale.inward(number) as f32).collect();
                let wanted = Tensor::new(outputs.device(), &[wanted.len(), 1], &wanted)?;
                let errors = outputs.sub(&wanted)?;
                Ok(errors.mul(&errors)?.sum())
            }
        }
    }

    /// A row's loss in double precision, for a solver; its derivatives take the outputs' place. Of a number it is half
    /// of the squared error, so that a penalty on weights weighs as in ridge regression.
    pub(crate) fn derive(self, outputs: &mut [f64], label: &Label) -> f64 {
        match (self, label) {
            (Self::Classes(_), Label::Class(class)) => softmax_in_place(outputs, *class as usize),
            (Self::Number, Label::Number(number)) => {
                outputs.iter_mut().for_each(|output| *output -= number);
                outputs.iter().map(|error| error * error / 2.0).sum()
            }
            _ => f64::NAN,
        }
    }

    /// How well outputs fit labels, row by row.
    pub fn score<'a>(self, outputs: &[Vec<f32>], labels: impl Iterator<Item = &'a Label>) -> Score {
        match self {
            Self::Classes(_) => {
                let classes: Vec<u32> = labels.filter_map(Label::class).collect();
                Score::Classes(Metrics::of(outputs, &classes))
            }
            Self::Number => {
                let numbers: Vec<f64> = labels.filter_map(Label::number).collect();
                Score::Numbers(NumberMetrics::of(&numbers_of(outputs), &numbers))
            }
        }
    }

    /// What outputs say of rows, to be compared row by row with other methods'. `rows` is a hash of them.
    pub(crate) fn answers<'a>(
        self,
        outputs: &[Vec<f32>],
        labels: impl Iterator<Item = &'a Label>,
        rows: String,
    ) -> Answers {
        match self {
            Self::Classes(_) => {
                Answers::of(outputs, &labels.filter_map(Label::class).collect::<Vec<_>>(), rows)
            }
            Self::Number => Answers::of_numbers(
                &numbers_of(outputs),
                &labels.filter_map(Label::number).collect::<Vec<_>>(),
                rows,
            ),
        }
    }

    /// What a row's outputs say, with labels of these names.
    pub fn says(self, outputs: &[f32], names: &[String]) -> Said {
        match self {
            Self::Classes(_) => Said {
                label: names.get(argmax(outputs)).cloned(),
                number: None,
                probabilities: names.iter().cloned().zip(softmax(outputs)).collect(),
            },
            Self::Number => {
                Said { number: outputs.first().map(|&number| f64::from(number)), ..Said::default() }
            }
        }
    }

    /// The scale on which a head learns these labels; `shifts` says whether it has a bias to fold a shift into.
    pub(crate) fn scale<'a>(self, labels: impl Iterator<Item = &'a Label>, shifts: bool) -> Scale {
        match self {
            Self::Classes(_) => Scale::default(),
            Self::Number => Scale::of(&labels.filter_map(Label::number).collect::<Vec<_>>(), shifts),
        }
    }
}

/// Whether a method's answers can be any number: it has a head that is trained or solved. What asks in words, lets
/// neighbours vote or grows trees tells classes apart.
fn gives_numbers(info: &Info) -> bool {
    !matches!(info.saves, Saves::Prompt | Saves::Fitted)
}

fn numbers_of(outputs: &[Vec<f32>]) -> Vec<f64> {
    outputs.iter().map(|row| row.first().map_or(f64::NAN, |&number| f64::from(number))).collect()
}

/// Turns scores into probabilities minus the target, and returns the cross-entropy.
fn softmax_in_place(scores: &mut [f64], label: usize) -> f64 {
    let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let own = scores[label] - largest;
    scores.iter_mut().for_each(|s| *s = (*s - largest).exp());
    let total: f64 = scores.iter().sum();
    scores.iter_mut().for_each(|s| *s /= total);
    scores[label] -= 1.0;
    total.ln() - own
}

#[cfg(test)]
mod tests {
    use super::*;
    use offshoot_core::{Device, Params, Step, Tape};

    fn numbers(values: &[f64]) -> Vec<Label> {
        values.iter().copied().map(Label::Number).collect()
    }

    /// The loss of outputs, and its gradient.
    fn loss(outputs: &[f32], labels: &[Label], scale: Scale) -> (f32, Vec<f32>) {
        let (device, mut params, tape) = (Device::cpu(), Params::new(), Tape::new());
        let outputs = Tensor::new(&device, &[outputs.len(), 1], outputs).unwrap();
        let outputs = params.insert("outputs", outputs).unwrap();
        let tracked = Step::tracked(&params, &tape).param(outputs);
        let labels: Vec<&Label> = labels.iter().collect();
        let loss = Objective::Number.loss(&tracked, (&labels, &[]), (0.1, scale)).unwrap();
        tape.backward(&loss, 1.0).unwrap();
        (loss.value(), params.get(outputs).gradient().unwrap())
    }

    #[test]
    fn the_loss_of_numbers_is_their_squared_error_and_its_gradient_the_derivative() {
        let (outputs, labels) = ([0.5_f32, -1.0, 2.0], numbers(&[10.0, 20.0, 12.0]));
        let scale = Scale::of(&[10.0, 20.0], true);
        let (value, gradient) = loss(&outputs, &labels, scale);
        // On the scale the labels are -1, 1 and -0.6: errors 1.5, -2 and 2.6.
        assert!((value - (2.25 + 4.0 + 6.76)).abs() < 1e-5, "{value}");
        for row in 0..3 {
            let at = |by: f32| {
                let mut moved = outputs;
                moved[row] += by;
                f64::from(loss(&moved, &labels, scale).0)
            };
            // The loss is a parabola, of which central differences have no error but f32's rounding.
            let numeric = (at(0.125) - at(-0.125)) / 0.25;
            assert!((numeric - f64::from(gradient[row])).abs() < 1e-4, "{row}: {numeric} {}", gradient[row]);
        }
    }

    #[test]
    fn what_a_solver_is_told_is_the_derivative() {
        for (objective, label) in [(Objective::Number, Label::Number(0.75)), (3.into(), Label::Class(2))] {
            let outputs: Vec<f64> = (0..objective.outputs()).map(|i| 0.4 * i as f64 - 0.3).collect();
            let mut derivatives = outputs.clone();
            objective.derive(&mut derivatives, &label);
            for (i, derivative) in derivatives.iter().enumerate() {
                let at = |by: f64| {
                    let mut moved = outputs.clone();
                    moved[i] += by;
                    objective.derive(&mut moved, &label)
                };
                let numeric = (at(1e-5) - at(-1e-5)) / 2e-5;
                assert!((numeric - derivative).abs() < 1e-8, "{objective:?} {i}: {numeric} {derivative}");
            }
        }
    }

    #[test]
    fn each_task_says_what_its_outputs_mean() {
        let names = ["no", "yes"].map(str::to_owned);
        let said = Objective::Classes(2).says(&[0.0, 3.0_f32.ln()], &names);
        assert_eq!((said.label.as_deref(), said.number), (Some("yes"), None));
        assert!((said.probabilities[0].1 - 0.25).abs() < 1e-6);
        let said = Objective::Number.says(&[2.5], &[]);
        assert_eq!(said, Said { number: Some(2.5), ..Said::default() });
    }

    #[test]
    fn what_cannot_give_numbers_is_refused_with_what_can() {
        let knn = MethodConfig::named("features-knn").unwrap();
        let said = Objective::Number.refusal(&knn);
        assert!(!Objective::Number.fits(&knn) && Objective::Classes(2).fits(&knn));
        assert!(
            said.contains("`features-knn`") && said.contains("features, ") && said.contains("lora"),
            "{said}"
        );
        assert!(!said.contains("forest") && !said.contains("in-context"), "{said}");
    }
}
