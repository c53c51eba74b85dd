//! The file: header, metadata and tensor table, checked in full when it is opened; the data is only mapped.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use offshoot_core::Format;

use super::bytes::Bytes;
use super::value::Value;
use crate::error::{Error, Result};
use crate::weights::Map;

/// What the file says of the alignment of its data, if it says nothing.
pub(super) const ALIGNMENT: u64 = 32;

/// The format's own limit for the axes of a tensor.
const MOST_AXES: u32 = 4;

/// An open GGUF file.
#[derive(Debug)]
pub struct Gguf {
    map: Arc<Map>,
    version: u32,
    /// Where each value's type tag is.
    values: BTreeMap<String, usize>,
    tensors: Vec<GgufTensor>,
}

/// One tensor of a GGUF file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GgufTensor {
    /// As the file names it: `blk.0.attn_q.weight`.
    pub name: String,
    /// Row-major: the last axis is the one along which blocks lie.
    pub shape: Vec<usize>,
    /// How its elements are stored.
    pub format: Format,
    /// Its bytes in the file.
    pub range: Range<usize>,
}

impl Gguf {
    /// Opens and checks a file.
    ///
    /// # Errors
    /// If it cannot be read, is damaged, or holds tensors in a format that is not read.
    pub fn open(path: &Path) -> Result<Self> {
        let map = Arc::new(Map::open(path)?);
        let (version, values, tensors) =
            parse(map.bytes()).map_err(|reason| Error::checkpoint(path, reason))?;
        Ok(Self { map, version, values, tensors })
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        self.map.path()
    }

    /// The version of the format: 2 or 3.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// A value of the metadata.
    pub fn get(&self, key: &str) -> Option<Value<'_>> {
        let mut bytes = Bytes::at(self.map.bytes(), *self.values.get(key)?);
        // It was checked when the file was opened.
        let kind = bytes.kind(key).ok()?;
        Value::decode(&mut bytes, kind).ok()
    }

    /// The keys of the metadata, sorted.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    /// Every tensor, in the order of the file.
    pub fn tensors(&self) -> &[GgufTensor] {
        &self.tensors
    }

    /// The bytes of a tensor, as stored.
    pub fn bytes(&self, tensor: &GgufTensor) -> &[u8] {
        // A tensor of another file may lie outside this one.
        self.map.bytes().get(tensor.range.clone()).unwrap_or_default()
    }

    pub(super) fn map(&self) -> &Arc<Map> {
        &self.map
    }
}

type Parts = (u32, BTreeMap<String, usize>, Vec<GgufTensor>);

/// Reads everything before the data. Nothing is allocated that the file's own bytes do not fill.
fn parse(file: &[u8]) -> Result<Parts, String> {
    let mut bytes = Bytes::at(file, 0);
    let version = version(&mut bytes)?;
    let tensors = bytes.u64("the number of tensors")?;
    let entries = bytes.u64("the number of metadata entries")?;
    let values = values(&mut bytes, entries)?;
    let alignment = alignment(file, &values)?;
    let claims = claims(&mut bytes, tensors)?;
    // The data starts at the next multiple of the alignment; without tensors there need not be any.
    let data = (bytes.position() as u64).next_multiple_of(alignment);
    let tensors: Vec<GgufTensor> =
        claims.into_iter().map(|claim| claim.place(data, alignment, file.len())).collect::<Result<_, _>>()?;
    apart(&tensors)?;
    Ok((version, values, tensors))
}

fn version(bytes: &mut Bytes<'_>) -> Result<u32, String> {
    let magic = bytes.array::<4>("the file's mark")?;
    if magic != *b"GGUF" {
        return Err("does not start with GGUF, so it is no GGUF file; is it the right one?".into());
    }
    match bytes.u32("the version")? {
        version @ (2 | 3) => Ok(version),
        version if matches!(version.swap_bytes(), 1..=3) => {
            Err("a big-endian GGUF file, which is not read; get the little-endian one".into())
        }
        version => Err(format!("GGUF version {version}; versions 2 and 3 are read. Convert the model again")),
    }
}

/// Key to the place of the value, each value walked over.
fn values(bytes: &mut Bytes<'_>, count: u64) -> Result<BTreeMap<String, usize>, String> {
    let mut values = BTreeMap::new();
    for _ in 0..count {
        let key = bytes.text("a metadata key")?;
        let place = bytes.position();
        let kind = bytes.kind(key)?;
        bytes.skip(kind, key)?;
        if values.insert(key.to_owned(), place).is_some() {
            return Err(format!("the metadata key `{key}` is there twice; convert the model again"));
        }
    }
    Ok(values)
}

fn alignment(file: &[u8], values: &BTreeMap<String, usize>) -> Result<u64, String> {
    let Some(&place) = values.get("general.alignment") else { return Ok(ALIGNMENT) };
    let mut bytes = Bytes::at(file, place);
    let kind = bytes.kind("general.alignment")?;
    let value = Value::decode(&mut bytes, kind)?.as_u64();
    value.filter(|value| value.is_power_of_two() && *value <= 1 << 16).ok_or_else(|| {
        "general.alignment must be a power of two up to 65536: damaged file, convert the model again".into()
    })
}

/// What the file says of one tensor.
struct Claim {
    name: String,
    shape: Vec<u64>,
    format: u32,
    offset: u64,
}

