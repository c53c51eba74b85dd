//! config.json, read so that every field is honoured or refused by name.
//!
//! A family's file asks [`Fields`] for what it reads, says which values it supports only one of, and which of
//! its own fields change nothing; [`Fields::finish`] then refuses whatever is left, all problems at once.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::error::{Error, Result};
use crate::files;

/// Fields of any family that change no number here, by kind.
const NO_EFFECT: &[&str] = &[
    // where the model comes from and what wrote it
    "_name_or_path",
    "architectures",
    "model_type",
    "transformers_version",
    "adapters_version",
    "_commit_hash",
    "name_or_path",
    "finetuning_task",
    "task_specific_params",
    // how it is stored and executed
    "dtype",
    "torch_dtype",
    "use_cache",
    "gradient_checkpointing",
    "_attn_implementation",
    "_attn_implementation_autoset",
    "attn_implementation",
    "low_cpu_mem_usage",
    // what a call returns
    "output_attentions",
    "output_hidden_states",
    "output_past",
    "return_dict",
    "keys_to_ignore_at_inference",
    // the tokenizer's business, which reads its own files
    "tokenizer_class",
    "bos_token_id",
    "eos_token_id",
    "sep_token_id",
    "cls_token_id",
    "mask_token_id",
    "pad_token_id",
    "unk_token_id",
    "decoder_start_token_id",
    "prefix",
    // new weights are drawn by the method or the head that makes them; the task comes from the data
    "initializer_range",
    "problem_type",
];

