//! The special and added tokens of a folder without tokenizer.json, from the files that name them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::files;

/// A token that is found in a text before anything else is done to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) id: u32,
    pub(super) content: String,
    pub(super) single_word: bool,
    pub(super) lstrip: bool,
    pub(super) rstrip: bool,
    pub(super) normalized: bool,
    pub(super) special: bool,
}

/// All of them, by rising id.
pub(super) struct AddedTokens {
    pub(super) tokens: Vec<Token>,
    /// The texts of the special ones by what for (`"sep"`).
    named: BTreeMap<String, String>,
    /// For messages: the file that names them.
    path: PathBuf,
}

impl AddedTokens {
    /// Reads `tokenizer_config.json` (its `added_tokens_decoder` among the rest), `special_tokens_map.json` and
    /// `added_tokens.json`; `defaults` are the special tokens that count where none is named.
    ///
    /// # Errors
    /// A file that cannot be read; a token that is named and has no id; ids that do not follow the vocabulary's.
    pub(super) fn read(
        folder: &Path,
        defaults: &[(&str, &str)],
        vocab: &BTreeMap<String, u32>,
    ) -> Result<Self> {
        let path = folder.join("tokenizer_config.json");
        let [config, map, extra] = ["tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"]
            .map(|name| object(&folder.join(name)));
        let (config, map, extra) = (config?, map?, extra?);
        let mut read = Self { tokens: Vec::new(), named: BTreeMap::new(), path };
        let mut tokens = read.decoder(&config)?;
        for (content, id) in &extra {
            let id = id.as_u64().and_then(|id| u32::try_from(id).ok());
            let id = id.ok_or_else(|| read.wrong(&format!("added_tokens.json gives {content:?} no id")))?;
            tokens.entry(content.clone()).or_insert_with(|| plain(content, id));
        }
        for kind in ["bos", "eos", "unk", "sep", "pad", "cls", "mask"] {
            let key = format!("{kind}_token");
            let given =
                [&config, &map].into_iter().find_map(|map| map.get(&key).filter(|value| !value.is_null()));
            let default =
                defaults.iter().find(|(name, _)| *name == kind).map(|(_, token)| Value::from(*token));
            let known = |value: &Value| {
                content(value).is_some_and(|token| tokens.contains_key(token) || vocab.contains_key(token))
            };
            let Some(value) = given.cloned().or(default.filter(known)) else { continue };
            let token = read.special(&value, kind, &tokens, vocab)?;
            read.named.insert(kind.to_owned(), token.content.clone());
            tokens.insert(token.content.clone(), token);
        }
        let additional =
            [&config, &map].into_iter().find_map(|map| map.get("additional_special_tokens")?.as_array());
        for value in additional.into_iter().flatten() {
            let token = read.special(value, "additional", &tokens, vocab)?;
            tokens.insert(token.content.clone(), token);
        }
        read.tokens = tokens.into_values().collect();
        read.tokens.sort_by_key(|token| token.id);
        read.check_ids(vocab)?;
        Ok(read)
    }

    /// The special token of a kind, which something cannot do without.
    pub(super) fn required(&self, kind: &str) -> Result<&Token> {
        let token =
            self.named.get(kind).and_then(|text| self.tokens.iter().find(|token| token.content == *text));
        token
            .ok_or_else(|| self.wrong(&format!("there is no `{kind}_token`, and texts begin or end with it")))
    }

    /// `added_tokens_decoder`: id to token.
    fn decoder(&self, config: &Map<String, Value>) -> Result<BTreeMap<String, Token>> {
        let listed = config.get("added_tokens_decoder").and_then(Value::as_object);
        let mut tokens = BTreeMap::new();
        for (id, value) in listed.into_iter().flatten() {
            let id = id.parse().ok();
            let (Some(id), Some(content)) = (id, content(value)) else {
                return Err(self.wrong("`added_tokens_decoder` has an entry that is no id with its token"));
            };
            let special = flag(value, "special").unwrap_or(false);
            let token = Token { special, ..with_flags(plain(content, id), value) };
            tokens.insert(content.to_owned(), token);
        }
        Ok(tokens)
    }

    /// A special token as a file names it: a text, or an object that holds it.
    fn special(
        &self,
        value: &Value,
        kind: &str,
        tokens: &BTreeMap<String, Token>,
        vocab: &BTreeMap<String, u32>,
    ) -> Result<Token> {
        let text = content(value).ok_or_else(|| self.wrong(&format!("the {kind} token is no text")))?;
        let token = match (tokens.get(text), vocab.get(text)) {
            (Some(token), _) => token.clone(),
            // RoBERTa's mask swallows the space before it.
            (None, Some(&id)) => Token { lstrip: kind == "mask", ..plain(text, id) },
            (None, None) => {
                return Err(
                    self.wrong(&format!("the {kind} token {text:?} has no id: it is not in vocab.json"))
                );
            }
        };
        Ok(Token { special: true, normalized: false, ..with_flags(token, value) })
    }

    /// Tokens beside the vocabulary must have the ids after its last, for they are counted on from there.
    fn check_ids(&self, vocab: &BTreeMap<String, u32>) -> Result<()> {
        let mut next = vocab.len();
        for token in &self.tokens {
            let expected = match vocab.get(&token.content) {
                Some(&id) => id as usize,
                None => {
                    next += 1;
                    next - 1
                }
            };
            if token.id as usize != expected {
                let (content, id) = (&token.content, token.id);
                return Err(
                    self.wrong(&format!("the token {content:?} has the id {id}, and should have {expected}"))
                );
            }
        }
        Ok(())
    }

    fn wrong(&self, reason: &str) -> Error {
        Error::tokenizer(&self.path, reason.to_owned())
    }
}

fn plain(content: &str, id: u32) -> Token {
    let content = content.to_owned();
    Token { id, content, single_word: false, lstrip: false, rstrip: false, normalized: true, special: false }
}

fn with_flags(token: Token, value: &Value) -> Token {
    Token {
        single_word: flag(value, "single_word").unwrap_or(token.single_word),
        lstrip: flag(value, "lstrip").unwrap_or(token.lstrip),
        rstrip: flag(value, "rstrip").unwrap_or(token.rstrip),
        normalized: flag(value, "normalized").unwrap_or(token.normalized),
        ..token
    }
}

fn flag(value: &Value, name: &str) -> Option<bool> {
    value.get(name)?.as_bool()
}

fn content(value: &Value) -> Option<&str> {
    value.get("content").unwrap_or(value).as_str().filter(|text| !text.is_empty())
}

fn object(path: &Path) -> Result<Map<String, Value>> {
    if path.exists() { files::read_json(path) } else { Ok(Map::new()) }
}
