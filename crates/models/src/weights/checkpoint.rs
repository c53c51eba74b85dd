//! A model's weights on disk, one file or sharded.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use offshoot_core::{Device, Quantized};
use serde::Deserialize;

use super::dtype::Dtype;
use super::header::{self, TensorInfo};
use super::map::Map;
use super::pickles::{HINT, Pickles};
use super::stored::{GgufEntry, Stored};
use super::torch;
use crate::error::{Error, Result};
use crate::files;

/// The name of an unsharded model's weights.
pub const SINGLE: &str = "model.safetensors";
/// The name of the file that says which shard holds which tensor.
pub const INDEX: &str = "model.safetensors.index.json";

/// An unsharded model's weights in torch's own format.
pub(crate) const TORCH_SINGLE: &str = "pytorch_model.bin";
/// The index of its shards.
pub(crate) const TORCH_INDEX: &str = "pytorch_model.bin.index.json";

/// How a file of weights is laid out.
#[derive(Clone, Copy)]
enum Layout {
    Safetensors,
    Torch,
}

/// Weights that are open, mapped and checked, but not read. Dropping it gives the file's pages back.
#[derive(Debug)]
pub struct Checkpoint {
    path: PathBuf,
    files: Vec<Arc<Map>>,
    tensors: BTreeMap<String, Place>,
}

/// Where a tensor lies: a file, and bytes from that file's start.
#[derive(Debug)]
struct Place {
    file: usize,
    info: TensorInfo,
    start: usize,
    end: usize,
    stored: Stored,
    strides: Option<Vec<usize>>,
}

impl Checkpoint {
    /// Opens `model.safetensors` in a folder, or the shards that its index names.
    ///
    /// # Errors
    /// If there are no such weights, or if a file, a header or the index is damaged.
    pub fn open(folder: &Path) -> Result<Self> {
        Self::open_with(folder, Pickles::Refuse)
    }

    /// The same; where there are no safetensors and `pickles` allows it, `pytorch_model.bin` or the shards
    /// that its index names.
    ///
    /// # Errors
    /// If there are no such weights, or if a file, a header or the index is damaged.
    pub fn open_with(folder: &Path, pickles: Pickles) -> Result<Self> {
        let named = |name: &str| Some(folder.join(name)).filter(|path| path.exists());
        if let Some(single) = named(SINGLE) {
            return Self::open_file(&single);
        }
        if let Some(index) = named(INDEX) {
            return Self::open_shards(folder, &index, Layout::Safetensors);
        }
        match (pickles, named(TORCH_SINGLE), named(TORCH_INDEX)) {
            (Pickles::Allow, Some(single), _) => Self::open_torch(&single, pickles),
            (Pickles::Allow, None, Some(index)) => Self::open_shards(folder, &index, Layout::Torch),
            _ => Err(Error::checkpoint(folder, absent(folder))),
        }
    }

    /// Opens one safetensors file of any name.
    ///
    /// # Errors
    /// If it cannot be read or is damaged.
    pub fn open_file(path: &Path) -> Result<Self> {
        Self::open_single(path, Layout::Safetensors)
    }

    /// Opens one file of any name in torch's own format. Nothing in it is run.
    ///
    /// # Errors
    /// If `pickles` does not allow it, if it cannot be read or is damaged, or if it asks for anything else than
    /// tensors.
    pub fn open_torch(path: &Path, pickles: Pickles) -> Result<Self> {
        pickles.check(path)?;
        Self::open_single(path, Layout::Torch)
    }

    fn open_single(path: &Path, layout: Layout) -> Result<Self> {
        let mut checkpoint = Self { path: path.to_path_buf(), files: Vec::new(), tensors: BTreeMap::new() };
        checkpoint.add(path, layout)?;
        Ok(checkpoint)
    }

    fn open_shards(folder: &Path, index: &Path, layout: Layout) -> Result<Self> {
        let places = weight_map(index)?;
        let mut checkpoint = Self { path: index.to_path_buf(), files: Vec::new(), tensors: BTreeMap::new() };
        for shard in places.values().collect::<BTreeSet<_>>() {
            checkpoint.add(&folder.join(shard), layout)?;
        }
        checkpoint.agrees_with(&places)?;
        Ok(checkpoint)
    }

    fn add(&mut self, path: &Path, layout: Layout) -> Result<()> {
        let map = Map::open(path)?;
        let entries = match layout {
            Layout::Safetensors => header::parse(map.bytes()),
            Layout::Torch => torch::parse(map.bytes()),
        };
        for header::Entry { name, info, start, end, strides } in
            entries.map_err(|reason| Error::checkpoint(path, reason))?
        {
            let file = self.files.len();
            let place = Place { file, info, start, end, stored: Stored::Same, strides };
            if let Some(first) = self.tensors.insert(name.clone(), place) {
                let other = self.files[first.file].path().display();
                return Err(Error::checkpoint(path, format!("tensor `{name}` is also in {other}; keep one")));
            }
        }
        self.files.push(Arc::new(map));
        Ok(())
    }

    /// The tensors of a GGUF file, under the names and in the layout of Hugging Face files.
    pub(crate) fn of_gguf(map: &Arc<Map>, entries: Vec<GgufEntry>) -> Result<Self> {
        let mut tensors = BTreeMap::new();
        for GgufEntry { name, format, shape, range, stored } in entries {
            let info = TensorInfo { dtype: Dtype::of(format), shape, bytes: range.len() };
            let place = Place { file: 0, info, start: range.start, end: range.end, stored, strides: None };
            if tensors.insert(name.clone(), place).is_some() {
                let reason = format!("two tensors are `{name}`; convert the model again");
                return Err(Error::checkpoint(map.path(), reason));
            }
        }
        Ok(Self { path: map.path().to_path_buf(), files: vec![Arc::clone(map)], tensors })
    }

