//! Reading an adapter's folder, ours or a library's.

use super::origin::{lone_file, of_file, of_lone_file};
use super::save::{FITTED_FILE, PROMPT_FILES};
use super::{Card, Pickles, read_json};
use crate::classifier::Classifier;
use crate::features::{Fitted, new_head};
use crate::language_model::LanguageModel;
use crate::{Error, Objective, Prompt, Result};
use offshoot_core::nn::Head;
use offshoot_core::{Rng, Weight};
use offshoot_methods::formats::{self, CONFIG_FILE, Format, Imported, Tensors};
use offshoot_methods::{MethodConfig, Saves};
use offshoot_models::Model;
use offshoot_models::weights::{SINGLE, read_tensors};
use std::collections::BTreeSet;
use std::path::Path;

/// An adapter that was read.
pub struct Loaded {
    /// The classifier, ready for use or for more training.
    pub classifier: Classifier,
    /// The adapter's card, if it has one.
    pub card: Option<Card>,
    /// What a person should know about how the files were read.
    pub notes: Vec<String>,
}

/// Reads the adapter in `folder` for `model`, with the head that was saved with it. Instead of a folder it may
/// be the lone file of the original LLaMA-Adapter or of litgpt.
///
/// Load the model with the card's pooling. Labels are the card's; an adapter of another program has none, and
/// its classes are known by number.
///
/// # Errors
/// If the folder holds no adapter, a file is damaged or in torch's own format where `pickles` does not allow
/// that, a setting cannot be honoured, the adapter is for another base, or it has no head.
pub fn load(folder: &Path, model: &Model, pickles: Pickles) -> Result<Loaded> {
    if let Some((card, prompt)) = prompt(folder, model)? {
        if card.labels.is_empty() {
            return named(folder, Err("the card names no label, so there is nothing to tell apart"));
        }
        let mut classifier = Classifier::new(model, &card.method, card.labels.len(), 0)?;
        classifier.prompt = Some(prompt);
        return Ok(Loaded { classifier, card: Some(card), notes: Vec::new() });
    }
    if let Some((card, fitted)) = fitted(folder, model)? {
        let mut classifier = Classifier::new(model, &card.method, card.objective(), 0)?;
        classifier.fitted = Some(fitted);
        return Ok(Loaded { classifier, card: Some(card), notes: Vec::new() });
    }
    let (card, imported) = read(folder, model, pickles)?;
    if imported.head.is_empty() {
        return Err(Error::invalid(format!(
            "{}: the adapter was saved without a head, so it cannot predict; train one with --init-from",
            folder.display()
        )));
    }
    let outputs = outputs(model, &imported)?;
    let objective = card.as_ref().map_or(Objective::of_outputs(outputs), Card::objective);
    let head = head(model, &imported.method, outputs)?;
    let classifier = Classifier::with_head(model, &imported.method, head, &mut Rng::new(0))?;
    let mut classifier = classifier.of(objective, false);
    named(folder, imported.load_into(&mut classifier.params))?;
    Ok(Loaded { classifier, card, notes: imported.notes })
}

/// Reads the adapter in `folder` to train on from it, for so many classes or for an [`Objective`]. A head that is not
/// there, or is for another one, is new, drawn from `seed`; a note says so.
///
/// # Errors
/// As [`load`], but for the head.
pub fn resume(
    folder: &Path,
    model: &Model,
    objective: impl Into<Objective>,
    seed: u64,
    pickles: Pickles,
) -> Result<Loaded> {
    let (objective, (card, mut imported)) = (objective.into(), read(folder, model, pickles)?);
    let method = imported.method.clone();
    let rng = Rng::new(seed);
    let (head, mut new) = model.new_head(objective.outputs(), &mut rng.fork("head"))?;
    let mut classifier = Classifier::with_head(model, &method, head, &mut rng.fork("adapter"))?;
    let other = card.as_ref().is_some_and(|card| card.task != objective.task());
    if !other && head_fits(&classifier, &imported.head) {
        new = false;
    } else {
        imported.head.clear();
        imported.notes.push(format!("the head is new: the adapter has none for {}", objective.described()));
        for weight in classifier.head.weights() {
            let value = weight.value(&classifier.params);
            imported.head.insert(weight.name().to_owned(), (value.shape().to_vec(), value.to_vec()));
        }
    }
    named(folder, imported.load_into(&mut classifier.params))?;
    let classifier = classifier.of(objective, new);
    Ok(Loaded { classifier, card, notes: imported.notes })
}

/// A language model's adapter that was read.
pub struct LmLoaded {
    /// The model with its adapter, ready for use or for more training.
    pub grown: LanguageModel,
    /// The adapter's card, if it has one.
    pub card: Option<Card>,
    /// What a person should know about how the files were read.
    pub notes: Vec<String>,
}

