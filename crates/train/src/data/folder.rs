//! A folder in the layout of the `datasets` library: its files are found by the front matter of README.md, else by
//! their names.

use super::error::{Error, Result, listed};
use super::format::Format;
use super::front_matter::{Config, configs};
use super::source::matching;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Component, Path, PathBuf};

/// As much of a README.md as is looked at.
const README: u64 = 1 << 20;

/// What rows are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    Train,
    Validation,
    Test,
}

impl Part {
    /// The part that a name begins with: `train-00000-of-00003`, `validation_matched`.
    fn of(name: &str) -> Option<Self> {
        let end = name.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(name.len());
        match name[..end].to_ascii_lowercase().as_str() {
            "train" | "training" => Some(Self::Train),
            "validation" | "valid" | "val" | "dev" => Some(Self::Validation),
            "test" | "testing" | "eval" | "evaluation" => Some(Self::Test),
            _ => None,
        }
    }
}

/// The files of a folder.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) files: BTreeMap<Part, Vec<PathBuf>>,
    /// Splits that are for none of the parts.
    pub(super) unused: Vec<String>,
}

/// Finds the files of a folder; `config` names a configuration, of several.
///
/// # Errors
/// A README.md whose front matter is not understood; a configuration that is not there, or not named where there are
/// several; no file to train on.
pub(super) fn find(folder: &Path, config: Option<&str>) -> Result<Found> {
    let configs = read_configs(&folder.join("README.md"))?;
    let mut found = match choose(folder, &configs, config)? {
        Some(config) => by_config(folder, config)?,
        None => by_name(folder)?,
    };
    found.files.values_mut().for_each(|files| files.sort());
    if found.files.contains_key(&Part::Train) {
        return Ok(found);
    }
    Err(Error::Setting(format!(
        "{0}: there is no file to train on; its name, or its folder's, begins with train; name others as in \
         '{0}/*.csv'",
        folder.display()
    )))
}

fn read_configs(readme: &Path) -> Result<Vec<Config>> {
    let file = readme.display().to_string();
    let failed = |source| Error::Read { file: file.clone(), source };
    if !readme.is_file() {
        return Ok(Vec::new());
    }
    let mut bytes = Vec::new();
    File::open(readme).and_then(|file| file.take(README).read_to_end(&mut bytes)).map_err(failed)?;
    configs(&String::from_utf8_lossy(&bytes)).map_err(|(line, reason)| {
        let reason = format!("{reason}; name the files themselves instead of their folder");
        Error::Broken { file: file.clone(), line, reason }
    })
}

/// The configuration that is asked for, or the only one.
fn choose<'a>(folder: &Path, configs: &'a [Config], asked: Option<&str>) -> Result<Option<&'a Config>> {
    let folder = folder.display();
    let names = || listed(configs.iter().map(|config| config.name.as_str()));
    let message = match (asked, configs) {
        (None, []) => return Ok(None),
        (None, [one]) => return Ok(Some(one)),
        (None, _) => format!("{folder} has several configurations; choose one with --config: {}", names()),
        (Some(name), _) => match configs.iter().find(|config| config.name == name) {
            Some(config) => return Ok(Some(config)),
            None if configs.is_empty() => format!("{folder} has no configurations; leave --config out"),
            None => format!("{folder} has no configuration of that name; choose one of {}", names()),
        },
    };
    Err(Error::Setting(message))
}

fn by_config(folder: &Path, config: &Config) -> Result<Found> {
    let mut found = Found::default();
    for (split, patterns) in &config.splits {
        let Some(part) = Part::of(split) else {
            found.unused.push(split.clone());
            continue;
        };
        for pattern in patterns {
            found.files.entry(part).or_default().extend(inside(folder, pattern)?);
        }
    }
    Ok(found)
}

/// The files of a pattern that a README.md has: in its folder, and nowhere else.
fn inside(folder: &Path, pattern: &str) -> Result<Vec<PathBuf>> {
    let below = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
    let refused = |reason: &str| Error::Pattern { pattern: pattern.to_owned(), reason: reason.to_owned() };
    if !Path::new(pattern).components().all(below) || pattern.contains("://") {
        return Err(refused("a README.md can only name files in its folder"));
    }
    if pattern.contains("**") {
        return Err(refused("`**` is not followed in a README.md; name the files themselves"));
    }
    let path = folder.join(pattern);
    if path.is_file() {
        return Ok(vec![path]);
    }
    // The folder's own name is no part of the pattern.
    matching(&format!("{}/{pattern}", glob::Pattern::escape(&folder.display().to_string())))
}

