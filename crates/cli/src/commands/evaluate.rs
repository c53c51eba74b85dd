//! `offshoot evaluate`: an adapter on labelled rows.

use crate::adapters::{Adapter, Base, Ready};
use crate::failure::Usage;
use crate::flags::{ColumnFlags, FormatFlag, LabelFlags, MachineFlags, ModelFlags, WrittenFlags};
use crate::progress;
use crate::results::scored;
use crate::session::Session;
use crate::text::{count, plain, seconds};
use anyhow::{Result, bail};
use offshoot::models::Task;
use offshoot::train::data::instruct::Layout;
use offshoot::train::data::{Example, Labels, LoadOptions, load_with_labels};
use offshoot::train::{Lengths, Row, Score, encode, peak_rss};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Instant;

const EXAMPLE: &str = "Examples:
  offshoot evaluate unseen.csv --adapter sentiment
  offshoot evaluate unseen.jsonl --adapter assistant --generate 50";

/// The arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct Args {
    /// The rows with their labels, or for a language model with their completions: a .csv, .tsv, .jsonl, .json
    /// or .parquet file, a pattern of files in quotes, or `-` for standard input
    #[arg(value_name = "DATA")]
    pub(super) data: PathBuf,

    /// The folder that `offshoot train` wrote, or an adapter of peft or AdapterHub
    #[arg(long, value_name = "FOLDER")]
    pub(super) adapter: PathBuf,

    /// How rows for a language model are laid out: messages, alpaca, completion or text [default: guessed]
    #[arg(long, value_name = "LAYOUT", help_heading = "Data")]
    pub(super) layout: Option<Layout>,

    /// Print one JSON object as the last line of stdout; what people read goes to stderr
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(super) model: ModelFlags,
    #[command(flatten)]
    pub(super) format: FormatFlag,
    #[command(flatten)]
    pub(super) columns: ColumnFlags,
    #[command(flatten)]
    pub(super) labels: LabelFlags,
    #[command(flatten)]
    pub(super) written: WrittenFlags,
    #[command(flatten)]
    machine: MachineFlags,
}

/// Labelled rows, as they are and as tokens.
struct Rows {
    examples: Vec<Example>,
    rows: Vec<Row>,
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
    if adapter.task(&args.model, session)? == Task::LanguageModel {
        return super::evaluate_text::evaluate(args, &adapter, session);
    }
    if args.written.given() || args.layout.is_some() {
        bail!(Usage("--generate and --layout are for language models, and this adapter has a head".into()));
    }
    let base = adapter.base(&args.model, session)?;
    let ready = adapter.load(&base, session)?;
    let rows = rows(args, &adapter, &base, &ready, session)?;
    let start = Instant::now();
    let score = measure(&base, &ready, &rows, session)?;
    let taken = start.elapsed().as_secs_f64();
    let name = ready.classifier.method.info().name;
    let summary = format!(
        "{} ({name} on {}), {} rows in {}\n{}",
        adapter.folder.display(),
        base.name,
        count(rows.rows.len()),
        seconds(taken),
        scored("test", &score)
    );
    session.console.show(&summary)?;
    session.console.json(&object(args, &base, &ready, &rows, (score, taken))?)
}

/// The labelled rows, as they are and tokenised.
fn rows(args: &Args, adapter: &Adapter, base: &Base, ready: &Ready, session: &Session) -> Result<Rows> {
    let mut columns = adapter.columns();
    args.columns.change(&mut columns);
    if args.labels.label.is_some() {
        columns.label.clone_from(&args.labels.label);
    }
    let options = LoadOptions { columns, filters: args.labels.filters.clone(), ..LoadOptions::default() };
    let labels = Labels { names: ready.labels.clone() };
    let task = ready.classifier.objective.task();
    let dataset = load_with_labels(&args.format.source(&args.data)?, &options, task, &labels)?;
    if let Some(guess) = &dataset.guess {
        session.console.say(&format!("columns: {guess}"));
    }
    let most = adapter.max_length(&args.columns, &ready.classifier);
    let rows = encode(&base.tokenizer, &dataset.examples, most)?;
    if ready.classifier.prompt.is_none() {
        session.say_cut(&rows, most);
    }
    Ok(Rows { examples: dataset.examples, rows })
}

fn measure(base: &Base, ready: &Ready, rows: &Rows, session: &Session) -> Result<Score> {
    let bar = progress::rows(&session.console, "evaluating", rows.rows.len());
    let outputs = ready.outputs(base, &rows.examples, &rows.rows, &bar)?;
    bar.finish_and_clear();
    Ok(ready.classifier.objective.score(&outputs, rows.rows.iter().map(|row| &row.label)))
}

fn object(
    args: &Args,
    base: &Base,
    ready: &Ready,
    rows: &Rows,
    (score, taken): (Score, f64),
) -> Result<Value> {
    Ok(json!({
        "tool": "offshoot",
        "method": ready.classifier.method.info().name,
        "model": base.name,
        "adapter": args.adapter,
        "task": ready.classifier.objective.task(),
        "dtype": base.model.arithmetic().to_string(),
        "test_rows": rows.rows.len(),
        "tokens": Lengths::of(&rows.rows).tokens,
        "labels": ready.labels,
        "evaluate_seconds": taken,
        "peak_rss_bytes": peak_rss(),
        "test": plain(&score)?,
    }))
}
