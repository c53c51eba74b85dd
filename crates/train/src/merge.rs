//! A trained adapter written into its base: an ordinary model in the Hugging Face layout.

use crate::Result;
use crate::checkpoint::CARD_FILE;
use crate::checkpoint::save::{
    POOLING_FILES, TOKENIZER_FILES, same, write_config, write_json, write_pooling, write_tokenizer,
};
use crate::checkpoint::stage::Stage;
use crate::files;
use crate::trained::Trained;
use offshoot_core::{Merge, Weight};
use offshoot_methods::formats::CONFIG_FILE;
use offshoot_models::Model;
use offshoot_models::weights::{INDEX, Precision, SINGLE, write_computed};
use serde_json::{Map, json};
use std::path::Path;

/// Bytes of weights in one file, more or less: that much is downloaded and checked at once.
const LARGEST_FILE: usize = 5_000_000_000;

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MergedFolder {
    /// Bytes of all files.
    pub bytes: u64,
    /// Weights in all.
    pub tensors: usize,
}

/// Writes `trained` and the base `model` that it stands on into `folder` as one model, which transformers and
/// [`Model::open`] read like any other: config.json, weights of the given precision, the tokenizer's files. Files
/// take their places together, once all are complete; an older model's in the folder are replaced.
///
/// # Errors
/// If the method cannot be merged, the folder holds the base or an adapter, or a file cannot be written.
pub fn merge(folder: &Path, trained: &Trained, model: &Model, precision: Precision) -> Result<MergedFolder> {
    merge_in_files(folder, trained, model, (precision, LARGEST_FILE))
}

/// As [`merge`], with so many bytes of weights in a file.
fn merge_in_files(
    folder: &Path,
    trained: &Trained,
    model: &Model,
    (precision, largest): (Precision, usize),
) -> Result<MergedFolder> {
    trained.method().check_merging()?;
    check_folder(folder, model)?;
    let weights = Weights::new(trained)?;
    let mut stage = Stage::new(folder)?;
    weights.write(&mut stage, precision, largest)?;
    let head = match trained {
        Trained::Classifier(classifier, labels) => {
            write_pooling(&mut stage, model, Some(classifier.pooling))?;
            Some((classifier.objective, labels.as_slice()))
        }
        Trained::LanguageModel(_) => None,
    };
    write_config(&mut stage, model, precision, head)?;
    write_tokenizer(&mut stage, model)?;
    let stale: Vec<&str> = [SINGLE, INDEX].into_iter().chain(POOLING_FILES).chain(TOKENIZER_FILES).collect();
    Ok(MergedFolder { bytes: stage.publish(&stale)?, tensors: weights.tensors.len() })
}

/// Refuses a folder in which the merged model would take another's place.
fn check_folder(folder: &Path, model: &Model) -> Result<()> {
    let refuse = |reason: &str| {
        let reason = format!("{reason}; choose another folder");
        Err(files::Error { path: folder.to_path_buf(), reason }.into())
    };
    if same(folder, model.folder()) {
        return refuse("it holds the base model, which would be overwritten");
    }
    match [CARD_FILE, CONFIG_FILE].into_iter().any(|name| folder.join(name).exists()) {
        true => refuse("it holds an adapter"),
        false => Ok(()),
    }
}

/// The merged weights, by name: what the base has, and a classifier's head.
struct Weights<'a> {
    merge: Merge<'a>,
    /// Sorted by name.
    tensors: Vec<(&'a Weight, Vec<usize>)>,
}

impl<'a> Weights<'a> {
    fn new(trained: &'a Trained) -> Result<Self> {
        let merge = Merge::new(trained.backbone(), trained.adapter(), trained.params())?;
        let mut weights = trained.backbone().weights();
        if let Trained::Classifier(classifier, _) = trained {
            weights.extend(classifier.head.weights());
        }
        let mut tensors: Vec<_> = weights.into_iter().map(|weight| (weight, merge.shape(weight))).collect();
        tensors.sort_by(|a, b| a.0.name().cmp(b.0.name()));
        Ok(Self { merge, tensors })
    }

    /// The values of one of them.
    fn values(&self, name: &str) -> offshoot_models::Result<Vec<f32>> {
        let found = self.tensors.binary_search_by(|(weight, _)| weight.name().cmp(name));
        let missing = || offshoot_models::Error::Invalid(format!("there is no weight `{name}`"));
        let (weight, _) = found.ok().and_then(|at| self.tensors.get(at)).ok_or_else(missing)?;
        Ok(self.merge.value(weight)?.to_vec())
    }

    /// One file, or several with an index where one would be too large.
    fn write(&self, stage: &mut Stage, precision: Precision, largest: usize) -> Result<()> {
        let files = self.files(precision, largest);
        let name = |file: usize| match files.len() {
            1 => SINGLE.to_owned(),
            all => format!("model-{:05}-of-{all:05}.safetensors", file + 1),
        };
        let mut places = Map::new();
        for (file, tensors) in files.iter().enumerate() {
            write_computed(&stage.file(&name(file))?, precision, tensors, |name| self.values(name))?;
            places.extend(tensors.iter().map(|(tensor, _)| (tensor.clone(), json!(name(file)))));
        }
        if files.len() == 1 {
            return Ok(());
        }
        let total: usize = self.tensors.iter().map(|(_, shape)| size(shape, precision)).sum();
        write_json(&stage.file(INDEX)?, &json!({ "metadata": { "total_size": total }, "weight_map": places }))
    }

    /// The tensors of each file.
    fn files(&self, precision: Precision, largest: usize) -> Vec<Vec<(String, Vec<usize>)>> {
        let (mut files, mut filled) = (vec![Vec::new()], 0);
        for (weight, shape) in &self.tensors {
            let bytes = size(shape, precision);
            if filled > 0 && filled + bytes > largest {
                files.push(Vec::new());
                filled = 0;
            }
            filled += bytes;
            files
                .last_mut()
                .into_iter()
                .for_each(|file| file.push((weight.name().to_owned(), shape.clone())));
        }
        files
    }
}

fn size(shape: &[usize], precision: Precision) -> usize {
    shape.iter().product::<usize>() * precision.bytes()
}

#[cfg(test)]
mod tests;
