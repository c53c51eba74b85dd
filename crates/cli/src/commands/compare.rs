//! `offshoot compare`: every method on the same rows.

use super::leaving_out::{asks, boosts, classifies, leave_out, without_unfit};
use super::watching::{Keep, Show};
use crate::briefing;
use crate::failure::Usage;
use crate::flags::{RunFlags, UnfinishedFlags, method_names};
use crate::output::OutputFolder;
use crate::pages;
use crate::progress;
use crate::results;
use crate::session::Session;
use crate::text::parse_seconds;
use crate::unfinished::{self, Unfinished};
use crate::xgboost;
use anyhow::{Error, Result, bail};
use offshoot::methods::MethodConfig;
use offshoot::models::Task;
use offshoot::train::data::Amount;
use offshoot::train::data::instruct::Layout;
use offshoot::train::{
    self, CompareSettings, Comparison, Limits, Recipe, Round, States, Trackers, XgboostLibrary,
};
use std::path::PathBuf;

const EXAMPLE: &str = "Examples:
  offshoot compare reviews.csv --model sentence-transformers/all-MiniLM-L6-v2
  offshoot compare reviews.csv --model ./my-bert --methods lora,head --train 2000 --test 500 --seeds 0,1,2
  offshoot compare reviews.csv --model ./my-bert --seeds 0,1,2 --budget 30m
  offshoot compare reviews.csv --model ./my-bert --methods lora,features --train-sizes 100,300,1000
  offshoot compare reviews.csv --model ./my-bert --methods lora,prefix,houlsby --parameters 0.1%,1%,3%
  offshoot compare pairs.csv --task regression --label similarity --model ./my-bert
  offshoot compare alpaca.json --task language-model --model ./SmolLM2-135M-Instruct --methods lora,in-context \
    --generate 50";

/// The arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct Args {
    /// The folder for report.json, recipe.toml and the adapters
    #[arg(short, long, value_name = "FOLDER", default_value = "offshoot-compare")]
    output: PathBuf,

    #[command(flatten)]
    pub(crate) run: RunFlags,

    #[command(flatten)]
    unfinished: UnfinishedFlags,

    /// The methods to run, separated by commas [default: all]
    #[arg(
        long,
        alias = "method",
        value_delimiter = ',',
        value_name = "METHOD,...",
        value_parser = method_names(),
        hide_possible_values = true,
        help_heading = "Method",
        display_order = 0
    )]
    methods: Vec<String>,

    /// Run each method with each of these seeds, on the same split, and report means [default: --seed]
    #[arg(long, value_delimiter = ',', value_name = "SEED,...", help_heading = "Training")]
    seeds: Vec<u64>,

    /// Train each method at its own learning rate, instead of at the best of a few that are tried briefly
    #[arg(long, help_heading = "Training")]
    no_tune: bool,

    /// Also train on the first so many of the training rows, to see what more of them buy
    #[arg(long, value_delimiter = ',', value_name = "ROWS,...", help_heading = "Training")]
    train_sizes: Vec<usize>,

    /// Also make each method as large (rank, virtual tokens, width) as trains about so many values, or such a share
    /// of the model's, as in 0.1%,1%,3%
    #[arg(long, value_delimiter = ',', value_name = "VALUES,...", help_heading = "Training")]
    parameters: Vec<Amount>,

    /// The time that all of it may take, as in 15m: fewer seeds, and then the least promising methods, are left
    /// out
    #[arg(long, value_name = "TIME", value_parser = parse_seconds, help_heading = "Training")]
    budget: Option<u64>,
}

impl Args {
    fn change(&self, compare: &mut CompareSettings) {
        if !self.seeds.is_empty() {
            compare.seeds.clone_from(&self.seeds);
        }
        compare.tune &= !self.no_tune;
        if !self.train_sizes.is_empty() {
            compare.train_sizes.clone_from(&self.train_sizes);
        }
        if !self.parameters.is_empty() {
            compare.parameters.clone_from(&self.parameters);
        }
        compare.budget = self.budget.or(compare.budget);
    }
}

/// Runs the comparison and recommends a method.
///
/// # Errors
/// If the comparison cannot start, or every method failed.
pub(crate) fn run(args: &Args, session: &Session) -> Result<()> {
    args.run.machine.run(|| compare(args, session))
}

