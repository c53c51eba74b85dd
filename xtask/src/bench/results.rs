//! `bench/results.json`: every run's last result, with the machine and the versions it was measured on.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use super::options::Options;
use super::setup;
use crate::shell::root;

/// Where the results of whole runs stand, in the repository.
const PLACE: &str = "bench/results.json";

/// The results of a file, by the runs' names.
pub(crate) struct Results {
    path: PathBuf,
    runs: Map<String, Value>,
}

impl Results {
    /// Those that are there already.
    ///
    /// # Errors
    /// A file that is none of ours is not written over.
    pub(crate) fn open(options: &Options) -> Result<Self> {
        let path = match &options.output {
            Some(path) => path.clone(),
            None if options.is_whole() => root().join(PLACE),
            None => setup::folder().join("results.json"),
        };
        let runs = read(&path)
            .with_context(|| format!("{} holds no results; name another --output", path.display()))?;
        Ok(Self { path, runs })
    }

    /// Whether these are the ones that the README shows.
    pub(crate) fn are_published(&self) -> bool {
        self.path == root().join(PLACE)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A run's result.
    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.runs.get(name)
    }

    /// Puts a run's result in the place of its last one, and writes the file: what a long session has measured
    /// is not lost with it.
    ///
    /// # Errors
    /// If the file can not be written.
    pub(crate) fn put(&mut self, name: &str, result: Value) -> Result<()> {
        self.runs.insert(name.into(), result);
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
        }
        let text = format!("{:#}\n", json!({ "runs": self.runs }));
        // Beside it and then in one step: half a file would be refused the next time.
        let work = self.path.with_extension("json.tmp");
        fs::write(&work, text)
            .and_then(|()| fs::rename(&work, &self.path))
            .with_context(|| format!("{} cannot be written", self.path.display()))
    }
}

/// The runs of a file; none if it is not there.
fn read(path: &Path) -> Result<Map<String, Value>> {
    if !path.exists() {
        return Ok(Map::new());
    }
    let mut value: Value = serde_json::from_str(&fs::read_to_string(path)?)?;
    let runs = value.get_mut("runs").map(Value::take);
    runs.as_ref().and_then(Value::as_object).cloned().context("there is no object `runs`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_other_runs_stay() {
        let path = std::env::temp_dir().join(format!("offshoot-xtask-{}-results/r.json", std::process::id()));
        let options = Options { output: Some(path.clone()), ..Options::default() };
        let mut results = Results::open(&options).unwrap();
        results.put("a", json!(1)).unwrap();
        results.put("b", json!(2)).unwrap();
        let mut results = Results::open(&options).unwrap();
        results.put("a", json!(3)).unwrap();
        let results = Results::open(&options).unwrap();
        assert_eq!(
            (results.get("a"), results.get("b"), results.get("c")),
            (Some(&json!(3)), Some(&json!(2)), None)
        );
        assert!(!results.are_published());

        fs::write(&path, "{}").unwrap();
        let error = format!("{:#}", Results::open(&options).err().unwrap());
        assert!(error.contains("r.json") && error.contains("--output"), "{error}");
        fs::remove_dir_all(path.parent().unwrap()).unwrap();
    }

    #[test]
    fn a_look_does_not_replace_a_result() {
        assert!(Results::open(&Options::default()).unwrap().are_published());
        for options in [
            Options { rows: Some(9), ..Options::default() },
            Options { ours_only: true, ..Options::default() },
        ] {
            assert!(!Results::open(&options).unwrap().are_published());
        }
    }
}
