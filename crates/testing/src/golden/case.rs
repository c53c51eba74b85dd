//! Reading a case.

use super::names;
use anyhow::{Context, Result, bail, ensure};
use offshoot_core::Batch;
use offshoot_methods::formats::Tensors;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A folder under `cases`.
pub struct Case {
    /// Where it is; the paths in `case.json` begin here.
    pub folder: PathBuf,
    /// `case.json`.
    pub settings: Settings,
    /// `expected.safetensors`.
    pub expected: Expected,
}

/// `case.json`: what was done.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The model's folder.
    pub model: PathBuf,
    /// The method's name among the cases.
    pub method: String,
    /// What was trained for.
    pub task: Task,
    /// The folder of the adapter that the library saved.
    pub adapter: Option<PathBuf>,
    /// Optimizer steps, all on the same batch.
    pub steps: usize,
    /// The optimizer.
    pub optimizer: Optimizer,
    /// The loss before each step and after the last; one number if nothing is trained.
    pub losses: Vec<f32>,
    /// The number of trained values.
    pub trainable: usize,
    /// The libraries' versions.
    pub made_with: BTreeMap<String, String>,
}

/// A task that cases may have.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    /// One class for each sequence.
    Classification,
    /// The next token.
    CausalLm,
}

/// The optimizer of a case.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Optimizer {
    /// Which.
    pub name: Algorithm,
    /// Learning rate.
    pub lr: f32,
    /// Decays of the two moments.
    pub betas: [f32; 2],
    /// Added to the root of the second moment.
    pub eps: f32,
    /// Decoupled, on every tensor.
    pub weight_decay: f32,
    /// How the learning rate goes.
    pub schedule: Schedule,
    /// Gradients are not clipped.
    pub clip: (),
}

/// An optimizer that cases may have.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Algorithm {
    /// AdamW.
    Adamw,
}

/// A schedule that cases may have.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Schedule {
    /// The same learning rate in every step.
    Constant,
}

/// `expected.safetensors`: the batch and the results, under our names.
#[derive(Default)]
pub struct Expected {
    /// The batch, packed.
    pub batch: Batch,
    /// The class of each sequence, in classification.
    pub labels: Vec<u32>,
    /// For each sequence which of its tokens are to be predicted, in language modelling.
    pub predicted: Vec<Vec<bool>>,
    /// `[sequences, classes]` or `[sequences, virtual + tokens, vocab]`, before the first step.
    pub logits: (Vec<usize>, Vec<f32>),
    /// The trained tensors before the first step.
    pub before: Tensors,
    /// Their gradients in the first step.
    pub grad: Tensors,
    /// The trained tensors after the last step.
    pub after: Tensors,
}

impl Case {
    /// Reads a case's folder.
    ///
    /// # Errors
    /// If a file is missing, damaged, or says what this reader does not know.
    pub fn read(folder: &Path) -> Result<Self> {
        let json = std::fs::read(folder.join("case.json")).context("case.json")?;
        let settings = serde_json::from_slice(&json).context("case.json")?;
        let bytes = std::fs::read(folder.join("expected.safetensors")).context("expected.safetensors")?;
        let expected = Expected::read(&bytes).context("expected.safetensors")?;
        Ok(Self { folder: folder.to_path_buf(), settings, expected })
    }
}

impl Expected {
    fn read(bytes: &[u8]) -> Result<Self> {
        let file = SafeTensors::deserialize(bytes)?;
        let mut expected = Self::default();
        for (name, view) in file.iter() {
            expected.take(name, &view).with_context(|| format!("`{name}`"))?;
        }
        let integers = |name| integers(&file.tensor(name).context(name)?);
        expected.batch = batch(&integers("input_ids")?, &integers("attention_mask")?)?;
        let labels = signed(&file.tensor("labels")?)?;
        match labels.0.as_slice() {
            [_] => expected.labels = labels.1.iter().map(|&l| u32::try_from(l)).collect::<Result<_, _>>()?,
            [_, width] => expected.predicted = predicted(&expected.batch, &labels.1, *width)?,
            shape => bail!("`labels` is {shape:?}"),
        }
        Ok(expected)
    }