fn compare(args: &Args, session: &Session) -> Result<()> {
    let all: Vec<&str> = MethodConfig::ALL.iter().map(|info| info.name).collect();
    let flags = unfinished::flags(&args.run, &args.unfinished, &args.output)?;
    let chosen = !args.methods.is_empty() || flags.recipe.is_some();
    let recipe = flags.recipe(&args.methods, &all)?;
    let mut recipe = unfinished::dated(recipe, &args.unfinished, &args.output)?;
    if args.budget.is_some() && (args.no_tune || recipe.train.lr.is_some()) {
        bail!(Usage(
            "--budget is planned by the search for learning rates: leave --lr and --no-tune out".into()
        ));
    }
    args.change(&mut recipe.compare);
    check(&recipe.compare)?;
    let output = OutputFolder::ready(&args.output)?;
    let trackers = session.trackers(&recipe)?;
    if recipe.task == Task::LanguageModel {
        return compare_text(args, recipe, chosen, (&trackers, &output), session);
    }
    without_unfit(&mut recipe, session)?;
    let rows = train::deal(&recipe)?;
    args.run.split.write(&rows)?;
    let folder = session.model_folder(&recipe.model.name, recipe.model.pickles)?;
    let (mut prepared, briefing) = train::prepare(&recipe, rows, &folder, session.started)?;
    prepared.states = States::new(Limits::of(&recipe.train, output.path()), true);
    if !chosen && recipe.methods.iter().any(asks) && prepared.model.backbone.output_head().is_none() {
        leave_out(&mut recipe, asks, "this model has no output head to ask", session);
    }
    prepared.xgboost = xgboost::places();
    if !chosen
        && recipe.methods.iter().any(boosts)
        && let Err(error) = XgboostLibrary::load(&prepared.xgboost)
    {
        leave_out(&mut recipe, boosts, &error.to_string(), session);
    }
    recipe.methods.iter_mut().for_each(|method| method.resolve(prepared.model.backbone.shape()));
    session.console.say(&briefing::lines(&prepared, &briefing)?);
    let unfinished = begin(args, &recipe, &output, session)?;
    output.write("recipe.toml", &recipe.to_toml()?)?;
    prepared.snapshots = Some(unfinished.snapshots.clone());
    run_all(args, (&unfinished, &trackers, &output), &prepared, &recipe, session)
}

fn check(compare: &CompareSettings) -> Result<()> {
    let more =
        [("--train-sizes", compare.train_sizes.is_empty()), ("--parameters", compare.parameters.is_empty())];
    if let Some((flag, _)) = more.iter().find(|(_, none)| compare.budget.is_some() && !none) {
        bail!(Usage(format!("--budget plans one run of each method and seed: leave {flag} out")));
    }
    if compare.train_sizes.contains(&0) {
        bail!(Usage("--train-sizes are numbers of rows, from 1".into()));
    }
    Ok(())
}

/// The comparison on a language model.
fn compare_text(
    args: &Args,
    mut recipe: Recipe,
    chosen: bool,
    (trackers, output): (&Trackers, &OutputFolder),
    session: &Session,
) -> Result<()> {
    let folder = session.model_folder(&recipe.model.name, recipe.model.pickles)?;
    let (mut prepared, briefing) = train::prepare_lm(&recipe, &folder, session.started)?;
    prepared.states = States::new(Limits::of(&recipe.train, output.path()), true);
    recipe.data.instruct.layout = Some(briefing.layout);
    recipe.data.date = prepared.tools.date();
    // Methods that only have a meaning for classes would be rows of failures.
    if chosen && recipe.methods.iter().any(classifies) {
        leave_out(&mut recipe, classifies, "there are no classes", session);
    }
    recipe.methods.retain(|method| !classifies(method));
    if recipe.methods.is_empty() {
        bail!(Usage(
            "none of these methods has a meaning for a language model; see `offshoot methods`".into()
        ));
    }
    if !chosen && briefing.layout == Layout::Text {
        leave_out(&mut recipe, asks, "plain text has no prompt to write around", session);
    }
    recipe.methods.iter_mut().for_each(|method| method.resolve(prepared.model.backbone.shape()));
    session.console.say(&briefing::text_lines(&prepared, &briefing));
    if let Some(untuned) = prepared.untuned(&recipe.train)? {
        session.console.say(&results::scored("untuned", &untuned));
    }
    if let Some(written) = prepared.untuned_text()? {
        session.console.say(&format!("untuned, {}", results::written(&written)));
    }
    let unfinished = begin(args, &recipe, output, session)?;
    output.write("recipe.toml", &recipe.to_toml()?)?;
    prepared.snapshots = Some(unfinished.snapshots.clone());
    run_all(args, (&unfinished, trackers, output), &prepared, &recipe, session)
}

