//! Reading an adapter's folder, ours or a library's.

use super::{Card, read_json};
use crate::classifier::Classifier;
use crate::features::empty_head;
use crate::{Error, Result};
use offshoot_core::nn::Head;
use offshoot_core::{Rng, Weight};
use offshoot_methods::formats::{self, CONFIG_FILE, Format, Imported, Tensors};
use offshoot_methods::{MethodConfig, Saves};
use offshoot_models::Model;
use offshoot_models::weights::{SINGLE, read_tensors};
use std::collections::BTreeSet;
use std::path::Path;

/// Weights in torch's own format, which is a program and is not run here.
const PICKLES: [&str; 2] = ["adapter_model.bin", "pytorch_adapter.bin"];

/// An adapter that was read.
pub struct Loaded {
    /// The classifier, ready for use or for more training.
    pub classifier: Classifier,
    /// The adapter's card, if it has one.
    pub card: Option<Card>,
    /// What a person should know about how the files were read.
    pub notes: Vec<String>,
}

/// Reads the adapter in `folder` for `model`, with the head that was saved with it.
///
/// Load the model with the card's pooling. Labels are the card's; an adapter of another program has none, and
/// its classes are known by number.
///
/// # Errors
/// If the folder holds no adapter, a file is damaged, a setting cannot be honoured, the adapter is for
/// another base, or it has no head.
pub fn load(folder: &Path, model: &Model) -> Result<Loaded> {
    let (card, imported) = read(folder, model)?;
    if imported.head.is_empty() {
        return Err(Error::invalid(format!(
            "{}: the adapter was saved without a head, so it cannot predict; train one with --init-from",
            folder.display()
        )));
    }
    let head = head(model, &imported.method, classes(model, &imported)?)?;
    let mut classifier = Classifier::with_head(model, &imported.method, head, &mut Rng::new(0))?;
    named(folder, imported.load_into(&mut classifier.params))?;
    Ok(Loaded { classifier, card, notes: imported.notes })
}

/// Reads the adapter in `folder` to train on from it, for `classes` classes. A head that is not there, or is
/// for another number of classes, is new, drawn from `seed`; a note says so.
///
/// # Errors
/// As [`load`], but for the head.
pub fn resume(folder: &Path, model: &Model, classes: usize, seed: u64) -> Result<Loaded> {
    let (card, mut imported) = read(folder, model)?;
    let method = imported.method.clone();
    let rng = Rng::new(seed);
    let (new, _) = model.new_head(classes, &mut rng.fork("head"))?;
    let mut classifier = Classifier::with_head(model, &method, new, &mut rng.fork("adapter"))?;
    if !head_fits(&classifier, &imported.head) {
        imported.head.clear();
        imported.notes.push(format!("the head is new: the adapter has none for {classes} classes"));
        for weight in classifier.head.weights() {
            let value = weight.value(&classifier.params);
            imported.head.insert(weight.name().to_owned(), (value.shape().to_vec(), value.to_vec()));
        }
    }
    named(folder, imported.load_into(&mut classifier.params))?;
    Ok(Loaded { classifier, card, notes: imported.notes })
}

/// Whether saved values are those of a classifier's head, one for each tensor.
fn head_fits(classifier: &Classifier, saved: &Tensors) -> bool {
    let weights = classifier.head.weights();
    let fits = |weight: &&Weight| {
        let value = weight.value(&classifier.params);
        saved.get(weight.name()).is_some_and(|(shape, _)| shape == value.shape())
    };
    saved.len() == weights.len() && weights.iter().all(fits)
}

/// The card and the content of a folder.
fn read(folder: &Path, model: &Model) -> Result<(Option<Card>, Imported)> {
    let card = Card::read(folder)?;
    if let Some(card) = &card {
        named(folder, card.check(model))?;
    }
    let checkpoint = card.as_ref().filter(|card| card.method.saves() == Saves::Checkpoint);
    let imported = match checkpoint {
        Some(card) => full(folder, card, model)?,
        None => adapter(folder, model)?,
    };
    Ok((card, imported))
}

/// The adapter in a library's files or ours.
pub(crate) fn adapter(folder: &Path, model: &Model) -> Result<Imported> {
    let path = folder.join(CONFIG_FILE);
    if !path.exists() {
        return Err(Error::invalid(format!(
            "{}: there is no {CONFIG_FILE}; an adapter is a folder that has one",
            folder.display()
        )));
    }
    let config = read_json(&path)?;
    let format = named(folder, Format::detect(&config))?;
    let weights = folder.join(format.weights_file());
    if let Some(pickle) = PICKLES.iter().find(|pickle| folder.join(pickle).exists() && !weights.exists()) {
        return Err(Error::invalid(format!(
            "{}: {pickle} is a Python pickle, which can run any program and is not read; save the adapter \
             as {}",
            folder.display(),
            format.weights_file()
        )));
    }
    let mut extra = Tensors::new();
    for path in format.extra_files().iter().map(|name| folder.join(name)).filter(|path| path.exists()) {
        extra.extend(read_tensors(&path)?);
    }
    let tensors = read_tensors(&weights)?;
    named(folder, formats::import(&config, tensors, extra, model.backbone.as_ref()))
}

/// A complete checkpoint that we wrote.
fn full(folder: &Path, card: &Card, model: &Model) -> Result<Imported> {
    let mut tensors = read_tensors(&folder.join(SINGLE))?;
    for name in untrained(model) {
        tensors.remove(&name);
    }
    let modules = model.head_modules();
    let of_head = |name: &str| modules.iter().any(|module| name.split('.').next() == Some(module));
    let (head, values) = tensors.into_iter().partition(|(name, _)| of_head(name));
    Ok(Imported { method: card.method.clone(), values, head, notes: Vec::new() })
}

/// The backbone's weights that training leaves as they are, such as a pooler that is not used: a complete
/// checkpoint has them, the parameters do not.
fn untrained(model: &Model) -> BTreeSet<String> {
    let mut fork = model.backbone.fork();
    let trained: BTreeSet<_> = fork.weights_mut().iter().map(|weight| weight.name().to_owned()).collect();
    let all = model.backbone.weights().into_iter().map(|weight| weight.name().to_owned());
    all.filter(|name| !trained.contains(name)).collect()
}

/// The number of classes of the saved head: the rows of its last layer.
fn classes(model: &Model, imported: &Imported) -> Result<usize> {
    let probe = head(model, &imported.method, 1)?;
    let last = probe.weights().last().map(|weight| weight.name().to_owned()).unwrap_or_default();
    let rows = imported.head.get(&last).and_then(|(shape, _)| shape.first().copied());
    rows.ok_or_else(|| Error::invalid(format!("the saved head has no {last}, so it is not this model's")))
}

/// The head that a method's values go into.
fn head(model: &Model, method: &MethodConfig, classes: usize) -> Result<Head> {
    match method.saves() {
        Saves::Features => Ok(empty_head(model, classes)),
        _ => Ok(model.new_head(classes, &mut Rng::new(0))?.0),
    }
}

/// Puts the folder before an error's message.
fn named<T, E: std::fmt::Display>(folder: &Path, result: std::result::Result<T, E>) -> Result<T> {
    result.map_err(|error| Error::invalid(format!("{}: {error}", folder.display())))
}
