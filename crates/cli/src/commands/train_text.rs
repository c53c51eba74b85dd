//! `offshoot train --task language-model`: one method grown on a language model.

use super::train::{Args, again, keep_base, progress};
use crate::adapters;
use crate::briefing;
use crate::output::OutputFolder;
use crate::results;
use crate::session::Session;
use crate::unfinished::Unfinished;
use anyhow::{Result, bail};
use offshoot::train::{self, LanguageModel, Limits, LmPrepared, Recipe, RunReport, States, checkpoint};

/// Trains, measures, saves.
///
/// # Errors
/// Whatever is wrong with the arguments, the model or the data; a value that is not finite; a full disk.
pub(super) fn train(args: &Args, mut recipe: Recipe, session: &Session) -> Result<()> {
    let output = OutputFolder::ready(&args.output)?;
    let trackers = session.trackers(&recipe)?;
    let folder = session.model_folder(&recipe.model.name, recipe.model.pickles)?;
    keep_base(&recipe, &folder, output.path())?;
    let (mut prepared, briefing) = train::prepare_lm(&recipe, &folder, session.started)?;
    prepared.states = States::new(Limits::of(&recipe.train, output.path()), false);
    recipe.data.instruct.layout = Some(briefing.layout);
    recipe.data.date = prepared.tools.date();
    let mut grown = start(args, &recipe, &prepared, session)?;
    recipe.methods = vec![grown.method.clone()];
    session.console.say(&briefing::text_lines(&prepared, &briefing));
    session.console.say(&briefing::method(&grown.method, recipe.train.lr)?);
    if let Some(untuned) = prepared.untuned(&recipe.train)? {
        session.console.say(&results::scored("untuned", &untuned));
    }
    if let Some(written) = prepared.untuned_text()? {
        session.console.say(&format!("untuned, {}", results::written(&written)));
    }
    let unfinished = Unfinished::begin("train", &args.unfinished, output.path(), &recipe, &session.console)?;
    prepared.snapshots = Some(unfinished.snapshots.clone());
    let mut progress = progress(&recipe, &trackers, args, session)?;
    let report = prepared.train(&mut grown, &recipe.train, &mut |event| progress.event(event));
    progress.end(report.as_ref());
    drop(progress);
    let report = report.map_err(|error| unfinished.failed(error))?;
    briefing::kept(&prepared.states).iter().for_each(|line| session.console.say(line));
    let report = RunReport {
        adapter_bytes: adapters::save_text(output.path(), &grown, &prepared, &recipe)?,
        command: again(output.path(), &recipe),
        ..report
    };
    output.write("recipe.toml", &recipe.to_toml()?)?;
    output.write_json("report.json", &report)?;
    unfinished.done()?;
    session.console.show(&results::run(&report))?;
    let place = output.path().display();
    session.console.show(&format!("\nThe adapter is in {place}. Use it with"))?;
    session.console.show(&format!("  offshoot generate --adapter {place} PROMPT"))?;
    session.console.json(&report)
}

/// What is trained: the recipe's method, or an adapter that is there already.
fn start(args: &Args, recipe: &Recipe, prepared: &LmPrepared, session: &Session) -> Result<LanguageModel> {
    if let Some(folder) = &recipe.init_from {
        let pickles = args.run.model.pickle.pickles();
        let loaded = checkpoint::load_language_model(folder, &prepared.model, pickles)?;
        loaded.notes.iter().for_each(|note| session.console.say(&format!("note: {note}")));
        if loaded.grown.prompt.is_some() {
            let (folder, name) = (folder.display(), loaded.grown.method.info().name);
            bail!(
                "{folder}: `{name}` trained nothing, so there is nothing to train on from; choose a --method"
            );
        }
        return Ok(loaded.grown);
    }
    match recipe.methods.as_slice() {
        [method] => Ok(LanguageModel::new(&prepared.model, method, recipe.train.seed)?),
        methods => bail!("this recipe has {} methods; choose one with --method", methods.len()),
    }
}
