//! Writing weights that are computed one at a time: a model that is larger than memory allows twice.

use std::fmt;
use std::io;
use std::path::Path;
use std::str::FromStr;

use half::bf16;

use super::write::{header, write_file, write_values};
use crate::error::{Error, Result};

/// The type in which values are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// As they are.
    #[default]
    F32,
    /// Rounded to the nearest bf16, ties to even: half the size, about three decimal digits.
    Bf16,
}

impl Precision {
    /// As safetensors files name it.
    pub(super) fn tag(self) -> &'static str {
        match self {
            Self::F32 => "F32",
            Self::Bf16 => "BF16",
        }
    }

    /// As config.json names it, in `dtype`.
    pub fn config_name(self) -> &'static str {
        match self {
            Self::F32 => "float32",
            Self::Bf16 => "bfloat16",
        }
    }

    /// Bytes of a value.
    pub fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::Bf16 => 2,
        }
    }

    /// A value's bytes, appended.
    pub(super) fn encode(self, values: &[f32], bytes: &mut Vec<u8>) {
        match self {
            Self::F32 => bytes.extend(values.iter().flat_map(|value| value.to_le_bytes())),
            Self::Bf16 => bytes.extend(values.iter().flat_map(|&value| bf16::from_f32(value).to_le_bytes())),
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
        })
    }
}

impl FromStr for Precision {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = [Self::F32, Self::Bf16].into_iter().find(|known| known.to_string() == text);
        known.ok_or_else(|| format!("`{text}` is not a type that weights are written in; choose f32 or bf16"))
    }
}

/// Writes tensors of these names and shapes, in this order, through [`write_file`]. `value` is asked for the
/// values of each, row-major, when it is its turn.
///
/// # Errors
/// If a name is there twice, a tensor has another number of values than its shape, the file cannot be written,
/// or what `value` returns. There is no file then.
pub fn write_computed(
    path: &Path,
    precision: Precision,
    tensors: &[(String, Vec<usize>)],
    mut value: impl FnMut(&str) -> Result<Vec<f32>>,
) -> Result<()> {
    let header = header(tensors.iter().map(|(name, shape)| (name, shape, None)), precision)
        .map_err(|reason| Error::checkpoint(path, reason))?;
    let mut failed = None;
    let written = write_file(path, |out| {
        out.write_all(&(header.len() as u64).to_le_bytes())?;
        out.write_all(header.as_bytes())?;
        for (name, shape) in tensors {
            match checked(path, name, shape, value(name)) {
                Ok(values) => write_values(out, precision, &values)?,
                Err(error) => {
                    failed = Some(error);
                    return Err(io::Error::other("a tensor could not be computed"));
                }
            }
        }
        Ok(())
    });
    failed.map_or(written, Err)
}

fn checked(path: &Path, name: &str, shape: &[usize], values: Result<Vec<f32>>) -> Result<Vec<f32>> {
    let values = values?;
    if values.len() == shape.iter().product::<usize>() {
        return Ok(values);
    }
    let reason = format!("tensor `{name}`: {} values do not fill the shape {shape:?}", values.len());
    Err(Error::checkpoint(path, reason))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::read_tensors;

    #[test]
    fn what_is_computed_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        let tensors = [("a".to_owned(), vec![2, 2]), ("b".to_owned(), vec![1])];
        let value = |name: &str| Ok(if name == "a" { vec![1.0, 1.01, -2.5, 3e38] } else { vec![0.1] });
        for (precision, size) in [(Precision::F32, 20), (Precision::Bf16, 10)] {
            write_computed(&path, precision, &tensors, value).unwrap();
            let read = read_tensors(&path).unwrap();
            assert_eq!(read["a"].0, [2, 2]);
            for (name, (_, values)) in read {
                for (read, written) in values.iter().zip(value(&name).unwrap()) {
                    let off = (read - written).abs() / written.abs();
                    assert!(
                        off <= if precision == Precision::F32 { 0.0 } else { 1.0 / 256.0 },
                        "{name}: {off}"
                    );
                }
            }
            let bytes = std::fs::read(&path).unwrap();
            assert_eq!(bytes.len() - 8 - u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize, size);
        }
    }

    #[test]
    fn a_tensor_that_fails_leaves_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        let tensors = [("a".to_owned(), vec![2])];
        let short =
            write_computed(&path, Precision::F32, &tensors, |_| Ok(vec![1.0])).unwrap_err().to_string();
        assert!(short.contains("1 values do not fill the shape [2]"), "{short}");
        let own = |_: &str| Err(Error::Invalid("no more".into()));
        let own = write_computed(&path, Precision::F32, &tensors, own).unwrap_err().to_string();
        assert_eq!((own.as_str(), std::fs::read_dir(folder.path()).unwrap().count()), ("no more", 0));
    }

    #[test]
    fn a_precision_has_one_name() {
        assert_eq!(
            ["f32", "bf16"].map(|name| name.parse::<Precision>().unwrap().to_string()),
            ["f32", "bf16"]
        );
        assert!("f16".parse::<Precision>().unwrap_err().contains("choose f32 or bf16"));
    }
}
