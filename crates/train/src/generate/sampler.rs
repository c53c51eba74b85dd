//! Which token comes next: greedy search, temperature, top-k (Fan et al. 2018, <https://arxiv.org/abs/1805.04833>),
//! top-p (Holtzman et al. 2020, <https://arxiv.org/abs/1904.09751>) and the repetition penalty (Keskar et al.
//! 2019, <https://arxiv.org/abs/1909.05858>), in the order in which `transformers` applies them.

use crate::{Error, Result};
use offshoot_core::Rng;
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::collections::BTreeSet;

/// How tokens are chosen. By default greedily.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sampling {
    /// What logits are divided by before a token is drawn. 0 always takes the likeliest token, and `top_k`
    /// and `top_p` have no effect.
    pub temperature: f64,
    /// Draws from the so many likeliest tokens; 0 for all.
    pub top_k: usize,
    /// Draws from the fewest likeliest tokens that have this much probability together; 1 for all.
    pub top_p: f64,
    /// Logits of tokens that stand in the prompt or in what was written are divided by it where they are
    /// positive, and multiplied where not; 1 for no penalty.
    pub repetition_penalty: f64,
    /// Decides all draws.
    pub seed: u64,
}

impl Default for Sampling {
    fn default() -> Self {
        Self { temperature: 0.0, top_k: 0, top_p: 1.0, repetition_penalty: 1.0, seed: 0 }
    }
}

impl Sampling {
    /// Checks all settings.
    ///
    /// # Errors
    /// All that is wrong with them at once.
    pub fn check(&self) -> Result<()> {
        let Self { temperature, top_p, repetition_penalty, .. } = self;
        let rules = [
            ("temperature", temperature, *temperature >= 0.0, "0 (the likeliest token) or more"),
            ("top_p", top_p, *top_p > 0.0 && *top_p <= 1.0, "more than 0, and 1 at most"),
            ("repetition_penalty", repetition_penalty, *repetition_penalty > 0.0, "more than 0"),
        ];
        let wrong = rules.iter().filter(|(_, value, holds, _)| !(*holds && value.is_finite()));
        let problems: Vec<_> =
            wrong.map(|(name, value, _, range)| format!("{name} is {value}; it must be {range}")).collect();
        if problems.is_empty() { Ok(()) } else { Err(Error::invalid(problems.join("; "))) }
    }
}

/// Chooses the tokens of one row.
#[derive(Clone, Debug)]
pub struct Sampler {
    settings: Sampling,
    rng: Rng,
    /// Tokens of the prompt and of what was written.
    seen: BTreeSet<u32>,
}

/// A token and what speaks for it.
type Candidate = (u32, f64);

impl Sampler {
    /// A sampler for the row that `row` identifies, which continues `prompt`. Its draws are the row's own,
    /// whatever is generated beside it.
    ///
    /// # Errors
    /// As [`Sampling::check`].
    pub fn new(settings: &Sampling, row: u64, prompt: &[u32]) -> Result<Self> {
        settings.check()?;
        let rng = Rng::new(settings.seed).fork(&format!("generate row {row}"));
        Ok(Self { settings: settings.clone(), rng, seen: prompt.iter().copied().collect() })
    }

    /// The next token, from logits `[vocab]`. Of equal logits the first counts as the larger.
    ///
    /// # Errors
    /// If a logit is not a number or infinitely large, or none is finite.
    pub fn next(&mut self, logits: &[f32]) -> Result<u32> {
        if let Some(bad) = logits.iter().position(|&logit| logit.is_nan() || logit == f32::INFINITY) {
            return Err(Error::invalid(format!(
                "the logit of token {bad} is {}: the model or the adapter has values that are not numbers",
                logits[bad]
            )));
        }
        let candidates = self.penalised(logits);
        let Some(best) = candidates.iter().copied().reduce(likelier).filter(|best| best.1.is_finite()) else {
            return Err(Error::invalid("no token can follow: every logit is minus infinity"));
        };
        let id = if self.settings.temperature == 0.0 { best.0 } else { self.draw(candidates, best.1) };
        self.seen.insert(id);
        Ok(id)
    }

    fn penalised(&self, logits: &[f32]) -> Vec<Candidate> {
        let mut candidates: Vec<_> = (0..).zip(logits.iter().map(|&logit| f64::from(logit))).collect();
        let penalty = self.settings.repetition_penalty;
        for &id in self.seen.iter().filter(|_| penalty != 1.0) {
            if let Some((_, logit)) = candidates.get_mut(id as usize) {
                *logit = if *logit > 0.0 { *logit / penalty } else { *logit * penalty };
            }
        }
        candidates
    }

