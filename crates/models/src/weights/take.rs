//! Collecting a model's tensors by name and shape, with every problem told at once.

use std::collections::BTreeSet;
use std::fmt;

use offshoot_core::{Device, Kind, Place, Quantized, Tensor, Weight};

use super::checkpoint::Checkpoint;
use crate::error::{Error, Result};

/// How many names a message lists before it only counts.
const LISTED: usize = 20;

/// Old checkpoints name the norms' parameters after TensorFlow's.
const OLD_ENDINGS: [(&str, &str); 2] =
    [("LayerNorm.weight", "LayerNorm.gamma"), ("LayerNorm.bias", "LayerNorm.beta")];

/// Takes tensors out of a checkpoint. A missing one is an empty `Vec`, so that a family reads straight
/// through its parts and [`Take::finish`] reports everything that is wrong.
///
/// ```no_run
/// # use offshoot_models::weights::{Checkpoint, Take};
/// # fn main() -> offshoot_models::Result<()> {
/// let checkpoint = Checkpoint::open("model".as_ref())?;
/// let mut take = Take::new(&checkpoint, &["bert."]);
/// let words = take.tensor("embeddings.word_embeddings.weight", &[30522, 384]);
/// let head = take.optional("classifier.weight", &[2, 384]);
/// let notes = take.finish()?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Take<'a> {
    checkpoint: &'a Checkpoint,
    prefixes: Vec<&'a str>,
    taken: BTreeSet<String>,
    problems: Vec<String>,
}

/// What is in the checkpoint and was not asked for: worth a note, not an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notes {
    /// Names as the checkpoint has them, sorted.
    pub unexpected: Vec<String>,
}

