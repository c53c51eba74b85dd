//! Adapter folders and the models they need.

use crate::flags::{BaseFlags, ColumnFlags, ModelFlags};
use crate::session::Session;
use anyhow::{Context, Result, anyhow, bail};
use indicatif::ProgressBar;
use offshoot::core::Device;
use offshoot::methods::MethodConfig;
use offshoot::methods::formats::CONFIG_FILE;
use offshoot::models::weights::Pickles;
use offshoot::models::{LoadOptions, Model, Task, Tokenizer};
use offshoot::train::checkpoint::{self, About, CARD_FILE, Card, is_adapter};
use offshoot::train::data::{Columns, Example};
use offshoot::train::instruct::LmSettings;
use offshoot::train::{
    self, Classifier, DataRecipe, LanguageModel, LmPrepared, OnBase, Prepared, Recipe, Row, TrackSettings,
    TrainSettings, Trained, open_tokenizer,
};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// A folder with an adapter, or a file that is one, before its weights are read.
pub(crate) struct Adapter {
    /// The folder's own name.
    pub(crate) name: String,
    pub(crate) folder: PathBuf,
    /// What it says of itself, if it is one of ours.
    pub(crate) card: Option<Card>,
    /// The recipe it was made by, if it is one of ours.
    recipe: Option<Recipe>,
}

/// An adapter on its model, ready to be asked.
pub(crate) struct Ready {
    pub(crate) classifier: Classifier,
    /// The class names, in the order of the probabilities; none where there are no classes.
    pub(crate) labels: Vec<String>,
}

impl Ready {
    /// What it says of rows, which it is given as they are and as tokens: one list of outputs each. The bar counts
    /// them.
    ///
    /// # Errors
    /// As the model fails on a row.
    pub(crate) fn outputs(
        &self,
        base: &Base,
        examples: &[Example],
        rows: &[Row],
        bar: &ProgressBar,
    ) -> Result<Vec<Vec<f32>>> {
        let tokens = TrainSettings::default().batch_tokens;
        let done = |done: usize| bar.inc(done as u64);
        Ok(match self.classifier.prompt {
            Some(_) => self.classifier.ask(&base.tokenizer, examples, tokens, done)?,
            None => self.classifier.evaluate(rows, tokens, done)?,
        })
    }
}

/// A model with its tokenizer, by the name it was asked for.
pub(crate) struct Base {
    pub(crate) name: String,
    pub(crate) model: Model,
    pub(crate) tokenizer: Tokenizer,
    /// Whether adapters for it may be in torch's own format.
    pickles: Pickles,
}

impl Adapter {
    /// Looks at a folder or a file.
    ///
    /// # Errors
    /// If there is none, it holds no adapter, or its card is damaged.
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        if !folder.exists() {
            bail!("there is no folder {}; name the one that `offshoot train` wrote", folder.display());
        }
        if !is_adapter(folder) {
            let missing = format!("neither {CARD_FILE} nor {CONFIG_FILE} is there");
            let advice = "name the one that `offshoot train` wrote";
            bail!("{}: this folder holds no adapter ({missing}); {advice}", folder.display());
        }
        let card = Card::read(folder)?;
        // An adapter is as good without the recipe, which another version may have written.
        let recipe = card.as_ref().and_then(|card| serde_json::from_value(card.recipe.clone()).ok());
        let full = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        let name = full.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        Ok(Self { name, folder: folder.to_owned(), card, recipe })
    }

    /// The tokens that rows are cut to: as asked, else as it was trained, and never more than the model has
    /// positions.
    pub(crate) fn max_length(&self, flags: &ColumnFlags, classifier: &Classifier) -> usize {
        let own = self.recipe.as_ref().map(|recipe| recipe.data.max_length);
        let asked = flags.max_length.or(own).unwrap_or_else(|| DataRecipe::new("").max_length);
        let tokens = classifier.adapter.prompt_tokens() + classifier.adapter.prefix_tokens();
        asked.min(classifier.backbone.shape().positions.saturating_sub(tokens))
    }

    /// What it was trained for: as its card says, or for another program's, its other files.
    ///
    /// # Errors
    /// If its model cannot be found, or a file cannot be read.
    pub(crate) fn task(&self, flags: &ModelFlags, session: &Session) -> Result<Task> {
        match &self.card {
            Some(card) => Ok(card.task),
            None => {
                let model = session.model_folder(&self.model_name(flags)?, flags.pickle.pickles())?;
                Ok(Trained::task(&self.folder, &model)?)
            }
        }
    }

    /// How rows of a language model were tokenised for it.
    pub(crate) fn text_settings(&self) -> LmSettings {
        let own = self.recipe.as_ref().map(|recipe| LmSettings {
            max_length: recipe.data.max_length,
            train_on_prompt: recipe.data.train_on_prompt,
        });
        own.unwrap_or_default()
    }

    /// The columns that its recipe names.
    pub(crate) fn columns(&self) -> Columns {
        self.recipe.as_ref().map(|recipe| recipe.data.load.columns.clone()).unwrap_or_default()
    }

    /// The names and sizes of its files, sorted.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub(crate) fn files(&self) -> Result<Vec<(String, u64)>> {
        if self.folder.is_file() {
            return Ok(vec![(self.name.clone(), self.folder.metadata()?.len())]);
        }
        let mut files = Vec::new();
        for entry in std::fs::read_dir(&self.folder)? {
            let entry = entry?;
            let about = entry.metadata()?;
            if about.is_file() {
                files.push((entry.file_name().to_string_lossy().into_owned(), about.len()));
            }
        }
        files.sort();
        Ok(files)
    }

    /// The name of the model it needs: as asked, else what its card says.
    pub(crate) fn model_name(&self, flags: &ModelFlags) -> Result<String> {
        let own = || self.card.as_ref().map(|card| card.base.name.clone());
        flags.model.clone().or_else(own).ok_or_else(|| {
            anyhow!("{} does not say which model it needs; name it with --model", self.folder.display())
        })
    }

    /// Loads its model.
    ///
    /// # Errors
    /// If the model cannot be found or loaded.
    pub(crate) fn base(&self, flags: &ModelFlags, session: &Session) -> Result<Base> {
        let name = self.model_name(flags)?;
        let advice =
            || format!("{}: its model cannot be used; name another with --model", self.folder.display());
        let pickles = flags.pickle.pickles();
        let folder = session.model_folder(&name, pickles).with_context(advice)?;
        let pooling = flags.pooling.or(self.card.as_ref().map(|card| card.pooling));
        let mut model = Model::open(
            &folder,
            &LoadOptions { pooling, pickles, ..LoadOptions::default() },
            &flags.device(),
        )?;
        model.pack();
        if pooling.is_none() {
            let (place, pooling) = (self.folder.display(), model.pooling);
            session.console.say(&format!("{place} does not say its pooling; taking {pooling} (--pooling)"));
        }
        let tokenizer = open_tokenizer(&model, &folder)?;
        Ok(Base { name, model, tokenizer, pickles })
    }

    /// Whether a model that is loaded already is the one it needs.
    pub(crate) fn fits(&self, base: &Base, flags: &ModelFlags) -> bool {
        let same = |card: &Card| card.pooling == base.model.pooling;
        self.model_name(flags).is_ok_and(|name| name == base.name) && self.card.as_ref().is_some_and(same)
    }

    /// Reads its weights onto a model.
    ///
    /// # Errors
    /// If the adapter is for another model, or damaged.
    pub(crate) fn load(&self, base: &Base, session: &Session) -> Result<Ready> {
        let loaded = checkpoint::load(&self.folder, &base.model, base.pickles)?;
        loaded.notes.iter().for_each(|note| session.console.say(&format!("note: {note}")));
        let labels = match loaded.card {
            Some(card) => card.labels,
            None => loaded.classifier.numbered_labels(),
        };
        Ok(Ready { classifier: loaded.classifier, labels })
    }
}

