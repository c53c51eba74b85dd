//! GPT-2's and RoBERTa's tokenizer from the two files that it had before tokenizer.json: `vocab.json` and
//! `merges.txt`. What becomes of them is a tokenizer.json, put together as for GGUF files.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::added_tokens::{AddedTokens, Token};
use super::vocabulary::Settings;
use crate::error::{Error, Result};
use crate::files;
use crate::gguf::byte_pairs::{Added, Bpe, File, checked, pair, write};

/// The two files.
pub(super) const FILES: [&str; 2] = ["vocab.json", "merges.txt"];

/// Whose tokenizer it is. They differ in what stands around a text and in the default special tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Gpt2,
    Roberta,
}

/// Classes of transformers that are one or the other, without `Tokenizer` and `TokenizerFast`.
const CLASSES: [(&str, Kind); 4] = [
    ("GPT2", Kind::Gpt2),
    ("Roberta", Kind::Roberta),
    ("Bart", Kind::Roberta),
    ("Longformer", Kind::Roberta),
];

impl Kind {
    /// By what tokenizer_config.json or else config.json says, else by RoBERTa's own tokens.
    fn of(folder: &Path, settings: &Settings<'_>, vocab: &BTreeMap<String, u32>) -> Result<Self> {
        if let Some(class) = settings.text("tokenizer_class") {
            let stem = class.trim_end_matches("Fast").trim_end_matches("Tokenizer");
            let known = CLASSES.iter().find(|(name, _)| *name == stem);
            return known.map(|(_, kind)| *kind).ok_or_else(|| {
                let known = CLASSES.map(|(name, _)| format!("{name}Tokenizer")).join(", ");
                settings.wrong(
                    "tokenizer_class",
                    &format!(
                        "{class} is not built from vocab.json and merges.txt; that is done for {known}. Save it as \
                         a tokenizer.json: AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)"
                    ),
                )
            });
        }
        let path = folder.join("config.json");
        let config: Map<String, Value> = if path.exists() { files::read_json(&path)? } else { Map::new() };
        Ok(match config.get("model_type").and_then(Value::as_str) {
            Some("gpt2") => Self::Gpt2,
            Some("roberta") => Self::Roberta,
            _ if ["<s>", "</s>"].iter().all(|token| vocab.contains_key(*token)) => Self::Roberta,
            _ => Self::Gpt2,
        })
    }

    /// The special tokens where no file names them.
    fn defaults(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Gpt2 => &[("bos", "<|endoftext|>"), ("eos", "<|endoftext|>"), ("unk", "<|endoftext|>")],
            Self::Roberta => &[
                ("bos", "<s>"),
                ("eos", "</s>"),
                ("unk", "<unk>"),
                ("sep", "</s>"),
                ("pad", "<pad>"),
                ("cls", "<s>"),
                ("mask", "<mask>"),
            ],
        }
    }
}

/// A tokenizer.json for a folder's `vocab.json` and `merges.txt`.
pub(super) fn read(folder: &Path) -> Result<String> {
    let [vocab_path, merges_path] = FILES.map(|name| folder.join(name));
    let vocab: BTreeMap<String, u32> = files::read_json(&vocab_path)?;
    check_ids(&vocab).map_err(|reason| Error::tokenizer(&vocab_path, reason))?;
    let merges =
        pairs(&files::read_text(&merges_path)?).map_err(|reason| Error::tokenizer(&merges_path, reason))?;
    let settings = Settings::read(folder)?;
    let kind = Kind::of(folder, &settings, &vocab)?;
    let added = AddedTokens::read(folder, kind.defaults(), &vocab)?;
    let space = settings.flag("add_prefix_space")?.unwrap_or(false);
    let around = around(kind, &settings, &added, space)?;
    let vocab: BTreeMap<&str, usize> =
        vocab.iter().map(|(token, id)| (token.as_str(), *id as usize)).collect();
    let merges = checked(&merges, &vocab).map_err(|reason| Error::tokenizer(&merges_path, reason))?;
    let bytes =
        json!({"type": "ByteLevel", "add_prefix_space": space, "trim_offsets": true, "use_regex": true});
    let file = File {
        version: "1.0",
        added_tokens: added.tokens.iter().map(listed).collect(),
        normalizer: Value::Null,
        pre_tokenizer: bytes.clone(),
        post_processor: around,
        decoder: bytes,
        model: Bpe {
            r#type: "BPE",
            unk_token: None,
            fuse_unk: false,
            byte_fallback: false,
            ignore_merges: false,
            vocab,
            merges,
        },
    };
    write(&file).map_err(|reason| Error::tokenizer(&vocab_path, reason))
}

fn listed(token: &Token) -> Added<'_> {
    Added {
        id: token.id as usize,
        content: &token.content,
        single_word: token.single_word,
        lstrip: token.lstrip,
        rstrip: token.rstrip,
        normalized: token.normalized,
        special: token.special,
    }
}

/// No two tokens may have one id.
fn check_ids(vocab: &BTreeMap<String, u32>) -> std::result::Result<(), String> {
    let mut by_id = BTreeMap::new();
    for (token, id) in vocab {
        if let Some(other) = by_id.insert(id, token) {
            return Err(format!("{other:?} and {token:?} both have the id {id}: damaged file"));
        }
    }
    if vocab.is_empty() { Err("it holds no token: damaged file".into()) } else { Ok(()) }
}

/// The merges, one a line, the first one first.
fn pairs(text: &str) -> std::result::Result<Vec<(String, String)>, String> {
    let lines = text.lines().filter(|line| !line.starts_with("#version") && !line.trim().is_empty());
    lines.enumerate().map(|(place, line)| pair(place, line)).collect()
}

/// What stands around a text: RoBERTa's two tokens; nothing in GPT-2, or its first token where the settings ask
/// for it.
fn around(kind: Kind, settings: &Settings<'_>, added: &AddedTokens, space: bool) -> Result<Value> {
    match kind {
        Kind::Roberta => {
            let (sep, cls) = (added.required("sep")?, added.required("cls")?);
            Ok(json!({
                "type": "RobertaProcessing",
                "sep": [sep.content, sep.id],
                "cls": [cls.content, cls.id],
                "trim_offsets": true,
                "add_prefix_space": space,
            }))
        }
        Kind::Gpt2 if settings.flag("add_bos_token")? == Some(true) => {
            let bos = added.required("bos")?;
            let start = json!({"SpecialToken": {"id": bos.content, "type_id": 0}});
            let text = |name: &str| json!({"Sequence": {"id": name, "type_id": 0}});
            let token = json!({"id": bos.content, "ids": [bos.id], "tokens": [bos.content]});
            Ok(json!({
                "type": "TemplateProcessing",
                "single": [start, text("A")],
                "pair": [start, text("A"), start, text("B")],
                "special_tokens": Map::from_iter([(bos.content.clone(), token)]),
            }))
        }
        // As it stands in GPT-2's tokenizer.json: tokens keep the space that they begin with.
        Kind::Gpt2 => Ok(
            json!({"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": false, "use_regex": true}),
        ),
    }
}
