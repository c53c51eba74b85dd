//! Where rows come from, as a user names it: a file, a pattern of files, a folder, or standard input.

use super::error::{Error, Result, listed};
use super::folder::{self, Part};
use super::format::Format;
use glob::{MatchOptions, glob_with};
use std::path::{Path, PathBuf};

/// Files that are read as one, or standard input.
#[derive(Clone, Debug)]
pub struct Source {
    /// What messages call it.
    pub(super) name: String,
    /// The files, in their order; none is standard input.
    pub(super) files: Vec<PathBuf>,
    /// The format, where endings do not say it.
    pub(super) format: Option<&'static Format>,
}

impl Source {
    /// What stands for standard input.
    pub const STANDARD_INPUT: &'static str = "-";
    /// What messages call it.
    pub const STANDARD_INPUT_NAME: &'static str = "standard input";

    /// Finds what `path` names: `-` is standard input, a path of a file is that file, and in any other `*`, `?`,
    /// `[...]` and `**` stand for parts of names, whose files come in sorted order. `format` is for files whose
    /// ending does not say it.
    ///
    /// # Errors
    /// A folder; a pattern that is none, or that no file fits. Whether a file can be read is seen later.
    pub fn open(path: &Path, format: Option<&'static Format>) -> Result<Self> {
        let name = path.display().to_string();
        let files = match name.as_str() {
            Self::STANDARD_INPUT => {
                return Ok(Self { name: Self::STANDARD_INPUT_NAME.to_owned(), files: Vec::new(), format });
            }
            _ if path.is_dir() => return Err(Error::Folder(name)),
            _ if path.exists() || !name.contains(['*', '?', '[']) => vec![path.to_owned()],
            _ => matching(&name)?,
        };
        Ok(Self { name, files, format })
    }

    /// The files, in their order; none is standard input.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// The same for rows beside those to train on, which alone may be standard input.
    fn beside(path: &Path) -> Result<Self> {
        if path == Path::new(Self::STANDARD_INPUT) {
            return Err(Error::Setting(
                "only the rows to train on can be standard input; name a file".to_owned(),
            ));
        }
        Self::open(path, None)
    }
}

/// What names the rows of a run.
#[derive(Clone, Copy, Debug)]
pub struct Places<'a> {
    /// Those to train on, or a folder that has them all.
    pub path: &'a Path,
    /// The format of these, where endings do not say it.
    pub format: Option<&'static Format>,
    /// Which of a folder's configurations.
    pub config: Option<&'a str>,
    /// Those that choose the epoch.
    pub validation: Option<&'a Path>,
    /// Those to test on.
    pub test: Option<&'a Path>,
}

/// Where the rows of a run come from.
#[derive(Clone, Debug)]
pub struct Sources {
    /// Those to train on; what has no source of its own is drawn from them.
    pub train: Source,
    /// Those that choose the epoch.
    pub validation: Option<Source>,
    /// Those to test on.
    pub test: Option<Source>,
    /// What is in the folder and not used.
    pub note: Option<String>,
}

impl Sources {
    /// Finds what the paths name. In a folder the files are found by the front matter of its README.md, else by
    /// their names; a path beside it comes before the folder's own rows of that part.
    ///
    /// # Errors
    /// As [`Source::open`]; standard input beside the rows to train on; a folder without rows to train on, or with
    /// several configurations and none chosen.
    pub fn open(places: Places<'_>) -> Result<Self> {
        let Places { path, format, config, validation, test } = places;
        let beside = |path: Option<&Path>| path.map(Source::beside).transpose();
        let (validation, test) = (beside(validation)?, beside(test)?);
        if path.is_dir() {
            let mut found = folder::find(path, config)?;
            let unused = found.unused.iter().map(String::as_str);
            let note =
                (unused.len() > 0).then(|| format!("{}: not used: {}", path.display(), listed(unused)));
            let mut part = |part, called| {
                let files = found.files.remove(&part)?;
                Some(Source { name: format!("{} ({called})", path.display()), files, format })
            };
            let train =
                part(Part::Train, "train").ok_or_else(|| Error::Folder(path.display().to_string()))?;
            let validation = validation.or_else(|| part(Part::Validation, "validation"));
            return Ok(Self { train, validation, test: test.or_else(|| part(Part::Test, "test")), note });
        }
        match config {
            Some(_) => Err(Error::Setting(format!(
                "{} is no folder, so it has no configurations; leave --config out",
                path.display()
            ))),
            None => Ok(Self { train: Source::open(path, format)?, validation, test, note: None }),
        }
    }

