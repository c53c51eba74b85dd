//! Rendering: minijinja, set up as transformers sets up jinja2, where a hostile template does no harm.
//!
//! Steps and bytes cost fuel; the work that fuel does not count, on nested values, is bounded by their size
//! (see `scan` and `values`), their depth by the source and the recursion limit, and the stack is large enough
//! for it. Should anything take long all the same, the caller has its error in time, and the thread is left.

use std::collections::BTreeMap;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Serde, Value};
use minijinja::{Environment, Error, ErrorKind, State};

use super::scan::{self, GENERATION, MEASURED, PLAIN};
use super::{Date, Message, json, values};

/// Steps of one rendering, each also worth 64 bytes of text: 32 MiB in all.
const FUEL: u64 = 1 << 19;
/// Blocks and macros in each other.
const RECURSION: usize = 200;
/// Enough for the deepest parse and the deepest value that `scan` lets through.
const STACK: usize = 64 << 20;
/// A rendering that runs out of fuel takes about a second.
const PATIENCE: Duration = Duration::from_secs(20);

/// What stands around the assistant's part in a rendering with marks: noncharacters, which no text holds.
pub(super) const MARKS: [char; 2] = ['\u{fdd0}', '\u{fdd1}'];

/// The function that writes the date.
const STRFTIME: &str = "strftime_now";

/// A compiled template.
pub(super) struct Engine {
    environment: Environment<'static>,
    pub(super) has_marks: bool,
    /// Whether the template's own text has a mark in it.
    pub(super) holds_mark: bool,
    /// Whether its source names [`STRFTIME`].
    pub(super) asks_for_date: bool,
}

/// What to render.
pub(super) struct Request<'a> {
    pub(super) messages: &'a [Message],
    pub(super) tokens: &'a BTreeMap<String, String>,
    pub(super) date: Option<Date>,
    /// Whether to end with the generation prompt.
    pub(super) prompt: bool,
    /// Whether to put [`MARKS`] around what the assistant says.
    pub(super) marks: bool,
}

impl Engine {
    /// Compiles a template, or says where it is wrong.
    pub(super) fn compile(source: &str) -> Result<Self, String> {
        let scanned = scan::scan(source)?;
        let (has_marks, holds_mark) = (scanned.has_marks, source.contains(MARKS));
        let asks_for_date = source.contains(STRFTIME);
        let environment = apart(PATIENCE, move || {
            let mut environment = environment()?;
            environment.add_template_owned("chat", scanned.source)?;
            Ok(environment)
        })?;
        Ok(Self { environment, has_marks, holds_mark, asks_for_date })
    }

    /// Renders, or says why not.
    pub(super) fn render(engine: &Arc<Self>, request: Request<'_>) -> Result<String, String> {
        let engine = Arc::clone(engine);
        let mut context: BTreeMap<String, Value> =
            request.tokens.iter().map(|(name, text)| (name.clone(), Value::from(text.clone()))).collect();
        context.insert("messages".into(), Value::from(Serde(request.messages)));
        context.insert("add_generation_prompt".into(), Value::from(request.prompt));
        // transformers passes these two always.
        context.insert("tools".into(), Value::from(()));
        context.insert("documents".into(), Value::from(()));
        if let Some(date) = request.date {
            let strftime = move |format: &str| date.format(format).map_err(|reason| refused(&reason));
            context.insert(STRFTIME.into(), Value::from_function(strftime));
        }
        let marks = request.marks;
        context.insert(
            GENERATION.into(),
            Value::from_function(move |state: &mut State<'_, '_>, body| generation(state, &body, marks)),
        );
        apart(PATIENCE, move || engine.environment.get_template("chat")?.render(Value::from(context)))
    }
}

fn environment() -> Result<Environment<'static>, Error> {
    let mut environment = Environment::new();
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.set_unknown_method_callback(values::method);
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(RECURSION);
    environment.remove_global("debug");
    environment.add_function("range", values::range);
    environment.add_filter("tojson", json::tojson);
    environment.add_filter(MEASURED, values::measured);
    environment.add_filter(PLAIN, values::plain);
    environment.add_filter("map", values::map);
    // Each can make much of little, and no chat template needs it.
    for name in ["batch", "slice", "format", "pprint", "urlencode"] {
        environment.remove_filter(name);
    }
    environment.add_function("raise_exception", |message: &str| -> Result<Value, Error> {
        Err(Error::new(ErrorKind::InvalidOperation, "raise_exception")
            .with_source(Raised(message.to_owned())))
    });
    Ok(environment)
}

/// A block that the assistant says.
fn generation(state: &mut State<'_, '_>, body: &Kwargs, marks: bool) -> Result<Value, Error> {
    let text = body.get::<Value>("caller")?.call(state, &[])?;
    let [from, to] = MARKS;
    Ok(if marks { Value::from(format!("{from}{text}{to}")) } else { text })
}

/// An error of ours inside a template.
pub(super) fn refused(reason: &str) -> Error {
    Error::new(ErrorKind::InvalidOperation, reason.to_owned())
}

/// What a template says when it objects.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Raised(String);

/// Runs a call into minijinja on a stack of its own, and waits no longer than any real template takes.
fn apart<T, W>(patience: Duration, work: W) -> Result<T, String>
where
    T: Send + 'static,
    W: FnOnce() -> Result<T, Error> + Send + 'static,
{
    let (sender, receiver) = mpsc::sync_channel(1);
    let run = move || {
        let done = offshoot_core::guarded(|| work().map_err(|error| described(&error)));
        // Nobody listens any more after the time limit.
        let _ = sender.send(done.unwrap_or_else(|| Err("the template makes its engine fail".to_owned())));
    };
    let thread = std::thread::Builder::new().name("chat template".into()).stack_size(STACK).spawn(run);
    thread.map_err(|error| format!("no thread to render it on: {error}"))?;
    let late = |_| Err(format!("the template has not ended after {} seconds", patience.as_secs()));
    receiver.recv_timeout(patience).unwrap_or_else(late)
}

/// An error in a line, with what the template itself says first.
fn described(error: &Error) -> String {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(inner) = cause {
        if let Some(Raised(message)) = inner.downcast_ref() {
            return format!("the template refuses these messages: {}", shortened(message));
        }
        cause = inner.source();
    }
    let place = error.line().map_or_else(String::new, |line| format!("line {line}: "));
    if error.kind() == ErrorKind::OutOfFuel {
        return format!("{place}the template takes more steps or memory than any real one");
    }
    let hint = match error.detail() {
        Some(detail) if detail.contains(STRFTIME) => " (it asks for today's date, which is not given)",
        _ => "",
    };
    let detail = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
    format!("{place}{}{hint}", shortened(&detail))
}

fn shortened(text: &str) -> String {
    const MOST: usize = 500;
    let mut short: String = text.chars().take(MOST).collect();
    if text.chars().nth(MOST).is_some() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_end_is_left() {
        let (keep, wait) = mpsc::channel::<()>();
        let late = apart(Duration::ZERO, move || Ok(wait.recv().is_ok()));
        assert!(late.unwrap_err().contains("has not ended after 0 seconds"));
        drop(keep);
    }
}
