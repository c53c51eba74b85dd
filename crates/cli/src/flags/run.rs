//! Everything that decides a run, as flags and as a recipe.

use super::{
    ColumnFlags, FormatFlag, LabelFlags, MachineFlags, ModelFlags, SizeFlags, SplitFlags, TrackFlags,
    TrainFlags, WrittenFlags, change,
};
use crate::failure::Usage;
use crate::session::today;
use anyhow::{Context, Result, bail};
use clap::Args;
use clap::builder::PossibleValuesParser;
use offshoot::methods::MethodConfig;
use offshoot::models::Task;
use offshoot::train::data::instruct::Layout;
use offshoot::train::instruct::LmSettings;
use offshoot::train::{CompareSettings, DataRecipe, ModelRecipe, Recipe, TrackSettings, TrainSettings};
use std::path::{Path, PathBuf};

/// Everything that decides a run: what `train` and `compare` share.
#[derive(Clone, Debug, Args)]
pub(crate) struct RunFlags {
    /// The rows: a .csv, .tsv, .jsonl, .json (also .gz, .zst) or .parquet file, a pattern of files in quotes such
    /// as 'rows/*.parquet', a folder with train, validation and test files, or `-` for standard input
    #[arg(value_name = "DATA", required_unless_present_any = ["recipe", "resume"])]
    data: Option<PathBuf>,

    /// What the rows are for: classification, regression (a number for each text), or language-model (instructions,
    /// chats, plain text)
    #[arg(long, value_name = "TASK", value_parser = task, help_heading = "Data")]
    pub(crate) task: Option<Task>,

    /// How rows for a language model are laid out: messages, alpaca, completion or text [default: guessed]
    #[arg(long, value_name = "LAYOUT", help_heading = "Data")]
    layout: Option<Layout>,

    /// Let a language model learn to predict the prompt too, not only what follows it
    #[arg(long, help_heading = "Data")]
    train_on_prompt: bool,

    /// Start from a recipe.toml, which the other flags change
    #[arg(long, value_name = "FILE")]
    pub(crate) recipe: Option<PathBuf>,

    /// Change any setting of the recipe, such as train.batch_tokens=4096 or lora.alpha=32; may be given more
    /// than once
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,

    /// Print one JSON object as the last line of stdout; what people read goes to stderr
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) model: ModelFlags,
    #[command(flatten)]
    format: FormatFlag,
    #[command(flatten)]
    columns: ColumnFlags,
    #[command(flatten)]
    labels: LabelFlags,
    #[command(flatten)]
    pub(crate) split: SplitFlags,
    #[command(flatten)]
    written: WrittenFlags,
    #[command(flatten)]
    sizes: SizeFlags,
    #[command(flatten)]
    pub(crate) training: TrainFlags,
    #[command(flatten)]
    track: TrackFlags,
    #[command(flatten)]
    pub(crate) machine: MachineFlags,
}

impl RunFlags {
    /// The effective recipe. `methods` are those that were named, `default` those to run if there are none.
    ///
    /// # Errors
    /// A recipe that cannot be read, no model, a setting that does not exist.
    pub(crate) fn recipe(&self, methods: &[String], default: &[&str]) -> Result<Recipe> {
        let mut recipe = self.start(default)?;
        self.language(&mut recipe);
        choose(&mut recipe.methods, methods)?;
        self.model.change(&mut recipe.model);
        change(&mut recipe.data.max_length, self.columns.max_length.as_ref());
        if self.format.format.is_some() {
            recipe.data.format.clone_from(&self.format.format);
        }
        self.columns.change(&mut recipe.data.load.columns);
        self.labels.change(&mut recipe);
        self.split.change(&mut recipe.data);
        self.written.change(&mut recipe.data.generate);
        self.training.change(&mut recipe.train);
        self.track.change(&mut recipe.track);
        self.sizes.change(&mut recipe)?;
        for assignment in &self.overrides {
            recipe.set(assignment).map_err(|error| Usage(error.to_string()))?;
        }
        self.track.check(&recipe.track)?;
        if let (Task::LanguageModel | Task::Regression, Some(flag)) = (recipe.task, self.for_classes()) {
            let task = recipe.task.name();
            bail!(Usage(format!("{flag} is for classification, and --task is {task}; leave it out")));
        }
        if let (Task::LanguageModel, Some(flag)) = (recipe.task, self.for_labels()) {
            bail!(Usage(format!(
                "{flag} is for labelled texts; rows for a language model are laid out by --layout"
            )));
        }
        if recipe.task.has_head() && self.written.given() {
            bail!(Usage("--generate is for language models; add --task language-model".into()));
        }
        Ok(recipe)
    }