/// Fields that transformers gives every family, and the one value that is supported.
fn only_at_default() -> [(&'static str, Value); 10] {
    [
        ("add_cross_attention", json!(false)),
        ("chunk_size_feed_forward", json!(0)),
        ("cross_attention_hidden_size", Value::Null),
        ("is_decoder", json!(false)),
        ("is_encoder_decoder", json!(false)),
        ("pruned_heads", json!({})),
        ("tie_encoder_decoder", json!(false)),
        ("torchscript", json!(false)),
        ("use_bfloat16", json!(false)),
        ("quantization_config", Value::Null),
    ]
}

/// No dimension of a model is larger, so that products of a few of them can be trusted not to overflow.
const LARGEST: u64 = 1 << 28;

/// The config.json of a model folder.
///
/// # Errors
/// If it is absent or is not a JSON object.
pub fn read(folder: &Path) -> Result<Map<String, Value>> {
    files::read_json(&folder.join("config.json"))
}

/// The fields of a config.json, while a family reads them. A reader whose field is absent or unfit gives its
/// default (or the smallest value) and notes the problem, so that a family reads straight through.
///
/// ```
/// # use offshoot_models::config::Fields;
/// # use serde_json::json;
/// let config = json!({"hidden_size": 384, "is_decoder": true, "sparsity": 3});
/// let mut f = Fields::new("bert", config.as_object().cloned().unwrap_or_default());
/// let hidden = f.usize("hidden_size");
/// let eps = f.f32_or("layer_norm_eps", 1e-12);
/// f.only("position_embedding_type", json!("absolute"));
/// let error = f.finish().unwrap_err().to_string(); // names is_decoder and sparsity
/// # assert!(hidden == 384 && eps == 1e-12);
/// # assert!(error.contains("`is_decoder`") && error.contains("`sparsity`"));
/// ```
#[derive(Debug)]
pub struct Fields {
    family: String,
    map: Map<String, Value>,
    known: BTreeSet<String>,
    problems: Vec<String>,
}

impl Fields {
    /// Starts reading; `family` is for the messages.
    pub fn new(family: &str, map: Map<String, Value>) -> Self {
        Self { family: family.to_owned(), map, known: BTreeSet::new(), problems: Vec::new() }
    }

    /// A whole number that must be there: at least 1, at most 2^28.
    pub fn usize(&mut self, name: &str) -> usize {
        match self.take(name) {
            Some(value) => self.number(name, &value, 1).unwrap_or(1),
            None => {
                self.problem(name, "is missing");
                1
            }
        }
    }

    /// A whole number from 0 to 2^28; `default` if absent or null.
    pub fn usize_or(&mut self, name: &str, default: usize) -> usize {
        self.take(name).and_then(|value| self.number(name, &value, 0)).unwrap_or(default)
    }

    /// A finite number; `default` if absent or null.
    pub fn f32_or(&mut self, name: &str, default: f32) -> f32 {
        self.optional_f32(name).unwrap_or(default)
    }

    /// A finite number, or none if absent or null.
    pub fn optional_f32(&mut self, name: &str) -> Option<f32> {
        let fits =
            |value: &Value| value.as_f64().map(|number| number as f32).filter(|number| number.is_finite());
        self.read(name, "a number", fits)
    }

    /// A probability in [0, 1), such as a dropout; none if absent or null.
    pub fn probability(&mut self, name: &str) -> Option<f32> {
        let fits = |value: &Value| value.as_f64().map(|p| p as f32).filter(|p| (0.0..1.0).contains(p));
        self.read(name, "a number from 0 up to, not including, 1", fits)
    }

    /// `true` or `false`; `default` if absent or null.
    pub fn bool_or(&mut self, name: &str, default: bool) -> bool {
        self.read(name, "true or false", Value::as_bool).unwrap_or(default)
    }

    /// A text; `default` if absent or null.
    pub fn text_or(&mut self, name: &str, default: &str) -> String {
        let text = self.read(name, "a text", |value| value.as_str().map(str::to_owned));
        text.unwrap_or_else(|| default.to_owned())
    }

    /// One of the named choices; `default` if absent or null.
    pub fn choice<T: Clone>(&mut self, name: &str, default: T, choices: &[(&str, T)]) -> T {
        let names = choices.iter().map(|choice| format!("\"{}\"", choice.0)).collect::<Vec<_>>().join(", ");
        let find =
            |value: &Value| choices.iter().find(|choice| value == choice.0).map(|choice| choice.1.clone());
        self.read(name, &format!("one of {names}"), find).unwrap_or(default)
    }

    /// An object; none if absent or null.
    pub(crate) fn object(&mut self, name: &str) -> Option<Map<String, Value>> {
        self.read(name, "an object", |value| value.as_object().cloned())
    }

    /// A list whose entries all pass `entry`; none if absent or null.
    pub(crate) fn list<T>(
        &mut self,
        name: &str,
        wanted: &str,
        entry: impl Fn(&Value) -> Option<T>,
    ) -> Option<Vec<T>> {
        self.read(name, wanted, |value| value.as_array()?.iter().map(entry).collect())
    }

    /// The class names in the order of their ids, from `id2label` (or as many `LABEL_i` as `num_labels`
    /// says).
    pub fn labels(&mut self) -> Option<Vec<String>> {
        self.ignore(&["label2id"]);
        let count = self.read("num_labels", "a whole number up to 100000", |value| {
            value.as_u64().filter(|&count| count <= 100_000)
        });
        let named = self.read("id2label", "a map from 0, 1, 2, ... to names", label_names);
        named.or_else(|| Some((0..count?).map(|id| format!("LABEL_{id}")).collect()))
    }

    /// A field that is supported at one value only; absent and null pass.
    pub fn only(&mut self, name: &str, value: Value) {
        let Some(found) = self.take(name) else { return };
        let equal = found == value || (found.is_number() && found.as_f64() == value.as_f64());
        if !equal {
            self.problem(name, &format!("is {found}; only {value} is supported"));
        }
    }

    /// A field that is supported at some texts only; absent and null pass.
    pub fn one_of(&mut self, name: &str, texts: &[&str]) {
        let Some(found) = self.take(name) else { return };
        if !found.as_str().is_some_and(|found| texts.contains(&found)) {
            self.problem(name, &format!("is {found}; only {} are supported", texts.join(", ")));
        }
    }

    /// Fields that are known to change nothing for this family.
    pub fn ignore(&mut self, names: &[&str]) {
        self.known.extend(names.iter().map(|&name| name.to_owned()));
    }

    /// Notes what is wrong with a field, for checks across fields.
    pub fn problem(&mut self, name: &str, what: &str) {
        self.problems.push(format!("field `{name}` {what}"));
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// One [`Error::Config`] with every problem, fields that nobody asked for among them.
    pub fn finish(mut self) -> Result<()> {
        for (name, value) in only_at_default() {
            if !self.known.contains(name) {
                self.only(name, value);
            }
        }
        self.ignore(NO_EFFECT);
        for name in self.map.keys().filter(|name| !self.known.contains(*name)) {
            let family = &self.family;
            self.problems.push(format!(
                "field `{name}` is not known for {family}, so what it asks for would be lost; \
                 remove it from config.json if the model does not depend on it"
            ));
        }
        if self.problems.is_empty() {
            return Ok(());
        }
        Err(Error::Config { family: self.family, problems: self.problems })
    }

    /// The field's value unless absent or null; from now on it counts as known.
    fn take(&mut self, name: &str) -> Option<Value> {
        self.known.insert(name.to_owned());
        self.map.get(name).filter(|value| !value.is_null()).cloned()
    }

    /// A field through `fits`; what does not fit is noted with what was `wanted`.
    fn read<T>(&mut self, name: &str, wanted: &str, fits: impl FnOnce(&Value) -> Option<T>) -> Option<T> {
        let value = self.take(name)?;
        let fitting = fits(&value);
        if fitting.is_none() {
            self.problem(name, &format!("is {}; it must be {wanted}", shortened(&value)));
        }
        fitting
    }

    fn number(&mut self, name: &str, value: &Value, least: u64) -> Option<usize> {
        let number = value.as_u64().filter(|number| (least..=LARGEST).contains(number));
        if number.is_none() {
            let wanted = format!("it must be a whole number from {least} to {LARGEST}");
            self.problem(name, &format!("is {}; {wanted}", shortened(value)));
        }
        number.and_then(|number| usize::try_from(number).ok())
    }
}

/// `{"0": "no", "1": "yes"}` as `["no", "yes"]`; none if an id is left out.
fn label_names(value: &Value) -> Option<Vec<String>> {
    let map = value.as_object()?;
    let name = |id: usize| map.get(&id.to_string())?.as_str().map(str::to_owned);
    (0..map.len()).map(name).collect()
}

/// A value for a message: a hostile one may be long.
fn shortened(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= 80 { text } else { text.chars().take(80).chain("...".chars()).collect() }
}

#[cfg(test)]
mod tests;
