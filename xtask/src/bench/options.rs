//! The command line.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::runs::{RUNS, Run};

pub(crate) const USAGE: &str = "\
cargo xtask bench [NAME...] [OPTIONS]: ours and the peer's training, side by side

  --pairs N        runs of each side, in turn [default: 3]
  --rows N         train on so many rows at most: quick, and no result (see --output)
  --ours-only      leave the peer out
  --cores LIST     the cores that both sides are held to, such as 0,1 [default: those of this process]
  --threads N      threads of both sides [default: one a core]
  --wait SECONDS   how long to wait for a quiet machine before each run [default: 600]
  --limit SECONDS  the longest that one run may take [default: 7200]
  --python PATH    an interpreter with the packages of scripts/requirements-peft.txt
                   [default: an environment in target/bench/env, which is made]
  --offshoot PATH  a binary [default: the release build of this tree, which is made]
  --output FILE    where results go [default: bench/results.json; with --rows or --ours-only
                   target/bench/results.json]. Runs that are there already and are not named stay.
                   The table in README.md is written with the default file alone
  --list           the runs' names";

/// What was asked for.
#[derive(Debug)]
pub(crate) struct Options {
    /// In the order of the table; all runs if none is named.
    pub(crate) names: Vec<&'static str>,
    pub(crate) pairs: usize,
    pub(crate) rows: Option<usize>,
    pub(crate) ours_only: bool,
    /// As numbers; those of this process if absent.
    pub(crate) cores: Option<Vec<usize>>,
    pub(crate) threads: Option<usize>,
    pub(crate) wait: Duration,
    pub(crate) limit: Duration,
    pub(crate) python: Option<PathBuf>,
    pub(crate) offshoot: Option<PathBuf>,
    pub(crate) output: Option<PathBuf>,
    /// Only say what there is to run, or how.
    pub(crate) only: Option<Only>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Only {
    Usage,
    List,
}

impl Options {
    /// Reads the arguments.
    ///
    /// # Errors
    /// What is no option, no run's name, or no value of its option.
    pub(crate) fn read(args: &[String]) -> Result<Self> {
        let mut options = Self::default();
        let mut words = args.iter().map(String::as_str);
        while let Some(word) = words.next() {
            match word.strip_prefix("--") {
                Some(flag) => options.flag(flag, &mut words)?,
                None => options.names.push(known(word)?),
            }
        }
        Ok(options)
    }

    fn flag<'a>(&mut self, flag: &'a str, words: &mut impl Iterator<Item = &'a str>) -> Result<()> {
        let (flag, inline) = flag.split_once('=').map_or((flag, None), |(flag, value)| (flag, Some(value)));
        match flag {
            "ours-only" => self.ours_only = true,
            "list" => self.only = Some(Only::List),
            "help" => self.only = Some(Only::Usage),
            _ => {
                let value = inline.or_else(|| words.next());
                let value = value.with_context(|| format!("--{flag} without a value\n\n{USAGE}"))?;
                self.valued(flag, value)?;
            }
        }
        Ok(())
    }

    fn valued(&mut self, flag: &str, value: &str) -> Result<()> {
        let number = || count(flag, value);
        let path = || absolute(value).map(Some);
        match flag {
            "pairs" => self.pairs = number()?,
            "rows" => self.rows = Some(number()?),
            "cores" => self.cores = Some(cores(value)?),
            "threads" => self.threads = Some(number()?),
            "wait" => self.wait = seconds(flag, value)?,
            "limit" => self.limit = seconds(flag, value)?,
            "python" => self.python = path()?,
            "offshoot" => self.offshoot = path()?,
            "output" => self.output = path()?,
            _ => bail!("no option --{flag}\n\n{USAGE}"),
        }
        Ok(())
    }

    /// Whether what comes out is a result, and not only a look.
    pub(crate) fn is_whole(&self) -> bool {
        self.rows.is_none() && !self.ours_only
    }

    /// The runs that were asked for.
    pub(crate) fn runs(&self) -> impl Iterator<Item = &'static Run> {
        RUNS.iter().filter(|run| self.names.is_empty() || self.names.contains(&run.name))
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            names: Vec::new(),
            pairs: 3,
            rows: None,
            ours_only: false,
            cores: None,
            threads: None,
            wait: Duration::from_secs(600),
            limit: Duration::from_secs(7200),
            python: None,
            offshoot: None,
            output: None,
            only: None,
        }
    }
}

fn known(name: &str) -> Result<&'static str> {
    let found = RUNS.iter().find(|run| run.name == name);
    Ok(found.with_context(|| format!("no run `{name}`; there are {}", names().join(", ")))?.name)
}

/// The runs' names.
pub(crate) fn names() -> Vec<&'static str> {
    RUNS.iter().map(|run| run.name).collect()
}

fn count(flag: &str, value: &str) -> Result<usize> {
    let number = value.parse().ok().filter(|number| *number > 0);
    number.with_context(|| format!("--{flag} takes a number from 1, not `{value}`"))
}

fn seconds(flag: &str, value: &str) -> Result<Duration> {
    let seconds =
        value.parse().ok().with_context(|| format!("--{flag} takes whole seconds, not `{value}`"))?;
    Ok(Duration::from_secs(seconds))
}

/// As the caller sees it; programs start in the repository's root. A link stays one: an environment's
/// interpreter is known by its place.
fn absolute(path: &str) -> Result<PathBuf> {
    std::path::absolute(Path::new(path)).with_context(|| format!("`{path}` is no path"))
}

/// Numbers of a list such as `0,2-4`.
///
/// # Errors
/// Anything else.
pub(crate) fn cores(list: &str) -> Result<Vec<usize>> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (usize, usize) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        // More than any machine has would only be a long list.
        (first <= last && last < 4096).then_some(first..=last)
    };
    let ranges: Option<Vec<_>> = list.split(',').map(range).collect();
    let ranges = ranges.with_context(|| format!("cores are a list such as 0,1 or 0-3, not `{list}`"))?;
    Ok(ranges.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Options> {
        Options::read(&line.split_whitespace().map(String::from).collect::<Vec<_>>())
    }

    #[test]
    fn options_are_read_in_both_ways() {
        let options = read("minilm-head --pairs 5 --rows=32 smollm2-lora --cores 0,2-3 --wait 9").unwrap();
        assert_eq!(options.names, ["minilm-head", "smollm2-lora"]);
        assert_eq!((options.pairs, options.rows), (5, Some(32)));
        assert_eq!((options.cores, options.wait), (Some(vec![0, 2, 3]), Duration::from_secs(9)));
        assert!(read("--ours-only").unwrap().ours_only);
        assert_eq!(read("--help").unwrap().only, Some(Only::Usage));
    }

    #[test]
    fn what_is_cut_is_no_result() {
        assert!(read("").unwrap().is_whole() && read("minilm-head").unwrap().is_whole());
        assert!(!read("--rows 9").unwrap().is_whole() && !read("--ours-only").unwrap().is_whole());
        assert_eq!(read("").unwrap().runs().count(), RUNS.len());
        assert_eq!(read("smollm2-lora minilm-head").unwrap().runs().count(), 2);
    }

    #[test]
    fn mistakes_are_named() {
        for (line, named) in [
            ("--pairs", "--pairs without"),
            ("--pairs 0", "`0`"),
            ("--pairs three", "`three`"),
            ("--fast 1", "--fast"),
            ("mini", "minilm-head"),
            ("--cores 0-", "`0-`"),
            ("--wait 1.5", "`1.5`"),
        ] {
            let error = read(line).unwrap_err().to_string();
            assert!(error.contains(named), "{line}: {error}");
        }
    }
}
