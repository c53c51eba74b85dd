//! From a recipe to a model and rows in memory, and what is to be said about them.

use crate::ClassWeights;
use crate::data::{self, Beside, Dataset, Example, Source, Split, Summary};
use crate::frozen::States;
use crate::objective::Objective;
use crate::recipe::{ModelRecipe, Recipe};
use crate::rows::{Lengths, Row};
use crate::run::Prepared;
use crate::{Error, Result};
use offshoot_core::Rng;
use offshoot_models::tokenizer::Tokenizer;
use offshoot_models::{LoadOptions, Model};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// What a run says before it starts.
#[derive(Clone, Debug)]
pub struct Briefing {
    /// What became of the rows.
    pub summary: Summary,
    /// Which columns were guessed.
    pub guess: Option<String>,
    /// Lengths of the training rows, in tokens.
    pub train_lengths: Lengths,
    /// Lengths of the test rows.
    pub test_lengths: Lengths,
    /// Rows are cut to so many tokens: what the recipe says, or as many as the model has positions.
    pub max_length: usize,
    /// What was noticed while rows and model were loaded.
    pub notes: Vec<String>,
}

/// A recipe's rows, read once and dealt.
#[derive(Clone, Debug)]
pub struct Dealt {
    dataset: Dataset,
    split: Split,
    summary: Summary,
    class_weights: Vec<f32>,
    files: Vec<PathBuf>,
    note: Option<String>,
}

/// Reads a recipe's rows and deals them. The split hangs on the recipe's seed alone: all methods and all seeds of
/// a comparison see the same.
///
/// # Errors
/// Everything that is wrong with the settings of training or with the data.
pub fn deal(recipe: &Recipe) -> Result<Dealt> {
    recipe.train.check()?;
    recipe.check_task()?;
    if recipe.train.class_weights.is_some() {
        recipe.methods.iter().try_for_each(ClassWeights::check_method)?;
    }
    let sources = recipe.data.sources()?;
    let dataset = data::load(&sources.train, &recipe.data.load, recipe.task)?;
    let load = |source: &Option<Source>| source.as_ref().map(|source| dataset.load_test(source)).transpose();
    let (validation, test) = (load(&sources.validation)?, load(&sources.test)?);
    let beside = Beside { validation: validation.as_ref(), test: test.as_ref() };
    let mut rng = Rng::new(recipe.train.seed).fork("split");
    let (split, summary) = dataset.split(&recipe.data.split, beside, &mut || rng.next_u64())?;
    let counts: Vec<usize> = summary.classes.iter().map(|class| class.train).collect();
    let class_weights = recipe.train.class_weights.as_ref();
    let class_weights =
        class_weights.map(|weights| weights.of(&dataset.labels.names, &counts)).transpose()?;
    let (class_weights, files) = (class_weights.unwrap_or_default(), sources.files());
    Ok(Dealt { dataset, split, summary, class_weights, files, note: sources.note })
}

/// Loads the model in `folder` for a recipe's rows, and tokenises them.
///
/// # Errors
/// Everything that is wrong with the model, or how it and the rows fit together, before any training.
pub fn prepare(
    recipe: &Recipe,
    dealt: Dealt,
    folder: &Path,
    started: Instant,
) -> Result<(Prepared, Briefing)> {
    let Dealt { dataset, split, summary, class_weights, note, .. } = dealt;
    let ModelRecipe { pooling, pickles, .. } = recipe.model;
    let options = LoadOptions { task: recipe.task, pooling, pickles };
    let mut model = Model::open(folder, &options, &recipe.model.dtype.device())?;
    model.pack();
    let tokenizer = open_tokenizer(&model, folder)?;
    let max_length = recipe.data.max_length.min(model.backbone.shape().positions);
    let encode = |examples: &[Example]| encode(&tokenizer, examples, max_length);
    let (train, validation, test) = (encode(&split.train)?, encode(&split.validation)?, encode(&split.test)?);
    let briefing = Briefing {
        summary,
        guess: dataset.guess,
        train_lengths: Lengths::of(&train),
        test_lengths: Lengths::of(&test),
        max_length,
        notes: note.into_iter().chain(model.notes.clone()).collect(),
    };
    let labels = dataset.labels.names;
    let objective = Objective::new(recipe.task, labels.len());
    let model_name = recipe.model.name.clone();
    Ok((
        Prepared {
            model,
            model_name,
            class_weights,
            objective,
            labels,
            train,
            validation,
            test,
            examples: split,
            tokenizer,
            states: States::default(),
            snapshots: None,
            xgboost: Vec::new(),
            started,
            startup: started.elapsed(),
        },
        briefing,
    ))
}