    /// A flag that was given and only has a meaning where labels are classes.
    fn for_classes(&self) -> Option<&'static str> {
        let given = [
            ("--labels", self.split.has_labels()),
            ("--class-weights", self.training.class_weights.is_some()),
        ];
        first(&given)
    }

    /// A flag that was given and only has a meaning where rows are labelled texts.
    fn for_labels(&self) -> Option<&'static str> {
        let given = [
            ("--text", self.columns.text.is_some()),
            ("--text-pair", self.columns.text_pair.is_some()),
            ("--label", self.labels.label.is_some()),
            ("--where", !self.labels.filters.is_empty()),
        ];
        first(&given)
    }

    /// Whether it is said where the rows are.
    pub(crate) fn has_rows(&self) -> bool {
        self.data.is_some() || self.recipe.is_some()
    }

    /// What only concerns language models.
    fn language(&self, recipe: &mut Recipe) {
        change(&mut recipe.task, self.task.as_ref());
        if recipe.task == Task::LanguageModel && self.recipe.is_none() {
            recipe.data.max_length = LmSettings::default().max_length;
        }
        recipe.data.instruct.layout = self.layout.or(recipe.data.instruct.layout);
        recipe.data.train_on_prompt |= self.train_on_prompt;
        if recipe.task == Task::LanguageModel {
            recipe.data.date.get_or_insert_with(today);
        }
    }

    /// The recipe before the flags.
    fn start(&self, default: &[&str]) -> Result<Recipe> {
        let mut recipe = match (&self.recipe, &self.model.model) {
            (Some(path), _) => read_recipe(path)?,
            (None, Some(name)) => Recipe {
                task: Task::default(),
                init_from: None,
                model: ModelRecipe { name: name.clone(), ..ModelRecipe::default() },
                data: DataRecipe::new(self.data.clone().unwrap_or_default()),
                train: TrainSettings::default(),
                compare: CompareSettings::default(),
                track: TrackSettings::default(),
                methods: default.iter().map(|name| MethodConfig::named(name)).collect::<Result<_, _>>()?,
            },
            (None, None) => bail!(Usage(
                "which model? Name a folder or a hub id: --model sentence-transformers/all-MiniLM-L6-v2"
                    .into()
            )),
        };
        change(&mut recipe.data.path, self.data.as_ref());
        Ok(recipe)
    }
}

fn task(text: &str) -> Result<Task, String> {
    let named = Task::ALL.into_iter().find(|task| task.name() == text);
    let found = named.or((text == "lm").then_some(Task::LanguageModel));
    found.ok_or_else(|| format!("choose one of {}", Task::ALL.map(Task::name).join(", ")))
}

/// For arguments that name a method.
pub(crate) fn method_names() -> PossibleValuesParser {
    PossibleValuesParser::new(MethodConfig::ALL.iter().map(|info| info.name))
}

/// Keeps the named methods, with the recipe's settings where it has them.
fn choose(methods: &mut Vec<MethodConfig>, names: &[String]) -> Result<()> {
    if names.is_empty() {
        return Ok(());
    }
    let known = std::mem::take(methods);
    for name in names {
        let method = known.iter().find(|method| method.info().name == name).cloned();
        methods.push(method.map_or_else(|| MethodConfig::named(name), Ok)?);
    }
    Ok(())
}

/// Reads a recipe's file.
///
/// # Errors
/// If it cannot be read, or is none.
pub(crate) fn read_recipe(path: &Path) -> Result<Recipe> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    Recipe::from_toml(&text).with_context(|| format!("{} is no recipe", path.display()))
}

/// The first flag that was given.
fn first(flags: &[(&'static str, bool)]) -> Option<&'static str> {
    flags.iter().find(|(_, given)| *given).map(|(flag, _)| *flag)
}
