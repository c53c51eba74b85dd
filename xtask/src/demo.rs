//! `cargo xtask demo`: every method on a real encoder and real sentences, on this machine.

use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::assets;
use crate::shell::{built, cargo, program, run as execute, step};

pub(crate) const HELP: &str =
    "compares every method on movie reviews; further arguments go to `offshoot compare`";

/// The model's name on the hub, for where the package index cannot be reached: the binary downloads it
/// itself.
const HUB_MODEL: &str = "sentence-transformers/all-MiniLM-L6-v2";

/// Fixed, so that two machines run the same comparison; an argument of the caller's takes the place of the
/// same one.
const COMPARISON: [[&str; 2]; 8] = [
    ["--where", "source=rotten_tomatoes"],
    ["--text", "text"],
    ["--label", "label"],
    ["--train", "1000"],
    ["--test", "500"],
    ["--epochs", "2"],
    ["--seed", "0"],
    ["--output", "target/demo"],
];

/// Fetches, builds, compares.
pub(crate) fn run(args: &[String]) -> Result<ExitCode> {
    let data = step("assets", || assets::get(&assets::REVIEWS))?;
    let model = model();
    step("build", || execute(cargo(&["build", "--release", "-p", "offshoot-cli"])))?;
    let mut compare = offshoot();
    compare.arg("compare").arg(data).args(["--model", &model]).args(comparison(args));
    step("compare", || execute(compare))?;
    Ok(ExitCode::SUCCESS)
}

/// The demo's settings, then the caller's.
fn comparison(args: &[String]) -> Vec<String> {
    let given = |flag: &str| args.iter().any(|arg| arg.split('=').next() == Some(flag));
    let kept = COMPARISON.iter().filter(|[flag, _]| !given(flag)).flatten();
    kept.map(|word| word.to_string()).chain(args.iter().cloned()).collect()
}

fn model() -> String {
    match step("model", || assets::get(&assets::MODEL)) {
        Ok(path) => path.to_string_lossy().into_owned(),
        Err(error) => {
            eprintln!("{error:#}\ntaking {HUB_MODEL} from the hub instead");
            HUB_MODEL.into()
        }
    }
}

fn offshoot() -> Command {
    program(&built("release", "offshoot").to_string_lossy(), &[])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_argument_takes_the_place_of_the_same_one() {
        let words = comparison(&["--seed=3".into(), "--threads".into(), "1".into()]).join(" ");
        assert!(words.contains("--epochs 2") && words.ends_with("--seed=3 --threads 1"), "{words}");
        assert!(!words.contains("--seed 0"), "{words}");
    }
}
