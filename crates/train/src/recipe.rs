//! The recipe: everything that decides a run, in one TOML file.

use crate::data::instruct::LmLoadOptions;
use crate::data::{self, Amount, Format, LoadOptions, Places, Source, Sources, SplitOptions};
use crate::{CompareSettings, Dtype, Error, Generate, Objective, Result, TrackSettings, TrainSettings};
use offshoot_methods::MethodConfig;
use offshoot_models::chat::Date;
use offshoot_models::weights::Pickles;
use offshoot_models::{Pooling, Task};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// What `--set` changes beside methods.
const SECTIONS: [&str; 5] = ["train", "model", "data", "compare", "track"];

/// Model, method, data and training of a run. It is written beside every result, complete, so that it can be
/// run again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// What the rows are for. Default `classification`.
    #[serde(default)]
    pub task: Task,
    /// An adapter that training begins from, instead of a new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init_from: Option<PathBuf>,
    /// The frozen model.
    pub model: ModelRecipe,
    /// The rows.
    pub data: DataRecipe,
    /// How to train.
    #[serde(default)]
    pub train: TrainSettings,
    /// How methods are compared.
    #[serde(default, skip_serializing_if = "CompareSettings::is_default")]
    pub compare: CompareSettings,
    /// Who is told of runs.
    #[serde(default, skip_serializing_if = "TrackSettings::is_default")]
    pub track: TrackSettings,
    /// What to grow on the model. A comparison has several.
    pub methods: Vec<MethodConfig>,
}

/// The model of a recipe.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelRecipe {
    /// A folder or a hub id.
    pub name: String,
    /// What stands for a sequence; what the checkpoint says if absent.
    #[serde(default)]
    pub pooling: Option<Pooling>,
    /// What its products are computed in.
    #[serde(default, skip_serializing_if = "Dtype::is_auto")]
    pub dtype: Dtype,
    /// Whether its weights may be in torch's own format. A person's permission for one run: no file holds it.
    #[serde(skip)]
    pub pickles: Pickles,
}

/// The rows of a recipe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataRecipe {
    /// The file, a pattern of files such as `rows/*.csv`, a folder in the layout of the `datasets` library, or `-`
    /// for standard input.
    pub path: PathBuf,
    /// The format of the rows, where no ending says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// Which of a folder's configurations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<String>,
    /// A file (or a pattern) to choose the best epoch by, instead of rows of the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation_data: Option<PathBuf>,
    /// A file (or a pattern) to test on, instead of rows of the first.
    #[serde(default)]
    pub test_data: Option<PathBuf>,
    /// Longer rows are cut to so many tokens. Default 256.
    #[serde(default = "default_max_length")]
    pub max_length: usize,
    /// Whether a language model learns to predict the prompt too, not only what follows it.
    #[serde(default)]
    pub train_on_prompt: bool,
    /// The day that a chat template may write into prompts, as `2026-11-24`; with none most write a fixed one. It
    /// is a part of the rows: a run is only repeated with the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<Date>,
    /// Columns and filters.
    #[serde(default)]
    pub load: LoadOptions,
    /// How rows for a language model are laid out.
    #[serde(default)]
    pub instruct: LmLoadOptions,
    /// How many rows go where.
    #[serde(default)]
    pub split: SplitOptions,
    /// For how many test rows a language model also writes.
    #[serde(default)]
    pub generate: Generate,
}

/// Long enough for a paragraph; attention's cost grows with the square.
fn default_max_length() -> usize {
    256
}

impl DataRecipe {
    /// All rows of a file, with every default.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            format: None,
            config: None,
            validation_data: None,
            test_data: None,
            max_length: default_max_length(),
            train_on_prompt: false,
            date: None,
            load: LoadOptions::default(),
            instruct: LmLoadOptions::default(),
            split: SplitOptions::default(),
            generate: Generate::default(),
        }
    }
}

impl DataRecipe {
    /// Finds the files.
    ///
    /// # Errors
    /// An unknown format; a pattern that no file fits; standard input to test on; a folder without rows to train
    /// on, or with several configurations and none chosen.
    pub fn sources(&self) -> data::Result<Sources> {
        let format = self.format.as_deref().map(Format::named).transpose()?;
        let mut sources = Sources::open(Places {
            path: &self.path,
            format,
            config: self.config.as_deref(),
            validation: self.validation_data.as_deref(),
            test: self.test_data.as_deref(),
        })?;
        // Files of which no row is asked for are not read: their labels may be withheld.
        let none = |amount| amount == Some(Amount::Count(0));
        sources.test.take_if(|_| none(self.split.test));
        sources.validation.take_if(|_| none(self.split.validation));
        Ok(sources)
    }

    /// Whether the rows come from standard input.
    pub fn piped(&self) -> bool {
        self.path == Path::new(Source::STANDARD_INPUT)
    }

