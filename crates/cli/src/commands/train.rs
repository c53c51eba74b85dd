//! `offshoot train`: one method, one adapter.

use crate::adapters::{self, Adapter};
use crate::briefing;
use crate::failure::Usage;
use crate::flags::{RunFlags, UnfinishedFlags, method_names, read_recipe};
use crate::output::OutputFolder;
use crate::progress::RunProgress;
use crate::results;
use crate::session::Session;
use crate::unfinished::{self, Unfinished, rows_again};
use crate::xgboost;
use anyhow::{Result, bail};
use offshoot::methods::Saves;
use offshoot::models::Task;
use offshoot::train::{
    self, Classifier, Limits, Prepared, Recipe, RunInfo, RunReport, States, Track, Trackers,
};
use std::path::{Path, PathBuf};

const EXAMPLE: &str = "Examples:
  offshoot train reviews.csv --model sentence-transformers/all-MiniLM-L6-v2 --rank 16 --output sentiment
  offshoot train reviews.csv --model ./my-bert --method houlsby --train 2000 --test 500 --epochs 5
  offshoot train 'rows/*.parquet' --model ./my-bert --test-data unseen.csv
  zcat *.csv.gz | offshoot train - --format csv --model ./my-bert
  offshoot train pairs.csv --task regression --label similarity --model ./my-bert --output similar
  offshoot train more.csv --init-from sentiment --output better
  offshoot train --resume --output sentiment
  offshoot train reviews.csv --model ./my-bert --mlflow http://localhost:5000 --output sentiment
  offshoot train alpaca.json --task language-model --model ./SmolLM2-135M-Instruct --output assistant";

/// The arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct Args {
    /// The folder for the adapter, with report.json and recipe.toml
    #[arg(short, long, value_name = "FOLDER", default_value = "offshoot-adapter")]
    pub(super) output: PathBuf,

    #[command(flatten)]
    pub(crate) run: RunFlags,

    #[command(flatten)]
    pub(super) unfinished: UnfinishedFlags,

    /// Say where the time of training went
    #[arg(long)]
    pub(super) profile: bool,

    /// The method, see `offshoot methods` [default: lora]
    #[arg(
        long,
        value_parser = method_names(),
        hide_possible_values = true,
        conflicts_with = "init_from",
        help_heading = "Method",
        display_order = 0
    )]
    method: Option<String>,

    /// Train on from this adapter, one of ours, peft's or AdapterHub's
    #[arg(
        long,
        value_name = "ADAPTER",
        conflicts_with_all = ["rank", "tokens", "width", "layers"],
        help_heading = "Method",
        display_order = 0
    )]
    pub(super) init_from: Option<PathBuf>,
}

/// Trains, measures, saves.
///
/// # Errors
/// Whatever is wrong with the arguments, the model or the data; a value that is not finite; a full disk.
pub(crate) fn run(args: &Args, session: &Session) -> Result<()> {
    args.run.machine.run(|| train(args, session))
}

fn train(args: &Args, session: &Session) -> Result<()> {
    let mut recipe = recipe(args)?;
    if recipe.task == Task::LanguageModel {
        return super::train_text::train(args, recipe, session);
    }
    recipe.check_task().map_err(|error| Usage(error.to_string()))?;
    let output = OutputFolder::ready(&args.output)?;
    let trackers = session.trackers(&recipe)?;
    let rows = train::deal(&recipe)?;
    args.run.split.write(&rows)?;
    let folder = session.model_folder(&recipe.model.name, recipe.model.pickles)?;
    keep_base(&recipe, &folder, output.path())?;
    let (mut prepared, briefing) = train::prepare(&recipe, rows, &folder, session.started)?;
    prepared.states = States::new(Limits::of(&recipe.train, output.path()), false);
    prepared.xgboost = xgboost::places();
    let mut classifier = start(args, &recipe, &prepared, session)?;
    recipe.methods = vec![classifier.method.clone()];
    session.console.say(&briefing::lines(&prepared, &briefing)?);
    session.console.say(&briefing::method(&classifier.method, recipe.train.lr)?);

    let unfinished = Unfinished::begin("train", &args.unfinished, output.path(), &recipe, &session.console)?;
    prepared.snapshots = Some(unfinished.snapshots.clone());
    let progress = progress(&recipe, &trackers, args, session)?;
    let report =
        fit(&mut classifier, &recipe, &prepared, progress).map_err(|error| unfinished.failed(error))?;
    let report = RunReport {
        adapter_bytes: adapters::save(output.path(), &classifier, &prepared, &recipe)?,
        command: again(output.path(), &recipe),
        ..report
    };
    output.write("recipe.toml", &recipe.to_toml()?)?;
    output.write_json("report.json", &report)?;
    unfinished.done()?;
    briefing::kept(&prepared.states).iter().for_each(|line| session.console.say(line));
    conclude(&report, &output, session)
}

