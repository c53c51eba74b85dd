use super::ask::Asker;
use super::likelihood::Likelihood;
use super::prompt::text_of;
use super::search::Search;
use super::trial::Trial;
use super::*;
use crate::checkpoint::{About, load, resume, save};
use crate::data::Example;
use crate::run::Prepared;
use crate::{
    Classifier, CompareSettings, DataRecipe, Dtype, ModelRecipe, Recipe, RunReport, TrackSettings,
    TrainSettings, deal, prepare,
};
use offshoot_core::{Batch, Mode, NoAdapter, Params, Pass, Rng, forward};
use offshoot_methods::MethodConfig;
use offshoot_models::Task;
use offshoot_models::weights::Pickles;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::time::Instant;
use tempfile::{TempDir, tempdir};

/// A tokenizer of whole words, `<s>` first.
fn tokenizer() -> Value {
    let known = ["[UNK]", "<s>", "Text", "Label", ":", "good", "bad", "very", "It", "was", "?", "Class"];
    let words = known.iter().map(|word| (*word).to_owned()).chain((0..60).map(|i| format!("w{i}")));
    let vocab: serde_json::Map<_, _> = words.zip(0..).map(|(word, id)| (word, json!(id))).collect();
    let special = |id: u32, content: &str| {
        json!({ "id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true })
    };
    json!({
        "version": "1.0", "truncation": null, "padding": null, "normalizer": null, "decoder": null,
        "added_tokens": [special(0, "[UNK]"), special(1, "<s>")],
        "pre_tokenizer": { "type": "Whitespace" },
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [{ "SpecialToken": { "id": "<s>", "type_id": 0 } }, { "Sequence": { "id": "A", "type_id": 0 } }],
            "pair": [{ "Sequence": { "id": "A", "type_id": 0 } }, { "Sequence": { "id": "B", "type_id": 1 } }],
            "special_tokens": { "<s>": { "id": "<s>", "ids": [1], "tokens": ["<s>"] } },
        },
        "model": { "type": "WordLevel", "vocab": vocab, "unk_token": "[UNK]" },
    })
}

/// A tiny model with rows of two classes, one of whose names has two tokens.
pub(super) fn prepared(family: &str) -> Prepared {
    let folder = tempdir().unwrap();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testing/golden/models").join(family);
    for name in ["config.json", "model.safetensors"] {
        fs::copy(golden.join(name), folder.path().join(name)).unwrap();
    }
    fs::write(folder.path().join("tokenizer.json"), tokenizer().to_string()).unwrap();
    let row = |i: usize| {
        let class = if i.is_multiple_of(2) { "good" } else { "very bad" };
        format!("w{} w{} w{} w{},{class}\n", i, i % 7 + 3, i % 5 + 40, i % 2)
    };
    let data = folder.path().join("rows.csv");
    fs::write(&data, format!("text,label\n{}", (0..44).map(row).collect::<String>())).unwrap();
    let recipe = Recipe {
        task: Task::Classification,
        init_from: None,
        model: ModelRecipe { name: family.into(), dtype: Dtype::F32, ..ModelRecipe::default() },
        data: DataRecipe::new(&data),
        train: TrainSettings::default(),
        compare: CompareSettings::default(),
        track: TrackSettings::default(),
        methods: Vec::new(),
    };
    prepare(&recipe, deal(&recipe).unwrap(), folder.path(), Instant::now()).unwrap().0
}

pub(super) fn prompt(prepared: &Prepared, template: &str, calibrate: bool) -> Prompt {
    Prompt { calibrate, ..Prompt::new(template, &prepared.labels, &Default::default()).unwrap() }
}

/// The mean log-likelihood of a word by one pass over the whole sequence.
fn plain(prepared: &Prepared, prompt: &[u32], word: &[u32]) -> f64 {
    let (backbone, none, mut batch) = (prepared.model.backbone.as_ref(), Params::new(), Batch::new());
    let all = [prompt, word].concat();
    batch.push(&all, None, 0).unwrap();
    let mut pass = Pass::new(&batch, &NoAdapter, &none, Mode::Evaluate).unwrap();
    let hidden = forward(backbone, &mut pass).unwrap();
    let before = hidden.row_range(prompt.len() - 1..all.len() - 1).unwrap();
    let (losses, _) = pass.step().cross_entropy(&before, backbone.output_head().unwrap(), word).unwrap();
    -losses.iter().map(|&loss| f64::from(loss)).sum::<f64>() / word.len() as f64
}

fn run(prepared: &Prepared, method: Value, seed: u64) -> (Classifier, RunReport) {
    let method: MethodConfig = serde_json::from_value(method).unwrap();
    let settings = TrainSettings { seed, ..TrainSettings::default() };
    prepared.run(&method, &settings, &mut |_| ()).unwrap()
}

fn saved(classifier: &Classifier, prepared: &Prepared) -> TempDir {
    let folder = tempdir().unwrap();
    let about = About { model_name: "m", labels: &prepared.labels, recipe: json!({}) };
    save(folder.path(), classifier, &prepared.model, about).unwrap();
    folder
}

#[test]
fn the_cache_gives_the_likelihood_of_the_whole_sequence() {
    let words = [vec![5], vec![7, 6], vec![7, 20, 30]];
    // Shared beginnings of every length, a repetition, and more prompts than slots.
    let mut prompts: Vec<Vec<u32>> =
        (0..20).map(|i| (0..4 + i % 9).map(|t| 2 + t * (1 + i / 7)).collect()).collect();
    prompts.extend([vec![9], vec![1, 2, 3], vec![1, 2, 3]]);
    for family in ["llama-lm", "llama-untied-lm", "mistral-lm", "qwen3-lm", "gemma3-lm", "gpt2-lm"] {
        let prepared = prepared(family);
        let likelihood = Likelihood::new(prepared.model.backbone.as_ref()).unwrap();
        let slices: Vec<&[u32]> = prompts.iter().map(Vec::as_slice).collect();
        for (prompt, found) in prompts.iter().zip(likelihood.of(&slices, &words).unwrap()) {
            for (word, found) in words.iter().zip(found) {
                let expected = plain(&prepared, prompt, word);
                assert!((found - expected).abs() < 1e-4, "{family} {prompt:?} {word:?}: {found} {expected}");
            }
        }
    }
}

#[test]
fn calibration_takes_away_the_score_of_an_empty_text() {
    let prepared = prepared("llama-lm");
    let texts: Vec<String> = prepared.examples.train[..5].iter().map(text_of).collect();
    let prompt = prompt(&prepared, "Text: {text}\nLabel:", true);
    let scores = Asker::new(prepared.model.backbone.as_ref(), &prepared.tokenizer, &prompt)
        .unwrap()
        .scores(&texts, &[])
        .unwrap();
    let words = [vec![5], vec![7, 6]];
    let ids = |text: &str| {
        let ids = prepared.tokenizer.encode(&format!("Text: {text}\nLabel:"), None, 64).unwrap().ids;
        assert_eq!(ids[0], 1);
        ids
    };
    for (text, scores) in texts.iter().zip(scores) {
        for (class, word) in prepared.labels.iter().map(|l| &words[usize::from(l == "very bad")]).enumerate()
        {
            let expected = plain(&prepared, &ids(text), word) - plain(&prepared, &ids(""), word);
            assert!((scores[class] - expected).abs() < 1e-4, "{text}: {} {expected}", scores[class]);
        }
    }
}

#[test]
fn examples_of_each_text_have_their_own_empty_text() {
    let prepared = prepared("llama-lm");
    let (plain_prompt, calibrated) =
        (prompt(&prepared, "{text} Label:", false), prompt(&prepared, "{text} Label:", true));
    let asker = |prompt| Asker::new(prepared.model.backbone.as_ref(), &prepared.tokenizer, prompt).unwrap();
    let shown: Vec<Vec<Demonstration>> = prepared.examples.train[..3]
        .iter()
        .map(|example| vec![examples::shown(&calibrated, example)])
        .collect();
    let texts = ["w1 w2", "w3", "w4 w5"].map(str::to_owned);
    let scores = asker(&calibrated).scores(&texts, &shown).unwrap();
    let (raw, empty) = (asker(&plain_prompt), vec![String::new(); 3]);
    let (with, without) = (raw.scores(&texts, &shown).unwrap(), raw.scores(&empty, &shown).unwrap());
    for row in 0..3 {
        for class in 0..2 {
            assert!((scores[row][class] - (with[row][class] - without[row][class])).abs() < 1e-5);
        }
    }
}

#[test]
fn what_is_too_long_loses_examples_then_its_middle() {
    let prepared = prepared("llama-lm");
    let prompt = prompt(&prepared, "Text: {text} Label:", true);
    let example = |word: &str| Demonstration { text: word.into(), answer: "good".into() };
    let examples = [example("w1"), example("w2")];
    let ids = |text: &str, most| prompt.tokens(&prepared.tokenizer, &examples, text, most).unwrap();
    let text = |ids: &[u32]| prepared.tokenizer.decode(ids, true).unwrap();
    assert_eq!(ids("w3", 64).len(), 1 + 3 * 5 + 2);
    assert!(text(&ids("w3", 14)).starts_with("Text : w2 Label"));
    let long = (10..40).map(|i| format!("w{i}")).collect::<Vec<_>>().join(" ");
    let cut = ids(&long, 20);
    let cut_text = text(&cut);
    assert!(
        cut.len() <= 20 && cut_text.starts_with("Text : w10 w11") && cut_text.ends_with("w39 Label :"),
        "{cut_text}"
    );
    assert!(prompt.tokens(&prepared.tokenizer, &[], "w3", 3).is_err());
}

#[test]
fn drawn_examples_are_balanced_and_follow_the_seed() {
    let row = |label: u32| Example { text: String::new(), pair: None, label: label.into(), line: 1 };
    let rows: Vec<Example> = (0..30).map(|i| row(u32::from(i >= 27))).collect();
    let ones = |drawn: &[usize]| drawn.iter().filter(|&&row| row >= 27).count();
    let draw = |count, seed| examples::drawn(&rows, count, &mut Rng::new(seed));
    assert_eq!((draw(4, 1).len(), ones(&draw(4, 1))), (4, 2));
    assert_eq!((draw(10, 1).len(), ones(&draw(10, 1))), (10, 3), "all there are");
    assert_eq!(draw(99, 1).len(), 30);
    assert_eq!(draw(4, 1), draw(4, 1));
    assert_ne!(draw(4, 1), draw(4, 2));
}

#[test]
fn the_search_is_never_worse_than_its_start() {
    let mut helped = 0;
    for (family, seed) in [("llama-lm", 0), ("gpt2-lm", 1), ("gemma3-lm", 2)] {
        let prepared = prepared(family);
        let config = offshoot_methods::hard_prompt::Config { search_rows: 6, ..Default::default() };
        let start = prompt(&prepared, "{text}\nIt was", true);
        let mut rng = Rng::new(seed);
        let trial = classes::labelled(&prepared, &prepared.examples.train, config.search_rows, &mut rng);
        let loss = |prompt: &Prompt| trial.score(prompt).unwrap().loss();
        let mut search = Search::new(&trial, &config, &start, &mut rng).unwrap();
        let losses: Vec<f64> = (0..4).map(|step| search.step(step).unwrap()).collect();
        assert!(losses.is_sorted_by(|a, b| a >= b), "{losses:?}");
        let (before, after) = (loss(&start), loss(&search.best()));
        assert!(after <= before && (after - losses[3]).abs() < 1e-9, "{family}: {before} {after}");
        // Where no trigger helps there is none.
        assert_eq!(after < before, !search.best().trigger.is_empty(), "{family}");
        helped += usize::from(after < before);
    }
    assert!(helped > 0, "tiny models are easily moved");
}

#[test]
fn one_seed_gives_one_result() {
    let prepared = prepared("llama-lm");
    for method in [
        json!({ "method": "in-context" }),
        json!({ "method": "in-context", "shots": 0 }),
        json!({ "method": "in-context", "shots": 3, "examples": "nearest" }),
        json!({ "method": "hard-prompt", "search_steps": 2, "candidates": 4, "search_rows": 4, "rows": 8 }),
    ] {
        let ((one, first), (two, second)) =
            (run(&prepared, method.clone(), 3), run(&prepared, method.clone(), 3));
        assert_eq!(
            (&one.prompt, first.test, first.validation),
            (&two.prompt, second.test, second.validation)
        );
        assert_eq!((first.trainable_parameters, first.epochs), (0, 0), "{method}");
        assert!(first.test.is_some() && first.total_parameters > 0, "{method}");
    }
    let (random, other) = (json!({ "method": "in-context" }), json!({ "method": "in-context" }));
    assert_ne!(run(&prepared, random, 3).0.prompt, run(&prepared, other, 4).0.prompt);
}

#[test]
fn the_nearest_example_is_the_text_itself() {
    let prepared = prepared("llama-lm");
    let plain = prompt(&prepared, "{text} Label:", true);
    let pool = prepared.examples.train.iter().map(|row| examples::shown(&plain, row)).collect();
    let prompt = Prompt { nearest: 2, examples: pool, ..plain };
    let texts: Vec<String> = prepared.examples.train[..4].iter().map(text_of).collect();
    let (backbone, tokenizer) = (prepared.model.backbone.as_ref(), &prepared.tokenizer);
    let shown = examples::nearest(backbone, tokenizer, &prompt, &texts, 64).unwrap();
    for (shown, example) in shown.iter().zip(&prepared.examples.train) {
        assert_eq!((shown.len(), &shown[1].text), (2, &example.text));
    }
}

#[test]
fn a_prompt_is_saved_as_text() {
    let prepared = prepared("llama-lm");
    let (classifier, _) = run(&prepared, json!({ "method": "in-context", "shots": 2 }), 0);
    let folder = saved(&classifier, &prepared);
    let json = fs::read_to_string(folder.path().join("prompt.json")).unwrap();
    let prompt = classifier.prompt.as_ref().unwrap();
    assert_eq!(&serde_json::from_str::<Prompt>(&json).unwrap(), prompt);
    let text = fs::read_to_string(folder.path().join("prompt.txt")).unwrap();
    assert!(text.contains(&prompt.examples[1].text) && text.ends_with("Text: {text}\nLabel:\n"), "{text}");
    let loaded = load(folder.path(), &prepared.model, Pickles::Refuse).unwrap();
    assert_eq!(loaded.classifier.prompt.as_ref(), Some(prompt));
    let again = resume(folder.path(), &prepared.model, 2, 0, Pickles::Refuse).err().unwrap().to_string();
    assert!(again.contains("trained nothing"), "{again}");
    // Files that agree with each other, and name no class.
    let without = |name: &str, keys: [&str; 2]| {
        let path = folder.path().join(name);
        let mut value: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        keys.into_iter().for_each(|key| value[key] = json!([]));
        fs::write(path, value.to_string()).unwrap();
    };
    without("offshoot.json", ["labels", "labels"]);
    without("prompt.json", ["labels", "words"]);
    let message = load(folder.path(), &prepared.model, Pickles::Refuse).err().unwrap().to_string();
    assert!(message.contains("names no label"), "{message}");
    let (head, _) = run(&prepared, json!({ "method": "head" }), 0);
    let about = About { model_name: "m", labels: &prepared.labels, recipe: json!({}) };
    save(folder.path(), &head, &prepared.model, about).unwrap();
    assert!(!folder.path().join("prompt.txt").exists(), "an older prompt is replaced");
}

#[test]
fn an_encoder_cannot_be_asked() {
    let prepared = prepared("bert-cls");
    for name in ["in-context", "hard-prompt"] {
        let method = MethodConfig::named(name).unwrap();
        let message =
            prepared.run(&method, &TrainSettings::default(), &mut |_| ()).err().unwrap().to_string();
        assert!(message.contains("decoder"), "{message}");
    }
}
