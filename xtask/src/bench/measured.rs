//! From what the runs report to ratios, their medians and their spread.

use serde_json::{Map, Value, json};

/// A number of each pair of runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Metric {
    /// Ours over the peer's, in tokens of training a second.
    TokensPerSecond,
    /// The peer's over ours, in seconds of training.
    Training,
    /// The peer's over ours, in seconds from the start of the process to its end.
    WholeRun,
    /// Ours over that of our own LoRA, in seconds of training per row, virtual rows counted.
    TimePerRow,
    /// Ours of the whole run, over the peer's while training.
    PeakRatio,
    /// The same, over what the peer has beyond a bare `import torch`.
    PeakAboveTorch,
    /// Ours, in bytes.
    PeakBytes,
    /// Seconds of training over those that the needed products take at the machine's peak.
    OverCeiling,
    /// Ours, in seconds from the start of the process to the first step.
    Startup,
    /// The peer's.
    PeerStartup,
}

impl Metric {
    pub(crate) const ALL: [Self; 10] = [
        Self::TokensPerSecond,
        Self::Training,
        Self::WholeRun,
        Self::TimePerRow,
        Self::PeakRatio,
        Self::PeakAboveTorch,
        Self::PeakBytes,
        Self::OverCeiling,
        Self::Startup,
        Self::PeerStartup,
    ];

    /// Its name in the results.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::TokensPerSecond => "tokens_per_second_ratio",
            Self::Training => "training_ratio",
            Self::WholeRun => "whole_run_ratio",
            Self::TimePerRow => "time_per_row_ratio",
            Self::PeakRatio => "peak_rss_ratio",
            Self::PeakAboveTorch => "peak_rss_above_torch_ratio",
            Self::PeakBytes => "peak_rss_bytes",
            Self::OverCeiling => "over_ceiling",
            Self::Startup => "startup_seconds",
            Self::PeerStartup => "peer_startup_seconds",
        }
    }

    /// Whether more of it is better.
    pub(crate) fn rises(self) -> bool {
        matches!(self, Self::TokensPerSecond | Self::Training | Self::WholeRun)
    }
}

/// What one pair is computed from. Each is what a side's JSON says, with the whole run's `wall_seconds`.
pub(crate) struct Pair<'a> {
    pub(crate) ours: &'a Value,
    /// Of the fastest of the peer's types.
    pub(crate) peer: Option<&'a Value>,
    pub(crate) our_lora: Option<&'a Value>,
    pub(crate) virtual_rows: u64,
    /// Largest resident set of a bare `import torch`.
    pub(crate) torch_bytes: Option<f64>,
    /// Seconds that the needed products take at the machine's peak.
    pub(crate) ceiling_seconds: Option<f64>,
}

/// A number of a report.
pub(crate) fn number(report: &Value, key: &str) -> Option<f64> {
    report.get(key).and_then(Value::as_f64).filter(|number| number.is_finite())
}

impl Pair<'_> {
    /// The metric, where the pair has what it needs.
    pub(crate) fn measure(&self, metric: Metric) -> Option<f64> {
        let ours = |key| number(self.ours, key);
        let peer = |key| number(self.peer?, key);
        let value = match metric {
            Metric::TokensPerSecond => ours("tokens_per_second")? / peer("tokens_per_second")?,
            Metric::Training => peer("train_seconds")? / ours("train_seconds")?,
            Metric::WholeRun => peer("wall_seconds")? / ours("wall_seconds")?,
            Metric::TimePerRow => {
                let lora = self.our_lora?;
                seconds_per_row(self.ours, self.virtual_rows)? / seconds_per_row(lora, 0)?
            }
            Metric::PeakRatio => ours("peak_rss_bytes")? / peer("train_peak_rss_bytes")?,
            Metric::PeakAboveTorch => {
                ours("peak_rss_bytes")? / (peer("train_peak_rss_bytes")? - self.torch_bytes?)
            }
            Metric::PeakBytes => ours("peak_rss_bytes")?,
            Metric::OverCeiling => ours("train_seconds")? / self.ceiling_seconds?,
            Metric::Startup => ours("startup_seconds")?,
            Metric::PeerStartup => peer("startup_seconds")?,
        };
        value.is_finite().then_some(value)
    }
}

