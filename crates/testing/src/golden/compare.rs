//! What counts as equal, and how far off each tensor is.

use std::fmt;

/// Logits, absolute: a hundred times what reordering the sums of a few hundred f32 products gives.
pub const LOGITS: f32 = 1e-4;
/// Losses, absolute: they are means of differences of logits.
pub const LOSSES: f32 = 1e-4;
/// Gradients, as a share of the tensor's largest: each passes through every layer's rounding twice.
pub const GRADIENTS: f32 = 1e-3;
/// Tensors after the steps, as a share of the tensor's largest. A looser bound would not see a missing
/// weight decay: three steps of 0.01 x 0.01 move a weight by 3e-4 of itself.
pub const AFTER: f32 = 2e-4;
/// A reference gradient below this, and not exactly 0, is rounding noise around a true zero. Adam makes full
/// steps of noise, so such an element's value after the steps means nothing. In a tensor that holds nothing
/// else, an exact 0 is noise that happened to cancel; beside real gradients it is an element that nothing
/// reached, and is compared.
pub const NOISE: f32 = 1e-6;
/// Gradients that are noise, absolute.
pub const NOISE_ERROR: f32 = 1e-7;

/// The most tensors that a report lists as wrong.
const LISTED: usize = 6;

/// A kind of number, with its tolerance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Logits,
    Losses,
    Gradients,
    Noise,
    After,
}

impl Kind {
    const ALL: [(Self, &'static str, f32); 5] = [
        (Self::Logits, "logits", LOGITS),
        (Self::Losses, "losses", LOSSES),
        (Self::Gradients, "gradients", GRADIENTS),
        (Self::Noise, "zero gradients", NOISE_ERROR),
        (Self::After, "after", AFTER),
    ];

    fn tolerance(self) -> f32 {
        Self::ALL.iter().find(|row| row.0 == self).map_or(0.0, |row| row.2)
    }

    fn label(self) -> &'static str {
        Self::ALL.iter().find(|row| row.0 == self).map_or("", |row| row.1)
    }
}

/// The largest error of one tensor.
#[derive(Clone, Debug)]
struct Error {
    kind: Kind,
    /// Empty if there is only one of this kind.
    tensor: String,
    /// In the unit of its tolerance; infinite if it cannot be told.
    size: f32,
}

impl Error {
    fn wrong(&self) -> bool {
        self.size > self.kind.tolerance()
    }

    /// How many tolerances.
    fn grade(&self) -> f32 {
        self.size / self.kind.tolerance()
    }
}

/// The errors of a case.
#[derive(Clone, Debug)]
pub struct Report {
    errors: Vec<Error>,
    /// Our number of trained values, and the reference's.
    trainable: (usize, usize),
}

impl Report {
    /// Nothing compared but the number of trained values.
    pub(crate) fn new(trainable: (usize, usize)) -> Self {
        Self { errors: Vec::new(), trainable }
    }

    /// Whether every number is within its tolerance, and as many values are trained.
    pub fn passed(&self) -> bool {
        self.trainable.0 == self.trainable.1 && !self.errors.iter().any(Error::wrong)
    }

    pub(crate) fn logits(&mut self, ours: &[f32], theirs: &[f32]) {
        self.note(Kind::Logits, "", difference(ours, theirs, |_| true));
    }

    pub(crate) fn losses(&mut self, ours: &[f32], theirs: &[f32]) {
        self.note(Kind::Losses, "", difference(ours, theirs, |_| true));
    }

    pub(crate) fn gradient(&mut self, tensor: &str, ours: &[f32], theirs: &[f32]) {
        let noise = noise(theirs);
        self.note(Kind::Gradients, tensor, share(difference(ours, theirs, |i| !noise[i]), theirs));
        self.note(Kind::Noise, tensor, difference(ours, theirs, |i| noise[i]));
    }

    /// A tensor after the steps, compared where the reference `gradient` (as long as `theirs`) means
    /// something.
    pub(crate) fn after(&mut self, tensor: &str, ours: &[f32], theirs: &[f32], gradient: &[f32]) {
        let noise = noise(gradient);
        self.note(Kind::After, tensor, share(difference(ours, theirs, |i| !noise[i]), theirs));
    }

    fn note(&mut self, kind: Kind, tensor: &str, size: f32) {
        self.errors.push(Error { kind, tensor: tensor.to_owned(), size });
    }