    /// Draws one of the candidates; `most` is the largest logit.
    fn draw(&mut self, mut candidates: Vec<Candidate>, most: f64) -> u32 {
        let Sampling { temperature, top_k, top_p, .. } = self.settings;
        if top_k > 0 && top_k < candidates.len() {
            candidates.select_nth_unstable_by(top_k - 1, by_likelihood);
            candidates.truncate(top_k);
        }
        candidates.iter_mut().for_each(|(_, logit)| *logit = ((*logit - most) / temperature).exp());
        if top_p < 1.0 {
            keep_nucleus(&mut candidates, top_p);
        }
        // In the order of the ids, a rounding that lets two near candidates change places changes no draw.
        candidates.sort_unstable_by_key(|(id, _)| *id);
        let mut left = self.rng.uniform() * candidates.iter().map(|(_, weight)| weight).sum::<f64>();
        let mut last = 0;
        for (id, weight) in candidates.into_iter().filter(|(_, weight)| *weight > 0.0) {
            last = id;
            left -= weight;
            if left < 0.0 {
                break;
            }
        }
        last
    }
}

/// Keeps the fewest of the heaviest candidates whose share is `top_p` or more, and one at least.
fn keep_nucleus(candidates: &mut Vec<Candidate>, top_p: f64) {
    candidates.sort_unstable_by(by_likelihood);
    let enough = top_p * candidates.iter().map(|(_, weight)| weight).sum::<f64>();
    let mut share = 0.0;
    let reached = |(_, weight): &Candidate| {
        share += weight;
        share >= enough
    };
    let last = candidates.iter().position(reached).unwrap_or(candidates.len());
    candidates.truncate(last + 1);
}

/// The likelier first; of equals the smaller id.
fn by_likelihood(a: &Candidate, b: &Candidate) -> Ordering {
    b.1.total_cmp(&a.1).then(a.0.cmp(&b.0))
}

