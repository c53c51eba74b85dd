//! Writing rows as JSON lines, which [`super::load`] and other programs read back as they were.

use super::super::error::Result;
use super::{Content, LmExample};
use crate::files::atomic_write;
use serde_json::{Value, json};
use std::path::Path;

/// Writes rows as JSON lines in the layout that they came in. An existing file is replaced in one step.
///
/// # Errors
/// A folder that is missing or cannot be written to, or a full disk.
pub fn write_jsonl(path: &Path, examples: &[LmExample]) -> Result<()> {
    atomic_write(path, |writer| {
        for example in examples {
            let mut row = row(&example.content);
            if let Some(adapter) = &example.adapter {
                row["adapter"] = json!(adapter);
            }
            writeln!(writer, "{row}")?;
        }
        Ok(())
    })?;
    Ok(())
}

fn row(content: &Content) -> Value {
    match content {
        Content::Alpaca { instruction, input, output } => {
            json!({"instruction": instruction, "input": input, "output": output})
        }
        Content::Completion { prompt, completion } => json!({"prompt": prompt, "completion": completion}),
        Content::Messages(turns) => json!({"messages": turns}),
        Content::Text(text) => json!({"text": text}),
    }
}
