//! A language model with its adapters and what turns text into tokens.

use crate::adapters::Adapter;
use crate::failure::Usage;
use crate::flags::ModelFlags;
use crate::session::{Session, today};
use anyhow::{Result, bail};
use offshoot::models::{LoadOptions, Model, Task};
use offshoot::train::checkpoint::{Card, load_language_model};
use offshoot::train::generate::{Decode, Generator};
use offshoot::train::{LanguageModel, TextTools};
use serde_json::Value;
use std::path::PathBuf;

/// The adapter's name that stands for the model as it is.
pub(crate) const NONE: &str = "none";

/// A model, ready to write.
pub(crate) struct Language {
    /// The model as it was asked for.
    pub(crate) name: String,
    pub(crate) model: Model,
    pub(crate) tools: TextTools,
    pub(crate) adapters: Vec<Named>,
}

/// An adapter by the name of its folder.
pub(crate) struct Named {
    pub(crate) name: String,
    pub(crate) grown: LanguageModel,
    /// Whether it was trained on turns of a conversation, through the model's chat template.
    pub(crate) turns: bool,
}

impl Language {
    /// Loads the model that is named, or the one that the first adapter names, and all adapters.
    ///
    /// # Errors
    /// If the model or an adapter cannot be loaded, or two adapters share a name.
    pub(crate) fn open(folders: &[PathBuf], flags: &ModelFlags, session: &Session) -> Result<Self> {
        let adapters = folders.iter().map(|folder| Adapter::open(folder)).collect::<Result<Vec<_>>>()?;
        check_names(&adapters)?;
        let name = match (&flags.model, adapters.first()) {
            (Some(name), _) => name.clone(),
            (None, Some(adapter)) => adapter.model_name(flags)?,
            (None, None) => {
                bail!(Usage("which model? Name a folder or a hub id with --model, or an --adapter".into()))
            }
        };
        let pickles = flags.pickle.pickles();
        let folder = session.model_folder(&name, pickles)?;
        let options = LoadOptions { task: Task::LanguageModel, pickles, ..LoadOptions::default() };
        let model = Model::open(&folder, &options, &flags.device())?;
        model.notes.iter().for_each(|note| session.console.say(&format!("note: {note}")));
        let tools = TextTools::open(&model, &folder)?.dated(Some(today()));
        let named = |adapter: Adapter| {
            let loaded = load_language_model(&adapter.folder, &model, pickles)?;
            loaded.notes.iter().for_each(|note| session.console.say(&format!("note: {note}")));
            let turns = loaded.card.as_ref().is_some_and(on_turns);
            Ok(Named { name: adapter.name, grown: loaded.grown, turns })
        };
        let adapters = adapters.into_iter().map(named).collect::<Result<_>>()?;
        Ok(Self { name, model, tools, adapters })
    }

    /// A generator on the model with all adapters, in their order.
    ///
    /// # Errors
    /// If an adapter is for another model.
    pub(crate) fn generator(&self) -> Result<Generator<'_>> {
        let adapters = self.adapters.iter().map(|adapter| &adapter.grown).collect();
        Ok(Generator::new(self.model.backbone.as_ref(), adapters)?)
    }

    /// The place of an adapter, or none for `none`.
    ///
    /// # Errors
    /// If there is no such adapter: the message lists them.
    pub(crate) fn adapter(&self, name: &str) -> Result<Option<usize>> {
        let found = self.adapters.iter().position(|adapter| adapter.name == name);
        if found.is_none() && name != NONE {
            let names: Vec<_> = self.adapters.iter().map(|adapter| adapter.name.as_str()).collect();
            let known = [names.as_slice(), &[NONE]].concat().join(", ");
            bail!("there is no adapter `{}`; choose one of {known}", name.escape_debug());
        }
        Ok(found)
    }

    /// The name of an adapter by its place.
    pub(crate) fn adapter_name(&self, adapter: Option<usize>) -> &str {
        adapter.and_then(|at| self.adapters.get(at)).map_or(NONE, |adapter| adapter.name.as_str())
    }

    /// Decodes a row's tokens as they come, without special ones.
    pub(crate) fn stream(&self) -> Box<dyn Decode + '_> {
        Box::new(self.tools.tokenizer.stream(true))
    }
}

/// A row names its adapter by the folder's own name.
fn check_names(adapters: &[Adapter]) -> Result<()> {
    for (at, adapter) in adapters.iter().enumerate() {
        if adapter.name == NONE {
            bail!("an adapter's folder cannot be named `{NONE}`, which is for the model as it is; rename it");
        }
        if adapters[..at].iter().any(|other| other.name == adapter.name) {
            bail!("two adapters are named `{}`; rename the folder of one", adapter.name);
        }
    }
    Ok(())
}

/// Whether a card says that the adapter was trained on turns: its rows were for a language model, and they
/// were not laid out as plain text.
fn on_turns(card: &Card) -> bool {
    let layout = card.recipe.pointer("/data/instruct/layout").and_then(Value::as_str);
    card.task == Task::LanguageModel && layout != Some("text")
}