/// How many runs a seed has: in every round all methods, or those that have a size.
fn runs(rounds: &[Round], methods: &[MethodConfig]) -> usize {
    let sized = methods.iter().filter(|method| method.size().is_some()).count();
    let of = |round: &Round| if matches!(round, Round::Values(_)) { sized } else { methods.len() };
    methods.len() + rounds.iter().map(of).sum::<usize>()
}

/// Runs every method over every seed, and says what came of it.
fn run_all<P: Keep>(
    args: &Args,
    (unfinished, trackers, output): (&Unfinished, &Trackers, &OutputFolder),
    prepared: &P,
    recipe: &Recipe,
    session: &Session,
) -> Result<()> {
    let seeds = recipe.compare.seeds(&recipe.train);
    let rounds = recipe.compare.rounds(prepared, &recipe.train);
    let mut show = Show {
        console: &session.console,
        prepared,
        recipe,
        output,
        seeds: &seeds,
        trackers,
        resume: args.unfinished.resume,
        runs: progress::runs(&session.console, seeds.len() * runs(&rounds, &recipe.methods)),
        run: None,
    };
    let mut comparison = train::compare(prepared, &recipe.methods, &recipe.train, &recipe.compare, &mut show);
    drop(show);
    briefing::kept(prepared.states()).iter().for_each(|line| session.console.say(line));
    let (place, rows) = (output.path().display(), unfinished::rows_again(recipe));
    for row in &mut comparison.rows {
        let method = &row.method;
        row.command = format!(
            "offshoot compare --recipe {place}/recipe.toml --methods {method} --output {place}-{method}{rows}"
        );
    }
    output.write_json("report.json", &comparison)?;
    pages::write(output, &comparison, &recipe.data.name())?;
    if let Some(error) = &comparison.broken {
        return Err(unfinished.broken(error));
    }
    if !comparison.unfinished.is_empty() {
        return Err(stopped(&comparison, unfinished, session));
    }
    unfinished.done()?;
    conclude(&comparison, output, recipe.task, session)
}

fn begin(args: &Args, recipe: &Recipe, output: &OutputFolder, session: &Session) -> Result<Unfinished> {
    Unfinished::begin("compare", &args.unfinished, output.path(), recipe, &session.console)
}

/// A comparison that was asked to stop says what there is.
fn stopped(comparison: &Comparison, unfinished: &Unfinished, session: &Session) -> Error {
    if !comparison.rows.is_empty()
        && let Err(error) = session.console.show(&results::table(comparison))
    {
        return error;
    }
    unfinished.stopped(&format!("stopped before the end of {}", comparison.unfinished.join(", ")))
}

fn conclude(comparison: &Comparison, output: &OutputFolder, task: Task, session: &Session) -> Result<()> {
    let console = &session.console;
    console.show(&results::table(comparison))?;
    if let Some(table) = results::parts(comparison) {
        console.show(&format!("\nOn fewer rows to train on:\n{table}"))?;
    }
    if let Some(table) = results::sized(comparison) {
        console.show(&format!("\nAs large as each other, by the number of values trained:\n{table}"))?;
    }
    for (row, error) in comparison.rows.iter().filter_map(|row| Some((row, row.error.as_ref()?))) {
        console.show(&format!("\n{} failed: {error}", row.method))?;
    }
    let place = output.path().display();
    if let Some(method) = &comparison.recommended {
        console.show(&format!("\nRecommended: {method}, with {}.", comparison.reason))?;
        if let Some(more) = comparison.more_rows() {
            console.show(&format!("More rows: {more}."))?;
        }
        let folder = format!("{place}/adapters/{method}");
        let next = match task.has_head() {
            true => format!("offshoot predict FILE --adapter {folder}"),
            false => format!("offshoot generate --adapter {folder} PROMPT"),
        };
        console.show(&format!(
            "\nreport.html, report.json, recipe.toml and the adapters are in {place}. Use one with"
        ))?;
        console.show(&format!("  {next}"))?;
    }
    console.json(comparison)?;
    if comparison.recommended.is_none() {
        bail!("{}; report.json in {place} says why", comparison.reason);
    }
    Ok(())
}
