//! `offshoot evaluate`: an adapter on labelled rows.

use crate::adapters::{Adapter, Base, Ready};
use crate::flags::{ColumnFlags, LabelFlags, MachineFlags, ModelFlags};
use crate::progress;
use crate::results::measured;
use crate::session::Session;
use crate::text::{count, plain, seconds};
use anyhow::Result;
use offshoot::train::data::{Labels, LoadOptions, load_with_labels};
use offshoot::train::{Lengths, Metrics, Row, TrainSettings, encode, peak_rss};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Instant;

const EXAMPLE: &str = "Example:
  offshoot evaluate unseen.csv --adapter sentiment";

/// The arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct Args {
    /// The labelled rows: a .csv, .tsv, .jsonl or .json file
    #[arg(value_name = "DATA")]
    data: PathBuf,

    /// The folder that `offshoot train` wrote, or an adapter of peft or AdapterHub
    #[arg(long, value_name = "FOLDER")]
    adapter: PathBuf,

    /// Print one JSON object as the last line of stdout; what people read goes to stderr
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    model: ModelFlags,
    #[command(flatten)]
    columns: ColumnFlags,
    #[command(flatten)]
    labels: LabelFlags,
    #[command(flatten)]
    machine: MachineFlags,
}

/// Measures the adapter.
///
/// # Errors
/// Whatever is wrong with the adapter, its model or the rows.
pub(crate) fn run(args: &Args, session: &Session) -> Result<()> {
    args.machine.run(|| evaluate(args, session))
}

fn evaluate(args: &Args, session: &Session) -> Result<()> {
    let adapter = Adapter::open(&args.adapter)?;
    let base = adapter.base(&args.model, session)?;
    let ready = adapter.load(&base, session)?;
    let rows = rows(args, &adapter, &base, &ready, session)?;
    let start = Instant::now();
    let metrics = measure(&ready, &rows, session)?;
    let taken = start.elapsed().as_secs_f64();
    let name = ready.classifier.method.info().name;
    let summary = format!(
        "{} ({name} on {}), {} rows in {}\n{}",
        adapter.folder.display(),
        base.name,
        count(rows.len()),
        seconds(taken),
        measured("test", &metrics)
    );
    session.console.show(&summary)?;
    session.console.json(&object(args, &base, &ready, &rows, (metrics, taken))?)
}

/// The labelled rows, tokenised.
fn rows(args: &Args, adapter: &Adapter, base: &Base, ready: &Ready, session: &Session) -> Result<Vec<Row>> {
    let mut columns = adapter.columns();
    args.columns.change(&mut columns);
    if args.labels.label.is_some() {
        columns.label.clone_from(&args.labels.label);
    }
    let options = LoadOptions { columns, filters: args.labels.filters.clone(), skip_bad_rows: false };
    let labels = Labels { names: ready.labels.clone() };
    let dataset = load_with_labels(&args.data, &options, &labels)?;
    if let Some(guess) = &dataset.guess {
        session.console.say(&format!("columns: {guess}"));
    }
    let most = adapter.max_length(&args.columns, &ready.classifier);
    let rows = encode(&base.tokenizer, &dataset.examples, most)?;
    session.say_cut(&rows, most);
    Ok(rows)
}

fn measure(ready: &Ready, rows: &[Row], session: &Session) -> Result<Metrics> {
    let bar = progress::rows(&session.console, "evaluating", rows.len());
    let tokens = TrainSettings::default().batch_tokens;
    let logits = ready.classifier.evaluate(rows, tokens, |done| bar.inc(done as u64))?;
    bar.finish_and_clear();
    Ok(Metrics::of(&logits, &rows.iter().map(|row| row.label).collect::<Vec<_>>()))
}

fn object(
    args: &Args,
    base: &Base,
    ready: &Ready,
    rows: &[Row],
    (metrics, taken): (Metrics, f64),
) -> Result<Value> {
    Ok(json!({
        "tool": "offshoot",
        "method": ready.classifier.method.info().name,
        "model": base.name,
        "adapter": args.adapter,
        "task": "classification",
        "dtype": args.model.dtype,
        "test_rows": rows.len(),
        "tokens": Lengths::of(rows).tokens,
        "labels": ready.labels,
        "evaluate_seconds": taken,
        "peak_rss_bytes": peak_rss(),
        "test": plain(&metrics)?,
    }))
}
