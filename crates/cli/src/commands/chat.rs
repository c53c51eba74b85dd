//! `offshoot chat`: a conversation in the terminal, or line by line through a pipe.

use super::generate::print;
use crate::flags::{GenerationFlags, MachineFlags, ModelFlags};
use crate::language::Language;
use crate::session::Session;
use anyhow::{Context, Result, anyhow, bail};
use offshoot::models::{ChatTemplate, Message};
use offshoot::train::generate::{Conversation, Output, Request};
use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::path::PathBuf;

const EXAMPLE: &str = "Example:
  offshoot chat --model HuggingFaceTB/SmolLM2-135M-Instruct --adapter pirate --adapter poet";

const HELP: &str = "Say something, or:
  /adapter NAME   answer with this adapter from now on; /adapter none with none
  /adapter        list the adapters
  /system TEXT    set what the model is told before the conversation; without a text, nothing
  /reset          begin a new conversation
  /help           this list
  /quit           end";

/// The longest line that is read.
const MOST: u64 = 1 << 20;

/// The arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct Args {
    /// An adapter's folder; may be given more than once, the first answers until `/adapter` says otherwise
    #[arg(long = "adapter", value_name = "FOLDER")]
    adapters: Vec<PathBuf>,

    /// What the model is told before the conversation
    #[arg(long, value_name = "TEXT")]
    system: Option<String>,

    #[command(flatten)]
    model: ModelFlags,
    #[command(flatten)]
    generation: GenerationFlags,
    #[command(flatten)]
    machine: MachineFlags,
}

/// Talks until the input ends.
///
/// # Errors
/// Whatever is wrong with the model or an adapter; through a pipe, also a turn that fails.
pub(crate) fn run(args: &Args, session: &Session) -> Result<()> {
    args.generation.check()?;
    args.machine.run(|| chat(args, session))
}

fn chat(args: &Args, session: &Session) -> Result<()> {
    let language = Language::open(&args.adapters, &args.model, session)?;
    let Some(template) = &language.tools.template else {
        bail!(
            "{} has no chat template, so it cannot tell who speaks; use `offshoot generate`",
            language.name
        );
    };
    let generator = language.generator()?;
    let adapter = (!language.adapters.is_empty()).then_some(0);
    let mut talk = Talk {
        language: &language,
        template,
        args,
        session,
        conversation: Conversation::new(&generator),
        adapter,
        system: args.system.clone(),
        turns: Vec::new(),
        asked: 0,
    };
    let person = io::stdin().is_terminal() && io::stderr().is_terminal();
    if person {
        session.console.say(&format!("{}, adapter {}; /help lists commands", language.name, talk.name()));
    }
    while let Some(line) = read(person)? {
        match talk.line(line.trim()) {
            Ok(true) => {}
            Ok(false) => break,
            // A person can say it differently; a program could not know that it has to.
            Err(error) if person && !error.is::<io::Error>() => {
                session.console.say(&format!("error: {error:#}"))
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// A conversation that goes on.
struct Talk<'a> {
    language: &'a Language,
    template: &'a ChatTemplate,
    args: &'a Args,
    session: &'a Session,
    conversation: Conversation<'a>,
    adapter: Option<usize>,
    system: Option<String>,
    /// What was said, without the system's message.
    turns: Vec<Message>,
    /// How many answers were asked for: each has random numbers of its own.
    asked: u64,
}

impl Talk<'_> {
    /// Does what a line says; whether to go on.
    fn line(&mut self, line: &str) -> Result<bool> {
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let rest = rest.trim();
        match word {
            "" => {}
            "/quit" | "/exit" => return Ok(false),
            "/help" => self.session.console.say(HELP),
            "/reset" => {
                self.turns.clear();
                self.session.console.say("a new conversation");
            }
            "/system" => {
                self.system = Some(rest.to_owned()).filter(|text| !text.is_empty());
                self.session.console.say(if rest.is_empty() {
                    "no system message"
                } else {
                    "system message set"
                });
            }
            "/adapter" => self.switch(rest)?,
            _ if word.starts_with('/') => {
                bail!("there is no command {}; /help lists them", word.escape_debug())
            }
            _ => self.answer(line)?,
        }
        Ok(true)
    }

    fn switch(&mut self, name: &str) -> Result<()> {
        if !name.is_empty() {
            self.adapter = self.language.adapter(name)?;
        }
        let all =
            self.language.adapters.iter().map(|adapter| adapter.name.as_str()).chain([crate::language::NONE]);
        let list = all.collect::<Vec<_>>().join(", ");
        let text = if name.is_empty() {
            format!("adapter {} of {list}", self.name())
        } else {
            format!("adapter {}", self.name())
        };
        self.session.console.say(&text);
        Ok(())
    }

    fn name(&self) -> &str {
        self.language.adapter_name(self.adapter)
    }

    /// Asks, and prints the answer as it is written. A turn that fails was never said.
    fn answer(&mut self, text: &str) -> Result<()> {
        self.turns.push(Message::user(text));
        let answer = self.reply();
        match &answer {
            Ok(text) => self.turns.push(Message::assistant(text.as_str())),
            Err(_) => drop(self.turns.pop()),
        }
        answer.map(drop)
    }

    fn reply(&mut self) -> Result<String> {
        let system = self.system.iter().map(|text| Message::new("system", text.as_str()));
        let mut said: Vec<_> = system.chain(self.turns.iter().cloned()).collect();
        let adapter = self.adapter.and_then(|adapter| self.language.adapters.get(adapter));
        if let Some(prompt) = adapter.and_then(|adapter| adapter.grown.prompt.as_ref()) {
            said = prompt.turns(&said)?;
        }
        let text = self.template.render(&said, true)?;
        let tools = &self.language.tools;
        self.asked += 1;
        let request = Request {
            row: self.asked,
            prompt: tools.tokenizer.encode_plain(&text)?,
            adapter: self.adapter,
            stop: self.args.generation.stop(&tools.special.eos),
        };
        let (mut failed, language) = (None, self.language);
        let mut output =
            Output { decode: &|| language.stream(), written: &mut |_, new| print(new, &mut failed) };
        let result = self.conversation.reply(&request, &self.args.generation.sampling(), &mut output);
        if let Some(error) = failed {
            return Err(error.into());
        }
        let answer = result.with_context(|| format!("answer {}", self.asked))?.text;
        writeln!(io::stdout().lock())?;
        Ok(answer)
    }
}

/// The next line, or none at the end of the input.
fn read(person: bool) -> Result<Option<String>> {
    if person {
        // A prompt that cannot be shown is none that is missed.
        drop(write!(io::stderr(), "> ").and_then(|()| io::stderr().flush()));
    }
    let mut line = Vec::new();
    let length = io::stdin().lock().take(MOST + 1).read_until(b'\n', &mut line).context("standard input")?;
    if length as u64 > MOST {
        bail!("a line has more than {} MiB", MOST >> 20);
    }
    if length == 0 {
        return Ok(None);
    }
    Ok(Some(String::from_utf8(line).map_err(|_| anyhow!("a line is not UTF-8 text"))?))
}
