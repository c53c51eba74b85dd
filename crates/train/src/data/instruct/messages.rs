//! A conversation out of one cell: a JSON list of messages.

use super::super::error::shown;
use offshoot_models::Message;
use serde_json::Value;

/// No conversation in one row has more turns; the time to find the assistant's grows with their square.
const MOST: usize = 1000;

/// The messages of a cell.
pub(super) fn parse(cell: &str) -> Result<Vec<Message>, String> {
    let list: Vec<Value> =
        serde_json::from_str(cell).map_err(|error| format!("the messages are not a JSON list ({error})"))?;
    if list.is_empty() {
        return Err("the list of messages is empty".to_owned());
    }
    if list.len() > MOST {
        return Err(format!("{} messages, but at most {MOST} are read", list.len()));
    }
    let message = |(at, value): (usize, &Value)| {
        message(value).map_err(|reason| format!("message {}: {reason}", at + 1))
    };
    list.iter().enumerate().map(message).collect()
}

/// `{"role", "content"}`, or ShareGPT's `{"from", "value"}`.
fn message(value: &Value) -> Result<Message, String> {
    let shape = "must be {\"role\": …, \"content\": …} or {\"from\": …, \"value\": …}";
    let map = value.as_object().ok_or_else(|| shape.to_owned())?;
    let [speaker, said] = match (map.get("role"), map.get("from")) {
        (Some(_), _) => ["role", "content"],
        (None, Some(_)) => ["from", "value"],
        (None, None) => return Err(shape.to_owned()),
    };
    let text = |field: &str| {
        map.get(field).and_then(Value::as_str).ok_or_else(|| format!("`{field}` must be a text"))
    };
    let (speaker, said) = (text(speaker)?, text(said)?);
    Ok(Message::new(role(speaker)?, said))
}

fn role(name: &str) -> Result<&str, String> {
    match name {
        "system" | "user" | "assistant" | "tool" => Ok(name),
        "human" => Ok("user"),
        "gpt" | "model" | "bot" => Ok("assistant"),
        _ => {
            let known = "system, user (human), assistant (gpt, model, bot), tool";
            Err(format!("no role is named {}; the roles are {known}", shown(name)))
        }
    }
}
