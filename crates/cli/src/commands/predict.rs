//! `offshoot predict`: rows in, labels with probabilities or numbers out.

use crate::adapters::{Adapter, Base};
use crate::failure::Usage;
use crate::flags::{ColumnFlags, MachineFlags, ModelFlags, formats, source};
use crate::predictions::{Form, Prediction, write};
use crate::progress;
use crate::session::Session;
use crate::text::count;
use anyhow::{Context, Result, anyhow, bail};
use offshoot::train::data::{Columns, Example, Input, Label, Source, Table, read_source};
use offshoot::train::encode;
use offshoot::train::files::atomic_write;
use serde_json::json;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

const EXAMPLE: &str = "Examples:
  offshoot predict new.csv --adapter sentiment
  echo 'What a film!' | offshoot predict - --adapter sentiment
  offshoot predict mail.jsonl --adapter topic --adapter tone --to jsonl --output answers.jsonl

With several adapters, the column `adapter` of a row names the folder of its own.";

/// The column that names a row's adapter.
const ADAPTER: &str = "adapter";

/// The arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct Args {
    /// The rows: a .csv, .tsv, .jsonl, .json, .parquet or .txt file, or a pattern of files in quotes; `-` is standard
    /// input
    #[arg(value_name = "DATA")]
    data: PathBuf,

    /// A folder that `offshoot train` wrote, or one of peft or AdapterHub; may be given more than once
    #[arg(long = "adapter", value_name = "FOLDER", required = true)]
    adapters: Vec<PathBuf>,

    /// The format of DATA where no ending says it [default: lines on standard input]
    #[arg(long, value_name = "FORMAT", value_parser = formats())]
    format: Option<String>,

    /// The form of the predictions [default: the extension of --output, else csv]
    #[arg(long, value_enum)]
    to: Option<Form>,

    /// The file for the predictions [default: stdout]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Print one JSON object with what was done on stdout
    #[arg(long, requires = "output")]
    pub(crate) json: bool,

    #[command(flatten)]
    model: ModelFlags,
    #[command(flatten)]
    columns: ColumnFlags,
    #[command(flatten)]
    machine: MachineFlags,
}

/// Reads, predicts, writes.
///
/// # Errors
/// Whatever is wrong with the adapters, their models or the rows.
pub(crate) fn run(args: &Args, session: &Session) -> Result<()> {
    args.machine.run(|| every_row(args, session))
}

fn every_row(args: &Args, session: &Session) -> Result<()> {
    let adapters = open(&args.adapters)?;
    let table = read(args)?;
    let wanted = wanted(&table, &adapters)?;
    let inputs = inputs(args, &adapters, &table, session)?;
    let mut predictions: Vec<(usize, Prediction)> = Vec::new();
    let mut base: Option<Base> = None;
    for (at, adapter) in adapters.iter().enumerate() {
        let rows: Vec<usize> = (0..inputs.len()).filter(|row| wanted[*row] == at).collect();
        if rows.is_empty() {
            continue;
        }
        let on = match base.take() {
            Some(base) if adapter.fits(&base, &args.model) => base,
            _ => adapter.base(&args.model, session)?,
        };
        let own: Vec<&Input> = rows.iter().map(|row| &inputs[*row]).collect();
        let said = predict(adapter, &on, &own, args, session)?;
        predictions.extend(rows.into_iter().zip(said));
        base = Some(on);
    }
    predictions.sort_by_key(|(row, _)| *row);
    let placed = |(_, prediction): (usize, Prediction)| match table.place(prediction.line) {
        Some((file, line)) => Prediction { file: Some(file.to_owned()), line, ..prediction },
        None => prediction,
    };
    deliver(args, predictions.into_iter().map(placed).collect(), session)
}

/// Every adapter's card, before anything is computed.
fn open(folders: &[PathBuf]) -> Result<Vec<Adapter>> {
    let adapters: Vec<Adapter> = folders.iter().map(|folder| Adapter::open(folder)).collect::<Result<_>>()?;
    let mut names: Vec<&str> = adapters.iter().map(|adapter| adapter.name.as_str()).collect();
    names.sort_unstable();
    if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        let reason = "rows name an adapter by its folder's own name, so these must differ";
        bail!(Usage(format!("two adapters are in folders of the name `{}`: {reason}", pair[0])));
    }
    Ok(adapters)
}

