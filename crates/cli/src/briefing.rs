//! What a run says before it starts: so that a wrong column or a wrong model is seen at once.

use crate::commands::methods::summary;
use crate::text::{bytes, count, rate, some};
use anyhow::Result;
use offshoot::core::Rng;
use offshoot::methods::{MethodConfig, Saves};
use offshoot::models::Model;
use offshoot::train::instruct::LmRow;
use offshoot::train::{Briefing, Lengths, LmBriefing, LmPrepared, Prepared, States};

/// The lines about model, rows and task.
///
/// # Errors
/// Never on a loaded model.
pub(crate) fn lines(prepared: &Prepared, briefing: &Briefing) -> Result<String> {
    let (_, new) = prepared.model.new_head(prepared.objective.outputs(), &mut Rng::new(0))?;
    let head = if new { "new, trained with every method" } else { "the checkpoint's own, trained on" };
    let mut lines = vec![
        format!("model: {}, {}", model(&prepared.model, &prepared.model_name), prepared.model.arithmetic()),
        format!("data: {}", briefing.summary.to_string().trim_end().replace('\n', "\n  ")),
    ];
    lines.extend(briefing.guess.as_ref().map(|guess| format!("columns: {guess}")));
    lines.push(format!("task: {}; the head is {head}", prepared.objective.described()));
    let parts = [("training", &briefing.train_lengths), ("test", &briefing.test_lengths)];
    let rows = [prepared.train.len(), prepared.test.len()];
    for ((part, lengths), rows) in parts.into_iter().zip(rows).filter(|(_, rows)| *rows > 0) {
        lines.push(format!("{part} rows: {}", tokens(lengths, rows, briefing.max_length)));
    }
    lines.extend(briefing.notes.iter().map(|note| format!("note: {note}")));
    Ok(lines.join("\n"))
}

/// The lines about model, rows and task of a language model.
pub(crate) fn text_lines(prepared: &LmPrepared, briefing: &LmBriefing) -> String {
    let shape = prepared.model.backbone.shape();
    let (family, layers) = (prepared.model.backbone.family(), some(shape.layers, "layer"));
    let template =
        if prepared.tools.template.is_some() { "its own chat template" } else { "no chat template" };
    let mut lines = vec![
        format!(
            "model: {} ({family}, {layers}, hidden {}), {template}, {}",
            prepared.model_name,
            shape.hidden,
            prepared.model.arithmetic()
        ),
        format!("data: {}", briefing.summary.to_string().trim_end().replace('\n', "\n  ")),
    ];
    lines.extend(briefing.guess.as_ref().map(|guess| format!("columns: {guess}")));
    let parts = [("training", &briefing.train_lengths, prepared.train.as_slice())];
    for (part, lengths, rows) in
        parts.into_iter().chain([("test", &briefing.test_lengths, &prepared.test[..])])
    {
        if !rows.is_empty() {
            let predicted = count(rows.iter().map(LmRow::targets).sum());
            let tokens = tokens(lengths, rows.len(), briefing.max_length);
            let pieces = pieces(rows, briefing.max_length);
            lines.push(format!("{part} rows: {tokens}; {predicted} are predicted{pieces}"));
        }
    }
    lines.extend(prepared.tools.date().map(|date| {
        format!("note: the chat template writes the date into prompts: {date} (data.date in the recipe)")
    }));
    lines.extend(briefing.notes.iter().map(|note| format!("note: {note}")));
    lines.join("\n")
}

/// What was kept so that it was not computed again; nothing where nothing was.
pub(crate) fn kept(states: &States) -> Option<String> {
    let (memory, file) = states.bytes();
    let kept = match (memory, file) {
        (0, 0) => None,
        (memory, 0) => Some(format!("outputs of frozen layers: {} kept in memory", bytes(memory))),
        (memory, file) => Some(format!(
            "outputs of frozen layers: {} kept in memory, {} in a file",
            bytes(memory),
            bytes(file)
        )),
    };
    let problem = states.problem().map(|problem| format!("note: {problem}"));
    let lines: Vec<String> = kept.into_iter().chain(problem).collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

/// How many rows are pieces of longer texts, if any are.
fn pieces(rows: &[LmRow], most: usize) -> String {
    let later = rows.iter().filter(|row| row.piece > 0).count();
    let long = rows.iter().filter(|row| row.piece == 1).count();
    match later {
        0 => String::new(),
        _ => format!(
            "; {} longer than {most} tokens (--max-length) in {} pieces",
            if long == 1 { "a text is".to_owned() } else { format!("{} texts are", count(long)) },
            count(later + long)
        ),
    }
}

/// `NAME (family, sizes), pooling`.
pub(crate) fn model(model: &Model, name: &str) -> String {
    let shape = model.backbone.shape();
    let (family, layers) = (model.backbone.family(), some(shape.layers, "layer"));
    format!("{name} ({family}, {layers}, hidden {}), pooling {}", shape.hidden, model.pooling)
}

/// A method with its settings and its rate.
///
/// # Errors
/// Never: settings can always be written.
pub(crate) fn method(method: &MethodConfig, lr: Option<f32>) -> Result<String> {
    let info = method.info();
    let mut text = format!("method: {} ({})", info.name, info.summary);
    let settings = summary(method)?;
    if !settings.is_empty() {
        text.push_str(&format!(": {settings}"));
    }
    if !matches!(method.saves(), Saves::Features | Saves::Fitted | Saves::Prompt) {
        text.push_str(&format!(", learning rate {}", rate(lr.unwrap_or(info.learning_rate))));
    }
    Ok(text)
}

fn tokens(lengths: &Lengths, rows: usize, most: usize) -> String {
    let Lengths { median, p90, max, truncated, tokens } = lengths;
    let tokens = count(*tokens);
    let cut = match truncated {
        0 => "none is cut".to_owned(),
        cut => format!("{} of {} are cut to {most} (--max-length)", count(*cut), count(rows)),
    };
    format!(
        "{tokens} tokens; half have up to {median}, nine in ten up to {p90}, the longest has {max}; {cut}"
    )
}
