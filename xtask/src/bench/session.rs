//! A run's pairs, one after the other: ours, then what it is held against, and again.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::execute::{Call, Limit};
use super::flops::{Shape, Work};
use super::machine::Place;
use super::measured::{Pair, number, spreads};
use super::options::Options;
use super::runs::{Base, Run};
use super::setup::{Programs, folder, model, rows};
use super::sides::{Setting, Who};

/// A pair is noisy when other programs had more than this share of the cores' time.
const NOISE: f64 = 0.05;

/// What is the same for all runs.
pub(crate) struct Session<'a> {
    pub(crate) options: &'a Options,
    pub(crate) place: Place,
    pub(crate) programs: Programs,
    /// Largest resident set of a bare `import torch`.
    pub(crate) torch_bytes: Option<f64>,
    /// Date, machine and versions: they go with every result.
    pub(crate) about: Value,
}

/// One round: every side once, and the ceilings measured before, between and after.
#[derive(Default)]
struct Round {
    /// GFLOP/s.
    ceilings: Vec<Value>,
    /// By the sides' labels, in no order that matters.
    reports: BTreeMap<String, Value>,
    /// Why the round can not be trusted.
    noise: Vec<String>,
}

/// The largest resident set of an interpreter that has done nothing but `import torch`.
pub(crate) fn torch_bytes(programs: &Programs, place: &Place) -> Option<f64> {
    const IMPORT: &str = "import torch, resource, sys, json; \
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == 'darwin' else 1024); \
        print(json.dumps({'bytes': peak}))";
    let python = programs.python.as_ref()?.to_string_lossy();
    let report = Call::new(python, &["-c", IMPORT]).run(place, &folder().join("torch"), Limit::SMALL);
    match report {
        Ok(report) => number(&report, "bytes"),
        Err(error) => {
            eprintln!("note: `import torch` alone cannot be measured: {error:#}");
            None
        }
    }
}