    /// What the rows are called: the last part of the path.
    pub fn name(&self) -> String {
        if self.piped() {
            return Source::STANDARD_INPUT_NAME.to_owned();
        }
        self.path.file_name().unwrap_or(self.path.as_os_str()).to_string_lossy().into_owned()
    }
}

impl Recipe {
    /// Reads a recipe.
    ///
    /// # Errors
    /// If the text is no TOML, or a field is unknown, absent or of the wrong kind: the message names it.
    pub fn from_toml(text: &str) -> Result<Self> {
        toml::from_str(text)
            .map_err(|error| Error::invalid(format!("recipe: {}", error.to_string().trim_end())))
    }

    /// Writes a recipe.
    ///
    /// # Errors
    /// If a setting cannot be written as TOML.
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string_pretty(self).map_err(|error| Error::invalid(format!("recipe: {error}")))
    }

    /// Checks that methods and settings have a meaning for a task with a head, before any work starts.
    ///
    /// # Errors
    /// One message with everything that has none.
    pub fn check_task(&self) -> Result<()> {
        let objective = Objective::new(self.task, 0);
        let unfit = self.methods.iter().filter(|method| !objective.fits(method));
        let mut wrong: Vec<String> = unfit.map(|method| objective.refusal(method)).collect();
        if self.task == Task::Regression {
            let of_classes = [
                ("label_smoothing", self.train.label_smoothing > 0.0),
                ("class_weights", self.train.class_weights.is_some()),
            ];
            let given = of_classes.iter().filter(|(_, given)| *given);
            wrong.extend(
                given.map(|(name, _)| {
                    format!("{name} is for classes, and a regression has none: leave it out")
                }),
            );
            wrong.extend(self.data.load.labels.is_some().then(|| data::UNORDERED.into()));
        }
        if wrong.is_empty() { Ok(()) } else { Err(Error::invalid(wrong.join("; "))) }
    }

    /// What differs from another recipe, apart from what changes no result.
    ///
    /// # Errors
    /// If a setting cannot be written as TOML.
    pub fn differences(&self, then: &Self) -> Result<Vec<String>> {
        let mut differ = differences("train", &self.train.deciding(), &then.train.deciding())?;
        differ.extend(differences("data", &self.data, &then.data)?);
        differ.extend(differences("model", &self.model, &then.model)?);
        if self.task != then.task {
            differ.push("the task".into());
        }
        differ.extend(differences("compare", &self.compare, &then.compare)?);
        if self.init_from != then.init_from {
            differ.push("--init-from".into());
        }
        if self.methods != then.methods {
            differ.push("the methods or their settings".into());
        }
        Ok(differ)
    }

    /// Applies one `key.path=value` override. `train.`, `model.`, `data.`, `compare.` and `track.` name a section;
    /// `METHOD.key` is a setting of that method, `method.key` one of every method that has it. The value is TOML; what is not
    /// is taken as text.
    ///
    /// # Errors
    /// If there is no such setting, or the value is of the wrong kind: the message names both.
    pub fn set(&mut self, assignment: &str) -> Result<()> {
        let shape = || {
            Error::invalid(format!(
                "--set takes key=value, such as train.weight_decay=0.1, not `{assignment}`"
            ))
        };
        let (path, value) = assignment.split_once('=').ok_or_else(shape)?;
        let (section, key) = path.trim().split_once('.').ok_or_else(shape)?;
        let value = parse(value.trim());
        if SECTIONS.contains(&section) {
            let mut table = Table::try_from(&*self).map_err(|e| Error::invalid(format!("recipe: {e}")))?;
            place(&mut table, path.trim(), value);
            // What no file holds, a table does not hold either.
            let (pickles, track) = (self.model.pickles, self.track.clone());
            *self = Self::from_table(table, assignment)?;
            self.model.pickles = pickles;
            self.track = std::mem::take(&mut self.track).with_user_of(&track);
            return Ok(());
        }
        self.set_method(section, key, &value, assignment)
    }

    fn set_method(&mut self, section: &str, key: &str, value: &Value, assignment: &str) -> Result<()> {
        let names: Vec<&str> = MethodConfig::ALL.iter().map(|info| info.name).collect();
        if section != "method" && !names.contains(&section) {
            let (sections, known) = (SECTIONS.join(", "), names.join(", "));
            return Err(Error::invalid(format!(
                "--set {assignment}: `{section}` is neither {sections}, method nor one of {known}"
            )));
        }
        let mut found = false;
        for method in &mut self.methods {
            let name = method.info().name;
            let first = key.split('.').next().unwrap_or(key);
            if section == name || (section == "method" && MethodConfig::has_setting(name, first)?) {
                *method = changed(method, key, value, assignment)?;
                found = true;
            }
        }
        if found || section != "method" && !self.methods.iter().any(|m| m.info().name == section) {
            return if found {
                Ok(())
            } else {
                Err(Error::invalid(format!("--set {assignment}: `{section}` is not run")))
            };
        }
        Err(Error::invalid(format!("--set {assignment}: no method that is run has a setting `{key}`")))
    }

    fn from_table(table: Table, assignment: &str) -> Result<Self> {
        let invalid = |e: toml::de::Error| Error::invalid(format!("--set {assignment}: {}", e.message()));
        table.try_into().map_err(invalid)
    }
}

