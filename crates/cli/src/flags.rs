//! Flags that several commands share, and how they become a recipe. A flag that is not given leaves the recipe as it is.

use crate::failure::Usage;
use anyhow::{Context, Result, bail};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use offshoot::methods::MethodConfig;
use offshoot::models::Pooling;
use offshoot::train::data::{Amount, Columns, Filter};
use offshoot::train::{self, DataRecipe, ModelRecipe, Recipe, Schedule, TrainSettings};
use std::path::{Path, PathBuf};

/// The model.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Model")]
pub(crate) struct ModelFlags {
    /// A folder in the Hugging Face layout, or a hub id such as org/name or org/name@revision
    #[arg(long, value_name = "FOLDER|ID")]
    pub(crate) model: Option<String>,

    /// What stands for a text: cls, mean or pooler [default: what the model's files say]
    #[arg(long)]
    pub(crate) pooling: Option<Pooling>,

    /// The type of the frozen weights; only f32 so far
    #[arg(long, value_name = "TYPE", default_value = "f32", value_parser = dtype)]
    pub(crate) dtype: String,
}

/// The columns of a data file.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Data")]
pub(crate) struct ColumnFlags {
    /// The column with the text [default: guessed where it is obvious]
    #[arg(long, value_name = "COLUMN")]
    pub(crate) text: Option<String>,

    /// The column with the second text, for pairs
    #[arg(long, value_name = "COLUMN")]
    pub(crate) text_pair: Option<String>,

    /// Cut texts to this many tokens
    #[arg(long, value_name = "TOKENS")]
    pub(crate) max_length: Option<usize>,
}

/// The labels, and which rows are used.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Data")]
pub(crate) struct LabelFlags {
    /// The column with the label [default: guessed where it is obvious]
    #[arg(long, value_name = "COLUMN")]
    pub(crate) label: Option<String>,

    /// Use only rows with this value; may be given more than once
    #[arg(long = "where", value_name = "COLUMN=VALUE")]
    pub(crate) filters: Vec<Filter>,
}

/// How many rows go where.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Data")]
pub(crate) struct SplitFlags {
    /// Rows to train on: a count (2000) or a share (0.8, 80%) [default: all that are left]
    #[arg(long, value_name = "ROWS")]
    train: Option<Amount>,

    /// Rows to choose the best epoch by [default: a tenth]
    #[arg(long, value_name = "ROWS")]
    validation: Option<Amount>,

    /// Rows that are only measured on [default: a fifth]
    #[arg(long, value_name = "ROWS")]
    test: Option<Amount>,

    /// A file to test on, instead of rows of DATA
    #[arg(long, value_name = "FILE")]
    test_data: Option<PathBuf>,

    /// Also write the rows of each part as CSV into this folder, for another program
    #[arg(long, value_name = "FOLDER")]
    write_split: Option<PathBuf>,
}

/// The sizes of adapters: each method takes those that it has.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Method")]
pub(crate) struct SizeFlags {
    /// Rank of low-rank updates
    #[arg(long)]
    rank: Option<usize>,

    /// Number of virtual tokens
    #[arg(long)]
    tokens: Option<usize>,

    /// Width of bottlenecks and side networks
    #[arg(long)]
    width: Option<usize>,

    /// Number of top layers
    #[arg(long)]
    layers: Option<usize>,
}

/// How to train.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Training")]
pub(crate) struct TrainFlags {
    /// Passes over the training rows [default: 3]
    #[arg(long)]
    epochs: Option<usize>,

    /// Rows per step [default: 16]
    #[arg(long, value_name = "ROWS")]
    batch: Option<usize>,

    /// Peak learning rate [default: the method's own]
    #[arg(long, value_name = "RATE")]
    lr: Option<f32>,

    /// How the rate falls [default: linear]
    #[arg(long, value_parser = schedule())]
    schedule: Option<Schedule>,

    /// Share of the steps over which the rate rises [default: 0.06]
    #[arg(long, value_name = "SHARE")]
    warmup: Option<f64>,

    /// Decoupled weight decay [default: 0.01]
    #[arg(long, value_name = "RATE")]
    weight_decay: Option<f32>,

