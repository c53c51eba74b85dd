//! One package of the Python package index: downloaded with pip, unpacked, never installed.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::shell::{program, run};

/// The interpreter's usual names, the first that has pip is taken.
const PYTHONS: [&str; 2] = ["python3", "python"];

/// Downloads `requirement` (`NAME==VERSION`) into `folder` and unpacks it there.
///
/// # Errors
/// No Python with pip on the path, no network, or a package that is not a wheel.
pub(crate) fn unpack(requirement: &str, folder: &Path) -> Result<()> {
    let python = python()?;
    let into = folder.to_string_lossy();
    let args = ["-m", "pip", "download", "--quiet", "--no-deps", "--disable-pip-version-check", "-d"];
    run(program(python, &[&args[..], &[&into, requirement]].concat()))?;
    let wheel = wheel(folder)?;
    run(program(python, &["-m", "zipfile", "-e", &wheel.to_string_lossy(), &into]))
}

fn python() -> Result<&'static str> {
    let has_pip = |name: &&str| {
        let answer = program(name, &["-m", "pip", "--version"]).output();
        answer.is_ok_and(|output| output.status.success())
    };
    PYTHONS
        .into_iter()
        .find(has_pip)
        .context("neither `python3` nor `python` here has pip: install Python 3 with pip")
}

fn wheel(folder: &Path) -> Result<PathBuf> {
    for entry in fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|end| end == "whl") {
            return Ok(path);
        }
    }
    bail!("pip left no wheel in {}", folder.display())
}