    /// All files.
    pub fn files(&self) -> Vec<PathBuf> {
        let all = [Some(&self.train), self.validation.as_ref(), self.test.as_ref()];
        all.into_iter().flatten().flat_map(|source| source.files.clone()).collect()
    }
}

/// The files that fit a pattern, sorted. A `*` stands for no `/` and for no `.` that begins a name.
pub(super) fn matching(pattern: &str) -> Result<Vec<PathBuf>> {
    let options = MatchOptions {
        case_sensitive: true,
        require_literal_separator: true,
        require_literal_leading_dot: true,
    };
    let refused = |reason: String| Error::Pattern { pattern: pattern.to_owned(), reason };
    let wrong = |error: glob::PatternError| refused(format!("is no pattern of files, {}", error.msg));
    let mut files = Vec::new();
    for found in glob_with(pattern, options).map_err(wrong)? {
        let path = found.map_err(|error| {
            let file = error.path().display().to_string();
            Error::Read { file, source: error.into() }
        })?;
        if path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    if files.is_empty() {
        return Err(refused("no file fits this pattern".to_owned()));
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fs;

    /// A folder with these empty files.
    fn folder(names: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        folder
    }

    fn open(folder: &tempfile::TempDir, pattern: &str) -> Result<Vec<String>> {
        let source = Source::open(&folder.path().join(pattern), None)?;
        let inside = |path: &PathBuf| path.strip_prefix(folder.path()).unwrap().display().to_string();
        Ok(source.files.iter().map(inside).collect())
    }

    #[test]
    fn patterns_find_files_in_sorted_order() {
        let folder =
            folder(&["b.csv", "a.csv", "a.json", ".c.csv", "x/a.csv", "x/y/b.csv", "[1].csv", "1.csv"]);
        for (pattern, expected) in [
            ("*.csv", &["1.csv", "[1].csv", "a.csv", "b.csv"][..]),
            ("?.csv", &["1.csv", "a.csv", "b.csv"]),
            ("[a-b].*", &["a.csv", "a.json", "b.csv"]),
            ("[!a].csv", &["1.csv", "b.csv"]),
            ("*/a.csv", &["x/a.csv"]),
            ("**/[ab].csv", &["a.csv", "b.csv", "x/a.csv", "x/y/b.csv"]),
            // A file of that very name is meant before a pattern.
            ("[1].csv", &["[1].csv"]),
            // Whether it is there is found out when it is read.
            ("no.csv", &["no.csv"]),
        ] {
            assert_eq!(open(&folder, pattern).unwrap(), expected, "{pattern}");
        }
    }

    #[test]
    fn what_finds_nothing_is_named() {
        let folder = folder(&["a/b.csv"]);
        let message = |pattern: &str| open(&folder, pattern).unwrap_err().to_string();
        assert!(message("*.csv").contains("*.csv: no file fits this pattern"), "a folder is no file");
        assert!(message("[a.csv").contains("is no pattern of files"), "{}", message("[a.csv"));
        assert!(message("a***b").contains("is no pattern of files"), "{}", message("a***b"));
        assert!(message("a").contains("is a folder"), "{}", message("a"));
    }

    proptest! {
        #[test]
        fn no_pattern_panics(pattern in "[ab.*?/\\[\\]!-]{0,12}") {
            let folder = folder(&["a/b", "a.b"]);
            if let Ok(files) = open(&folder, &format!("./{pattern}")) {
                prop_assert!(files.is_sorted());
            }
        }
    }
}
