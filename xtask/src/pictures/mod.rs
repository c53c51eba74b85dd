//! `cargo xtask pictures`: the pictures of the documentation, made anew from a real comparison: its page in a
//! browser, and what a terminal shows while it runs.

mod drawing;
mod screen;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};

use crate::shell::{BROWSERS, browser, built, cargo, program, root, run as execute, step, target};
use crate::{assets, no_arguments};
use screen::Screen;

pub(crate) const HELP: &str =
    "makes the pictures of docs/src/pictures anew: a terminal, and the page of a report";

/// Small enough for a coffee, large enough that methods differ.
const COMPARISON: &str = "--where source=rotten_tomatoes --text text --label label --train 300 --test 300 --max-length 48 \
                          --epochs 2 --seeds 0,1 --parameters 0.3%,1% \
                          --methods features,features-knn,head,prefix,houlsby,lora,ia3";

/// Windows whose picture is taken: a name, their size, and whether it is dark.
const WINDOWS: [(&str, (u32, u32), bool); 3] = [
    ("report-desk", (1280, 1420), false),
    ("report-desk-dark", (1280, 760), true),
    ("report-phone", (390, 1200), false),
];

/// Columns and rows of the terminal.
const TERMINAL: (usize, usize) = (116, 20);

/// How much of the comparison is over in the terminal's picture: of all that is drawn, this part.
const MOMENT: f64 = 0.4;

/// Compares, and takes the pictures.
pub(crate) fn run(args: &[String]) -> Result<ExitCode> {
    no_arguments("pictures", args)?;
    let rows = step("assets", || assets::get(&assets::REVIEWS))?;
    let model = step("model", || assets::get(&assets::MODEL))?;
    step("build", || execute(cargo(&["build", "--release", "-p", "offshoot-cli"])))?;
    let (output, pictures) = (target().join("pictures"), root().join("docs/src/pictures"));
    fs::create_dir_all(&output)?;
    fs::create_dir_all(&pictures)?;
    let log = step("compare", || compare(&rows, &model, &output))?;
    fs::write(pictures.join("terminal.svg"), drawing::svg(&moment(&log)))?;
    step("browser", || photograph(&output.join("report.html"), &pictures))?;
    Ok(ExitCode::SUCCESS)
}

/// Runs the comparison in a terminal; what it wrote there.
fn compare(rows: &Path, model: &Path, output: &Path) -> Result<Vec<u8>> {
    let log = output.join("terminal.log");
    let (columns, lines) = TERMINAL;
    let (offshoot, rows, model, into) =
        (built("release", "offshoot"), short(rows), short(model), short(output));
    let offshoot = offshoot.display();
    // A terminal of its own has no size until it is given one.
    let command = format!(
        "stty cols {columns} rows {lines}; exec {offshoot} compare {rows} --model {model} {COMPARISON} --output {into} \
         --restart"
    );
    let mut script = program("script", &["--quiet", "--return", "--command", &command]);
    script.arg(&log).stdout(std::process::Stdio::null());
    execute(script).context("the terminal is recorded by `script`, of util-linux")?;
    Ok(fs::read(&log)?)
}

/// A path without what is this machine's alone, from the root, where programs are started.
fn short(path: &Path) -> std::path::Display<'_> {
    path.strip_prefix(root()).unwrap_or(path).display()
}

/// The screen in the middle of a comparison.
fn moment(log: &[u8]) -> Screen {
    // Every drawing of a run's bar says this.
    let drawn: Vec<usize> =
        log.windows(8).enumerate().filter(|(_, at)| at == b"tokens/s").map(|(i, _)| i).collect();
    let last = drawn.get((drawn.len() as f64 * MOMENT) as usize).copied().unwrap_or(log.len());
    // Up to where the next drawing begins: by going back to the beginning of a line.
    let end = log[last..].iter().position(|&byte| byte == b'\r').map_or(log.len(), |more| last + more);
    // `script` begins with a line of its own.
    let begin = log.iter().position(|&byte| byte == b'\n').map_or(0, |first| first + 1).min(end);
    let mut screen = Screen::new(TERMINAL);
    screen.write(&String::from_utf8_lossy(&log[begin..end]));
    screen
}

fn photograph(page: &Path, pictures: &Path) -> Result<()> {
    let Some(browser) = browser() else {
        bail!("no browser is here; install one of {}", BROWSERS.join(", "));
    };
    for (name, (width, height), dark) in WINDOWS {
        let file = pictures.join(format!("{name}.png"));
        let mut command = Command::new(browser);
        command.args(["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]);
        command.arg(format!("--blink-settings=preferredColorScheme={}", u8::from(!dark)));
        command.arg(format!("--window-size={width},{height}"));
        command.arg(format!("--user-data-dir={}", profile().display()));
        command.arg(format!("--screenshot={}", file.display())).arg(format!("file://{}", page.display()));
        execute(command)?;
    }
    Ok(())
}

/// Where the browser keeps what it wants to keep.
fn profile() -> PathBuf {
    target().join("pictures").join("browser")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_moment_is_a_whole_drawing() {
        let frame = |step: u32| format!("\rlora {step}/10 9 tokens/s 1s left");
        let log: String =
            format!("Script started\n{}", (1..=10).map(frame).collect::<String>()) + "\r\x1b[2Kdone\r\n";
        let screen = moment(log.as_bytes());
        assert_eq!(screen.text()[0], "lora 5/10 9 tokens/s 1s left");
    }
}
