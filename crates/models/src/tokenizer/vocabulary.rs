//! BERT's tokenizer from before tokenizer.json: the same file is put together from a vocabulary, so that there
//! is one way in.

use std::path::Path;

use serde_json::{Map, Value, json};

use crate::error::{Error, Result};
use crate::files;

/// A tokenizer.json for BERT's `vocab.txt` (one token a line, its id the line's number).
pub(super) fn word_pieces(folder: &Path) -> Result<String> {
    let path = folder.join("vocab.txt");
    let text = files::read_text(&path)?;
    let config = Settings::read(folder)?;
    let tokens = text.lines().map(|line| line.trim_end_matches('\r')).enumerate();
    let vocab: Map<String, Value> = tokens.map(|(id, token)| (token.to_owned(), json!(id))).collect();
    let names = ["unk", "sep", "pad", "cls", "mask"]
        .map(|kind| config.token(kind, &format!("[{}]", kind.to_uppercase())));
    let [unknown, sep, _, cls, _] = &names;
    let tokenizer = json!({
        "version": "1.0",
        "added_tokens": added(&path, &vocab, &names)?,
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": true,
            "handle_chinese_chars": config.flag("tokenize_chinese_chars")?.unwrap_or(true),
            "strip_accents": config.flag("strip_accents")?,
            "lowercase": config.flag("do_lower_case")?.unwrap_or(true),
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "BertProcessing",
            "sep": [sep, vocab[sep]],
            "cls": [cls, vocab[cls]],
        },
        "decoder": null,
        "model": {
            "type": "WordPiece",
            "unk_token": unknown,
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": vocab,
        },
    });
    Ok(tokenizer.to_string())
}

/// The special tokens as tokenizer.json lists them.
fn added(path: &Path, vocab: &Map<String, Value>, names: &[String]) -> Result<Vec<Value>> {
    let entry = |name: &String| {
        let id = vocab
            .get(name)
            .ok_or_else(|| Error::tokenizer(path, format!("has no special token `{name}`")))?;
        Ok(json!({
            "id": id, "content": name, "special": true, "normalized": false,
            "single_word": false, "rstrip": false, "lstrip": false,
        }))
    };
    names.iter().map(entry).collect()
}

/// tokenizer_config.json, if there is one.
pub(super) struct Settings<'a> {
    folder: &'a Path,
    map: Map<String, Value>,
}

impl<'a> Settings<'a> {
    pub(super) fn read(folder: &'a Path) -> Result<Self> {
        let path = folder.join("tokenizer_config.json");
        let map = if path.exists() { files::read_json(&path)? } else { Map::new() };
        let settings = Self { folder, map };
        if settings.flag("do_basic_tokenize")? == Some(false) {
            return Err(settings.wrong("do_basic_tokenize", "only true is supported"));
        }
        if settings.map.get("never_split").is_some_and(|value| !value.is_null() && value != &json!([])) {
            return Err(settings.wrong("never_split", "only null is supported"));
        }
        Ok(settings)
    }

    pub(super) fn flag(&self, name: &str) -> Result<Option<bool>> {
        match self.map.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => {
                value.as_bool().map(Some).ok_or_else(|| self.wrong(name, "must be true, false or null"))
            }
        }
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.map.get(name)?.as_str()
    }

    /// The special token of a kind (`"sep"`), which is a text or an object that holds it.
    fn token(&self, kind: &str, default: &str) -> String {
        let value = self.map.get(&format!("{kind}_token"));
        let text = value.and_then(|value| value.get("content").unwrap_or(value).as_str());
        text.unwrap_or(default).to_owned()
    }

    pub(super) fn wrong(&self, name: &str, what: &str) -> Error {
        Error::json(&self.folder.join("tokenizer_config.json"), format!("field `{name}`: {what}"))
    }
}