/// Seconds of training per row that goes through the model.
fn seconds_per_row(report: &Value, virtual_rows: u64) -> Option<f64> {
    let sequences = number(report, "train_rows")? * number(report, "epochs")?;
    let rows = number(report, "tokens")? + virtual_rows as f64 * sequences;
    Some(number(report, "train_seconds")? / rows)
}

/// The middle of several numbers, and their ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// None of no numbers.
    pub(crate) fn of(mut numbers: Vec<f64>) -> Option<Self> {
        numbers.sort_by(f64::total_cmp);
        let (&min, &max) = (numbers.first()?, numbers.last()?);
        let half = numbers.len() / 2;
        let median = match numbers.len() % 2 {
            1 => numbers[half],
            _ => (numbers[half - 1] + numbers[half]) / 2.0,
        };
        Some(Self { median, min, max })
    }

    pub(crate) fn json(self) -> Value {
        json!({ "median": self.median, "min": self.min, "max": self.max })
    }

    pub(crate) fn read(value: &Value) -> Option<Self> {
        let of = |key| number(value, key);
        Some(Self { median: of("median")?, min: of("min")?, max: of("max")? })
    }
}

/// Every metric that some pair has, over the pairs.
pub(crate) fn spreads(pairs: &[Pair<'_>]) -> Value {
    let spread = |metric: Metric| Spread::of(pairs.iter().filter_map(|pair| pair.measure(metric)).collect());
    let found =
        Metric::ALL.into_iter().filter_map(|metric| Some((metric.key().into(), spread(metric)?.json())));
    Value::Object(found.collect::<Map<_, _>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: Option<f64>, b: f64) -> bool {
        a.is_some_and(|a| (a - b).abs() < 1e-9)
    }

    #[test]
    fn ratios_have_their_directions() {
        let ours = json!({ "tokens_per_second": 300.0, "train_seconds": 10.0, "wall_seconds": 11.0,
            "peak_rss_bytes": 200, "startup_seconds": 0.4 });
        let peer = json!({ "tokens_per_second": 100.0, "train_seconds": 30.0, "wall_seconds": 44.0,
            "train_peak_rss_bytes": 1000, "startup_seconds": 6.0 });
        let pair = Pair {
            ours: &ours,
            peer: Some(&peer),
            our_lora: None,
            virtual_rows: 0,
            torch_bytes: Some(200.0),
            ceiling_seconds: Some(8.0),
        };
        for (metric, value) in [
            (Metric::TokensPerSecond, 3.0),
            (Metric::Training, 3.0),
            (Metric::WholeRun, 4.0),
            (Metric::PeakRatio, 0.2),
            (Metric::PeakAboveTorch, 0.25),
            (Metric::PeakBytes, 200.0),
            (Metric::OverCeiling, 1.25),
            (Metric::Startup, 0.4),
            (Metric::PeerStartup, 6.0),
        ] {
            assert!(close(pair.measure(metric), value), "{metric:?}");
        }
        assert_eq!(pair.measure(Metric::TimePerRow), None);
        assert_eq!(spreads(&[pair])["whole_run_ratio"]["median"], 4.0);
    }

    #[test]
    fn virtual_rows_count_as_rows() {
        let method = json!({ "train_rows": 10, "epochs": 2, "tokens": 600, "train_seconds": 10.0 });
        let lora = json!({ "train_rows": 10, "epochs": 2, "tokens": 600, "train_seconds": 6.0 });
        let none = Value::Null;
        let pair = |ours, lora| Pair {
            ours,
            peer: None,
            our_lora: lora,
            virtual_rows: 20,
            torch_bytes: None,
            ceiling_seconds: None,
        };
        assert!(close(pair(&method, Some(&lora)).measure(Metric::TimePerRow), 1.0));
        assert_eq!(pair(&none, Some(&lora)).measure(Metric::TimePerRow), None);
    }

    #[test]
    fn the_median_is_the_middle() {
        let spread = Spread::of(vec![3.0, 1.0, 2.0]).unwrap();
        assert_eq!(spread, Spread { median: 2.0, min: 1.0, max: 3.0 });
        assert_eq!(Spread::of(vec![1.0, 2.0]).unwrap().median, 1.5);
        assert_eq!(Spread::of(Vec::new()), None);
        assert_eq!(Spread::read(&spread.json()), Some(spread));
    }
}