/// A method with one setting changed.
fn changed(method: &MethodConfig, key: &str, value: &Value, assignment: &str) -> Result<MethodConfig> {
    let invalid = |e: &dyn std::fmt::Display| Error::invalid(format!("--set {assignment}: {e}"));
    let mut table = Table::try_from(method).map_err(|e| invalid(&e))?;
    place(&mut table, key, value.clone());
    table.try_into().map_err(|e: toml::de::Error| invalid(&e.message()))
}

/// A TOML value, or the text itself.
fn parse(text: &str) -> Value {
    let document = format!("value = {text}");
    let parsed = document.parse::<Table>().ok().and_then(|mut table| table.remove("value"));
    match parsed {
        // Dates are texts in recipes.
        None | Some(Value::Datetime(_)) => Value::String(text.to_owned()),
        Some(value) => value,
    }
}

/// Puts a value at a dotted path, making tables on the way.
fn place(table: &mut Table, path: &str, value: Value) {
    match path.split_once('.') {
        None => drop(table.insert(path.to_owned(), value)),
        Some((first, rest)) => {
            let inner = table.entry(first).or_insert_with(|| Value::Table(Table::new()));
            if let Value::Table(inner) = inner {
                place(inner, rest, value);
            }
        }
    }
}

/// Which settings differ from what they were, and how: `train.lr was 0.1 and is 0.2`.
pub(crate) fn differences<T: Serialize>(section: &str, now: &T, then: &T) -> Result<Vec<String>> {
    let table = |settings: &T| Table::try_from(settings).map_err(|error| Error::invalid(error.to_string()));
    let (now, then) = (table(now)?, table(then)?);
    let keys = then.keys().chain(now.keys().filter(|key| !then.contains_key(*key)));
    let said = |value: Option<&Value>| value.map_or("unset".to_owned(), Value::to_string);
    Ok(keys
        .filter(|key| now.get(*key) != then.get(*key))
        .map(|key| format!("{section}.{key} was {} and is {}", said(then.get(key)), said(now.get(key))))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe() -> Recipe {
        Recipe {
            task: Task::Classification,
            init_from: None,
            model: ModelRecipe { name: "model".into(), ..ModelRecipe::default() },
            data: DataRecipe::new("rows.csv"),
            train: TrainSettings::default(),
            compare: CompareSettings { seeds: vec![3, 4], ..CompareSettings::default() },
            track: TrackSettings::default(),
            methods: ["lora", "head", "in-context"]
                .iter()
                .map(|name| MethodConfig::named(name).unwrap())
                .collect(),
        }
    }

    #[test]
    fn a_recipe_survives_being_written() {
        let text = recipe().to_toml().unwrap();
        assert_eq!(Recipe::from_toml(&text).unwrap(), recipe(), "{text}");
    }

    #[test]
    fn overrides_reach_sections_and_methods() {
        let mut recipe = recipe();
        for set in [
            "train.epochs=7",
            "lora.rank=4",
            "method.alpha=2.5",
            "method.labels.0=bad",
            "model.pooling=cls",
            "data.load.columns.text=body",
        ] {
            recipe.set(set).unwrap();
        }
        assert_eq!(recipe.train.epochs, 7);
        assert_eq!(recipe.model.pooling, Some(Pooling::Cls));
        assert_eq!(recipe.data.load.columns.text.as_deref(), Some("body"));
        let MethodConfig::InContext(asks) = &recipe.methods[2] else { panic!("in-context last") };
        assert_eq!(asks.labels["0"], "bad");
        let MethodConfig::Lora(lora) = &recipe.methods[0] else { panic!("lora first") };
        assert_eq!((lora.rank, lora.alpha), (4, 2.5));
    }

    #[test]
    fn what_is_unknown_is_named() {
        for (set, named) in [
            ("train.epoch=7", "epoch"),
            ("lora.ranks=4", "ranks"),
            ("loar.rank=4", "loar"),
            ("dora.rank=4", "not run"),
            ("method.gate=3", "gate"),
            ("train.epochs=many", "epochs=many"),
            ("epochs", "key=value"),
        ] {
            let message = recipe().set(set).unwrap_err().to_string();
            assert!(message.contains(named), "{set}: {message}");
        }
        assert!(Recipe::from_toml("[model]\nname = 'm'\nsize = 3").unwrap_err().to_string().contains("size"));
    }
}