    /// How many losses the mean is over.
    pub fn labelled(&self, first_too: bool) -> usize {
        let skip = usize::from(!first_too);
        let wanted = |row: &Vec<bool>| row.iter().skip(skip).filter(|wanted| **wanted).count();
        self.labels.len() + self.predicted.iter().map(wanted).sum::<usize>()
    }

    /// Puts a tensor where its name says. The batch's are taken together, later.
    fn take(&mut self, name: &str, view: &TensorView<'_>) -> Result<()> {
        let (tensors, name) = match name.split_once('.') {
            Some(("before", name)) => (&mut self.before, name),
            Some(("grad", name)) => (&mut self.grad, name),
            Some(("after", name)) => (&mut self.after, name),
            _ if name == "logits" => {
                self.logits = floats(view)?;
                return Ok(());
            }
            _ if matches!(name, "input_ids" | "attention_mask" | "labels") => return Ok(()),
            _ => bail!("is no tensor that a case has"),
        };
        let ours = names::ours(name);
        ensure!(tensors.insert(ours.clone(), floats(view)?).is_none(), "`{ours}` is there twice");
        Ok(())
    }
}

/// Shape and values.
fn floats(view: &TensorView<'_>) -> Result<(Vec<usize>, Vec<f32>)> {
    ensure!(view.dtype() == Dtype::F32, "is {:?}, not F32", view.dtype());
    let values = view.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
    Ok((view.shape().to_vec(), values))
}

/// Shape and values, none of them negative.
fn integers(view: &TensorView<'_>) -> Result<(Vec<usize>, Vec<u32>)> {
    let (shape, values) = signed(view)?;
    let values = values.into_iter().map(u32::try_from).collect::<Result<_, _>>()?;
    Ok((shape, values))
}

/// Shape and values.
fn signed(view: &TensorView<'_>) -> Result<(Vec<usize>, Vec<i64>)> {
    ensure!(view.dtype() == Dtype::I64, "is {:?}, not I64", view.dtype());
    let value = |b: &[u8]| Ok(i64::from_le_bytes(b.try_into()?));
    let values = view.data().chunks_exact(8).map(value).collect::<Result<_>>()?;
    Ok((view.shape().to_vec(), values))
}

/// Which tokens have a label; it must be the token itself.
fn predicted(batch: &Batch, labels: &[i64], width: usize) -> Result<Vec<Vec<bool>>> {
    const NONE: i64 = -100;
    let row = |(sequence, labels): (usize, &[i64])| {
        let ids = &batch.ids()[batch.sequence(sequence)];
        let own = ids.iter().zip(labels).all(|(&id, &label)| label == NONE || label == i64::from(id));
        ensure!(own, "sequence {sequence} has a label that is not its token");
        Ok(labels[..ids.len()].iter().map(|&label| label != NONE).collect())
    };
    labels.chunks(width.max(1)).enumerate().map(row).collect()
}

/// The real tokens of `ids` `[sequences, tokens]`, of which `mask` says how many each sequence begins with.
fn batch(ids: &(Vec<usize>, Vec<u32>), mask: &(Vec<usize>, Vec<u32>)) -> Result<Batch> {
    ensure!(ids.0 == mask.0, "`input_ids` is {:?} and `attention_mask` {:?}", ids.0, mask.0);
    let &[_, width] = ids.0.as_slice() else { bail!("`input_ids` is {:?}, not a matrix", ids.0) };
    let mut batch = Batch::new();
    for (row, (ids, mask)) in ids.1.chunks(width.max(1)).zip(mask.1.chunks(width.max(1))).enumerate() {
        let tokens = mask.iter().take_while(|&&real| real == 1).count();
        ensure!(mask[tokens..].iter().all(|&real| real == 0), "row {row} is not padded on the right");
        batch.push(&ids[..tokens], None, row as u64)?;
    }
    Ok(batch)
}
