//! What the runs need: the peer's environment, programs, rows, models.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::options::Options;
use super::runs::{Base, Rows};
use crate::shell::{built, cargo, program, root, run, step, target};
use crate::{assets, pip};

/// The packages of the peer's environment, in the repository.
const REQUIREMENTS: &str = "scripts/requirements-peft.txt";

/// Everything that is made here.
pub(crate) fn folder() -> PathBuf {
    target().join("bench")
}

/// The programs that are measured, or measure.
pub(crate) struct Programs {
    pub(crate) offshoot: PathBuf,
    pub(crate) peak: PathBuf,
    /// The peer's interpreter, where a run needs it.
    pub(crate) python: Option<PathBuf>,
}

impl Programs {
    /// Builds and installs what is missing.
    ///
    /// # Errors
    /// As a build or pip fails.
    pub(crate) fn ready(options: &Options) -> Result<Self> {
        let offshoot = match &options.offshoot {
            Some(path) => path.clone(),
            None => step("build offshoot", || release(&["-p", "offshoot-cli"], "offshoot"))?,
        };
        let peak = ["-p", "offshoot-kernels", "--example", "peak"];
        let peak = step("build the ceiling's program", || release(&peak, "examples/peak"))?;
        // SmolLM2's folder is made with the peer's libraries, whoever reads it.
        let needed = !options.ours_only || options.runs().any(|run| run.base == Base::SmolLm2);
        let python = match &options.python {
            Some(path) => Some(path.clone()),
            None if needed => Some(step("the peer's environment", environment)?),
            None => None,
        };
        Ok(Self { offshoot, peak, python })
    }
}

fn release(args: &[&str], name: &str) -> Result<PathBuf> {
    run(cargo(&[&["build", "--release"], args].concat()))?;
    Ok(built("release", name))
}

/// The interpreter of an environment with the packages; made anew when they are others.
fn environment() -> Result<PathBuf> {
    let (folder, wanted) = (folder().join("env"), fs::read_to_string(root().join(REQUIREMENTS))?);
    let python = folder.join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" });
    // Written last: what was interrupted is begun again.
    let done = folder.join("requirements.txt");
    if fs::read_to_string(&done).is_ok_and(|text| text == wanted) && python.is_file() {
        return Ok(python);
    }
    run(program(pip::python()?, &["-m", "venv", "--clear", &folder.to_string_lossy()]))?;
    let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", REQUIREMENTS];
    run(program(&python.to_string_lossy(), &install))?;
    fs::write(&done, wanted).with_context(|| format!("{} cannot be written", done.display()))?;
    Ok(python)
}

/// A file with exactly `count` rows of which neither side leaves one out.
pub(crate) fn rows(rows: Rows, count: usize) -> Result<PathBuf> {
    let source = match rows {
        Rows::Reviews => assets::get(&assets::REVIEWS)?,
        Rows::Instructions | Rows::Long => assets::get(&assets::INSTRUCTIONS)?,
    };
    let place = folder().join(format!("{}-{count}.{}", rows.kind(), rows.ending()));
    fs::create_dir_all(folder()).with_context(|| format!("{} cannot be made", folder().display()))?;
    let words = [source, place.clone()].map(|path| path.to_string_lossy().into_owned());
    let args = ["bench/rows.py", rows.kind(), &words[0], &words[1], "--rows", &count.to_string()];
    run(program(pip::python()?, &args))?;
    Ok(place)
}

/// The model as both sides read it.
pub(crate) fn model(base: Base, python: Option<&Path>) -> Result<PathBuf> {
    match base {
        Base::MiniLm => assets::get(&assets::MODEL),
        Base::SmolLm2Gguf => assets::get(&assets::SMOLLM2),
        Base::SmolLm2 => unpacked(python),
    }
}

/// SmolLM2 as a folder in bf16, made from its GGUF file.
fn unpacked(python: Option<&Path>) -> Result<PathBuf> {
    let (gguf, place) = (assets::get(&assets::SMOLLM2)?, folder().join("SmolLM2-135M-Instruct"));
    if place.is_dir() {
        return Ok(place);
    }
    let Some(python) = python else { bail!("{} can only be made with --python", place.display()) };
    let work = place.with_extension("tmp");
    fs::remove_dir_all(&work).ok();
    let words = [python, &gguf, &work].map(|path| path.to_string_lossy());
    run(program(&words[0], &["scripts/gguf_to_hf.py", &words[1], &words[2], "--dtype", "bf16"]))?;
    fs::rename(&work, &place).with_context(|| format!("{} cannot be written", place.display()))?;
    Ok(place)
}