    /// The largest error of a kind.
    fn largest(&self, kind: Kind) -> Option<f32> {
        self.errors.iter().filter(|error| error.kind == kind).map(|error| error.size).reduce(f32::max)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (kind, label, _) in Kind::ALL {
            if let Some(size) = self.largest(kind) {
                write!(f, "{label} {size:.1e}, ")?;
            }
        }
        let (ours, theirs) = self.trainable;
        write!(f, "trainable {ours}")?;
        if ours != theirs {
            write!(f, " instead of {theirs}")?;
        }
        let mut wrong: Vec<&Error> = self.errors.iter().filter(|error| error.wrong()).collect();
        wrong.sort_by(|a, b| b.grade().total_cmp(&a.grade()));
        for (index, error) in wrong.iter().take(LISTED).enumerate() {
            let start = if index == 0 { "; too far: " } else { ", " };
            let Error { kind, tensor, size } = error;
            let space = if tensor.is_empty() { "" } else { " " };
            write!(f, "{start}{}{space}{tensor} {size:.1e} > {:.0e}", kind.label(), kind.tolerance())?;
        }
        match wrong.len().saturating_sub(LISTED) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

/// Which elements of a reference gradient are noise.
fn noise(gradient: &[f32]) -> Vec<bool> {
    let nothing_else = largest(gradient) < NOISE && largest(gradient) > 0.0;
    gradient.iter().map(|g| g.abs() < NOISE && (*g != 0.0 || nothing_else)).collect()
}

/// The largest absolute difference of the wanted elements; infinite if the lengths differ or something is
/// not a number.
fn difference(ours: &[f32], theirs: &[f32], wanted: impl Fn(usize) -> bool) -> f32 {
    if ours.len() != theirs.len() {
        return f32::INFINITY;
    }
    let differences = (0..ours.len()).filter(|i| wanted(*i)).map(|i| (ours[i] - theirs[i]).abs());
    differences.map(|d| if d.is_nan() { f32::INFINITY } else { d }).fold(0.0, f32::max)
}

/// An error as a share of the largest value of `theirs`.
fn share(error: f32, theirs: &[f32]) -> f32 {
    if error == 0.0 { 0.0 } else { error / largest(theirs) }
}

/// The largest absolute value.
fn largest(values: &[f32]) -> f32 {
    values.iter().fold(0.0, |largest, value| largest.max(value.abs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(fill: impl Fn(&mut Report)) -> Report {
        let mut report = Report::new((1, 1));
        fill(&mut report);
        report
    }

    #[test]
    fn each_kind_has_its_tolerance() {
        assert!(report(|r| r.logits(&[1.00009], &[1.0])).passed());
        assert!(!report(|r| r.logits(&[1.00011], &[1.0])).passed());
        assert!(!report(|r| r.losses(&[1.0, 2.0], &[1.0, 2.00011])).passed());
        assert!(report(|r| r.gradient("w", &[100.0, 1.09], &[100.0, 1.0])).passed());
        assert!(!report(|r| r.gradient("w", &[100.0, 1.11], &[100.0, 1.0])).passed());
        assert!(report(|r| r.after("w", &[10.0, 0.0019], &[10.0, 0.0], &[1.0, 1.0])).passed());
        assert!(!report(|r| r.after("w", &[10.0, 0.0021], &[10.0, 0.0], &[1.0, 1.0])).passed());
        assert!(!Report::new((2, 3)).passed());
    }

    #[test]
    fn noise_is_compared_by_its_own_bound_and_its_steps_not_at_all() {
        assert!(report(|r| r.gradient("b", &[-9e-8, 1.0], &[1e-9, 1.0])).passed());
        assert!(!report(|r| r.gradient("b", &[2e-7, 1.0], &[1e-9, 1.0])).passed());
        assert!(report(|r| r.after("b", &[0.5, 1.0], &[0.0, 1.0], &[1e-9, 1.0])).passed());
    }

    #[test]
    fn an_exact_zero_is_noise_only_among_noise() {
        assert!(!report(|r| r.after("b", &[0.5, 1.0], &[0.0, 1.0], &[0.0, 1.0])).passed(), "decay moves it");
        assert!(
            !report(|r| r.after("b", &[0.5, 1.0], &[0.0, 1.0], &[0.0, 0.0])).passed(),
            "all of them are unreached"
        );
        assert!(report(|r| r.after("b", &[0.5, 1.0], &[0.0, 1.0], &[0.0, 1e-10])).passed());
        assert!(!report(|r| r.gradient("b", &[2e-7, 1e-10], &[0.0, 1e-10])).passed());
    }

    #[test]
    fn what_is_no_number_or_of_another_length_is_wrong() {
        assert!(!report(|r| r.logits(&[f32::NAN], &[1.0])).passed());
        assert!(!report(|r| r.logits(&[1.0], &[f32::NAN])).passed());
        assert!(!report(|r| r.logits(&[1.0], &[1.0, 1.0])).passed());
        assert!(!report(|r| r.gradient("w", &[1e-30], &[0.0])).passed());
        assert!(!report(|r| r.gradient("w", &[f32::NAN], &[0.0])).passed());
    }

    #[test]
    fn a_report_is_one_line_that_names_the_worst_first() {
        let report = report(|r| {
            r.logits(&[1.0], &[1.0]);
            r.gradient("good", &[1.0], &[1.0]);
            r.gradient("bad", &[1.1], &[1.0]);
            (0..6).for_each(|_| r.after("worse", &[2.0], &[1.0], &[1.0]));
        });
        assert_eq!(
            report.to_string().split_once("; ").unwrap(),
            (
                "logits 0.0e0, gradients 1.0e-1, zero gradients 0.0e0, after 1.0e0, trainable 1",
                "too far: after worse 1.0e0 > 2e-4, after worse 1.0e0 > 2e-4, after worse 1.0e0 > 2e-4, \
                 after worse 1.0e0 > 2e-4, after worse 1.0e0 > 2e-4, after worse 1.0e0 > 2e-4 and 1 more"
            )
        );
    }
}