/// An adapter of either task on its model.
pub(crate) struct Placed {
    pub(crate) on_base: OnBase,
    pub(crate) model_name: String,
}

impl Placed {
    /// Reads an adapter onto the model that is named, or that its own files name.
    ///
    /// # Errors
    /// If one of them cannot be found or read, or they do not belong together.
    pub(crate) fn load(flags: &BaseFlags, session: &Session) -> Result<Self> {
        let adapter = Adapter::open(&flags.adapter)?;
        let named = || adapter.card.as_ref().map(|card| card.base.name.clone());
        let model_name = flags.model.clone().or_else(named).ok_or_else(|| {
            anyhow!("{} does not say which model it needs; name it with --model", flags.adapter.display())
        })?;
        let base = session.model_folder(&model_name, flags.pickle.pickles())?;
        let on_base = Trained::load(&flags.adapter, &base, flags.pickle.pickles(), &Device::cpu())?;
        on_base.notes.iter().for_each(|note| session.console.say(&format!("note: {note}")));
        Ok(Self { on_base, model_name })
    }
}

/// Saves what was trained; the bytes written.
///
/// # Errors
/// If the folder cannot be written to.
pub(crate) fn save(
    folder: &Path,
    classifier: &Classifier,
    prepared: &Prepared,
    recipe: &Recipe,
) -> train::Result<u64> {
    let recipe = told(recipe, &classifier.method)?;
    let about = About { model_name: &prepared.model_name, labels: &prepared.labels, recipe };
    checkpoint::save(folder, classifier, &prepared.model, about)
}

/// Saves a language model's adapter; the bytes written.
///
/// # Errors
/// If the folder cannot be written to.
pub(crate) fn save_text(
    folder: &Path,
    grown: &LanguageModel,
    prepared: &LmPrepared,
    recipe: &Recipe,
) -> train::Result<u64> {
    let recipe = told(recipe, &grown.method)?;
    checkpoint::save(
        folder,
        grown,
        &prepared.model,
        About { model_name: &prepared.model_name, labels: &[], recipe },
    )
}

/// What an adapter tells of the recipe it came from; who was told of its run is nobody's business.
fn told(recipe: &Recipe, method: &MethodConfig) -> train::Result<Value> {
    let (methods, track) = (vec![method.clone()], TrackSettings::default());
    let recipe = Recipe { methods, track, ..recipe.clone() };
    crate::text::plain(&recipe).map_err(|error| train::Error::invalid(error.to_string()))
}

/// An adapter to train on from, on prepared rows.
///
/// # Errors
/// If the adapter is for another model, or damaged.
pub(crate) fn resume(
    folder: &Path,
    prepared: &Prepared,
    seed: u64,
    pickles: Pickles,
    session: &Session,
) -> Result<Classifier> {
    let loaded = checkpoint::resume(folder, &prepared.model, prepared.objective, seed, pickles)?;
    loaded.notes.iter().for_each(|note| session.console.say(&format!("note: {note}")));
    let named = |labels: &[String]| !labels.is_empty();
    let other =
        |card: &Card| card.labels != prepared.labels && named(&card.labels) && named(&prepared.labels);
    if let Some(card) = loaded.card.filter(other) {
        let (old, new) = (card.labels.join(", "), prepared.labels.join(", "));
        session.console.say(&format!("note: the adapter's labels were {old}; the rows have {new}"));
    }
    Ok(loaded.classifier)
}
