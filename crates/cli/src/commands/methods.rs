//! `offshoot methods`: what there is to choose from.

use crate::flags::method_names;
use crate::session::Session;
use crate::table::table;
use crate::text::{plain, rate};
use anyhow::Result;
use offshoot::methods::{Info, MethodConfig, Saves};
use serde_json::{Value, json};

const EXAMPLE: &str = "Examples:
  offshoot methods
  offshoot methods lora";

/// The arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct Args {
    /// Show the settings of this method
    #[arg(value_parser = method_names(), hide_possible_values = true)]
    name: Option<String>,

    /// Print one JSON object as the last line of stdout
    #[arg(long)]
    pub(crate) json: bool,
}

/// Prints the registry, or one method's settings.
pub(crate) fn run(args: &Args, session: &Session) -> Result<()> {
    match &args.name {
        Some(name) => one(&MethodConfig::named(name)?, session),
        None => all(session),
    }
}

fn all(session: &Session) -> Result<()> {
    let row = |info: &Info| {
        [info.name, info.summary, &learning_rate(info), files(info.saves), info.paper]
            .map(str::to_owned)
            .to_vec()
    };
    let header = ["method", "what it trains, beside the head", "learning rate", "files", "paper"];
    session.console.show(&table(&header, MethodConfig::ALL.iter().map(row), header.len()))?;
    session.console.show("\n`offshoot methods NAME` shows the settings of one.")?;
    let methods: Vec<Value> = MethodConfig::ALL.iter().map(described).collect::<Result<_>>()?;
    session.console.json(&json!({ "methods": methods }))
}

fn one(method: &MethodConfig, session: &Session) -> Result<()> {
    let info = method.info();
    let about = format!(
        "{}: {}\n{}\nlearning rate {}; saved as {}\n",
        info.name,
        info.summary,
        info.paper,
        learning_rate(info),
        files(method.saves())
    );
    session.console.show(&about)?;
    let settings = settings(method)?;
    let rows: Vec<Vec<String>> =
        settings.iter().map(|(key, value)| vec![key.clone(), shown(value)]).collect();
    match rows.first() {
        None => session.console.show("It has no settings.")?,
        Some(row) => {
            session.console.show(&table(&["setting", "default"], rows.clone(), 2))?;
            session.console.show(&format!("\nChange one with --set {}.{}=VALUE.", info.name, row[0]))?;
        }
    }
    let mut object = described(info)?;
    object["settings"] = serde_json::to_value(settings)?;
    session.console.json(&object)
}

/// A method's settings in the order of its file.
fn settings(method: &MethodConfig) -> Result<serde_json::Map<String, Value>> {
    let Value::Object(mut settings) = plain(method)? else {
        return Ok(serde_json::Map::new());
    };
    settings.shift_remove("method");
    Ok(settings)
}

/// A setting's value as it stands in a recipe.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "unset".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}

/// The settings that say something, in a line.
pub(crate) fn summary(method: &MethodConfig) -> Result<String> {
    let silent = |value: &Value| value.is_null() || value.as_object().is_some_and(serde_json::Map::is_empty);
    let settings = settings(method)?;
    let said = settings.iter().filter(|(_, value)| !silent(value));
    Ok(said.map(|(key, value)| format!("{key} {}", shown(value))).collect::<Vec<_>>().join(", "))
}

fn described(info: &Info) -> Result<Value> {
    Ok(json!({
        "name": info.name,
        "summary": info.summary,
        "paper": info.paper,
        "learning_rate": plain(&info.learning_rate)?,
        "files": files(info.saves),
    }))
}

fn learning_rate(info: &Info) -> String {
    match info.saves {
        Saves::Features | Saves::Fitted => "fitted".to_owned(),
        Saves::Prompt => "none".to_owned(),
        _ => rate(info.learning_rate),
    }
}

/// What a method's files are called.
pub(crate) fn files(saves: Saves) -> &'static str {
    match saves {
        Saves::Peft => "peft",
        Saves::AdapterHub => "AdapterHub",
        Saves::Weights => "safetensors",
        Saves::Checkpoint => "whole model",
        Saves::Features | Saves::Fitted => "classifier",
        Saves::Prompt => "text",
    }
}
