//! What fits into a time.

/// What a method will take and promises, by its short runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Estimate {
    pub(super) method: &'static str,
    /// Of one seed, with its test.
    pub(super) seconds: f64,
    /// On held-out training rows.
    pub(super) loss: f64,
}

impl Estimate {
    /// How many methods had a lower loss.
    pub(super) fn ahead(&self, all: &[Self]) -> usize {
        all.iter().filter(|other| other.loss < self.loss).count()
    }
}

/// What is run.
#[derive(Debug, PartialEq)]
pub(super) struct Plan {
    pub(super) seeds: usize,
    /// The methods that are not run, the least promising first.
    pub(super) dropped: Vec<Estimate>,
}

impl Plan {
    /// First there are fewer seeds, then the methods with the highest losses go. One method is always run.
    pub(super) fn new(estimates: &[Estimate], seeds: usize, left: f64) -> Self {
        let total = |estimates: &[Estimate]| estimates.iter().map(|estimate| estimate.seconds).sum::<f64>();
        let affordable = (left / total(estimates).max(f64::MIN_POSITIVE)).floor().max(1.0);
        let seeds = seeds.min(affordable as usize);
        let mut kept = estimates.to_vec();
        kept.sort_by(|a, b| a.loss.total_cmp(&b.loss));
        let mut dropped = Vec::new();
        while kept.len() > 1 && total(&kept) * seeds as f64 > left {
            dropped.extend(kept.pop());
        }
        Self { seeds, dropped }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn estimates() -> Vec<Estimate> {
        let estimate = |method, seconds, loss| Estimate { method, seconds, loss };
        vec![estimate("head", 10.0, 0.6), estimate("full", 50.0, 0.4), estimate("lora", 20.0, 0.45)]
    }

    #[test]
    fn seeds_go_before_methods_and_the_worst_before_the_best() {
        let plan = |seeds, left| Plan::new(&estimates(), seeds, left);
        let dropped = |plan: &Plan| plan.dropped.iter().map(|e| e.method).collect::<Vec<_>>();
        assert_eq!(plan(3, 300.0), Plan { seeds: 3, dropped: Vec::new() });
        assert_eq!(plan(3, 200.0), Plan { seeds: 2, dropped: Vec::new() });
        let short = plan(3, 75.0);
        assert_eq!((short.seeds, dropped(&short)), (1, vec!["head"]));
        assert_eq!(dropped(&plan(1, 1.0)), ["head", "lora"], "one is run, whatever it takes");
        assert_eq!(dropped(&plan(2, -5.0)), ["head", "lora"]);
        assert_eq!(estimates()[0].ahead(&estimates()), 2);
        assert_eq!(Plan::new(&[], 3, 10.0), Plan { seeds: 3, dropped: Vec::new() });
    }
}