/// The files whose names, or those of the folders that they are in, say their part.
fn by_name(folder: &Path) -> Result<Found> {
    let mut found = Found::default();
    for place in [folder.to_owned(), folder.join("data")] {
        if !place.is_dir() {
            continue;
        }
        for path in entries(&place)? {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let Some(part) = Part::of(&name) else { continue };
            let files = if path.is_dir() { entries(&path)? } else { vec![path.clone()] };
            let rows = files.into_iter().filter(|file| file.is_file() && Format::of_file(file).is_ok());
            found.files.entry(part).or_default().extend(rows);
        }
    }
    found.files.retain(|_, files| !files.is_empty());
    Ok(found)
}

/// What is in a folder, but for what is hidden.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = |source| Error::Read { file: folder.display().to_string(), source };
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if !entry.file_name().to_string_lossy().starts_with('.') {
            paths.push(entry.path());
        }
    }
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        folder
    }

    fn names(folder: &tempfile::TempDir, found: &Found, part: Part) -> Vec<String> {
        let inside = |path: &PathBuf| path.strip_prefix(folder.path()).unwrap().display().to_string();
        found.files.get(&part).into_iter().flatten().map(inside).collect()
    }

    fn message(folder: &tempfile::TempDir, config: Option<&str>) -> String {
        find(folder.path(), config).unwrap_err().to_string()
    }

    #[test]
    fn names_say_the_part() {
        for (files, train, validation, test) in [
            (
                &["train.csv", "dev.csv", "test.csv", "notes.md"][..],
                &["train.csv"][..],
                &["dev.csv"][..],
                &["test.csv"][..],
            ),
            (
                &[
                    "data/train-00001-of-00002.parquet",
                    "data/train-00000-of-00002.parquet",
                    "data/eval.parquet",
                ],
                &["data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet"],
                &[],
                &["data/eval.parquet"],
            ),
            (
                &["Training/b.jsonl.gz", "Training/.a.csv", "Training/x.md", "val/a.jsonl"],
                &["Training/b.jsonl.gz"],
                &["val/a.jsonl"],
                &[],
            ),
            // A word that only begins as a part does is none.
            (
                &["train_1.csv", "trainer.csv", "values.csv", "devices.csv", "tests.csv"],
                &["train_1.csv"],
                &[],
                &[],
            ),
        ] {
            let files: Vec<(&str, &str)> = files.iter().map(|name| (*name, "")).collect();
            let folder = folder(&files);
            let found = find(folder.path(), None).unwrap();
            let parts = [Part::Train, Part::Validation, Part::Test].map(|part| names(&folder, &found, part));
            assert_eq!(parts, [train, validation, test].map(|names| names.to_vec()));
        }
        let folder = folder(&[("rows.csv", ""), ("test.csv", "")]);
        assert!(message(&folder, None).contains("no file to train on"));
        assert!(message(&folder, Some("a")).contains("has no configurations; leave --config out"));
    }

    #[test]
    fn a_readme_says_more_than_names() {
        let one = "- config_name: a\n  data_files:\n  - split: train\n    path: x/*.csv\n  - split: unsupervised\n    \
                   path: u.csv\n";
        let readme = |configs: &str| format!("---\nconfigs:\n{configs}---\n");
        let files = [("train.csv", ""), ("x/1.csv", ""), ("x/2.csv", "")];
        let with = |configs: &str| folder(&[&files[..], &[("README.md", &readme(configs))]].concat());
        let folder = with(one);
        for config in [None, Some("a")] {
            let found = find(folder.path(), config).unwrap();
            assert_eq!(names(&folder, &found, Part::Train), ["x/1.csv", "x/2.csv"]);
            assert_eq!(found.unused, ["unsupervised"]);
        }
        assert!(message(&folder, Some("b")).contains("choose one of `a`"));
        let two = with(&format!("{one}- config_name: b\n  data_files: train.csv\n"));
        assert!(message(&two, None).contains("choose one with --config: `a`, `b`"));
        assert_eq!(names(&two, &find(two.path(), Some("b")).unwrap(), Part::Train), ["train.csv"]);
        let said = message(&with("- config_name: a\n  drop_labels: true\n"), None);
        assert!(said.contains("README.md, line 4: `drop_labels` is not read here"), "{said}");
    }

    #[test]
    fn a_readme_names_nothing_outside_its_folder() {
        for (pattern, reason) in [
            ("../train.csv", "only name files in its folder"),
            ("/etc/passwd", "only name files in its folder"),
            ("https://example.org/train.csv", "only name files in its folder"),
            ("**/train.csv", "not followed"),
            ("no/*.csv", "no file fits"),
        ] {
            let readme = format!("---\nconfigs:\n- data_files: \"{pattern}\"\n---\n");
            let folder = folder(&[("README.md", &readme), ("train.csv", "")]);
            assert!(message(&folder, None).contains(reason), "{pattern}: {}", message(&folder, None));
        }
    }
}
