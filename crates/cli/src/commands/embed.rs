//! `offshoot embed`: embeddings of rows, for use elsewhere.

use crate::failure::Usage;
use crate::flags::{ColumnFlags, FormatFlag, MachineFlags, ModelFlags};
use crate::progress;
use crate::session::Session;
use crate::text::count;
use anyhow::{Result, bail};
use offshoot::models::{LoadOptions, Model};
use offshoot::train::data::{Columns, Example, Table, read_source};
use offshoot::train::{DataRecipe, Embedded, Embedder, Shard, TrainSettings, open_tokenizer};
use serde_json::json;
use std::path::{Path, PathBuf};

const EXAMPLE: &str = "Examples:
  offshoot embed reviews.csv --model ./all-MiniLM-L6-v2 --output reviews.parquet
  offshoot embed reviews.csv --model ./all-MiniLM-L6-v2 --shard 2/4 --output part2.npy";

/// The arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct Args {
    /// The rows: a file, a pattern of files in quotes, or `-` for standard input
    #[arg(value_name = "DATA")]
    data: PathBuf,

    /// The file: .parquet, or .npy or .safetensors with the rows in a .rows.jsonl beside it
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,

    /// The column with a label to keep [default: `label`, if there is one]
    #[arg(long, value_name = "COLUMN")]
    label: Option<String>,

    /// Embed only this part of the rows, as in 2/4; parts, one after the other, are the whole
    #[arg(long, value_name = "PART/OF", value_parser = shard)]
    shard: Option<Shard>,

    /// Print one JSON object with what was done on stdout
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    model: ModelFlags,
    #[command(flatten)]
    format: FormatFlag,
    #[command(flatten)]
    columns: ColumnFlags,
    #[command(flatten)]
    machine: MachineFlags,
}

/// Embeds and writes.
///
/// # Errors
/// Whatever is wrong with the model or the rows; if the file cannot be written.
pub(crate) fn run(args: &Args, session: &Session) -> Result<()> {
    args.machine.run(|| embed(args, session))
}

fn embed(args: &Args, session: &Session) -> Result<()> {
    let Some(name) = &args.model.model else {
        bail!(Usage("which model? Name a folder or a hub id with --model".into()));
    };
    let source = args.format.source(&args.data)?;
    let same = |output: &Path| {
        let is =
            |file: &PathBuf| matches!((output.canonicalize(), file.canonicalize()), (Ok(a), Ok(b)) if a == b);
        source.files().iter().any(is)
    };
    if same(&args.output) || same(&args.output.with_extension("rows.jsonl")) {
        bail!("the rows themselves would be overwritten; name another --output");
    }
    let table = read_source(&source)?;
    let rows = rows(args, &table, session)?;
    let rows = &rows[args.shard.unwrap_or(Shard::WHOLE).range(rows.len())];
    let pickles = args.model.pickle.pickles();
    let folder = session.model_folder(name, pickles)?;
    let options = LoadOptions { pooling: args.model.pooling, pickles, ..LoadOptions::default() };
    let mut model = Model::open(&folder, &options, &args.model.device())?;
    model.pack();
    let tokenizer = open_tokenizer(&model, &folder)?;
    let asked = args.columns.max_length.unwrap_or(DataRecipe::new("").max_length);
    let most = asked.min(model.backbone.shape().positions);
    let embedder = Embedder::new(&model, &tokenizer, (most, TrainSettings::default().batch_tokens))?;
    let bar = progress::rows(&session.console, "embedding", rows.len());
    let files = embedder.write(&args.output, rows, |rows| bar.inc(rows as u64))?;
    bar.finish_and_clear();
    let (rows, width) = (rows.len(), embedder.width());
    let places = files.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" and ");
    session.console.show(&format!("{} rows of {width} values in {places}", count(rows)))?;
    session.console.json(&json!({
        "tool": "offshoot",
        "rows": rows,
        "width": width,
        "pooling": model.pooling,
        "files": files,
        "seconds": session.started.elapsed().as_secs_f64(),
    }))
}

/// Every row with its texts and its label.
fn rows(args: &Args, table: &Table, session: &Session) -> Result<Vec<Embedded>> {
    let mut columns = Columns::default();
    args.columns.change(&mut columns);
    let (inputs, guess) = table.inputs(&columns)?;
    if let Some(guess) = guess.filter(|_| table.columns.len() > 1) {
        session.console.say(&format!("columns: {guess}"));
    }
    let label = match &args.label {
        Some(name) => Some(table.column(name)?),
        None => table.columns.iter().position(|column| column == "label"),
    };
    let row = |(input, row): (offshoot::train::data::Input, &offshoot::train::data::Row)| Embedded {
        label: label.and_then(|column| row.get(column)).map(str::to_owned),
        example: Example {
            text: input.text,
            pair: input.pair,
            label: offshoot::train::data::Label::default(),
            line: input.line,
        },
    };
    Ok(inputs.into_iter().zip(&table.rows).map(row).collect())
}

/// `2/4`: the second of four.
fn shard(text: &str) -> Result<Shard, String> {
    let parts = text.split_once('/').and_then(|(part, of)| Some((part.parse().ok()?, of.parse().ok()?)));
    match parts {
        Some((part, count)) if (1..=count).contains(&part) => Ok(Shard { index: part - 1, count }),
        _ => Err("write it as 2/4: the second of four parts".to_owned()),
    }
}
