//! The results as a table for people, and its place in the README.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use super::measured::{Metric, Spread, number};
use super::results::Results;
use super::runs::{Goal, RUNS, Run};

const OPEN: &str = "<!-- bench -->";
const CLOSE: &str = "<!-- /bench -->";

const HEADER: &str = "\
| run | against | tokens a second | whole run | time per row | peak memory | over the ceiling | first step | goals |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |
";

/// The table of all results, what goes with it, and what was noticed.
pub(crate) fn table(results: &Results) -> String {
    let found = || RUNS.iter().filter_map(|run| Some((run, results.get(run.name)?)));
    let rows: String = found().map(|(run, result)| row(run, result)).collect();
    let measured = found().filter(|(_, result)| number(result, "pairs").is_some_and(|pairs| pairs > 0.0));
    let sessions: BTreeSet<String> = measured.map(|(_, result)| session(result)).collect();
    let notes: String =
        found().flat_map(|(run, result)| notes(run, result)).map(|note| format!("- {note}\n")).collect();
    let sessions: Vec<String> = sessions.into_iter().collect();
    let notes = if notes.is_empty() { notes } else { format!("\n{notes}") };
    format!("{HEADER}{rows}\n{}\n{notes}", sessions.join("\n"))
}

fn row(run: &Run, result: &Value) -> String {
    let spread = |metric: Metric| Spread::read(result.get("measured")?.get(metric.key())?);
    let times = |metric| spread(metric).map_or_else(String::new, times);
    let cells = [
        name(run, result),
        against(result),
        times(Metric::TokensPerSecond),
        times(Metric::WholeRun),
        times(Metric::TimePerRow),
        memory(spread(Metric::PeakBytes), spread(Metric::PeakRatio), spread(Metric::PeakAboveTorch)),
        times(Metric::OverCeiling),
        first_step(spread(Metric::Startup), spread(Metric::PeerStartup)),
        goals(run, &spread),
    ];
    format!("| {} |\n", cells.join(" | "))
}

/// `2.81x (2.75 to 2.90)`
fn times(spread: Spread) -> String {
    let Spread { median, min, max } = spread;
    if min == max { format!("{median:.2}x") } else { format!("{median:.2}x ({min:.2} to {max:.2})") }
}

/// What it is, and how many rows if they are not all.
fn name(run: &Run, result: &Value) -> String {
    let (rows, whole) = (number(result, "rows"), number(result, "rows_of_a_whole_run"));
    let cut = rows.zip(whole).filter(|(rows, whole)| rows < whole);
    cut.map_or_else(|| run.about.into(), |(rows, whole)| format!("{}, **{rows} of {whole} rows**", run.about))
}

/// The peer's fastest type of each pair, or our own LoRA.
fn against(result: &Value) -> String {
    let fastest = result.get("fastest_peer").and_then(Value::as_array);
    let labels: BTreeSet<&str> = fastest.into_iter().flatten().filter_map(Value::as_str).collect();
    let lora =
        result.get("measured").is_some_and(|measured| measured.get(Metric::TimePerRow.key()).is_some());
    match labels.is_empty() && lora {
        true => "our LoRA".into(),
        false => labels.into_iter().collect::<Vec<_>>().join(", "),
    }
}

