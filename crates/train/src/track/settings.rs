//! Where a run's numbers go beside its own lines, and what the run is called there.

use super::mlflow::{Experiment, MlflowServer};
use crate::{Recipe, Result, TrainSettings};
use offshoot_methods::MethodConfig;
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

/// Who is told of a run, beside its `log.jsonl`. Changes no result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrackSettings {
    /// Whether there are event files for TensorBoard. Default no.
    pub tensorboard: bool,
    /// The tracking server of MLflow that each run is posted to. Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mlflow: Option<MlflowServer>,
    /// The experiment there, which is made if there is none. Default `offshoot`.
    pub mlflow_experiment: String,
}

impl Default for TrackSettings {
    fn default() -> Self {
        Self { tensorboard: false, mlflow: None, mlflow_experiment: "offshoot".into() }
    }
}

impl TrackSettings {
    /// Whether there is nothing to say.
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// With the password that a copy which was written lost, if the server is the same.
    pub(crate) fn with_user_of(self, before: &Self) -> Self {
        let shown = |server: &Option<MlflowServer>| server.as_ref().map(ToString::to_string);
        if shown(&self.mlflow) == shown(&before.mlflow) && self.mlflow == before.mlflow.as_ref().map(plain) {
            return Self { mlflow: before.mlflow.clone(), ..self };
        }
        self
    }
}

/// The server as files have it.
fn plain(server: &MlflowServer) -> MlflowServer {
    server.to_string().into()
}

/// Whoever is told of runs, ready for them.
#[derive(Clone, Default)]
pub struct Trackers {
    pub(super) tensorboard: bool,
    pub(super) mlflow: Option<Experiment>,
}

impl Trackers {
    /// Asks the server, if there is one, for the experiment.
    ///
    /// # Errors
    /// An address that is none; a server that cannot be reached or refuses: the message says what to do.
    pub fn connect(settings: &TrackSettings) -> Result<Self> {
        let experiment = |server| Experiment::connect(server, &settings.mlflow_experiment);
        Ok(Self {
            tensorboard: settings.tensorboard,
            mlflow: settings.mlflow.as_ref().map(experiment).transpose()?,
        })
    }

    /// Those that need no server.
    #[must_use]
    pub fn local(&self) -> Self {
        Self { mlflow: None, ..*self }
    }

    /// The address at which a person sees the runs.
    pub fn page(&self) -> Option<String> {
        self.mlflow.as_ref().map(Experiment::page)
    }
}

/// What a run is called, and what decides it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunInfo {
    /// Such as `lora-seed0`.
    pub name: String,
    /// Keys as `--set` has them, with their values as TOML; `method` is the method's name.
    pub params: Vec<(String, String)>,
}

impl RunInfo {
    /// The run of one method of a recipe, on these settings.
    ///
    /// # Errors
    /// If a setting cannot be written as TOML.
    pub fn of(recipe: &Recipe, method: &MethodConfig, settings: &TrainSettings) -> Result<Self> {
        let part = settings.rows.map_or_else(String::new, |rows| format!("-rows{rows}"));
        let info = method.info();
        let lr = settings.lr.unwrap_or(info.learning_rate);
        let recipe = Recipe {
            train: TrainSettings { lr: Some(lr), ..settings.clone() },
            methods: vec![method.clone()],
            track: TrackSettings::default(),
            ..recipe.clone()
        };
        let mut params = Vec::new();
        // From the text: numbers are as short in it as they are written.
        let mut table: Table = recipe.to_toml()?.parse().unwrap_or_default();
        if let Some(Value::Array(mut methods)) = table.remove("methods") {
            table.insert("method".into(), methods.pop().unwrap_or(Value::Table(Table::new())));
        }
        flatten("", &Value::Table(table), &mut params);
        Ok(Self { name: format!("{}{part}-seed{}", info.name, settings.seed), params })
    }
}

/// Characters of a value: the least that any version of MLflow takes.
const LONGEST: usize = 500;

/// A value's key and text; of a table, those in it.
fn flatten(key: &str, value: &Value, params: &mut Vec<(String, String)>) {
    match value {
        Value::Table(table) if table.keys().all(|key| is_key(key)) => {
            for (inner, value) in table {
                let path = if key.is_empty() { inner.clone() } else { format!("{key}.{inner}") };
                // The name of the method stands in its table.
                flatten(if path == "method.method" { "method" } else { &path }, value, params);
            }
        }
        Value::String(text) => params.push((key.to_owned(), cut(text))),
        value => params.push((key.to_owned(), cut(&value.to_string()))),
    }
}

/// Whether MLflow takes it as a part of a key; names of labels may be anything.
fn is_key(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c))
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(LONGEST - 1) {
        Some((at, _)) if text[at..].chars().nth(1).is_some() => format!("{}…", &text[..at]),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe(more: &str) -> Recipe {
        let text =
            format!("{more}\n[model]\nname = 'm'\n[data]\npath = 'rows.csv'\n[[methods]]\nmethod = 'lora'");
        Recipe::from_toml(&text).unwrap()
    }

    #[test]
    fn a_run_is_named_with_what_decides_it() {
        let recipe = recipe("");
        let settings = TrainSettings { seed: 7, rows: Some(20), ..TrainSettings::default() };
        let info = RunInfo::of(&recipe, &recipe.methods[0], &settings).unwrap();
        assert_eq!(info.name, "lora-rows20-seed7");
        let value = |key: &str| {
            let found: Vec<&str> =
                info.params.iter().filter(|(k, _)| k == key).map(|(_, value)| value.as_str()).collect();
            assert_eq!(found.len(), 1, "{key} in {:?}", info.params);
            found[0].to_owned()
        };
        let keys = ["method", "method.rank", "train.seed", "train.batch", "model.name", "data.path"];
        assert_eq!(keys.map(value), ["lora", "8", "7", "16", "m", "rows.csv"]);
        assert_eq!(["train.weight_decay", "train.lr"].map(value), ["0.01", "0.0007"]);
    }

    #[test]
    fn labels_are_no_keys_and_long_texts_are_cut() {
        let mut params = Vec::new();
        let text = format!("a = {{ 'très bon' = 1 }}\nb = '{}'\nc = '{}'", "é".repeat(501), "é".repeat(500));
        flatten("x", &Value::Table(text.parse().unwrap()), &mut params);
        assert_eq!(params[0], ("x.a".into(), "{ \"très bon\" = 1 }".into()));
        assert_eq!(params[1].1, format!("{}…", "é".repeat(499)));
        assert_eq!(params[2].1, "é".repeat(500));
    }

    #[test]
    fn a_recipe_has_the_server_and_never_the_password() {
        let mut recipe = recipe("track = { mlflow = 'http://ann:secret@host:5000' }");
        assert!(!recipe.to_toml().unwrap().contains("ann"), "{recipe:?}");
        assert!(!format!("{recipe:?}").contains("secret"));
        // An override of something else goes by way of a table.
        recipe.set("train.epochs=2").unwrap();
        recipe.set("track.mlflow_experiment=other").unwrap();
        let track = &recipe.track;
        assert_eq!(track.mlflow_experiment, "other");
        assert_eq!(track.mlflow, Some(MlflowServer::from("http://ann:secret@host:5000".to_owned())));
        recipe.set("track.mlflow=http://host:5001").unwrap();
        assert_eq!(recipe.track.mlflow, Some(MlflowServer::from("http://host:5001".to_owned())));
    }
}
