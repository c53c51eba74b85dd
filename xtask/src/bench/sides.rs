//! The command lines of a run's sides.

use std::path::Path;

use super::execute::Call;
use super::runs::{Against, Dtype, EPOCHS, Run};

/// Who runs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    Ours,
    /// Our own LoRA, beside another method of ours.
    OurLora,
    Peer(Dtype),
}

/// What all sides of a run share.
pub(crate) struct Setting<'a> {
    pub(crate) run: &'a Run,
    pub(crate) offshoot: &'a Path,
    pub(crate) python: Option<&'a Path>,
    pub(crate) data: &'a Path,
    pub(crate) model: &'a Path,
    /// Rows of `data`.
    pub(crate) rows: usize,
    pub(crate) threads: usize,
}

impl Who {
    /// As the results name it.
    pub(crate) fn label(self) -> String {
        match self {
            Self::Ours => "ours".into(),
            Self::OurLora => "our lora".into(),
            Self::Peer(dtype) => format!("peer {}", dtype.name()),
        }
    }

    /// A run's sides, in the order in which they run.
    pub(crate) fn of(run: &Run, ours_only: bool) -> Vec<Self> {
        let others = match run.against {
            Against::Peer(_) if ours_only => Vec::new(),
            Against::Peer(dtypes) => dtypes.iter().map(|dtype| Self::Peer(*dtype)).collect(),
            Against::OurLora => vec![Self::OurLora],
            Against::Nothing => Vec::new(),
        };
        [vec![Self::Ours], others].concat()
    }
}

impl Setting<'_> {
    /// The command line; an adapter is written to `output`.
    pub(crate) fn call(&self, who: Who, output: &Path) -> Call {
        match (who, self.python) {
            (Who::Peer(dtype), Some(python)) => self.peer(dtype, python),
            (Who::OurLora, _) => self.ours("lora", &[], output),
            _ => self.ours(self.run.method, self.run.ours, output),
        }
    }

    /// No rows to validate or to test on: what is measured is training.
    fn ours(&self, method: &str, more: &[&str], output: &Path) -> Call {
        let (data, model, output) =
            (self.data.to_string_lossy(), self.model.to_string_lossy(), output.to_string_lossy());
        let mut words = vec!["train", &data, "--model", &model, "--method", method, "--output", &output];
        words.extend(["--validation", "0", "--test", "0", "--json"]);
        match self.run.base.is_language_model() {
            true => words.extend(["--task", "language-model"]),
            false => words.extend(["--text", "text", "--label", "label"]),
        }
        self.finish(self.offshoot, words, more)
    }

    fn peer(&self, dtype: Dtype, python: &Path) -> Call {
        let (data, model, rows) =
            (self.data.to_string_lossy(), self.model.to_string_lossy(), self.rows.to_string());
        let task = if self.run.base.is_language_model() { "sft" } else { "classification" };
        let mut words =
            vec!["bench/peer.py", task, "--data", &data, "--model", &model, "--method", self.run.method];
        words.extend(["--dtype", dtype.name(), "--train", &rows, "--test", "0"]);
        self.finish(python, words, self.run.peer)
    }

    /// What both sides are told in the same words.
    fn finish(&self, program: &Path, words: Vec<&str>, more: &[&str]) -> Call {
        let (batch, length) = self.run.rows.step();
        let (epochs, threads) = (EPOCHS.to_string(), self.threads.to_string());
        let mut words = words;
        words.extend(["--epochs", &epochs, "--batch", batch, "--max-length", length, "--seed", "0"]);
        words.extend(["--threads", &threads]);
        words.extend(self.run.lr.iter().flat_map(|lr| ["--lr", lr]));
        words.extend((!self.run.dropout).then_some("--no-dropout"));
        words.extend(more);
        Call::new(program.to_string_lossy(), &words)
    }
}

#[cfg(test)]
mod tests {
    use super::super::runs::RUNS;
    use super::*;

    fn line(name: &str, who: Who) -> String {
        let run = RUNS.iter().find(|run| run.name == name).unwrap();
        let setting = Setting {
            run,
            offshoot: Path::new("offshoot"),
            python: Some(Path::new("python")),
            data: Path::new("rows"),
            model: Path::new("model"),
            rows: 2000,
            threads: 2,
        };
        let call = setting.call(who, Path::new("out"));
        format!("{} {}", call.program, call.args.join(" "))
    }

    #[test]
    fn both_sides_are_told_the_same() {
        let (ours, peer) =
            (line("minilm-lora-best", Who::Ours), line("minilm-lora-best", Who::Peer(Dtype::Amp)));
        let same = "--epochs 3 --batch 16 --max-length 128 --seed 0 --threads 2 --lr 1e-3 --no-dropout";
        assert!(ours.starts_with("offshoot train rows") && ours.ends_with(same), "{ours}");
        assert!(peer.starts_with("python bench/peer.py classification") && peer.ends_with(same), "{peer}");
        assert!(peer.contains("--dtype amp --train 2000"), "{peer}");
    }

    #[test]
    fn a_method_of_ours_is_beside_lora_on_the_same_rows() {
        let lora = line("minilm-llama-adapter", Who::OurLora);
        assert!(lora.contains("--method lora") && !lora.contains("--layers"), "{lora}");
        assert!(line("minilm-llama-adapter", Who::Ours).ends_with("--layers 6"));
    }

    #[test]
    fn ours_alone_leaves_the_peer_out() {
        for run in &RUNS {
            assert!(Who::of(run, true).iter().all(|who| !matches!(who, Who::Peer(_))), "{}", run.name);
        }
        assert_eq!(RUNS.iter().filter(|run| Who::of(run, false).len() == 4).count(), 4);
    }
}
