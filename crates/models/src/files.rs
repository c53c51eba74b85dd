//! Small text files, read with a limit: a hostile file must not fill the memory.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use crate::error::{Error, Result};

/// No config, index or tokenizer file of a real model comes near this many bytes.
const LARGEST: u64 = 256 << 20;

/// The whole file as text, or an error that names it.
pub(crate) fn read_text(path: &Path) -> Result<String> {
    let file = File::open(path).map_err(Error::io("read", path))?;
    let mut text = String::new();
    file.take(LARGEST + 1).read_to_string(&mut text).map_err(Error::io("read", path))?;
    if text.len() as u64 > LARGEST {
        return Err(Error::json(path, format!("larger than {LARGEST} bytes; is it the right file?")));
    }
    Ok(text)
}

/// The whole file as JSON of the given kind.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = read_text(path)?;
    serde_json::from_str(&text).map_err(|cause| Error::json(path, format!("not the JSON expected: {cause}")))
}

/// Joins a name that came out of a file to its folder; none where it would lead out of the folder.
pub(crate) fn inside(folder: &Path, name: &str) -> Option<PathBuf> {
    let plain =
        |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains(['\\', ':', '\0']);
    name.split('/').all(plain).then(|| folder.join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_out_of_a_file_stays_inside_its_folder() {
        let folder = Path::new("model");
        assert_eq!(
            inside(folder, "1_Pooling/config.json"),
            Some(PathBuf::from("model/1_Pooling/config.json"))
        );
        for bad in ["", "..", "../x", "a/../x", "/etc/passwd", "a//b", "c:x", "a\\b", "./a"] {
            assert_eq!(inside(folder, bad), None, "{bad}");
        }
    }
}
