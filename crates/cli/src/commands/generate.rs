//! `offshoot generate`: prompts in, text out.

use crate::flags::{GenerationFlags, MachineFlags, ModelFlags};
use crate::language::Language;
use crate::progress;
use crate::prompts::{Prompt, Prompts, Templating};
use crate::session::Session;
use anyhow::Result;
use offshoot::train;
use offshoot::train::generate::{Generated, Generator, Output, Request};
use serde_json::json;
use std::io::{self, Write};
use std::path::PathBuf;

const EXAMPLE: &str = "Examples:
  offshoot generate --model HuggingFaceTB/SmolLM2-135M 'The capital of France is'
  offshoot generate --adapter pirate --chat 'How do I boil an egg?' --temperature 0.7 --top-p 0.9
  offshoot generate --adapter pirate --adapter poet --file prompts.jsonl --json > answers.jsonl

Each row of a file is a `prompt`, an `instruction` with an `input`, `messages`, or a line of text. With several
adapters, its field `adapter` names the folder of its own; `none` is the model as it is. Rows with different
adapters are computed together.";

/// The arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct Args {
    /// The text to continue; `-` is standard input
    #[arg(value_name = "PROMPT", required_unless_present = "file")]
    prompt: Option<String>,

    /// A file of prompts: .jsonl, .json, .csv, .tsv, or .txt with one on each line
    #[arg(long, value_name = "FILE", conflicts_with = "prompt")]
    file: Option<PathBuf>,

    /// An adapter's folder; may be given more than once
    #[arg(long = "adapter", value_name = "FOLDER")]
    adapters: Vec<PathBuf>,

    /// Put prompts through the model's chat template, as what a user says [default: conversations, and prompts
    /// for an adapter that was trained so]
    #[arg(long, conflicts_with = "raw")]
    chat: bool,

    /// Take prompts as they are
    #[arg(long)]
    raw: bool,

    /// Print one JSON object a row: prompt, text, tokens, finish, adapter
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    model: ModelFlags,
    #[command(flatten)]
    generation: GenerationFlags,
    #[command(flatten)]
    machine: MachineFlags,
}

/// Writes.
///
/// # Errors
/// Whatever is wrong with the model, an adapter or a prompt.
pub(crate) fn run(args: &Args, session: &Session) -> Result<()> {
    args.generation.check()?;
    args.machine.run(|| generate(args, session))
}

fn generate(args: &Args, session: &Session) -> Result<()> {
    let prompts = match &args.file {
        Some(path) => {
            let (prompts, guess) = Prompts::file(path)?;
            guess.iter().for_each(|guess| session.console.say(guess));
            prompts
        }
        None => Prompts::one(args.prompt.as_deref().unwrap_or_default())?,
    };
    let language = Language::open(&args.adapters, &args.model, session)?;
    let templating = match (args.chat, args.raw) {
        (true, _) => Templating::Always,
        (_, true) => Templating::Never,
        _ => Templating::AsTrained,
    };
    let stop = args.generation.stop(&language.tools.special.eos);
    let prompts = prompts.encode(&language, templating, stop.max_tokens)?;
    let request = |prompt: &Prompt| Request {
        row: prompt.line,
        prompt: prompt.ids.clone(),
        adapter: prompt.adapter,
        stop: stop.clone(),
    };
    let requests: Vec<_> = prompts.iter().map(request).collect();
    let generator = language.generator()?;
    if args.file.is_none() && !args.json {
        return stream(&language, &generator, &requests, args);
    }
    let results = together(&language, &generator, &requests, (args, session))?;
    for (prompt, result) in prompts.iter().zip(results) {
        show(&language, prompt, &result, (args, session))?;
    }
    Ok(())
}

/// One row, printed as it is written.
fn stream(language: &Language, generator: &Generator<'_>, requests: &[Request], args: &Args) -> Result<()> {
    let mut failed = None;
    let mut output = Output { decode: &|| language.stream(), written: &mut |_, new| print(new, &mut failed) };
    let result = generator.run(requests, &args.generation.sampling(), &mut output);
    if let Some(error) = failed {
        return Err(error.into());
    }
    result?;
    Ok(writeln!(io::stdout().lock())?)
}

/// Many rows, with a bar that counts those that have begun to be written.
fn together(
    language: &Language,
    generator: &Generator<'_>,
    requests: &[Request],
    (args, session): (&Args, &Session),
) -> Result<Vec<Generated>> {
    let bar = progress::rows(&session.console, "generating", requests.len());
    let mut begun = vec![false; requests.len()];
    let mut count = |row: usize, _: &str| {
        if let Some(begun) = begun.get_mut(row).filter(|begun| !**begun) {
            *begun = true;
            bar.inc(1);
        }
        Ok(())
    };
    let mut output = Output { decode: &|| language.stream(), written: &mut count };
    let results = generator.run(requests, &args.generation.sampling(), &mut output);
    bar.finish_and_clear();
    Ok(results?)
}

fn show(
    language: &Language,
    prompt: &Prompt,
    result: &Generated,
    (args, session): (&Args, &Session),
) -> Result<()> {
    let adapter = language.adapter_name(prompt.adapter);
    let mut heading = format!("# line {}", prompt.line);
    if !language.adapters.is_empty() {
        heading += &format!(", {adapter}");
    }
    if !args.json {
        return session.console.show(&format!("{heading}\n{}", result.text));
    }
    session.console.json(&json!({
        "line": prompt.line,
        "prompt": prompt.said,
        "text": result.text,
        "prompt_tokens": prompt.ids.len(),
        "tokens": result.ids.len(),
        "finish": result.finish,
        "adapter": prompt.adapter.map(|_| adapter),
    }))
}

/// Prints a piece of text at once. What stdout objects to is kept, because the libraries' errors cannot hold it.
pub(crate) fn print(new: &str, failed: &mut Option<io::Error>) -> train::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(new.as_bytes()).and_then(|()| out.flush()).map_err(|error| {
        let told = train::Error::invalid(format!("stdout: {error}"));
        *failed = Some(error);
        told
    })
}