/// Ours, as a share of the peer's, and of what the peer's has beyond `import torch`.
fn memory(bytes: Option<Spread>, ratio: Option<Spread>, above: Option<Spread>) -> String {
    let bytes = bytes.map(|bytes| format!("{:.0} MB", bytes.median / 1e6));
    let ratio = ratio.map(|ratio| format!("{:.2}x", ratio.median));
    let above = above.map(|above| format!("{:.2}x above torch", above.median));
    [bytes, ratio, above].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// Ours and the peer's.
fn first_step(ours: Option<Spread>, peer: Option<Spread>) -> String {
    let parts = [ours, peer].into_iter().flatten().map(|seconds| format!("{:.1} s", seconds.median));
    parts.collect::<Vec<_>>().join(" / ")
}

fn goals(run: &Run, spread: &impl Fn(Metric) -> Option<Spread>) -> String {
    let goals = run.goals.iter().map(|goal| {
        let met = match spread(goal.metric) {
            Some(spread) if goal.is_met(spread.median) => "met",
            Some(_) => "missed",
            None => "not measured",
        };
        format!("{} {met}", goal.text())
    });
    goals.collect::<Vec<_>>().join("; ")
}

impl Goal {
    fn is_met(&self, value: f64) -> bool {
        if self.metric.rises() { value >= self.bound } else { value <= self.bound }
    }

    fn text(&self) -> String {
        let bound = self.bound;
        match self.metric {
            Metric::TokensPerSecond => format!("tokens a second {bound}x"),
            Metric::Training => format!("training {bound}x"),
            Metric::WholeRun => format!("whole run {bound}x"),
            Metric::TimePerRow => format!("time per row {bound}x"),
            Metric::PeakRatio | Metric::PeakAboveTorch => format!("memory {bound:.2}x"),
            Metric::PeakBytes => format!("memory {:.0} MB", bound / 1e6),
            Metric::OverCeiling => format!("over the ceiling {bound}x"),
            Metric::Startup | Metric::PeerStartup => format!("first step {bound} s"),
        }
    }
}

/// The machine and the versions.
fn session(result: &Value) -> String {
    let of = |path: &str| result.pointer(path).and_then(Value::as_str).unwrap_or("unknown").to_owned();
    let list = |path: &str| result.pointer(path).and_then(Value::as_array).map_or(0, Vec::len);
    let threads = result.pointer("/session/machine/threads").and_then(Value::as_u64).unwrap_or_default();
    format!(
        "{}, {} cores, {threads} threads; torch {}, transformers {}, peft {}, {}; commit {}; {}; medians of {} pairs (smallest to \
         largest).",
        of("/session/machine/cpu"),
        list("/session/machine/cores"),
        of("/session/versions/torch"),
        of("/session/versions/transformers"),
        of("/session/versions/peft"),
        of("/session/versions/rustc"),
        of("/session/versions/commit"),
        of("/session/date"),
        number(result, "pairs").unwrap_or_default(),
    )
}

/// What failed, what was noisy, what was not the same on both sides.
fn notes(run: &Run, result: &Value) -> Vec<String> {
    let failed = result.get("failed").and_then(Value::as_object).into_iter().flatten();
    let failed =
        failed.map(|(side, why)| format!("{side} has no numbers: {}", why.as_str().unwrap_or_default()));
    let rounds: Vec<&Value> = result.get("noise").and_then(Value::as_array).into_iter().flatten().collect();
    let noisy: Vec<&str> = rounds.iter().filter_map(|noise| noise.get(0)?.as_str()).collect();
    // All of it is in the results.
    let noise =
        noisy.first().map(|first| format!("{} of {} pairs are noisy ({first})", noisy.len(), rounds.len()));
    let differs =
        result.get("differs").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let differs = differs.map(|what| format!("the sides did not do the same work: {what}"));
    failed.chain(noise).chain(differs).map(|note| format!("{}: {note}", run.name)).collect()
}

/// Puts the table between the README's two marks; whether it has them.
///
/// # Errors
/// If the file can not be read or written.
pub(crate) fn publish(readme: &Path, table: &str) -> Result<bool> {
    let text = fs::read_to_string(readme).with_context(|| format!("{} cannot be read", readme.display()))?;
    let Some(text) = between(&text, table) else { return Ok(false) };
    fs::write(readme, text).with_context(|| format!("{} cannot be written", readme.display()))?;
    Ok(true)
}

/// The text with another table between the marks, if it has both.
fn between(text: &str, table: &str) -> Option<String> {
    let (before, rest) = text.split_once(OPEN)?;
    let (_, after) = rest.split_once(CLOSE)?;
    Some(format!("{before}{OPEN}\n\n{}\n\n{CLOSE}{after}", table.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn lora() -> &'static Run {
        RUNS.iter().find(|run| run.name == "minilm-lora").unwrap()
    }

    fn result() -> Value {
        json!({
            "rows": 64, "rows_of_a_whole_run": 2000, "pairs": 2,
            "fastest_peer": ["peer f32", "peer f32"],
            "measured": {
                "tokens_per_second_ratio": { "median": 2.8, "min": 2.7, "max": 2.9 },
                "peak_rss_bytes": { "median": 245e6, "min": 245e6, "max": 245e6 },
                "startup_seconds": { "median": 0.7, "min": 0.7, "max": 0.7 },
            },
            "failed": { "peer bf16": "stopped after 9 s" },
            "noise": [[], ["ours: other programs had 9 % of the cores' time"]],
            "differs": [],
        })
    }

    #[test]
    fn a_row_says_what_was_reached_and_what_was_cut() {
        let row = row(lora(), &result());
        for part in [
            "**64 of 2000 rows** | peer f32 | 2.80x (2.70 to 2.90) |",
            "| 245 MB |",
            "| 0.7 s |",
            "tokens a second 2.7x met; first step 0.5 s missed",
        ] {
            assert!(row.contains(part), "{row}");
        }
        assert_eq!(
            row.matches(" | ").count(),
            HEADER.lines().next().unwrap().matches(" | ").count(),
            "{row}"
        );
    }

    #[test]
    fn nothing_is_silent() {
        assert_eq!(
            notes(lora(), &result()),
            [
                "minilm-lora: peer bf16 has no numbers: stopped after 9 s",
                "minilm-lora: 1 of 2 pairs are noisy (ours: other programs had 9 % of the cores' time)",
            ]
        );
    }

    #[test]
    fn an_empty_result_is_not_a_reached_goal() {
        let row = row(lora(), &json!({}));
        assert!(row.contains("2.7x not measured"), "{row}");
    }

    #[test]
    fn only_what_is_between_the_marks_changes() {
        let text = format!("before\n{OPEN}\nold\n{CLOSE}\nafter");
        let new = between(&text, "| new |\n").unwrap();
        assert_eq!(new, format!("before\n{OPEN}\n\n| new |\n\n{CLOSE}\nafter"));
        assert_eq!(between(&new, "| new |").as_deref(), Some(new.as_str()));
        assert_eq!(between("no marks", "| new |"), None);
    }
}