    /// Every tensor of the index must be in the shard that it names.
    fn agrees_with(&self, places: &BTreeMap<String, String>) -> Result<()> {
        let found = |name: &str, shard: &str| {
            self.tensors.get(name).is_some_and(|place| self.files[place.file].path().ends_with(shard))
        };
        let wrong: Vec<&String> =
            places.iter().filter(|(name, shard)| !found(name, shard)).map(|(n, _)| n).collect();
        match wrong.first() {
            None => Ok(()),
            Some(name) => {
                let (shard, more) = (&places[*name], wrong.len() - 1);
                let reason =
                    format!("`{name}` is not in {shard} (and {more} more such): download the shards again");
                Err(Error::checkpoint(&self.path, reason))
            }
        }
    }

    /// The file that was opened, or the index.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Every tensor, in the order of the names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// What the file says about a tensor, if it has it.
    pub fn info(&self, name: &str) -> Option<&TensorInfo> {
        self.tensors.get(name).map(|place| &place.info)
    }

    /// Bytes of all tensors in the files.
    pub fn total_bytes(&self) -> usize {
        self.tensors.values().map(|place| place.info.bytes).sum()
    }

    /// Reads a tensor, row-major; F64, F16, BF16 and blocks are converted.
    ///
    /// # Errors
    /// If there is no such tensor, or if its dtype is not one of those.
    pub fn read_f32(&self, name: &str) -> Result<Vec<f32>> {
        let missing = || Error::checkpoint(&self.path, format!("there is no tensor `{name}`"));
        let place = self.tensors.get(name).ok_or_else(missing)?;
        let map = &self.files[place.file];
        let dtype = place.info.dtype;
        let bytes = place.stored.rows(&place.info, &map.bytes()[place.start..place.end]);
        let values = match &place.strides {
            None => dtype.decode(&bytes),
            Some(strides) => {
                dtype.decode(&torch::gather(&bytes, dtype.bits() / 8, &place.info.shape, strides))
            }
        };
        let values = values.ok_or_else(|| {
            let reason =
                format!("tensor `{name}` is {dtype}, which is not read; convert it to F32, F16, BF16 or F64");
            Error::checkpoint(map.path(), reason)
        })?;
        map.release(place.start..place.end);
        Ok(place.stored.values(&place.info, values))
    }

    /// A matrix as it lies in its file, in floats or blocks. Where a GGUF file has the rows in another order,
    /// they are copied; nothing else is.
    pub(crate) fn blocks(&self, name: &str, device: &Device) -> Option<Quantized> {
        let place = self.tensors.get(name).filter(|place| place.stored != Stored::Transposed)?;
        Self::in_place(place, &self.files[place.file], device)
    }

    /// A matrix that a GGUF file has as `[out, in]` and transformers as `[in, out]`: `[out, in]`.
    pub(crate) fn transposed_blocks(&self, name: &str, device: &Device) -> Option<Quantized> {
        let place = self.tensors.get(name).filter(|place| place.stored == Stored::Transposed)?;
        Self::in_place(place, &self.files[place.file], device)
    }

    fn in_place(place: &Place, map: &Arc<Map>, device: &Device) -> Option<Quantized> {
        let format = place.stored.format(&place.info).filter(|_| place.strides.is_none())?;
        let shape = match (place.info.shape.as_slice(), place.stored) {
            (&[inputs, outputs], Stored::Transposed) => [outputs, inputs],
            (&[rows, cols], _) => [rows, cols],
            _ => return None,
        };
        let range = place.start..place.end;
        let blocks = match place.stored.rows(&place.info, &map.bytes()[range.clone()]) {
            Cow::Borrowed(_) => Quantized::new(device, format, shape, Arc::clone(map) as _, range),
            Cow::Owned(copy) => {
                let all = 0..copy.len();
                Quantized::new(device, format, shape, Arc::new(copy), all)
            }
        };
        blocks.ok()
    }
}

/// The index file: tensor name to shard.
#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// Reads an index; each shard is a file beside it, by its plain name.
pub(crate) fn weight_map(index: &Path) -> Result<BTreeMap<String, String>> {
    let places = files::read_json::<Index>(index)?.weight_map;
    let outside = |shard: &&String| shard.contains('/') || files::inside(Path::new(""), shard).is_none();
    if let Some(shard) = places.values().find(outside) {
        return Err(Error::checkpoint(
            index,
            format!("names the shard `{shard}`, which is not a file beside it"),
        ));
    }
    if places.is_empty() {
        return Err(Error::checkpoint(index, "names no tensor; download it again"));
    }
    Ok(places)
}

/// Why a folder without safetensors weights will not do.
fn absent(folder: &Path) -> String {
    match [TORCH_SINGLE, TORCH_INDEX].iter().find(|name| folder.join(name).exists()) {
        Some(name) => format!(
            "only {name} is here, and pickled weights are not read unless {HINT}. Or convert them once:\n  \
             {CONVERT}"
        ),
        None => format!("no weights: expected {SINGLE}, or {INDEX} with its shards"),
    }
}

/// Keeps every tensor, heads too, which loading them into a model class would not.
const CONVERT: &str = "python -c \"import glob, torch; from safetensors.torch import save_file; \
    save_file({k: v.clone().contiguous() for f in glob.glob('pytorch_model*.bin') \
    for k, v in torch.load(f, map_location='cpu', weights_only=True).items()}, 'model.safetensors')\"";