fn read(args: &Args) -> Result<Table> {
    let piped = args.data == Path::new(Source::STANDARD_INPUT);
    let format = args.format.as_deref().or(piped.then_some("lines"));
    Ok(read_source(&source(&args.data, format)?)?)
}

/// Which adapter each row wants.
fn wanted(table: &Table, adapters: &[Adapter]) -> Result<Vec<usize>> {
    if adapters.len() == 1 {
        return Ok(vec![0; table.rows.len()]);
    }
    let column = table.column(ADAPTER).context("with several adapters, each row must name its own")?;
    let names = || adapters.iter().map(|adapter| adapter.name.as_str()).collect::<Vec<_>>().join(", ");
    let place = |row: &offshoot::train::data::Row| {
        let name = row.get(column).unwrap_or_default().trim();
        adapters.iter().position(|adapter| adapter.name == name).ok_or_else(|| {
            let (names, (file, line)) = (names(), table.place(row.line).unwrap_or((&table.file, row.line)));
            anyhow!("{file}, line {line}: there is no adapter `{name}`; given are {names}")
        })
    };
    table.rows.iter().map(place).collect()
}

/// The rows' texts: from the columns that were asked for, else from those that the adapters were trained on.
fn inputs(args: &Args, adapters: &[Adapter], table: &Table, session: &Session) -> Result<Vec<Input>> {
    let trained = adapters.first().map(Adapter::columns).unwrap_or_default();
    let known = |name: Option<String>| name.filter(|name| table.columns.contains(name));
    let mut columns = Columns { text: known(trained.text), text_pair: known(trained.text_pair), label: None };
    args.columns.change(&mut columns);
    let (inputs, guess) = table.inputs(&columns)?;
    if let Some(guess) = guess.filter(|_| table.columns.len() > 1) {
        session.console.say(&format!("columns: {guess}"));
    }
    Ok(inputs)
}

/// What an adapter says about rows.
fn predict(
    adapter: &Adapter,
    base: &Base,
    inputs: &[&Input],
    args: &Args,
    session: &Session,
) -> Result<Vec<Prediction>> {
    let ready = adapter.load(base, session)?;
    let most = adapter.max_length(&args.columns, &ready.classifier);
    let examples: Vec<Example> = inputs.iter().map(example).collect();
    let rows = encode(&base.tokenizer, &examples, most)?;
    if ready.classifier.prompt.is_none() {
        session.say_cut(&rows, most);
    }
    let bar = progress::rows(&session.console, &adapter.name, rows.len());
    let outputs = ready.outputs(base, &examples, &rows, &bar)?;
    bar.finish_and_clear();
    let name = (args.adapters.len() > 1).then(|| adapter.name.clone());
    let prediction = |(outputs, input): (Vec<f32>, &&Input)| Prediction {
        file: None,
        line: input.line,
        adapter: name.clone(),
        said: ready.classifier.objective.says(&outputs, &ready.labels),
    };
    Ok(outputs.into_iter().zip(inputs).map(prediction).collect())
}

fn example(input: &&Input) -> Example {
    Example { text: input.text.clone(), pair: input.pair.clone(), label: Label::default(), line: input.line }
}

fn deliver(args: &Args, predictions: Vec<Prediction>, session: &Session) -> Result<()> {
    let form = args.to.unwrap_or_else(|| Form::of(args.output.as_deref()));
    let Some(path) = &args.output else {
        let mut out = BufWriter::new(io::stdout().lock());
        write(&mut out, &predictions, form)?;
        return Ok(out.flush()?);
    };
    atomic_write(path, |out| write(out, &predictions, form))?;
    session.console.show(&format!("{} rows in {}", count(predictions.len()), path.display()))?;
    session.console.json(&json!({
        "tool": "offshoot",
        "rows": predictions.len(),
        "adapters": args.adapters,
        "output": path,
        "seconds": session.started.elapsed().as_secs_f64(),
    }))
}
