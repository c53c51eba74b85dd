//! A place with a tiny random BERT and a few rows, and the real binary to run there.

use offshoot::core::{Device, Rng};
use offshoot::models::weights::write_safetensors;
use serde_json::{Value, json};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

const WIDTH: usize = 16;
const LAYERS: usize = 2;
const FFN: usize = 32;
const POSITIONS: usize = 32;
const SPECIAL: [&str; 5] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];
const FILLERS: [&str; 8] = ["the", "film", "was", "really", "actor", "music", "and", "story"];

/// What a run of the binary left.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// Waits for the end.
    pub(crate) fn of(child: Child) -> Self {
        let output = child.wait_with_output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// The JSON object on the last line of stdout.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(self.stdout.lines().last().unwrap_or_default()).unwrap()
    }

    /// Asserts success.
    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:?}");
        self
    }

    /// Asserts one clear message: the exit code, one `error:`, no panic, and these words.
    pub(crate) fn fails(self, code: i32, words: &[&str]) -> Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert_eq!(self.stderr.matches("error: ").count(), 1, "{}", self.stderr);
        assert!(!self.stderr.contains("panicked") && self.stdout.is_empty(), "{self:?}");
        for word in words {
            assert!(self.stderr.contains(word), "`{word}` is not said: {}", self.stderr);
        }
        self
    }
}

/// A folder of its own with `model/` and `rows.csv`.
pub(crate) struct Place(TempDir);

impl Place {
    pub(crate) fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        model(&place.path("model"), 1, WIDTH);
        fs::write(place.path("rows.csv"), rows(60)).unwrap();
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// Runs `offshoot` here with words separated by spaces, away from the network.
    pub(crate) fn run(&self, words: &str) -> Ran {
        self.run_with(words, "")
    }

    /// The same, with standard input.
    pub(crate) fn run_with(&self, words: &str, input: &str) -> Ran {
        let mut child = self.start(words);
        // A command that does not read its input may be gone already.
        drop(child.stdin.take().unwrap().write_all(input.as_bytes()));
        Ran::of(child)
    }

    /// Starts `offshoot` here.
    pub(crate) fn start(&self, words: &str) -> Child {
        self.spawn(env!("CARGO_BIN_EXE_offshoot"), &words.split_whitespace().collect::<Vec<_>>())
    }

    /// Runs another program here.
    pub(crate) fn shell(&self, words: &[&str]) -> Ran {
        Ran::of(self.spawn(words[0], &words[1..]))
    }

    fn spawn(&self, program: &str, args: &[&str]) -> Child {
        Command::new(program)
            .args(args)
            .current_dir(self.0.path())
            .env("HF_HUB_OFFLINE", "1")
            .env("HF_HOME", self.0.path().join("hub"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// Trains quickly, with further flags.
    pub(crate) fn train(&self, flags: &str) -> Ran {
        self.run(&format!("train rows.csv --model model --threads 1 {flags}"))
    }
}

/// Rows of which `good` and `bad` decide the label, all different.
pub(crate) fn rows(count: usize) -> String {
    let row = |row: usize| {
        let word = |at: usize| FILLERS[at % FILLERS.len()];
        let (mood, label) = if row.is_multiple_of(2) { ("good", "1") } else { ("bad", "0") };
        let at = row / 2;
        format!("{} {} {mood} {mood} {mood},{label}\n", word(at), word(at / FILLERS.len()))
    };
    "text,label\n".to_owned() + &(0..count).map(row).collect::<String>()
}

/// Writes a random BERT without a head; another seed is another model.
pub(crate) fn model(folder: &Path, seed: u64, width: usize) {
    fs::create_dir_all(folder).unwrap();
    let vocab: Vec<&str> = SPECIAL.iter().chain(&["good", "bad"]).chain(&FILLERS).copied().collect();
    fs::write(folder.join("vocab.txt"), vocab.join("\n")).unwrap();
    let config = json!({
        "model_type": "bert",
        "vocab_size": vocab.len(),
        "hidden_size": width,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": 2,
        "intermediate_size": FFN,
        "max_position_embeddings": POSITIONS,
    });
    fs::write(folder.join("config.json"), config.to_string()).unwrap();
    let tensors = values(shapes(vocab.len(), width), seed);
    let tensors: Vec<_> =
        tensors.iter().map(|(name, shape, v)| (name.clone(), shape.clone(), &v[..])).collect();
    write_safetensors(&folder.join("model.safetensors"), &tensors).unwrap();
}

/// Every module of the model: its name and the shape of its weight.
fn shapes(vocab: usize, d: usize) -> Vec<(String, Vec<usize>)> {
    let mut shapes = vec![
        ("embeddings.word_embeddings".to_owned(), vec![vocab, d]),
        ("embeddings.position_embeddings".to_owned(), vec![POSITIONS, d]),
        ("embeddings.token_type_embeddings".to_owned(), vec![2, d]),
        ("embeddings.LayerNorm".to_owned(), vec![d]),
        ("pooler.dense".to_owned(), vec![d, d]),
    ];
    let block = [
        ("attention.self.query", vec![d, d]),
        ("attention.self.key", vec![d, d]),
        ("attention.self.value", vec![d, d]),
        ("attention.output.dense", vec![d, d]),
        ("attention.output.LayerNorm", vec![d]),
        ("intermediate.dense", vec![FFN, d]),
        ("output.dense", vec![d, FFN]),
        ("output.LayerNorm", vec![d]),
    ];
    for layer in 0..LAYERS {
        shapes.extend(
            block.iter().map(|(name, shape)| (format!("encoder.layer.{layer}.{name}"), shape.clone())),
        );
    }
    shapes
}

/// Weights and, for all but the tables, biases.
fn values(shapes: Vec<(String, Vec<usize>)>, seed: u64) -> Vec<(String, Vec<usize>, Vec<f32>)> {
    let mut rng = Rng::new(seed);
    let mut tensors = Vec::new();
    for (name, shape) in shapes {
        let mut weight = rng.normal_tensor(&Device::cpu(), &shape, 0.2).to_vec();
        if shape.len() == 1 {
            weight.iter_mut().for_each(|value| *value += 1.0);
        }
        if !name.ends_with("_embeddings") {
            let bias = rng.normal_tensor(&Device::cpu(), &shape[..1], 0.02).to_vec();
            tensors.push((format!("{name}.bias"), shape[..1].to_vec(), bias));
        }
        tensors.push((format!("{name}.weight"), shape, weight));
    }
    tensors
}