/// A method that writes a whole checkpoint must not write it over the base; known before anything is trained.
pub(super) fn keep_base(recipe: &Recipe, base: &Path, output: &Path) -> Result<()> {
    let whole = recipe.methods.iter().any(|method| method.saves() == Saves::Checkpoint);
    if whole && matches!((base.canonicalize(), output.canonicalize()), (Ok(a), Ok(b)) if a == b) {
        bail!("{} holds the base model, which would be overwritten; name another --output", output.display());
    }
    Ok(())
}

/// The recipe, with what the adapter to train on from decides.
fn recipe(args: &Args) -> Result<Recipe> {
    let mut flags = unfinished::flags(&args.run, &args.unfinished, &args.output)?;
    let from = init_from(args, &flags)?;
    let adapter = from.as_deref().map(Adapter::open).transpose()?;
    let card = adapter.and_then(|adapter| adapter.card);
    if let (Some(card), None, None) = (&card, &flags.model.model, &flags.recipe) {
        flags.model.model = Some(card.base.name.clone());
    }
    let recipe = flags.recipe(args.method.as_slice(), &["lora"])?;
    let mut recipe = unfinished::dated(recipe, &args.unfinished, &args.output)?;
    recipe.init_from = from;
    if let (Some(card), None) = (&card, flags.task) {
        recipe.task = card.task;
    }
    recipe.model.pooling = recipe.model.pooling.or(card.map(|card| card.pooling));
    Ok(recipe)
}

/// The adapter to train on from: as asked, or as the recipe says where no method is asked for.
fn init_from(args: &Args, flags: &RunFlags) -> Result<Option<PathBuf>> {
    match (&args.init_from, &flags.recipe, &args.method) {
        (Some(adapter), ..) => Ok(Some(adapter.clone())),
        (None, Some(path), None) => Ok(read_recipe(path)?.init_from),
        _ => Ok(None),
    }
}

/// What is trained: the recipe's method, or an adapter that is there already.
fn start(args: &Args, recipe: &Recipe, prepared: &Prepared, session: &Session) -> Result<Classifier> {
    let seed = recipe.train.seed;
    if let Some(adapter) = &recipe.init_from {
        return adapters::resume(adapter, prepared, seed, args.run.model.pickle.pickles(), session);
    }
    match recipe.methods.as_slice() {
        [method] => Ok(Classifier::new(&prepared.model, method, prepared.objective, seed)?),
        methods => bail!("this recipe has {} methods; choose one with --method", methods.len()),
    }
}

/// What repeats a run.
pub(super) fn again(output: &Path, recipe: &Recipe) -> String {
    let (place, rows) = (output.display(), rows_again(recipe));
    format!("offshoot train --recipe {place}/recipe.toml --output {place}-again{rows}")
}

/// How the run of a recipe's one method is shown, and noted.
///
/// # Errors
/// If files cannot be written to, or a server does not take the run.
pub(super) fn progress(
    recipe: &Recipe,
    trackers: &Trackers,
    args: &Args,
    session: &Session,
) -> Result<RunProgress> {
    let [method] = recipe.methods.as_slice() else { bail!("a run has one method") };
    let name = method.info().name.to_owned();
    let info = RunInfo::of(recipe, method, &recipe.train)?;
    let track = Track::open(&args.output, trackers, &info, args.unfinished.resume)?;
    let progress = RunProgress::new(&session.console, name, recipe.train.epochs, true);
    Ok(progress.profiled(args.profile).tracked(track))
}

fn fit(
    classifier: &mut Classifier,
    recipe: &Recipe,
    prepared: &Prepared,
    mut progress: RunProgress,
) -> train::Result<RunReport> {
    let run = prepared.train(classifier, &recipe.train, &mut |event| progress.event(event));
    progress.end(run.as_ref());
    run
}

fn conclude(report: &RunReport, output: &OutputFolder, session: &Session) -> Result<()> {
    session.console.show(&results::run(report))?;
    let place = output.path().display();
    session.console.show(&format!("\nThe adapter is in {place}. Use it with"))?;
    session.console.show(&format!("  offshoot predict FILE --adapter {place}"))?;
    session.console.json(report)
}