impl<'a> Take<'a> {
    /// Starts collecting. A name is looked for as asked, then with each of `prefixes` before it (`"bert."`).
    pub fn new(checkpoint: &'a Checkpoint, prefixes: &[&'a str]) -> Self {
        Self { checkpoint, prefixes: prefixes.to_vec(), taken: BTreeSet::new(), problems: Vec::new() }
    }

    /// A tensor that must be there with this shape, row-major; empty (and reported at the end) if it is not.
    pub fn tensor(&mut self, name: &str, shape: &[usize]) -> Vec<f32> {
        self.optional(name, shape).unwrap_or_else(|| {
            if self.find(name).is_none() {
                self.problems.push(format!("`{name}` {shape:?} is missing"));
            }
            Vec::new()
        })
    }

    /// A frozen weight of a model that must be there with this shape, found under `file` and called `name` from
    /// then on. One that is missing is reported at the end: until then an empty tensor stands for it, because
    /// a shape that no file confirms must not be allocated. A matrix or table stays as it lies in its file.
    ///
    /// # Errors
    /// Never on a tensor that was read.
    pub fn weight(
        &mut self,
        (file, name): (&str, String),
        place: Place,
        shape: &[usize],
        device: &Device,
    ) -> Result<Weight> {
        if matches!(place.kind, Kind::Matrix | Kind::Table)
            && let Some(blocks) = self.blocks(file, shape, device)
        {
            return Ok(Weight::quantized(name, place, blocks));
        }
        self.copied((file, name), place, shape, device)
    }

    /// A frozen weight in f32.
    fn copied(
        &mut self,
        (file, name): (&str, String),
        place: Place,
        shape: &[usize],
        device: &Device,
    ) -> Result<Weight> {
        let values = self.tensor(file, shape);
        let shape = if values.is_empty() { &[0] } else { shape };
        Ok(Weight::frozen(name, place, Tensor::new(device, shape, &values)?))
    }

    /// A projection that transformers has as `[in, out]` (GPT-2's `Conv1D`), and whether it stands that way: a
    /// GGUF file has it as `[out, in]`, and it stays as it lies there; from others it is copied. `shape` is
    /// `[in, out]`.
    ///
    /// # Errors
    /// Never on a tensor that was read.
    pub fn conv1d(
        &mut self,
        (file, name): (&str, String),
        place: Place,
        shape: [usize; 2],
        device: &Device,
    ) -> Result<(Weight, bool)> {
        let found = self.find(file).filter(|found| self.has(found, &shape));
        if let Some(found) = found
            && let Some(blocks) = self.checkpoint.transposed_blocks(&found, device)
        {
            self.taken.insert(found);
            return Ok((Weight::quantized(name, place, blocks), false));
        }
        Ok((self.copied((file, name), place, &shape, device)?, true))
    }

    /// A matrix that may stay in its blocks, if it is one and has this shape.
    fn blocks(&mut self, name: &str, shape: &[usize], device: &Device) -> Option<Quantized> {
        let found = self.find(name).filter(|found| self.has(found, shape))?;
        let blocks = self.checkpoint.blocks(&found, device)?;
        self.taken.insert(found);
        Some(blocks)
    }

    fn has(&self, found: &str, shape: &[usize]) -> bool {
        self.checkpoint.info(found).is_some_and(|info| info.shape == shape)
    }

    /// A tensor that may be absent; if it is there, it must have this shape.
    pub fn optional(&mut self, name: &str, shape: &[usize]) -> Option<Vec<f32>> {
        let found = self.find(name)?;
        let info = self.checkpoint.info(&found)?;
        let values = if info.shape == shape {
            self.checkpoint.read_f32(&found).map_err(|error| error.to_string())
        } else {
            Err(format!("`{found}` has the shape {:?}, expected {shape:?}", info.shape))
        };
        self.taken.insert(found);
        values.map_err(|problem| self.problems.push(problem)).ok()
    }

    /// The shape of a tensor, if it is there; it is not taken by asking.
    pub fn shape(&self, name: &str) -> Option<&'a [usize]> {
        let info = self.checkpoint.info(&self.find(name)?)?;
        Some(&info.shape)
    }

    /// Counts a tensor as expected without reading it: one that this model knows and has no use for.
    pub fn skip(&mut self, name: &str) {
        if let Some(found) = self.find(name) {
            self.taken.insert(found);
        }
    }

    /// Ends the collection: what was not asked for, or all that is missing, misshapen or unreadable.
    ///
    /// # Errors
    /// One [`Error::Checkpoint`] that names up to 20 problems and counts the rest.
    pub fn finish(self) -> Result<Notes> {
        let unexpected =
            self.checkpoint.names().filter(|name| !self.taken.contains(*name)).map(str::to_owned);
        let notes = Notes { unexpected: unexpected.collect() };
        if self.problems.is_empty() {
            return Ok(notes);
        }
        let problems = some_of(&self.problems, "\n  - ");
        let hint = if notes.unexpected.is_empty() { String::new() } else { format!("\n{notes}") };
        let reason = format!("not the weights that config.json describes:\n  - {problems}{hint}");
        Err(Error::checkpoint(self.checkpoint.path(), reason))
    }

    /// The name under which the checkpoint has a tensor.
    fn find(&self, name: &str) -> Option<String> {
        let mut spellings = vec![name.to_owned()];
        for (new, old) in OLD_ENDINGS {
            spellings.extend(name.strip_suffix(new).map(|stem| format!("{stem}{old}")));
        }
        let prefixes = std::iter::once("").chain(self.prefixes.iter().copied());
        let mut names =
            prefixes.flat_map(|prefix| spellings.iter().map(move |name| format!("{prefix}{name}")));
        names.find(|name| self.checkpoint.info(name).is_some())
    }
}

impl fmt::Display for Notes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "in the file but not used: {}", some_of(&self.unexpected, ", "))
    }
}

fn some_of(items: &[String], separator: &str) -> String {
    let mut text = items.iter().take(LISTED).map(String::as_str).collect::<Vec<_>>().join(separator);
    if items.len() > LISTED {
        text.push_str(&format!("{separator}and {} more", items.len() - LISTED));
    }
    text
}