fn likelier(a: Candidate, b: Candidate) -> Candidate {
    if b.1 > a.1 { b } else { a }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sampling(temperature: f64) -> Sampling {
        Sampling { temperature, ..Sampling::default() }
    }

    /// The share of each token in many draws.
    fn shares(settings: &Sampling, logits: &[f32]) -> Vec<f64> {
        const DRAWS: usize = 20_000;
        let mut sampler = Sampler::new(settings, 3, &[]).unwrap();
        let mut counts = vec![0.0; logits.len()];
        (0..DRAWS).for_each(|_| counts[sampler.next(logits).unwrap() as usize] += 1.0 / DRAWS as f64);
        counts
    }

    /// Five standard errors of a share of 20,000 draws.
    fn near(share: f64, expected: f64) -> bool {
        (share - expected).abs() <= 5.0 * (expected * (1.0 - expected) / 20_000.0).sqrt()
    }

    #[test]
    fn greedy_takes_the_largest_and_the_first_of_equals() {
        let next = |logits: &[f32]| Sampler::new(&sampling(0.0), 0, &[]).unwrap().next(logits).unwrap();
        assert_eq!(next(&[0.5, 2.0, -1.0, 2.0]), 1);
        assert_eq!(next(&[f32::NEG_INFINITY, -3.0]), 1);
    }

    #[test]
    fn draws_follow_the_tempered_distribution() {
        // exp(logit / 2) is 1, 2, 5: shares of 1/8, 2/8, 5/8.
        let logits = [0.0, 2.0 * 2.0_f32.ln(), 2.0 * 5.0_f32.ln(), f32::NEG_INFINITY];
        let shares = shares(&sampling(2.0), &logits);
        assert!(near(shares[0], 0.125) && near(shares[1], 0.25) && near(shares[2], 0.625), "{shares:?}");
        assert_eq!(shares[3], 0.0);
    }

    #[test]
    fn top_k_keeps_exactly_k_of_equals() {
        let shares = shares(&Sampling { top_k: 2, ..sampling(1.0) }, &[1.0, 1.0, 0.0, 1.0]);
        assert!(near(shares[0], 0.5) && near(shares[1], 0.5), "{shares:?}");
    }

    #[test]
    fn top_p_keeps_the_fewest_that_reach_it() {
        // Shares of 0.5, 0.3, 0.15, 0.05.
        let logits = [0.15_f32, 0.5, 0.05, 0.3].map(f32::ln);
        let kept = |top_p: f64| -> Vec<usize> {
            let shares = shares(&Sampling { top_p, ..sampling(1.0) }, &logits);
            (0..4).filter(|&i| shares[i] > 0.0).collect()
        };
        assert_eq!(kept(0.4), [1]);
        assert_eq!(kept(0.6), [1, 3]);
        assert_eq!(kept(0.9), [0, 1, 3]);
        assert_eq!(kept(1.0), [0, 1, 2, 3]);
        let both = shares(&Sampling { top_k: 3, top_p: 0.8, ..sampling(1.0) }, &logits);
        assert!(near(both[1], 0.625) && near(both[3], 0.375), "of three, 0.53 and 0.32 reach 0.8: {both:?}");
    }

    #[test]
    fn repeated_tokens_are_penalised_on_both_sides_of_zero() {
        let settings = Sampling { repetition_penalty: 2.0, ..Sampling::default() };
        let mut sampler = Sampler::new(&settings, 0, &[0]).unwrap();
        // 3 / 2 is less than 1.8; then 1.8 / 2 is less than both; then only the first is left above 0.95.
        let next: Vec<u32> = (0..3).map(|_| sampler.next(&[3.0, 1.8, 0.95]).unwrap()).collect();
        assert_eq!(next, [1, 0, 0]);
        let mut sampler = Sampler::new(&settings, 0, &[1]).unwrap();
        assert_eq!(sampler.next(&[-1.5, -1.0, -2.0]).unwrap(), 0);
        assert_eq!(sampler.next(&[-1.5, -1.0, -2.0]).unwrap(), 1, "-3, -2, -2");
        Sampler::new(&settings, 0, &[u32::MAX]).unwrap().next(&[1.0]).unwrap();
    }

    #[test]
    fn a_row_has_draws_of_its_own() {
        let draws = |row: u64, seed: u64| -> Vec<u32> {
            let mut sampler = Sampler::new(&Sampling { seed, ..sampling(1.0) }, row, &[]).unwrap();
            (0..40).map(|_| sampler.next(&[0.0; 50]).unwrap()).collect()
        };
        assert_eq!(draws(1, 7), draws(1, 7));
        assert!(draws(1, 7) != draws(2, 7) && draws(1, 7) != draws(1, 8));
    }

    #[test]
    fn extreme_settings_stay_within_the_vocabulary() {
        let logits = [-1e30_f32, 3e38, 3e38, f32::MIN];
        for temperature in [1e-300, 1e-3, 1.0, 1e300] {
            for (top_k, top_p) in [(0, 1.0), (1, 1.0), (9, 1e-300), (usize::MAX, 0.5)] {
                let settings = Sampling { top_k, top_p, ..sampling(temperature) };
                let token = Sampler::new(&settings, 0, &[]).unwrap().next(&logits).unwrap();
                assert!(
                    token < 4 && (temperature > 1.0 || token == 1 || token == 2),
                    "{settings:?}: {token}"
                );
            }
        }
    }

    #[test]
    fn what_is_no_number_is_an_error() {
        for temperature in [0.0, 1.0] {
            let next = |logits: &[f32]| Sampler::new(&sampling(temperature), 0, &[]).unwrap().next(logits);
            let message = next(&[0.0, f32::NAN]).unwrap_err().to_string();
            assert!(message.contains("token 1 is NaN"), "{message}");
            assert!(next(&[f32::INFINITY, 0.0]).is_err());
            assert!(next(&[f32::NEG_INFINITY; 3]).is_err() && next(&[]).is_err());
        }
    }

    #[test]
    fn all_problems_are_told_at_once() {
        let wrong =
            Sampling { temperature: -1.0, top_p: 0.0, repetition_penalty: f64::NAN, top_k: 0, seed: 0 };
        let message = wrong.check().unwrap_err().to_string();
        let names = ["temperature is -1", "top_p is 0", "repetition_penalty is NaN"];
        assert!(names.iter().all(|name| message.contains(name)), "{message}");
        assert!(Sampling { temperature: f64::INFINITY, ..wrong }.check().is_err());
        assert_eq!(serde_json::from_str::<Sampling>("{}").unwrap(), Sampling::default());
        assert!(Sampling::default().check().is_ok());
    }
}
