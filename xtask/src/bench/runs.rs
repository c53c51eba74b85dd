//! What is measured: one table. A run is a training of ours, beside what it is held against.

use super::measured::Metric::{
    self, OverCeiling, PeakBytes, PeakRatio, Startup, TimePerRow, TokensPerSecond, WholeRun,
};

/// A training run of ours and what it is compared with.
pub(crate) struct Run {
    /// As it is asked for on the command line.
    pub(crate) name: &'static str,
    /// What it is, in the table.
    pub(crate) about: &'static str,
    pub(crate) base: Base,
    pub(crate) rows: Rows,
    pub(crate) method: &'static str,
    /// The same peak rate on both sides; the method's own where nothing is compared but time.
    pub(crate) lr: Option<&'static str>,
    /// Further arguments of `offshoot train`.
    pub(crate) ours: &'static [&'static str],
    /// Further arguments of `bench/peer.py`.
    pub(crate) peer: &'static [&'static str],
    /// Whether the base's own dropout acts, on both sides.
    pub(crate) dropout: bool,
    pub(crate) against: Against,
    /// What is to be reached.
    pub(crate) goals: &'static [Goal],
}

/// The frozen model.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Base {
    /// all-MiniLM-L6-v2, f32.
    MiniLm,
    /// SmolLM2-135M-Instruct as a folder in bf16, made from its GGUF file.
    SmolLm2,
    /// The GGUF file itself.
    SmolLm2Gguf,
}

/// The rows, all of which are trained on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rows {
    /// 2000 movie reviews, cut to 128 tokens, 16 a step.
    Reviews,
    /// 900 instructions of ragged lengths, at most 512 tokens, 4 a step.
    Instructions,
    /// 40 texts that fill 512 tokens each, 4 a step.
    Long,
}

/// What a run of ours is held against.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Against {
    /// transformers + peft, in the fastest of these types.
    Peer(&'static [Dtype]),
    /// Our own LoRA of rank 8 on the same rows.
    OurLora,
    /// Nothing: a number of its own.
    Nothing,
}

/// How the peer computes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dtype {
    F32,
    Bf16,
    Amp,
}

/// A bound on a metric's median.
#[derive(Clone, Copy)]
pub(crate) struct Goal {
    pub(crate) metric: Metric,
    pub(crate) bound: f64,
}

const fn goal(metric: Metric, bound: f64) -> Goal {
    Goal { metric, bound }
}

/// What a user gets who sets nothing.
const DEFAULT: Against = Against::Peer(&[Dtype::F32]);

/// What a user gets who tries what there is.
const BEST: Against = Against::Peer(&[Dtype::F32, Dtype::Bf16, Dtype::Amp]);

/// Passes over the training rows.
pub(crate) const EPOCHS: usize = 3;

/// At most this much more time per row than our own LoRA.
const CLOSE: &[Goal] = &[goal(TimePerRow, 1.15)];

const MB: f64 = 1e6;

/// What most runs share.
const MINILM: Run = Run {
    name: "",
    about: "",
    base: Base::MiniLm,
    rows: Rows::Reviews,
    method: "lora",
    lr: None,
    ours: &[],
    peer: &[],
    dropout: true,
    against: DEFAULT,
    goals: &[],
};

const SMOLLM2: Run =
    Run { base: Base::SmolLm2, rows: Rows::Instructions, dropout: false, against: BEST, ..MINILM };