impl Dealt {
    /// Writes the rows that are trained, validated and tested on to `train.csv`, `validation.csv` and `test.csv`
    /// in a folder, so that another program can be run on the same ones.
    ///
    /// # Errors
    /// If that would overwrite the data, or the folder cannot be written.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let parts = [
            ("train.csv", &self.split.train),
            ("validation.csv", &self.split.validation),
            ("test.csv", &self.split.test),
        ]
        .map(|(name, rows)| (folder.join(name), rows));
        let overwritten = |part: &Path| self.files.iter().any(|file| same_file(part, file));
        if let Some((part, _)) = parts.iter().find(|(part, _)| overwritten(part)) {
            let (part, folder) = (part.display(), folder.display());
            return Err(Error::invalid(format!(
                "the split would overwrite the data itself, {part}; choose another folder than {folder}"
            )));
        }
        let write =
            |(part, rows): &(PathBuf, &Vec<Example>)| data::write_csv(part, rows, &self.dataset.labels);
        Ok(parts.iter().try_for_each(write)?)
    }
}

/// Whether two paths lead to one file that exists.
fn same_file(a: &Path, b: &Path) -> bool {
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

/// Opens the tokenizer of a model that was loaded from `folder` (or GGUF file) and checks that they belong
/// together.
///
/// # Errors
/// If it is absent or damaged, or has more tokens than the model.
pub fn open_tokenizer(model: &Model, folder: &Path) -> Result<Tokenizer> {
    let tokenizer = model.source().tokenizer()?;
    let (tokens, rows) = (tokenizer.vocab_size(), model.backbone.shape().vocab);
    if tokens > rows {
        let place = folder.display();
        return Err(Error::invalid(format!(
            "{place}: the tokenizer knows {tokens} tokens, the model only {rows}; they do not belong together"
        )));
    }
    Ok(tokenizer)
}

/// Tokenises rows, in their order.
///
/// # Errors
/// As the tokenizer fails on a text.
pub fn encode(tokenizer: &Tokenizer, examples: &[Example], max_length: usize) -> Result<Vec<Row>> {
    let texts: Vec<_> = examples.iter().map(|e| (e.text.as_str(), e.pair.as_deref())).collect();
    let encoded = tokenizer.encode_all(&texts, max_length)?;
    let row = |(e, example): (offshoot_models::tokenizer::Encoded, &Example)| Row {
        ids: e.ids,
        types: e.types.into_iter().map(u32::from).collect(),
        label: example.label.clone(),
        line: example.line as u64,
        truncated: e.truncated,
    };
    Ok(encoded.into_iter().zip(examples).map(row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CompareSettings, DataRecipe, TrackSettings, TrainSettings};

    #[test]
    fn a_split_never_overwrites_its_data() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("train.csv");
        let rows: String = (0..40).map(|i| format!("text number {i},{}\n", i % 2)).collect();
        std::fs::write(&path, format!("text,label\n{rows}")).unwrap();
        let before = std::fs::read(&path).unwrap();
        let recipe = Recipe {
            init_from: None,
            task: offshoot_models::Task::Classification,
            model: ModelRecipe::default(),
            data: DataRecipe::new(folder.path().join("./train.csv")),
            train: TrainSettings::default(),
            compare: CompareSettings::default(),
            track: TrackSettings::default(),
            methods: Vec::new(),
        };
        let message = deal(&recipe).unwrap().write(folder.path()).unwrap_err().to_string();
        assert!(message.contains("train.csv") && message.contains("another folder"), "{message}");
        assert_eq!(std::fs::read(&path).unwrap(), before);
        let other = tempfile::tempdir().unwrap();
        deal(&recipe).unwrap().write(other.path()).unwrap();
        assert!(other.path().join("test.csv").exists());
    }
}
