//! `offshoot evaluate` on a language model's adapter: loss and perplexity, and what it writes.

use super::evaluate::Args;
use crate::adapters::Adapter;
use crate::failure::Usage;
use crate::language::{Language, Named};
use crate::progress;
use crate::results;
use crate::session::Session;
use crate::text::{count, plain, seconds};
use anyhow::{Result, anyhow, bail};
use offshoot::train::data::instruct::{LmDataset, LmLoadOptions, load};
use offshoot::train::instruct::LmSettings;
use offshoot::train::{Generate, Score, Shots, TextMetrics, TextRows, TrainSettings, peak_rss};
use serde_json::{Value, json};
use std::time::Instant;

/// What was measured.
struct Measured {
    score: Score,
    shots: Option<Shots>,
    generated: Option<TextMetrics>,
    seconds: f64,
}

/// Measures the adapter.
///
/// # Errors
/// Whatever is wrong with the adapter, its model or the rows.
pub(super) fn evaluate(args: &Args, adapter: &Adapter, session: &Session) -> Result<()> {
    check(args)?;
    let language = Language::open(std::slice::from_ref(&args.adapter), &args.model, session)?;
    let [named] = language.adapters.as_slice() else { return Err(anyhow!("there is no adapter")) };
    let options = LmLoadOptions { layout: args.layout, ..LmLoadOptions::default() };
    let dataset = load(&args.format.source(&args.data)?, options)?;
    dataset.guess.iter().for_each(|guess| session.console.say(guess));
    let settings = settings(args, adapter, named);
    let rows = TextRows {
        tools: &language.tools,
        chat: true,
        file: &dataset.file,
        examples: &dataset.examples,
        settings,
    };
    let measured = measure(args, &rows, named, session)?;
    let summary = format!(
        "{} ({} on {}), {} rows in {}\n{}",
        args.adapter.display(),
        named.grown.method.info().name,
        language.name,
        count(dataset.examples.len()),
        seconds(measured.seconds),
        lines(&measured).join("\n")
    );
    session.console.show(&summary)?;
    session.console.json(&object(args, &language, &dataset, &measured)?)
}

/// Flags that only have a meaning for classes.
fn check(args: &Args) -> Result<()> {
    let given = [
        ("--text", args.columns.text.is_some()),
        ("--text-pair", args.columns.text_pair.is_some()),
        ("--label", args.labels.label.is_some()),
        ("--where", !args.labels.filters.is_empty()),
    ];
    let given: Vec<&str> = given.iter().filter(|(_, given)| *given).map(|(flag, _)| *flag).collect();
    if !given.is_empty() {
        let list = given.join(", ");
        bail!(Usage(format!("{list}: the adapter is a language model's, whose rows have no such columns")));
    }
    Ok(())
}

/// The rows' length: as asked, else as it was trained, and never more than the model has positions.
fn settings(args: &Args, adapter: &Adapter, named: &Named) -> LmSettings {
    let own = adapter.text_settings();
    let virtual_tokens = named.grown.adapter.prompt_tokens() + named.grown.adapter.prefix_tokens();
    let positions = named.grown.backbone.shape().positions.saturating_sub(virtual_tokens);
    let max_length = args.columns.max_length.unwrap_or(own.max_length).min(positions);
    LmSettings { max_length, ..own }
}

fn measure(args: &Args, rows: &TextRows<'_>, named: &Named, session: &Session) -> Result<Measured> {
    let start = Instant::now();
    let (score, shots) = rows.score(&named.grown, TrainSettings::default().batch_tokens)?;
    let seconds = start.elapsed().as_secs_f64();
    let mut generate = Generate::default();
    args.written.change(&mut generate);
    let bar = progress::rows(&session.console, "generating", generate.rows.min(rows.examples.len()));
    let generated = rows.generate(&named.grown, generate, &mut |_| bar.inc(1));
    bar.finish_and_clear();
    Ok(Measured { score, shots, generated: generated?, seconds })
}

fn lines(measured: &Measured) -> Vec<String> {
    let mut lines = vec![results::scored("test", &measured.score)];
    lines.extend(measured.generated.iter().map(results::written));
    lines.extend(measured.shots.as_ref().and_then(results::shots));
    lines
}

fn object(args: &Args, language: &Language, dataset: &LmDataset, measured: &Measured) -> Result<Value> {
    let method = language.adapters.first().map(|named| named.grown.method.info().name);
    let mut object = json!({
        "tool": "offshoot",
        "method": method,
        "model": language.name,
        "adapter": args.adapter,
        "task": "language-model",
        "dtype": language.model.arithmetic().to_string(),
        "test_rows": dataset.examples.len(),
        "duplicates": dataset.counts.duplicates,
        "evaluate_seconds": measured.seconds,
        "peak_rss_bytes": peak_rss(),
        "test": plain(&measured.score)?,
    });
    if let Some(generated) = &measured.generated {
        object["generated"] = plain(generated)?;
    }
    if let Some(shots) = &measured.shots {
        object["shots"] = plain(shots)?;
    }
    Ok(object)
}
