//! How a sequence's rows become one: the choices, and what a sentence-transformers folder says.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::files;

/// Which vector stands for a sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pooling {
    /// The last layer's first row.
    Cls,
    /// The mean of the last layer's rows, real tokens only.
    Mean,
    /// The last layer's last row, which in a decoder has seen all others.
    Last,
    /// The model's own pooler (a dense layer and tanh) on the first row.
    Pooler,
}

impl Pooling {
    /// Every choice with its name.
    pub const ALL: [(&'static str, Self); 4] =
        [("cls", Self::Cls), ("mean", Self::Mean), ("last", Self::Last), ("pooler", Self::Pooler)];
}

impl fmt::Display for Pooling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::ALL.iter().find(|choice| choice.1 == *self).map_or("", |choice| choice.0);
        f.pad(name)
    }
}

impl FromStr for Pooling {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = Self::ALL.iter().find(|choice| choice.0 == text).map(|choice| choice.1);
        found.ok_or_else(|| {
            Error::Invalid(format!("pooling `{text}` is not known; choose cls, mean, last or pooler"))
        })
    }
}

/// What a sentence-transformers folder says (`modules.json`, `1_Pooling/config.json`); none if it is no such
/// folder.
///
/// # Errors
/// If the files are damaged, or ask for a pooling that is not one of ours (max, several at once).
pub fn sentence_pooling(folder: &Path) -> Result<Option<Pooling>> {
    let path = match pooling_module(folder)? {
        Some(path) => path,
        None => return Ok(None),
    };
    let config: Map<String, Value> = files::read_json(&path)?;
    let modes = modes(&config);
    match modes.as_slice() {
        [one] => one.parse().map(Some).map_err(|_| refused(&path, &modes)),
        _ => Err(refused(&path, &modes)),
    }
}

/// The pooling module's config, if the folder lists such a module.
fn pooling_module(folder: &Path) -> Result<Option<PathBuf>> {
    let list = folder.join("modules.json");
    if !list.exists() {
        return Ok(None);
    }
    let modules: Vec<Module> = files::read_json(&list)?;
    let Some(module) = modules.iter().find(|module| module.kind.ends_with(".Pooling")) else {
        return Ok(None);
    };
    let config = files::inside(folder, &module.path).map(|folder| folder.join("config.json"));
    let outside = || Error::json(&list, format!("the module path `{}` leads out of the folder", module.path));
    config.ok_or_else(outside).map(Some)
}

/// One entry of modules.json.
#[derive(Deserialize)]
struct Module {
    path: String,
    #[serde(rename = "type")]
    kind: String,
}

/// The names of the modes that are switched on, ours where we have the mode.
fn modes(config: &Map<String, Value>) -> Vec<String> {
    let flags = config.iter().filter(|(_, value)| **value == Value::Bool(true));
    let flags = flags.filter_map(|(name, _)| name.strip_prefix("pooling_mode_"));
    let named = config.get("pooling_mode").and_then(Value::as_str);
    let short = |name: &str| match name {
        "cls_token" => "cls".to_owned(),
        "lasttoken" => "last".to_owned(),
        "mean_tokens" => "mean".to_owned(),
        // The format has no such mode: a name of ours must not come in through the file.
        "pooler" | "last" => format!("{name}?"),
        other => other.to_owned(),
    };
    flags.chain(named).map(short).collect()
}

fn refused(path: &Path, modes: &[String]) -> Error {
    let modes = if modes.is_empty() { "no mode".to_owned() } else { modes.join(" + ") };
    let reason = format!(
        "asks for the pooling {modes}, which is not supported; choose cls, mean, last or pooler yourself"
    );
    Error::json(path, reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn folder(config: &Value) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let modules = json!([
            {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
            {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}
        ]);
        std::fs::write(folder.path().join("modules.json"), modules.to_string()).unwrap();
        std::fs::create_dir(folder.path().join("1_Pooling")).unwrap();
        std::fs::write(folder.path().join("1_Pooling/config.json"), config.to_string()).unwrap();
        folder
    }

    #[test]
    fn a_sentence_encoder_says_how_it_pools() {
        let mean = json!({"word_embedding_dimension": 4, "pooling_mode_cls_token": false,
            "pooling_mode_mean_tokens": true, "pooling_mode_max_tokens": false});
        assert_eq!(sentence_pooling(folder(&mean).path()).unwrap(), Some(Pooling::Mean));
        let cls = json!({"pooling_mode_cls_token": true, "include_prompt": true});
        assert_eq!(sentence_pooling(folder(&cls).path()).unwrap(), Some(Pooling::Cls));
        assert_eq!(
            sentence_pooling(folder(&json!({"pooling_mode": "mean"})).path()).unwrap(),
            Some(Pooling::Mean)
        );
        assert_eq!(sentence_pooling(tempfile::tempdir().unwrap().path()).unwrap(), None);
    }

    #[test]
    fn other_poolings_are_refused_by_name() {
        for (config, named) in [
            (json!({"pooling_mode_max_tokens": true}), "max_tokens"),
            (json!({"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": true}), "cls + mean"),
            (json!({}), "no mode"),
            (json!({"pooling_mode": "pooler"}), "pooler"),
        ] {
            let message = sentence_pooling(folder(&config).path()).unwrap_err().to_string();
            assert!(message.contains(named) && message.contains("1_Pooling"), "{message}");
        }
    }

    #[test]
    fn a_module_path_can_not_lead_out() {
        let folder = folder(&json!({}));
        let modules = json!([{"path": "../other", "type": "x.Pooling"}]).to_string();
        std::fs::write(folder.path().join("modules.json"), modules).unwrap();
        assert!(sentence_pooling(folder.path()).unwrap_err().to_string().contains("../other"));
    }

    #[test]
    fn names_go_both_ways() {
        for (name, pooling) in Pooling::ALL {
            assert_eq!(pooling.to_string(), name);
            assert_eq!(name.parse::<Pooling>().unwrap(), pooling);
            assert_eq!(serde_json::to_value(pooling).unwrap(), json!(name));
        }
        assert!("max".parse::<Pooling>().unwrap_err().to_string().contains("cls, mean, last or pooler"));
    }
}