    /// Largest norm of a gradient; 0 for any [default: 1]
    #[arg(long, value_name = "NORM")]
    clip: Option<f64>,

    /// Share of a label's probability that is spread over all classes [default: 0]
    #[arg(long, value_name = "SHARE")]
    label_smoothing: Option<f32>,

    /// Stop after this many epochs without a better validation accuracy
    #[arg(long, value_name = "EPOCHS")]
    patience: Option<usize>,

    /// Train without dropout
    #[arg(long)]
    no_dropout: bool,

    /// Decides the split, initial values, the order of rows, and dropout [default: 0]
    #[arg(long)]
    pub(crate) seed: Option<u64>,
}

/// The machine.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Machine")]
pub(crate) struct MachineFlags {
    /// Threads to compute with [default: all cores]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
}

/// Everything that decides a run: what `train` and `compare` share.
#[derive(Clone, Debug, Args)]
pub(crate) struct RunFlags {
    /// The rows: a .csv, .tsv, .jsonl or .json file
    #[arg(value_name = "DATA", required_unless_present = "recipe")]
    data: Option<PathBuf>,

    /// Start from a recipe.toml, which the other flags change
    #[arg(long, value_name = "FILE")]
    pub(crate) recipe: Option<PathBuf>,

    /// Change any setting of the recipe, such as train.batch_tokens=4096 or lora.alpha=32; may be given more than once
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,

    /// Print one JSON object as the last line of stdout; what people read goes to stderr
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) model: ModelFlags,
    #[command(flatten)]
    columns: ColumnFlags,
    #[command(flatten)]
    labels: LabelFlags,
    #[command(flatten)]
    pub(crate) split: SplitFlags,
    #[command(flatten)]
    sizes: SizeFlags,
    #[command(flatten)]
    pub(crate) training: TrainFlags,
    #[command(flatten)]
    pub(crate) machine: MachineFlags,
}

impl RunFlags {
    /// The effective recipe. `methods` are those that were named, `default` those to run if there are none.
    ///
    /// # Errors
    /// A recipe that can not be read, no model, a setting that does not exist.
    pub(crate) fn recipe(&self, methods: &[String], default: &[&str]) -> Result<Recipe> {
        let mut recipe = self.start(default)?;
        choose(&mut recipe.methods, methods)?;
        self.model.change(&mut recipe.model);
        change(&mut recipe.data.max_length, self.columns.max_length.as_ref());
        self.columns.change(&mut recipe.data.load.columns);
        self.labels.change(&mut recipe);
        self.split.change(&mut recipe.data);
        self.training.change(&mut recipe.train);
        self.sizes.change(&mut recipe)?;
        for assignment in &self.overrides {
            recipe.set(assignment).map_err(|error| Usage(error.to_string()))?;
        }
        Ok(recipe)
    }

    /// The recipe before the flags.
    fn start(&self, default: &[&str]) -> Result<Recipe> {
        let mut recipe = match (&self.recipe, &self.model.model) {
            (Some(path), _) => read_recipe(path)?,
            (None, Some(name)) => Recipe {
                model: ModelRecipe { name: name.clone(), pooling: None },
                data: DataRecipe::new(self.data.clone().unwrap_or_default()),
                train: TrainSettings::default(),
                methods: default.iter().map(|name| MethodConfig::named(name)).collect::<Result<_, _>>()?,
            },
            (None, None) => bail!(Usage(
                "which model? Name a folder or a hub id, such as --model sentence-transformers/all-MiniLM-L6-v2".into()
            )),
        };
        change(&mut recipe.data.path, self.data.as_ref());
        Ok(recipe)
    }
}

impl ModelFlags {
    fn change(&self, recipe: &mut ModelRecipe) {
        change(&mut recipe.name, self.model.as_ref());
        recipe.pooling = self.pooling.or(recipe.pooling);
    }
}

impl ColumnFlags {
    /// Puts the given names in the place of others.
    pub(crate) fn change(&self, columns: &mut Columns) {
        for (column, given) in [(&mut columns.text, &self.text), (&mut columns.text_pair, &self.text_pair)] {
            if given.is_some() {
                column.clone_from(given);
            }
        }
    }
}