impl Session<'_> {
    /// Everything about a run: its numbers of each pair, their medians, what was noticed.
    ///
    /// # Errors
    /// If its model or rows can not be made. A side that fails is a part of the result.
    pub(crate) fn measure(&self, run: &Run) -> Result<Value> {
        let count = self.options.rows.map_or(run.rows.count(), |rows| rows.min(run.rows.count()));
        let python = self.programs.python.as_deref();
        let (data, model) = (rows(run.rows, count)?, model(run.base, python)?);
        let shape = if run.base == Base::SmolLm2Gguf { None } else { Some(Shape::read(&model)?) };
        let setting = Setting {
            run,
            offshoot: &self.programs.offshoot,
            python,
            data: &data,
            model: &model,
            rows: count,
            threads: self.place.threads,
        };
        let (rounds, failed) = self.rounds(&setting)?;
        Ok(self.result(&setting, &rounds, (failed, shape)))
    }

    /// The rounds, and why a side failed. What failed once is not tried again.
    fn rounds(&self, setting: &Setting<'_>) -> Result<(Vec<Round>, BTreeMap<String, String>)> {
        let (mut rounds, mut failed) = (Vec::new(), BTreeMap::new());
        let sides = Who::of(setting.run, self.options.ours_only);
        for index in 0..self.options.pairs {
            let mut round = Round::default();
            round.ceilings.push(self.ceiling()?);
            for who in &sides {
                if failed.contains_key(&who.label()) {
                    continue;
                }
                if let Err(error) = self.side(setting, *who, index, &mut round) {
                    eprintln!("{} {}: {error:#}", setting.run.name, who.label());
                    failed.insert(who.label(), format!("{error:#}"));
                }
                round.ceilings.push(self.ceiling()?);
            }
            rounds.push(round);
            if failed.contains_key(&Who::Ours.label()) {
                break;
            }
        }
        Ok((rounds, failed))
    }

    /// Waits for a quiet machine and runs one side.
    fn side(&self, setting: &Setting<'_>, who: Who, index: usize, round: &mut Round) -> Result<()> {
        let (name, label) = (setting.run.name, who.label());
        let place: PathBuf =
            folder().join("runs").join(name).join(format!("{index}-{}", label.replace(' ', "-")));
        let quiet = self.place.wait(self.options.wait);
        let limit = self.limit(who, round);
        let adapter = place.join("adapter");
        if !quiet.reached {
            let idle = quiet.idle.map_or("unknown".into(), |idle| format!("{:.0} % idle", 100.0 * idle));
            round.noise.push(format!("{label}: before it, the cores were not quiet ({idle})"));
        }
        let report = setting.call(who, &adapter).run(&self.place, &place, limit);
        // Some are as large as a model.
        fs::remove_dir_all(&adapter).ok();
        let mut report = report?;
        report["idle_before"] = quiet.idle.into();
        if let Some(others) = number(&report, "others").filter(|others| *others > NOISE) {
            let others = 100.0 * others;
            round.noise.push(format!("{label}: other programs had {others:.0} % of the cores' time"));
        }
        let speed = number(&report, "tokens_per_second").unwrap_or_default();
        let wall = number(&report, "wall_seconds").unwrap_or_default();
        eprintln!("{name}, pair {}, {label}: {speed:.0} tokens a second, {wall:.1} s in all", index + 1);
        round.reports.insert(label, report);
        Ok(())
    }

    /// A type of the peer's that takes twice as long as another of them is not its best, and need not end.
    fn limit(&self, who: Who, round: &Round) -> Limit {
        let walls = round.reports.iter().filter(|(label, _)| label.starts_with("peer"));
        let fastest = walls.filter_map(|(_, report)| number(report, "wall_seconds")).reduce(f64::min);
        let whole = Limit { time: self.options.limit, what: "the longest that a run may take (--limit)" };
        match (who, fastest.map(|fastest| Duration::from_secs_f64(2.0 * fastest))) {
            (Who::Peer(_), Some(time)) if time < whole.time => {
                Limit { time, what: "twice as long as another of the peer's types" }
            }
            _ => whole,
        }
    }

    fn ceiling(&self) -> Result<Value> {
        let (peak, threads) = (self.programs.peak.to_string_lossy(), self.place.threads.to_string());
        let report = Call::new(peak, &[&threads]).run(&self.place, &folder().join("peak"), Limit::SMALL);
        report.context("the ceiling cannot be measured")
    }

    fn result(
        &self,
        setting: &Setting<'_>,
        rounds: &[Round],
        (failed, shape): (BTreeMap<String, String>, Option<Shape>),
    ) -> Value {
        let run = setting.run;
        let pairs: Vec<Pair<'_>> =
            rounds.iter().filter_map(|r| r.pair(run, self.torch_bytes, &shape)).collect();
        let noisy: Vec<Value> = rounds.iter().map(|round| json!(round.noise)).collect();
        json!({
            "about": run.about,
            "method": run.method,
            "rows": setting.rows,
            "rows_of_a_whole_run": run.rows.count(),
            "epochs": super::runs::EPOCHS,
            "dropout": run.dropout,
            "pairs": pairs.len(),
            "fastest_peer": rounds.iter().filter_map(Round::fastest).map(|(label, _)| label).collect::<Vec<_>>(),
            "measured": spreads(&pairs),
            "failed": failed,
            "noise": noisy,
            "differs": rounds.iter().flat_map(Round::differences).collect::<Vec<_>>(),
            "import_torch_bytes": self.torch_bytes,
            "session": self.about,
            "rounds": rounds.iter().map(Round::json).collect::<Vec<_>>(),
        })
    }
}

impl Round {
    /// The peer's fastest type.
    fn fastest(&self) -> Option<(&str, &Value)> {
        let speed = |report: &Value| number(report, "tokens_per_second").unwrap_or_default();
        let peers = self.reports.iter().filter(|(label, _)| label.starts_with("peer"));
        peers.max_by(|a, b| speed(a.1).total_cmp(&speed(b.1))).map(|(label, report)| (label.as_str(), report))
    }

