//! From a recipe to a model and rows in memory, and what is to be said about them.

use crate::data::{self, Dataset, Example, Split, Summary};
use crate::frozen::States;
use crate::objective::Objective;
use crate::recipe::{ModelRecipe, Recipe};
use crate::rows::{Lengths, Row};
use crate::run::Prepared;
use crate::{Error, Result};
use offshoot_core::{Device, Rng};
use offshoot_models::tokenizer::Tokenizer;
use offshoot_models::{LoadOptions, Model};
use std::path::Path;
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
    /// What was noticed while the model was loaded.
    pub notes: Vec<String>,
}

/// Loads the model in `folder` and the recipe's rows, and tokenises them.
///
/// # Errors
/// Everything that is wrong with the model, the data, or how they fit together, before any training.
pub fn prepare(recipe: &Recipe, folder: &Path, started: Instant) -> Result<(Prepared, Briefing)> {
    recipe.train.check()?;
    recipe.check_task()?;
    let (dataset, split, summary) = split(recipe)?;
    let ModelRecipe { pooling, pickles, .. } = recipe.model;
    let options = LoadOptions { task: recipe.task, pooling, pickles };
    let model = Model::open(folder, &options, &Device::cpu())?;
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
        notes: model.notes.clone(),
    };
    let labels = dataset.labels.names;
    let objective = Objective::new(recipe.task, labels.len());
    let model_name = recipe.model.name.clone();
    Ok((
        Prepared {
            model,
            model_name,
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

/// Writes the rows that a recipe trains, validates and tests on to `train.csv`, `validation.csv` and
/// `test.csv` in a folder, so that another program can be run on the same ones.
///
/// # Errors
/// As the data fails, or if the folder cannot be written.
pub fn write_split(recipe: &Recipe, folder: &Path) -> Result<()> {
    let data = std::iter::once(&recipe.data.path).chain(&recipe.data.test_data);
    let parts = ["train", "validation", "test"].map(|name| folder.join(format!("{name}.csv")));
    for path in data {
        if let Some(part) = parts.iter().find(|part| same_file(part, path)) {
            let (part, folder) = (part.display(), folder.display());
            return Err(Error::invalid(format!(
                "the split would overwrite the data itself, {part}; choose another folder than {folder}"
            )));
        }
    }
    let (dataset, split, _) = split(recipe)?;
    for (name, rows) in [("train", split.train), ("validation", split.validation), ("test", split.test)] {
        data::write_csv(&folder.join(format!("{name}.csv")), &rows, &dataset.labels)?;
    }
    Ok(())
}

/// Whether two paths lead to one file that exists.
fn same_file(a: &Path, b: &Path) -> bool {
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

/// The recipe's rows. The split hangs on the recipe's seed alone: all methods and all seeds of a comparison
/// see the same.
fn split(recipe: &Recipe) -> Result<(Dataset, Split, Summary)> {
    let dataset = data::load(&recipe.data.path, &recipe.data.load, recipe.task)?;
    let test = recipe.data.test_data.as_deref().map(|path| dataset.load_test(path)).transpose()?;
    let mut rng = Rng::new(recipe.train.seed).fork("split");
    let (split, summary) = dataset.split(&recipe.data.split, test.as_ref(), &mut || rng.next_u64())?;
    Ok((dataset, split, summary))
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
    use crate::{CompareSettings, DataRecipe, TrainSettings};

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
            methods: Vec::new(),
        };
        let message = write_split(&recipe, folder.path()).unwrap_err().to_string();
        assert!(message.contains("train.csv") && message.contains("another folder"), "{message}");
        assert_eq!(std::fs::read(&path).unwrap(), before);
        let other = tempfile::tempdir().unwrap();
        write_split(&recipe, other.path()).unwrap();
        assert!(other.path().join("test.csv").exists());
    }
}
