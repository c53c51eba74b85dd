//! Where a text is cut before bytes are paired, by the name that llama.cpp gives it.

use serde_json::{Value as Json, json};

/// A way to cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Split {
    Gpt2,
    Llama3,
    Qwen2,
}

/// Ways to cut by name. SmolLM's own tokenizer.json (and llama.cpp) cuts at every digit first, which shows
/// after several spaces or line breaks; transformers does not when it reads a file, and neither is it done
/// here.
const NAMES: [(&str, Split); 9] = [
    ("default", Split::Gpt2),
    ("gpt-2", Split::Gpt2),
    ("smollm", Split::Gpt2),
    ("llama-bpe", Split::Llama3),
    ("llama3", Split::Llama3),
    ("llama-v3", Split::Llama3),
    ("qwen2", Split::Qwen2),
    ("deepseek-r1-qwen", Split::Qwen2),
    ("megrez", Split::Qwen2),
];

impl Split {
    /// By its name; a file from before there were names is cut as GPT-2.
    pub(super) fn of(name: Option<&str>) -> Result<Self, String> {
        let Some(name) = name else { return Ok(Self::Gpt2) };
        NAMES.iter().find(|(known, _)| *known == name).map(|(_, split)| *split).ok_or_else(|| {
            let known = NAMES.map(|(known, _)| known).join(", ");
            format!("`tokenizer.ggml.pre` is `{name}`, which is not supported; supported are {known}")
        })
    }

    /// Whether a word that is a token stays whole, whatever merges would make of it.
    pub(super) fn keeps_words(self) -> bool {
        self == Self::Llama3
    }

    /// Whether texts begin with a special token if the file does not say.
    pub(super) fn begins_texts(self) -> bool {
        self == Self::Llama3
    }

    pub(super) fn pre_tokenizer(self) -> Json {
        let bytes = |regex: bool| {
            json!({
                "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": regex,
            })
        };
        let Some(pattern) = self.pattern() else { return bytes(true) };
        let split =
            json!({"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false});
        json!({"type": "Sequence", "pretokenizers": [split, bytes(false)]})
    }

    /// None is the pattern of GPT-2, which the byte-level step has.
    fn pattern(self) -> Option<String> {
        let digits = match self {
            Self::Gpt2 => return None,
            Self::Llama3 => r"\p{N}{1,3}",
            Self::Qwen2 => r"\p{N}",
        };
        let endings = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
        let (words, signs) = (r"[^\r\n\p{L}\p{N}]?\p{L}+", r" ?[^\s\p{L}\p{N}]+[\r\n]*");
        Some(format!(r"{endings}|{words}|{digits}|{signs}|\s*[\r\n]+|\s+(?!\S)|\s+"))
    }
}