/// Reads the adapter in `folder` for a model that was loaded as a language model. Instead of a folder it may
/// be the lone file of the original LLaMA-Adapter or of litgpt.
///
/// # Errors
/// As [`load`]; if the adapter has a classification head.
pub fn load_language_model(folder: &Path, model: &Model, pickles: Pickles) -> Result<LmLoaded> {
    if let Some((card, prompt)) = prompt(folder, model)? {
        let mut grown = LanguageModel::new(model, &card.method, 0)?;
        grown.prompt = Some(prompt);
        return Ok(LmLoaded { grown, card: Some(card), notes: Vec::new() });
    }
    let (card, imported) = read(folder, model, pickles)?;
    if !imported.head.is_empty() {
        let folder = folder.display();
        return Err(Error::invalid(format!(
            "{folder}: the adapter has a head, so it classifies and writes no text"
        )));
    }
    let mut grown = LanguageModel::new(model, &imported.method, 0)?;
    named(folder, imported.load_into(&mut grown.params))?;
    Ok(LmLoaded { grown, card, notes: imported.notes })
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

/// The card and the prompt of a folder whose method trained nothing; none if there is something trained.
fn prompt(folder: &Path, model: &Model) -> Result<Option<(Card, Prompt)>> {
    let Some(card) = Card::read(folder)?.filter(|card| card.method.saves() == Saves::Prompt) else {
        return Ok(None);
    };
    named(folder, card.check(model))?;
    let prompt = Prompt::read(&folder.join(PROMPT_FILES[0]), &card.labels)?;
    Ok(Some((card, prompt)))
}

/// The card and the classifier of a folder whose method fitted one that is no network; none if it did not.
fn fitted(folder: &Path, model: &Model) -> Result<Option<(Card, Fitted)>> {
    let Some(card) = Card::read(folder)?.filter(|card| card.method.saves() == Saves::Fitted) else {
        return Ok(None);
    };
    named(folder, card.check(model))?;
    let path = folder.join(FITTED_FILE);
    let sizes = [model.backbone.shape().hidden, card.labels.len()];
    let fitted = named(&path, Fitted::of(&read_tensors(&path)?, &card.method, sizes))?;
    Ok(Some((card, fitted)))
}

/// The card and the content of a folder.
fn read(folder: &Path, model: &Model, pickles: Pickles) -> Result<(Option<Card>, Imported)> {
    let card = Card::read(folder)?;
    let note = match &card {
        Some(card) => named(folder, card.check(model))?,
        None => None,
    };
    if let Some(card) = card.as_ref().filter(|card| card.method.saves() == Saves::Prompt) {
        let (folder, name) = (folder.display(), card.method.info().name);
        return Err(Error::invalid(format!(
            "{folder}: `{name}` trained nothing, so there is nothing to train on from; choose a new prompt with --method {name}"
        )));
    }
    if let Some(card) = card.as_ref().filter(|card| card.method.saves() == Saves::Fitted) {
        let (folder, name) = (folder.display(), card.method.info().name);
        return Err(Error::invalid(format!(
            "{folder}: `{name}` is fitted, not trained by steps, so there is nothing to train on from"
        )));
    }
    let checkpoint = card.as_ref().filter(|card| card.method.saves() == Saves::Checkpoint);
    let mut imported = match checkpoint {
        Some(card) => full(folder, card, model)?,
        None => adapter(folder, model, pickles)?,
    };
    imported.notes.extend(note);
    Ok((card, imported))
}

/// The adapter in a library's files or ours.
fn adapter(folder: &Path, model: &Model, pickles: Pickles) -> Result<Imported> {
    if let Some(file) = lone_file(folder)? {
        let tensors = of_lone_file(&file, pickles)?;
        return named(&file, formats::import_bare(&tensors, model.backbone.as_ref()));
    }
    let path = folder.join(CONFIG_FILE);
    if !path.exists() {
        return Err(Error::invalid(format!(
            "{}: there is no {CONFIG_FILE}; an adapter is a folder that has one",
            folder.display()
        )));
    }
    let config = read_json(&path)?;
    let format = named(folder, Format::detect(&config))?;
    let weights = of_file(folder, format.weights_file(), pickles)?;
    let mut extra = Tensors::new();
    for name in format.extra_files() {
        extra.extend(of_file(folder, name, pickles)?.unwrap_or_default());
    }
    let tensors = match weights {
        Some(tensors) => tensors,
        None => read_tensors(&folder.join(format.weights_file()))?,
    };
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

/// The number of outputs of the saved head: the rows of its last layer.
fn outputs(model: &Model, imported: &Imported) -> Result<usize> {
    let probe = head(model, &imported.method, 1)?;
    let last = probe.weights().last().map(|weight| weight.name().to_owned()).unwrap_or_default();
    let rows = imported.head.get(&last).and_then(|(shape, _)| shape.first().copied());
    rows.ok_or_else(|| Error::invalid(format!("the saved head has no {last}, so it is not this model's")))
}

/// The head that a method's values go into.
fn head(model: &Model, method: &MethodConfig, classes: usize) -> Result<Head> {
    match method.saves() {
        Saves::Features => Ok(new_head(model, method, classes, &mut Rng::new(0))),
        _ => Ok(model.new_head(classes, &mut Rng::new(0))?.0),
    }
}

/// Puts the folder before an error's message.
fn named<T, E: std::fmt::Display>(folder: &Path, result: std::result::Result<T, E>) -> Result<T> {
    result.map_err(|error| Error::invalid(format!("{}: {error}", folder.display())))
}
