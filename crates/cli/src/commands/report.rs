//! `offshoot report`: a page from runs that exist.

use crate::output::OutputFolder;
use crate::pages;
use crate::session::Session;
use anyhow::{Context, Result, bail};
use offshoot::train::{Comparison, Judged, Recipe, RunReport};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

const EXAMPLE: &str = "Examples:
  offshoot report offshoot-compare
  offshoot report bert-compare roberta-compare my-adapter --output both";

/// The largest report.json that is read: one of a thousand runs on a million rows has less.
const LARGEST: u64 = 1 << 30;

/// The arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct Args {
    /// Folders that `offshoot compare` or `offshoot train` wrote
    #[arg(value_name = "FOLDER", required = true)]
    folders: Vec<PathBuf>,

    /// The folder for report.html and the plots [default: the first of them]
    #[arg(short, long, value_name = "FOLDER")]
    output: Option<PathBuf>,
}

/// Reads the runs, and writes the page.
///
/// # Errors
/// If a folder has no report, or a damaged one; if the page cannot be written.
pub(crate) fn run(args: &Args, session: &Session) -> Result<()> {
    let mut parts = args.folders.iter().map(|folder| read(folder)).collect::<Result<Vec<_>>>()?;
    tell_apart(&mut parts, &args.folders);
    let data: BTreeSet<String> = args.folders.iter().filter_map(|folder| rows_of(folder)).collect();
    let data = data.into_iter().collect::<Vec<_>>().join(", ");
    let comparison = Comparison::merged(parts);
    let Some(first) = args.folders.first() else { bail!("name a folder") };
    let output = OutputFolder::ready(args.output.as_ref().unwrap_or(first))?;
    pages::write(&output, &comparison, &data)?;
    session.console.show(&format!("{}", output.path().join(pages::PAGE).display()))
}

/// What a folder reports: a comparison, or a single run as one of a method.
fn read(folder: &Path) -> Result<Comparison> {
    let path = folder.join("report.json");
    let advice = || format!("{}: name a folder that `offshoot compare` or `train` wrote", path.display());
    let mut text = String::new();
    File::open(&path).and_then(|file| file.take(LARGEST).read_to_string(&mut text)).with_context(advice)?;
    let value: Value = serde_json::from_str(&text).with_context(advice)?;
    if value.get("rows").is_some_and(Value::is_array) {
        return serde_json::from_value(value).with_context(advice);
    }
    let run: RunReport = serde_json::from_value(value).with_context(advice)?;
    if run.method.is_empty() {
        bail!("{}: it reports no run; {}", path.display(), advice());
    }
    let (rows, labels) = (run.test_rows, run.labels.clone());
    Ok(Comparison::new(vec![run], Judged { rows, labels: &labels, ..Judged::default() }))
}

/// The file of the rows, as the recipe beside a report says.
fn rows_of(folder: &Path) -> Option<String> {
    let text = std::fs::read_to_string(folder.join("recipe.toml")).ok()?;
    Some(Recipe::from_toml(&text).ok()?.data.name())
}

/// A method that several folders have is named with its folder.
fn tell_apart(parts: &mut [Comparison], folders: &[PathBuf]) {
    let all: Vec<String> =
        parts.iter().flat_map(|part| part.rows.iter().map(|row| row.method.clone())).collect();
    let several = |method: &str| all.iter().filter(|other| *other == method).count() > 1;
    for (part, folder) in parts.iter_mut().zip(folders) {
        for row in part.rows.iter_mut().filter(|row| several(&row.method)) {
            row.method = format!("{} ({})", row.method, folder.display());
        }
    }
}