/// Every run, in the order of the table.
pub(crate) const RUNS: [Run; 13] = [
    Run {
        name: "minilm-lora",
        about: "MiniLM, LoRA r8, as it comes",
        lr: Some("1e-3"),
        goals: &[goal(TokensPerSecond, 2.7), goal(Startup, 0.5)],
        ..MINILM
    },
    Run {
        name: "minilm-lora-best",
        about: "MiniLM, LoRA r8, no dropout",
        lr: Some("1e-3"),
        dropout: false,
        against: BEST,
        goals: &[
            goal(TokensPerSecond, 1.6),
            goal(OverCeiling, 1.4),
            goal(PeakBytes, 250.0 * MB),
            goal(PeakRatio, 1.0 / 3.0),
        ],
        ..MINILM
    },
    Run {
        name: "minilm-full",
        about: "MiniLM, all weights, as it comes",
        method: "full",
        lr: Some("5e-5"),
        goals: &[goal(TokensPerSecond, 2.0)],
        ..MINILM
    },
    Run {
        name: "minilm-full-best",
        about: "MiniLM, all weights, no dropout",
        method: "full",
        lr: Some("5e-5"),
        dropout: false,
        against: BEST,
        goals: &[goal(TokensPerSecond, 1.3)],
        ..MINILM
    },
    Run {
        name: "minilm-head",
        about: "MiniLM, the head alone",
        method: "head",
        lr: Some("1e-2"),
        goals: &[goal(WholeRun, 11.0)],
        ..MINILM
    },
    own("minilm-prefix", "prefix", "MiniLM, prefix of 20"),
    own("minilm-houlsby", "houlsby", "MiniLM, houlsby"),
    own("minilm-prompt", "prompt", "MiniLM, prompt of 20"),
    own("minilm-ia3", "ia3", "MiniLM, IA3"),
    Run {
        // In every layer: in fewer it would be a comparison of depths.
        ours: &["--layers", "6"],
        ..own("minilm-llama-adapter", "llama-adapter", "MiniLM, LLaMA-Adapter in all 6 layers")
    },
    Run {
        name: "smollm2-lora",
        about: "SmolLM2, LoRA r8",
        lr: Some("5e-4"),
        goals: &[
            goal(TokensPerSecond, 3.0),
            goal(OverCeiling, 1.4),
            goal(PeakBytes, 900.0 * MB),
            goal(PeakRatio, 1.0 / 3.0),
            goal(Startup, 1.5),
        ],
        ..SMOLLM2
    },
    Run {
        name: "smollm2-llama-adapter",
        about: "SmolLM2, LLaMA-Adapter in the top 10 of 30 layers",
        method: "llama-adapter",
        lr: Some("5e-3"),
        ours: &["--layers", "10", "--set", "llama-adapter.gate=scalar"],
        peer: &["--adapter-layers", "10"],
        goals: &[goal(WholeRun, 3.8)],
        ..SMOLLM2
    },
    Run {
        name: "smollm2-gguf-memory",
        about: "SmolLM2 Q4_1, LoRA r8, 4 x 512 tokens in 350 MB",
        base: Base::SmolLm2Gguf,
        rows: Rows::Long,
        ours: &["--memory", "350MB"],
        against: Against::Nothing,
        goals: &[goal(PeakBytes, 350.0 * MB)],
        ..SMOLLM2
    },
];

/// A method that is held against our own LoRA.
const fn own(name: &'static str, method: &'static str, about: &'static str) -> Run {
    Run { name, about, method, dropout: false, against: Against::OurLora, goals: CLOSE, ..MINILM }
}

impl Run {
    /// Virtual rows that the method puts before every sequence. Prefixes are keys and values, no rows.
    pub(crate) fn virtual_rows(&self) -> u64 {
        if self.method == "prompt" { 20 } else { 0 }
    }

    /// Whether the share of the ceiling has a meaning: every layer is trained, by products that `flops` knows,
    /// and nothing is left out at random.
    pub(crate) fn has_ceiling(&self) -> bool {
        !self.dropout && matches!(self.method, "lora" | "full")
    }
}

impl Rows {
    /// As the data script names it.
    pub(crate) fn kind(self) -> &'static str {
        match self {
            Self::Reviews => "reviews",
            Self::Instructions => "instructions",
            Self::Long => "long",
        }
    }

    /// The file's ending, which says its format.
    pub(crate) fn ending(self) -> &'static str {
        if self == Self::Reviews { "csv" } else { "json" }
    }

    /// Rows to train on, unless fewer are asked for.
    pub(crate) fn count(self) -> usize {
        match self {
            Self::Reviews => 2000,
            Self::Instructions => 900,
            Self::Long => 40,
        }
    }

    /// Rows of a step, and the most tokens of a row.
    pub(crate) fn step(self) -> (&'static str, &'static str) {
        if self == Self::Reviews { ("16", "128") } else { ("4", "512") }
    }
}

impl Base {
    pub(crate) fn is_language_model(self) -> bool {
        self != Self::MiniLm
    }
}

impl Dtype {
    /// As the peer's script names it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::Amp => "amp",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique_and_every_run_has_a_goal() {
        let names: BTreeSet<&str> = RUNS.iter().map(|run| run.name).collect();
        assert_eq!(names.len(), RUNS.len());
        for run in &RUNS {
            assert!(
                !run.goals.is_empty() && !run.about.is_empty() && !run.name.starts_with('-'),
                "{}",
                run.name
            );
        }
    }

    #[test]
    fn a_goal_is_one_that_the_run_can_measure() {
        for run in &RUNS {
            for goal in run.goals {
                let measured = match goal.metric {
                    OverCeiling => run.has_ceiling(),
                    TimePerRow => run.against == Against::OurLora,
                    PeakBytes | Startup => true,
                    _ => matches!(run.against, Against::Peer(_)),
                };
                assert!(measured, "{}: {}", run.name, goal.metric.key());
            }
        }
    }
}
