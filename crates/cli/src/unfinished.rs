//! Runs that were interrupted: they stop after a step, wait in `--output`, and are gone on with.

use crate::console::Console;
use crate::failure::{Stopped, Usage};
use crate::flags::{RunFlags, UnfinishedFlags};
use crate::interrupt;
use anyhow::{Context, Error, Result, anyhow, bail};
use offshoot::train::files::{self, atomic_write};
use offshoot::train::{self, Recipe, Snapshots, Stop};
use std::fs;
use std::path::Path;

/// The folder for it in `--output`.
const FOLDER: &str = "checkpoints";
/// What the run was begun with.
const RECIPE: &str = "recipe.toml";

/// What is kept of a command while it runs.
pub(crate) struct Unfinished {
    pub(crate) snapshots: Snapshots,
    /// How to go on with it.
    again: String,
}

/// The flags with the recipe of the unfinished run, if that is gone on with and no other rows are named.
///
/// # Errors
/// If there is none to go on with.
pub(crate) fn flags(flags: &RunFlags, unfinished: &UnfinishedFlags, output: &Path) -> Result<RunFlags> {
    let mut flags = flags.clone();
    if unfinished.resume && !flags.has_rows() {
        let recipe = output.join(FOLDER).join(RECIPE);
        if !recipe.exists() {
            let place = output.display();
            bail!(Usage(format!(
                "there is no unfinished run in {place}: name its folder with --output, or the rows to begin one with"
            )));
        }
        flags.recipe = Some(recipe);
    }
    Ok(flags)
}

/// A recipe from flags, with the day on which the unfinished run was begun: a prompt may say it.
pub(crate) fn dated(mut recipe: Recipe, unfinished: &UnfinishedFlags, output: &Path) -> Result<Recipe> {
    if let (true, Some(then)) = (unfinished.resume, read(&output.join(FOLDER))?) {
        recipe.data.date = then.data.date.or(recipe.data.date);
    }
    Ok(recipe)
}

fn read(folder: &Path) -> Result<Option<Recipe>> {
    let path = folder.join(RECIPE);
    if !path.exists() {
        return Ok(None);
    }
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    Recipe::from_toml(&text).map(Some).with_context(|| format!("{} is damaged", path.display()))
}

impl Unfinished {
    /// Begins a run, or goes on with it. From here on an interrupt stops it after a step.
    ///
    /// # Errors
    /// If another run waits there, or the folder cannot be written to.
    pub(crate) fn begin(
        command: &str,
        flags: &UnfinishedFlags,
        output: &Path,
        recipe: &Recipe,
        console: &Console,
    ) -> Result<Self> {
        let (every, resume, stop) = (flags.every(), flags.resume, Stop::default());
        let snapshots = Snapshots { folder: output.join(FOLDER), every, resume, stop };
        if flags.restart {
            snapshots.clear()?;
        }
        snapshots.check()?;
        same(&snapshots, recipe)?;
        if flags.resume {
            sweep(output)?;
        }
        fs::create_dir_all(&snapshots.folder)
            .with_context(|| format!("cannot make the folder {}", snapshots.folder.display()))?;
        let text = recipe.to_toml()?;
        atomic_write(&snapshots.folder.join(RECIPE), |file| file.write_all(text.as_bytes()))?;
        interrupt::listen(&snapshots.stop, console)?;
        let (place, rows) = (output.display(), rows_again(recipe));
        Ok(Self { snapshots, again: format!("offshoot {command} --resume --output {place}{rows}") })
    }

    /// What a person is to know of an error that ended the run.
    pub(crate) fn failed(&self, error: train::Error) -> Error {
        match error {
            train::Error::Stopped { .. } => self.stopped(&error.to_string()),
            // Gone on with, it would end the same way.
            train::Error::NotFinite { .. } => self.left(error),
            _ if self.snapshots.is_empty().unwrap_or(false) => self.left(error),
            _ => Error::from(error).context(format!("its last state is on disk: go on with {}", self.again)),
        }
    }

    /// For a command that ended in an error, with something left to go on with.
    pub(crate) fn broken(&self, error: &str) -> Error {
        anyhow!("{error}; what was done is on disk: go on with {}", self.again)
    }

    /// For a command that was asked to stop.
    pub(crate) fn stopped(&self, at: &str) -> Error {
        Stopped(format!("{at}. Go on with\n  {}", self.again)).into()
    }

    /// Nothing is left to go on with.
    ///
    /// # Errors
    /// If a file cannot be removed.
    pub(crate) fn done(&self) -> Result<()> {
        Ok(self.snapshots.clear()?)
    }

    fn left(&self, error: train::Error) -> Error {
        match self.done() {
            Ok(()) => error.into(),
            Err(left) => left.context(error),
        }
    }
}

/// What a command that repeats a recipe needs to be given again: rows that came from standard input.
pub(crate) fn rows_again(recipe: &Recipe) -> &'static str {
    if recipe.data.piped() { " < THE-SAME-ROWS" } else { "" }
}

/// Removes what a run that was killed while it saved left beside its files.
fn sweep(output: &Path) -> Result<()> {
    let adapters = output.join("adapters");
    let mut folders = vec![output.to_owned()];
    if adapters.exists() {
        let paths = fs::read_dir(&adapters)?.map(|entry| entry.map(|entry| entry.path()));
        folders.extend(paths.collect::<Result<Vec<_>, _>>()?.into_iter().filter(|path| path.is_dir()));
    }
    folders.iter().try_for_each(|folder| {
        files::sweep(folder).with_context(|| format!("cannot tidy the folder {}", folder.display()))
    })
}

/// What is gone on with must have been begun with the same recipe.
fn same(snapshots: &Snapshots, recipe: &Recipe) -> Result<()> {
    if snapshots.is_empty()? {
        return Ok(());
    }
    let differ = match read(&snapshots.folder)? {
        Some(then) => recipe.differences(&then)?,
        None => vec!["its recipe is gone".into()],
    };
    if differ.is_empty() {
        return Ok(());
    }
    bail!(
        "the unfinished run is another: {}; go on with the arguments that it was begun with, or begin anew with \
         --restart",
        differ.join(", ")
    )
}
