//! The project's own commands, `cargo xtask NAME`. Standard library, `anyhow`, a hash and JSON: it must build in
//! seconds.

mod assets;
mod bench;
mod demo;
mod pictures;
mod pip;
mod python;
mod shell;
mod test;

use std::process::ExitCode;

use anyhow::{Result, bail};

/// A command: its name, what it does, and how. `run` gets the arguments after the name.
struct Command {
    name: &'static str,
    help: &'static str,
    run: fn(&[String]) -> Result<ExitCode>,
}

const COMMANDS: [Command; 5] = [
    Command { name: "assets", help: assets::HELP, run: assets::run },
    Command { name: "bench", help: bench::HELP, run: bench::run },
    Command { name: "demo", help: demo::HELP, run: demo::run },
    Command { name: "pictures", help: pictures::HELP, run: pictures::run },
    Command { name: "test", help: test::HELP, run: test::run },
];

/// What a wrong call exits with, as the `offshoot` binary does.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let Some(name) = args.first() else {
        print!("{}", list());
        return ExitCode::SUCCESS;
    };
    match dispatch(name, &args[1..]) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(name: &str, args: &[String]) -> Result<ExitCode> {
    if matches!(name, "help" | "--help" | "-h") {
        print!("{}", list());
        return Ok(ExitCode::SUCCESS);
    }
    let Some(command) = COMMANDS.iter().find(|command| command.name == name) else {
        eprint!("error: no command `{name}`\n\n{}", list());
        return Ok(ExitCode::from(USAGE));
    };
    (command.run)(args)
}

/// The commands, one a line.
fn list() -> String {
    let lines = COMMANDS.iter().map(|c| format!("  cargo xtask {:8} {}\n", c.name, c.help));
    format!("Commands:\n{}", lines.collect::<String>())
}

/// For the commands that take no arguments.
fn no_arguments(command: &str, args: &[String]) -> Result<()> {
    if let Some(first) = args.first() {
        bail!("`cargo xtask {command}` takes no arguments, and got `{first}`");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_names_every_command() {
        for command in &COMMANDS {
            assert!(list().contains(&format!("cargo xtask {}", command.name)));
        }
    }

    #[test]
    fn arguments_are_refused_where_there_are_none() {
        assert!(no_arguments("assets", &[]).is_ok());
        let error = no_arguments("assets", &["--fast".into()]).unwrap_err().to_string();
        assert!(error.contains("--fast"));
    }
}