fn claims(bytes: &mut Bytes<'_>, count: u64) -> Result<Vec<Claim>, String> {
    let (mut claims, mut names) = (Vec::new(), BTreeSet::new());
    for _ in 0..count {
        let name = bytes.text("the name of a tensor")?;
        if !names.insert(name) {
            return Err(format!("tensor `{name}` is there twice; convert the model again"));
        }
        let axes = bytes.u32(name)?;
        if axes > MOST_AXES {
            return Err(format!(
                "tensor `{name}` has {axes} axes, at most {MOST_AXES} are possible: damaged"
            ));
        }
        // The file has the fastest axis first.
        let mut shape = (0..axes).map(|_| bytes.u64(name)).collect::<Result<Vec<_>, _>>()?;
        shape.reverse();
        let (format, offset) = (bytes.u32(name)?, bytes.u64(name)?);
        claims.push(Claim { name: name.to_owned(), shape, format, offset });
    }
    Ok(claims)
}

impl Claim {
    /// Checks one tensor on its own. `data` is where the data starts.
    fn place(self, data: u64, alignment: u64, size: usize) -> Result<GgufTensor, String> {
        let Self { name, shape, format, offset } = self;
        let format = known(format).map_err(|format| {
            let read = Format::ALL.map(Format::name).join(", ");
            format!("tensor `{name}` is stored as {format}, which is not read; read are {read}")
        })?;
        let sizes = shape.iter().map(|&dim| usize::try_from(dim).ok()).collect::<Option<Vec<_>>>();
        let bytes = sizes.as_deref().and_then(|sizes| bytes_of(sizes, format));
        let (Some(sizes), Some(bytes)) = (sizes, bytes) else {
            let block = format.block_elements();
            return Err(format!(
                "tensor `{name}`: {shape:?} of {format} has no size in bytes (rows are whole blocks of \
                 {block}): damaged file"
            ));
        };
        if offset % alignment != 0 {
            return Err(format!("tensor `{name}` is not aligned to {alignment} bytes: damaged file"));
        }
        let start = data.checked_add(offset).and_then(|start| usize::try_from(start).ok());
        let range = start.and_then(|start| Some(start..start.checked_add(bytes)?));
        let range = range.filter(|range| range.end <= size).ok_or_else(|| {
            format!("tensor `{name}` ends after the file: the file is cut off, download it again")
        })?;
        Ok(GgufTensor { name, shape: sizes, format, range })
    }
}

/// Size of a tensor whose rows are whole blocks, if it can be counted and is not nothing: a shape with a
/// zero lets its other axes claim anything.
fn bytes_of(shape: &[usize], format: Format) -> Option<usize> {
    let (&cols, rows) = shape.split_last()?;
    let row = format.bytes(cols)?;
    let bytes = rows.iter().try_fold(row, |product, &dim| product.checked_mul(dim))?;
    (bytes > 0).then_some(bytes)
}

/// No two tensors share a byte.
fn apart(tensors: &[GgufTensor]) -> Result<(), String> {
    let mut sorted: Vec<&GgufTensor> = tensors.iter().collect();
    sorted.sort_by_key(|tensor| (tensor.range.start, tensor.range.end));
    match sorted.windows(2).find(|pair| pair[1].range.start < pair[0].range.end) {
        Some(pair) => Err(format!(
            "tensors `{}` and `{}` overlap: damaged file, download it again",
            pair[0].name, pair[1].name
        )),
        None => Ok(()),
    }
}

/// The number by which a file names a format.
pub(super) fn number(format: Format) -> u32 {
    match format {
        Format::F32 => 0,
        Format::F16 => 1,
        Format::Q4_0 => 2,
        Format::Q4_1 => 3,
        Format::Q5_0 => 6,
        Format::Q5_1 => 7,
        Format::Q8_0 => 8,
        Format::Q4K => 12,
        Format::Q5K => 13,
        Format::Q6K => 14,
        Format::Bf16 => 30,
    }
}

/// Formats that exist and are not read, by number.
const OTHERS: [(u32, &str); 25] = [
    (9, "Q8_1"),
    (10, "Q2_K"),
    (11, "Q3_K"),
    (15, "Q8_K"),
    (16, "IQ2_XXS"),
    (17, "IQ2_XS"),
    (18, "IQ3_XXS"),
    (19, "IQ1_S"),
    (20, "IQ4_NL"),
    (21, "IQ3_S"),
    (22, "IQ2_S"),
    (23, "IQ4_XS"),
    (24, "I8"),
    (25, "I16"),
    (26, "I32"),
    (27, "I64"),
    (28, "F64"),
    (29, "IQ1_M"),
    (31, "Q4_0_4_4"),
    (32, "Q4_0_4_8"),
    (33, "Q4_0_8_8"),
    (34, "TQ1_0"),
    (35, "TQ2_0"),
    (39, "MXFP4"),
    (40, "NVFP4"),
];

/// The format of a number, or what else it is.
fn known(format: u32) -> Result<Format, String> {
    if let Some(found) = Format::ALL.into_iter().find(|&known| number(known) == format) {
        return Ok(found);
    }
    let other = OTHERS.iter().find(|other| other.0 == format);
    Err(other.map_or_else(|| format!("the unknown type {format}"), |other| other.1.to_owned()))
}