    /// What is computed from; none if ours did not run.
    fn pair<'a>(&'a self, run: &Run, torch_bytes: Option<f64>, shape: &Option<Shape>) -> Option<Pair<'a>> {
        Some(Pair {
            ours: self.reports.get(&Who::Ours.label())?,
            peer: self.fastest().map(|(_, report)| report),
            our_lora: self.reports.get(&Who::OurLora.label()),
            virtual_rows: run.virtual_rows(),
            torch_bytes,
            ceiling_seconds: shape
                .as_ref()
                .filter(|_| run.has_ceiling())
                .and_then(|s| self.ceiling_seconds(run, s)),
        })
    }

    /// Seconds that the needed products take at the highest rate that was measured around them. Some side has to
    /// have counted what attention and head cost.
    fn ceiling_seconds(&self, run: &Run, shape: &Shape) -> Option<f64> {
        let of = |key: &str| self.reports.values().find_map(|report| number(report, key));
        let work = Work {
            tokens: of("tokens")?,
            squares: of("squared_lengths")?,
            labelled: of("labelled")?,
            full: run.method == "full",
        };
        let peaks = self.ceilings.iter().filter_map(|ceiling| number(ceiling, self.unit()));
        let peak = peaks.reduce(f64::max)?;
        Some(shape.operations(&work) / (peak * 1e9))
    }

    /// The rate that bounds our products, by what they are computed in.
    fn unit(&self) -> &'static str {
        let dtype = self.reports.get(&Who::Ours.label()).map(|report| &report["dtype"]);
        if dtype.is_some_and(|dtype| dtype == "bf16") { "bf16_gflops" } else { "fma_gflops" }
    }

    /// What the sides did not have in common; ratios of different work would mean nothing.
    fn differences(&self) -> Vec<String> {
        let differs = |key: &&str| {
            let values =
                self.reports.iter().filter_map(|(label, report)| Some((label, number(report, key)?)));
            let values: Vec<_> = values.collect();
            values.windows(2).any(|pair| pair[0].1 != pair[1].1).then(|| {
                let each: Vec<_> = values.iter().map(|(label, value)| format!("{label} {value}")).collect();
                format!("{key}: {}", each.join(", "))
            })
        };
        ["train_rows", "steps", "tokens", "labelled", "squared_lengths"].iter().filter_map(differs).collect()
    }

    fn json(&self) -> Value {
        json!({ "ceilings": self.ceilings, "sides": self.reports })
    }
}

#[cfg(test)]
mod tests {
    use super::super::runs::RUNS;
    use super::*;

    fn round(reports: &[(&str, Value)]) -> Round {
        let ceilings = vec![json!({ "fma_gflops": 80.0 }), json!({ "fma_gflops": 100.0 })];
        let reports = reports.iter().map(|(label, report)| (label.to_string(), report.clone())).collect();
        Round { ceilings, reports, noise: Vec::new() }
    }

    #[test]
    fn the_fastest_type_of_the_peer_counts() {
        let round = round(&[
            ("ours", json!({ "tokens_per_second": 900.0 })),
            ("peer f32", json!({ "tokens_per_second": 300.0 })),
            ("peer amp", json!({ "tokens_per_second": 400.0 })),
        ]);
        assert_eq!(round.fastest().unwrap().0, "peer amp");
        let pair = round.pair(&RUNS[0], None, &None).unwrap();
        assert_eq!(pair.measure(super::super::measured::Metric::TokensPerSecond), Some(2.25));
    }

    #[test]
    fn different_work_is_noticed() {
        let same =
            round(&[("ours", json!({ "tokens": 90 })), ("peer f32", json!({ "tokens": 90, "steps": 3 }))]);
        assert!(same.differences().is_empty());
        let other = round(&[("ours", json!({ "tokens": 90 })), ("peer f32", json!({ "tokens": 91 }))]);
        assert_eq!(other.differences(), ["tokens: ours 90, peer f32 91"]);
    }

    #[test]
    fn the_ceiling_is_the_highest_of_the_round() {
        let shape = Shape::of(&json!({ "model_type": "bert", "hidden_size": 2, "num_attention_heads": 1,
            "intermediate_size": 4, "num_hidden_layers": 1, "vocab_size": 9 }))
        .unwrap();
        let work = json!({ "tokens": 10, "squared_lengths": 100, "labelled": 1, "train_seconds": 1.0 });
        let lora = RUNS.iter().find(|run| run.name == "minilm-lora-best").unwrap();
        let (round, none) = (round(&[("ours", work)]), round(&[("ours", json!({ "tokens": 10 }))]));
        let operations = shape.operations(&Work { tokens: 10.0, squares: 100.0, labelled: 1.0, full: false });
        assert_eq!(round.ceiling_seconds(lora, &shape), Some(operations / 1e11));
        assert_eq!(none.ceiling_seconds(lora, &shape), None);
    }
}