impl LabelFlags {
    fn change(&self, recipe: &mut Recipe) {
        let load = &mut recipe.data.load;
        if self.label.is_some() {
            load.columns.label.clone_from(&self.label);
        }
        if !self.filters.is_empty() {
            load.filters.clone_from(&self.filters);
        }
    }
}

impl SplitFlags {
    /// Writes the parts, if that was asked for.
    ///
    /// # Errors
    /// As the data fails, or if the folder can not be written to.
    pub(crate) fn write(&self, recipe: &Recipe) -> Result<()> {
        let Some(folder) = &self.write_split else { return Ok(()) };
        std::fs::create_dir_all(folder)
            .with_context(|| format!("can not make the folder {}; name another", folder.display()))?;
        Ok(train::write_split(recipe, folder)?)
    }

    fn change(&self, data: &mut DataRecipe) {
        let split = &mut data.split;
        split.train = self.train.or(split.train);
        split.validation = self.validation.or(split.validation);
        split.test = self.test.or(split.test);
        if self.test_data.is_some() {
            data.test_data.clone_from(&self.test_data);
        }
    }
}

impl SizeFlags {
    fn change(&self, recipe: &mut Recipe) -> Result<()> {
        let sizes =
            [("rank", self.rank), ("tokens", self.tokens), ("width", self.width), ("layers", self.layers)];
        for (key, size) in sizes {
            let Some(size) = size else { continue };
            recipe.set(&format!("method.{key}={size}")).map_err(|_| {
                let names: Vec<&str> = recipe.methods.iter().map(|method| method.info().name).collect();
                Usage(format!(
                    "--{key}: {} has no such setting; see `offshoot methods NAME`",
                    names.join(", ")
                ))
            })?;
        }
        Ok(())
    }
}

impl TrainFlags {
    fn change(&self, train: &mut TrainSettings) {
        change(&mut train.epochs, self.epochs.as_ref());
        change(&mut train.batch, self.batch.as_ref());
        change(&mut train.schedule, self.schedule.as_ref());
        change(&mut train.warmup, self.warmup.as_ref());
        change(&mut train.weight_decay, self.weight_decay.as_ref());
        change(&mut train.clip, self.clip.as_ref());
        change(&mut train.label_smoothing, self.label_smoothing.as_ref());
        change(&mut train.seed, self.seed.as_ref());
        train.lr = self.lr.or(train.lr);
        train.patience = self.patience.or(train.patience);
        train.dropout &= !self.no_dropout;
    }
}

impl MachineFlags {
    /// Does `work` among the threads that were asked for. It runs on one of them: work that is handed over from outside
    /// would wake a thread for every product of matrices.
    ///
    /// # Errors
    /// If the threads can not be started, and those of `work`.
    pub(crate) fn run(&self, work: impl FnOnce() -> Result<()> + Send) -> Result<()> {
        // 0 is as many as there are cores.
        let threads = self.threads.unwrap_or(0);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.into()).build();
        pool.context("the threads can not be started; ask for fewer with --threads")?.install(work)
    }
}

/// For arguments that name a method.
pub(crate) fn method_names() -> PossibleValuesParser {
    PossibleValuesParser::new(MethodConfig::ALL.iter().map(|info| info.name))
}

fn change<T: Clone>(setting: &mut T, given: Option<&T>) {
    if let Some(given) = given {
        setting.clone_from(given);
    }
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

fn read_recipe(path: &Path) -> Result<Recipe> {
    let text = std::fs::read_to_string(path).with_context(|| format!("can not read {}", path.display()))?;
    Recipe::from_toml(&text).with_context(|| format!("{} is no recipe", path.display()))
}

fn dtype(text: &str) -> Result<String, String> {
    match text {
        "f32" => Ok(text.to_owned()),
        _ => Err("only f32 is supported so far".into()),
    }
}

fn schedule() -> impl TypedValueParser<Value = Schedule> {
    PossibleValuesParser::new(["linear", "cosine", "constant"])
        .try_map(|name| serde_json::from_value::<Schedule>(name.into()))
}
