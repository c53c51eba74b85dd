use super::hard_prompt::{CHAT_TEMPLATES, RAW_TEMPLATES};
use super::search::Search;
use super::texts::Written;
use super::trial::Trial;
use super::*;
use crate::checkpoint::{About, load_language_model, save};
use crate::data::instruct::{Content, LmExample, LmLoadOptions, write_jsonl};
use crate::instruct::{LmEncoder, LmRow};
use crate::lm_run::{LmPrepared, prepare_lm};
use crate::{
    CompareSettings, DataRecipe, Dtype, LanguageModel, ModelRecipe, Recipe, RunReport, Score, TrackSettings,
    TrainSettings,
};
use offshoot_core::{Batch, Mode, Pass, Rng};
use offshoot_methods::MethodConfig;
use offshoot_models::weights::Pickles;
use offshoot_models::{Message, Task};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::time::Instant;
use tempfile::tempdir;

/// Ends every turn with `</s>`, as the rows' own completions end.
const CHAT: &str = "{% for m in messages %}{% if m.role == 'assistant' %}<|bot|>{{ m.content }}</s>\
    {% else %}<|user|>{{ m.role }} : {{ m.content }}{% endif %}{% endfor %}\
    {% if add_generation_prompt %}<|bot|>{% endif %}";

/// A tokenizer of whole words.
fn tokenizer() -> Value {
    let known =
        ["[UNK]", "<s>", "</s>", "<|user|>", "<|bot|>", "user", "system", ":", "Instruction", "Response"];
    let words = known.iter().map(|word| (*word).to_owned()).chain((0..100).map(|i| format!("w{i}")));
    let vocab: serde_json::Map<_, _> = words.zip(0..).map(|(word, id)| (word, json!(id))).collect();
    let special = |(id, content): (usize, &&str)| {
        json!({ "id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true })
    };
    let added: Vec<Value> = known.iter().enumerate().take(5).map(special).collect();
    json!({
        "version": "1.0", "truncation": null, "padding": null, "normalizer": null, "decoder": null,
        "added_tokens": added, "pre_tokenizer": { "type": "Whitespace" },
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [{ "SpecialToken": { "id": "<s>", "type_id": 0 } }, { "Sequence": { "id": "A", "type_id": 0 } }],
            "pair": [{ "Sequence": { "id": "A", "type_id": 0 } }, { "Sequence": { "id": "B", "type_id": 1 } }],
            "special_tokens": { "<s>": { "id": "<s>", "ids": [1], "tokens": ["<s>"] } },
        },
        "model": { "type": "WordLevel", "vocab": vocab, "unk_token": "[UNK]" },
    })
}

fn row(content: Content) -> LmExample {
    LmExample { content, adapter: None, line: 1 }
}

fn completion(i: usize) -> LmExample {
    let prompt = format!("w{i} w{} w{}", i % 7 + 3, i % 5 + 40);
    row(Content::Completion { prompt, completion: format!("w{} w{}", i % 9 + 60, i % 3 + 50) })
}

fn chat(i: usize) -> LmExample {
    let word = |at: usize| format!("w{}", (i * 3 + at) % 90);
    row(Content::Messages(vec![
        Message::new("system", word(1)),
        Message::user(format!("{} {}", word(2), word(3))),
        Message::assistant(word(4)),
        Message::user(word(5)),
        Message::assistant(format!("{} {}", word(6), word(7))),
    ]))
}

/// A tiny language model with rows.
fn prepared(family: &str, template: Option<&str>, rows: &[LmExample], max_length: usize) -> LmPrepared {
    let folder = tempdir().unwrap();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testing/golden/models").join(family);
    for name in ["config.json", "model.safetensors"] {
        fs::copy(golden.join(name), folder.path().join(name)).unwrap();
    }
    fs::write(folder.path().join("tokenizer.json"), tokenizer().to_string()).unwrap();
    let mut config = json!({ "bos_token": "<s>", "eos_token": "</s>" });
    if let Some(template) = template {
        config["chat_template"] = json!(template);
    }
    fs::write(folder.path().join("tokenizer_config.json"), config.to_string()).unwrap();
    let path = folder.path().join("rows.jsonl");
    write_jsonl(&path, rows).unwrap();
    let mut data = DataRecipe { max_length, instruct: LmLoadOptions::default(), ..DataRecipe::new(&path) };
    data.generate.max_tokens = 4;
    let recipe = Recipe {
        task: Task::LanguageModel,
        init_from: None,
        model: ModelRecipe { name: family.into(), dtype: Dtype::F32, ..ModelRecipe::default() },
        data,
        train: TrainSettings::default(),
        compare: CompareSettings::default(),
        track: TrackSettings::default(),
        methods: Vec::new(),
    };
    prepare_lm(&recipe, folder.path(), Instant::now()).unwrap().0
}

fn completions() -> Vec<LmExample> {
    (0..40).map(completion).collect()
}

fn run(prepared: &LmPrepared, method: Value, seed: u64) -> (LanguageModel, RunReport) {
    let method: MethodConfig = serde_json::from_value(method).unwrap();
    let settings = TrainSettings { seed, ..TrainSettings::default() };
    prepared.run(&method, &settings, &mut |_| ()).unwrap()
}

fn refused(prepared: &LmPrepared, method: Value) -> String {
    let method: MethodConfig = serde_json::from_value(method).unwrap();
    prepared.run(&method, &TrainSettings::default(), &mut |_| ()).err().unwrap().to_string()
}

/// The loss of one row by hand: the summed loss of its last `targets` tokens.
fn last(model: &LanguageModel, ids: &[u32], targets: usize) -> f64 {
    let mut batch = Batch::new();
    batch.push(ids, None, 0).unwrap();
    let mut pass = Pass::new(&batch, model.adapter.as_ref(), &model.params, Mode::Evaluate).unwrap();
    let predicted: Vec<bool> = (0..ids.len()).map(|at| at >= ids.len() - targets).collect();
    let (_, losses) = model.loss(&mut pass, &[&predicted]).unwrap();
    losses.iter().map(|&loss| f64::from(loss)).sum()
}

fn encoder(prepared: &LmPrepared) -> LmEncoder<'_> {
    let tools = &prepared.tools;
    LmEncoder::new(&tools.tokenizer, tools.template.as_ref(), &tools.special, prepared.settings).unwrap()
}

/// The turn that a row is, or what its examples are.
fn exchange(text: &str, answer: &str) -> [Message; 2] {
    [Message::user(text), Message::assistant(answer)]
}

#[test]
fn a_k_shot_loss_is_that_of_one_long_conversation() {
    let prepared = prepared("llama-lm", Some(CHAT), &completions(), 512);
    let (grown, report) = run(&prepared, json!({ "method": "in-context", "shots": 3 }), 1);
    let prompt = grown.prompt.as_ref().unwrap();
    assert_eq!(prompt.examples.len(), 3);
    let (mut total, mut count) = (0.0, 0);
    for example in &prepared.examples.test {
        let Content::Completion { prompt: text, completion } = &example.content else {
            panic!("completions")
        };
        let mut turns: Vec<Message> =
            prompt.examples.iter().flat_map(|shown| exchange(&shown.text, &shown.answer)).collect();
        turns.extend(exchange(text, completion));
        let long = encoder(&prepared).rows("f", &[row(Content::Messages(turns))]).unwrap().remove(0);
        // Two words and the end of the turn.
        total += last(&grown, &long.ids, 3);
        count += 3;
    }
    let Some(Score::Text(metrics)) = report.test else { panic!("a language model has a loss") };
    assert_eq!(metrics.predicted, count);
    assert!((metrics.loss - total / count as f64).abs() < 1e-5, "{} {}", metrics.loss, total / count as f64);
    let shots = report.shots.unwrap();
    assert_eq!((shots.asked, shots.rows, shots.fewer), (3, prepared.test.len(), 0));
    assert_ne!(
        Some(metrics),
        prepared.untuned(&TrainSettings::default()).unwrap().map(|score| match score {
            Score::Text(metrics) => metrics,
            Score::Classes(_) | Score::Numbers(_) => panic!("a language model has a loss"),
        })
    );
}

#[test]
fn conversations_are_shown_by_their_first_exchange_and_predicted_as_ever() {
    let rows: Vec<LmExample> = (0..30).map(chat).collect();
    let prepared = prepared("llama-lm", Some(CHAT), &rows, 512);
    let (grown, _) = run(&prepared, json!({ "method": "in-context", "shots": 2 }), 0);
    let prompt = grown.prompt.as_ref().unwrap();
    let (framed, _) = prepared.part(&prepared.examples.test).framed_rows(&grown, prompt, 999).unwrap();
    for ((framed, own), example) in framed.iter().zip(&prepared.test).zip(&prepared.examples.test) {
        let Content::Messages(turns) = &example.content else { panic!("conversations") };
        let mut all = turns[..1].to_vec();
        all.extend(prompt.examples.iter().flat_map(|shown| exchange(&shown.text, &shown.answer)));
        all.extend_from_slice(&turns[1..]);
        let whole = encoder(&prepared).rows("f", &[row(Content::Messages(all))]).unwrap().remove(0);
        assert_eq!(framed.ids, whole.ids);
        let predicted = |row: &LmRow| -> Vec<u32> {
            row.ids.iter().zip(&row.predicted).filter(|(_, wanted)| **wanted).map(|(id, _)| *id).collect()
        };
        assert_eq!(predicted(framed), predicted(own), "the row's own turns and no other");
        assert!(predicted(&whole).len() > predicted(own).len());
    }
}

#[test]
fn without_a_chat_template_examples_are_blocks_of_text() {
    let prepared = prepared("gpt2-lm", None, &completions(), 512);
    let (grown, _) = run(&prepared, json!({ "method": "in-context", "shots": 2 }), 0);
    let prompt = grown.prompt.as_ref().unwrap();
    let (framed, _) = prepared.part(&prepared.examples.test).framed_rows(&grown, prompt, 999).unwrap();
    let tokenizer = &prepared.tools.tokenizer;
    for (framed, own) in framed.iter().zip(&prepared.test) {
        let mut ids = vec![1];
        for shown in &prompt.examples {
            ids.extend(tokenizer.encode_plain(&shown.text).unwrap());
            ids.extend(tokenizer.encode_plain(&format!("{}\n\n", shown.answer)).unwrap());
        }
        ids.extend(&own.ids[1..]);
        assert_eq!(framed.ids, ids);
        assert_eq!(framed.targets(), own.targets());
    }
}

#[test]
fn zero_shot_is_the_model_as_it_is() {
    for template in [Some(CHAT), None] {
        let prepared = prepared("llama-lm", template, &completions(), 512);
        let untuned = prepared.untuned(&TrainSettings::default()).unwrap();
        let (_, report) = run(&prepared, json!({ "method": "in-context", "shots": 0 }), 0);
        assert_eq!((report.test, report.shots), (untuned, None));
        assert_eq!((report.trainable_parameters, report.epochs), (0, 0));
    }
}

#[test]
fn rows_with_little_room_are_shown_fewer_examples_and_keep_their_completion() {
    let prepared = prepared("llama-lm", Some(CHAT), &completions(), 26);
    // Of 9 tokens the row, of 9 each example.
    let (grown, report) = run(&prepared, json!({ "method": "in-context", "shots": 5 }), 0);
    let prompt = grown.prompt.as_ref().unwrap();
    let (rows, shots) = prepared.part(&prepared.examples.test).framed_rows(&grown, prompt, 999).unwrap();
    let own = &prepared.test;
    for (row, own) in rows.iter().zip(own) {
        assert!(row.ids.len() <= 26 && !row.truncated && row.ids.ends_with(&own.ids[own.ids.len() - 4..]));
        assert_eq!(row.targets(), own.targets());
        assert!((26 - row.ids.len()) < 9, "another example would fit");
    }
    assert_eq!(report.shots, shots);
    let shots = shots.unwrap();
    assert_eq!((shots.asked, shots.fewer), (5, own.len()));
    let shown = rows.iter().zip(own).map(|(row, own)| (row.ids.len() - own.ids.len()) / 9).sum::<usize>();
    assert!((shots.mean - shown as f64 / own.len() as f64).abs() < 1e-12 && shots.mean >= 1.0, "{shots:?}");
}

#[test]
fn the_nearest_example_of_a_row_is_the_row() {
    let prepared = prepared("llama-lm", Some(CHAT), &completions(), 512);
    let (grown, _) = run(&prepared, json!({ "method": "in-context", "shots": 2, "examples": "nearest" }), 0);
    let prompt = grown.prompt.as_ref().unwrap();
    assert_eq!((prompt.nearest, prompt.examples.len()), (2, prepared.train.len()));
    let train = &prepared.examples.train[..4];
    let prompts = prepared.part(train).prompts(Some(&grown), 512, 999).unwrap();
    for (ids, example) in prompts.iter().zip(train) {
        let Content::Completion { prompt, completion } = &example.content else { panic!("completions") };
        let text = prepared.tools.tokenizer.decode(ids, false).unwrap();
        let shown =
            format!("<|user|> user : {prompt} <|bot|> {completion} </s> <|user|> user : {prompt} <|bot|>");
        assert!(text.ends_with(&shown), "{text}");
    }
}

#[test]
fn the_gradient_is_the_loss_by_differences() {
    for (family, template) in [("llama-lm", Some(CHAT)), ("gemma3-lm", Some(CHAT)), ("gpt2-lm", None)] {
        let rows: Vec<LmExample> =
            if template.is_some() { (0..30).map(chat).collect() } else { completions() };
        let prepared = prepared(family, template, &rows, 512);
        let grown =
            LanguageModel::new(&prepared.model, &MethodConfig::named("hard-prompt").unwrap(), 0).unwrap();
        let examples = prepared.examples.train[..3].to_vec();
        let trial = Written { prepared: &prepared, grown: &grown, tokens: 999, examples };
        let prompt = Prompt { trigger: "w7 w30".into(), ..Prompt::plain("Instruction: {text}") };
        let ids = prepared.tools.tokenizer.encode_plain(&prompt.trigger).unwrap();
        assert_eq!(trial.trigger(&prompt).unwrap(), ids);
        let gradient = trial.gradient(&prompt, &ids).unwrap().to_vec();
        let heads = trial.rows().heads(&prompt).unwrap();
        let (framed, _) = trial.rows().framed_rows(&grown, &prompt, 999).unwrap();
        // The mean loss with the trigger's embeddings moved along the gradient.
        let length = gradient.iter().map(|g| g * g).sum::<f32>().sqrt();
        let loss = |step: f32| {
            let (mut total, mut targets) = (0.0, 0);
            for (row, head) in framed.iter().zip(&heads) {
                let head = head.clone().unwrap();
                let backbone = grown.backbone.as_ref();
                let mut tracked = tracked::Tracked::new(backbone, head.ids.clone(), head.trigger).unwrap();
                let mut values = tracked.params.get(tracked.rows.rows).value().to_vec();
                let first = values.len() - gradient.len();
                values[first..].iter_mut().zip(&gradient).for_each(|(v, g)| *v += step * g / length);
                tracked.params.get_mut(tracked.rows.rows).set(&values).unwrap();
                let mut batch = Batch::new();
                batch.push(&row.ids[head.ids.len()..], None, 0).unwrap();
                let mut pass = Pass::new(&batch, &tracked.rows, &tracked.params, Mode::Evaluate).unwrap();
                let (_, losses) = grown.loss(&mut pass, &[&row.predicted[head.ids.len()..]]).unwrap();
                total += losses.iter().map(|&loss| f64::from(loss)).sum::<f64>();
                targets += losses.len();
            }
            total / targets as f64
        };
        // As it was, it is the loss of the words.
        assert!((loss(0.0) - trial.score(&prompt).unwrap().loss()).abs() < 1e-4, "{family}");
        let step = 0.02;
        let found = (loss(step) - loss(-step)) / f64::from(2.0 * step);
        assert!((found - f64::from(length)).abs() < 0.03 * f64::from(length), "{family}: {found} {length}");
    }
}

#[test]
fn a_hard_prompt_is_never_worse_than_none_on_the_rows_it_is_judged_by() {
    let mut helped = 0;
    for (template, own) in [(Some(CHAT), CHAT_TEMPLATES), (None, RAW_TEMPLATES)] {
        assert_eq!(own[0], PLACE);
        let prepared = prepared("llama-lm", template, &completions(), 512);
        let method =
            json!({ "method": "hard-prompt", "rows": 99, "search_rows": 6, "templates": ["w3 {text} w4"] });
        let (grown, report) = run(&prepared, method, 2);
        let zero = run(&prepared, json!({ "method": "in-context", "shots": 0 }), 0).1;
        let (found, plain) = (report.validation.unwrap().loss(), zero.validation.unwrap().loss());
        assert!(found <= plain && report.steps == 6, "{found} {plain}");
        helped += usize::from(found < plain && !grown.prompt.as_ref().unwrap().trigger.is_empty());
        let trial = Written {
            prepared: &prepared,
            grown: &grown,
            tokens: 999,
            examples: prepared.examples.train[..5].to_vec(),
        };
        let config = offshoot_methods::hard_prompt::Config::default();
        let mut search = Search::new(&trial, &config, &Prompt::plain(PLACE), &mut Rng::new(1)).unwrap();
        let losses: Vec<f64> = (0..3).map(|step| search.step(step).unwrap()).collect();
        assert!(losses.is_sorted_by(|a, b| a >= b), "{losses:?}");
    }
    assert!(helped > 0, "tiny models are easily moved");
}

#[test]
fn a_saved_prompt_is_the_same_again() {
    let prepared = prepared("llama-lm", Some(CHAT), &completions(), 512);
    for method in [
        json!({ "method": "in-context", "shots": 2 }),
        json!({ "method": "in-context", "shots": 2, "examples": "nearest" }),
        json!({ "method": "hard-prompt", "search_steps": 0, "rows": 4 }),
    ] {
        let ((grown, first), (_, second)) = (run(&prepared, method.clone(), 3), run(&prepared, method, 3));
        assert_eq!((first.test, first.validation), (second.test, second.validation), "one seed, one result");
        let folder = tempdir().unwrap();
        let about = About { model_name: "m", labels: &[], recipe: json!({}) };
        save(folder.path(), &grown, &prepared.model, about).unwrap();
        let loaded = load_language_model(folder.path(), &prepared.model, Pickles::Refuse).unwrap();
        assert_eq!((&loaded.grown.prompt, &loaded.grown.method), (&grown.prompt, &grown.method));
        let part = prepared.part(&prepared.examples.test);
        assert_eq!(part.score(&loaded.grown, 8192).unwrap().0, first.test.unwrap());
        fs::remove_file(folder.path().join("prompt.json")).unwrap();
        let error = load_language_model(folder.path(), &prepared.model, Pickles::Refuse).err().unwrap();
        assert!(error.to_string().contains("prompt.json: there is no such file"), "{error}");
    }
}

#[test]
fn generated_text_is_compared_with_the_rows_own() {
    let mut prepared = prepared("llama-lm", Some(CHAT), &completions(), 512);
    prepared.generate.rows = 5;
    let lora = json!({ "method": "lora", "rank": 2 });
    assert_eq!(run(&prepared, lora.clone(), 0).1.generated.unwrap().rows, 5);
    let (grown, report) = run(&prepared, json!({ "method": "in-context", "shots": 1 }), 0);
    assert_eq!(report.generated.unwrap().rows, 5);
    // What it writes as the rows' own answers is matched exactly, by a run that is asked the same.
    let part = prepared.part(&prepared.examples.test[..3]);
    let texts = part.written(&grown, 4, &mut |_| ()).unwrap();
    let with = |answer: &dyn Fn(usize) -> String| -> Vec<LmExample> {
        let rows = prepared.examples.test[..3].iter().enumerate();
        let row_of = |(at, example): (usize, &LmExample)| {
            let Content::Completion { prompt, .. } = &example.content else { panic!("completions") };
            row(Content::Completion { prompt: prompt.clone(), completion: answer(at) })
        };
        rows.map(row_of).collect()
    };
    let settings = crate::Generate { rows: 9, max_tokens: 4 };
    let mut begun = 0;
    let rows = with(&|at| texts[at].clone());
    let same = prepared.part(&rows).generate(&grown, settings, &mut |_| begun += 1).unwrap().unwrap();
    assert_eq!((same.exact_match, same.rows, begun), (1.0, 3, 3));
    let rows = with(&|_| "other".into());
    let other = prepared.part(&rows).generate(&grown, settings, &mut |_| ()).unwrap().unwrap();
    assert_eq!((other.exact_match, other.rouge_l), (0.0, 0.0));
    prepared.generate.rows = 0;
    assert_eq!(run(&prepared, lora, 0).1.generated, None, "it is slow, so it is asked for");
}

#[test]
fn the_adapter_is_applied_while_generating() {
    let prepared = prepared("llama-lm", Some(CHAT), &completions(), 512);
    let method: MethodConfig = serde_json::from_value(json!({ "method": "prompt", "tokens": 3 })).unwrap();
    let mut grown = LanguageModel::new(&prepared.model, &method, 0).unwrap();
    for param in grown.params.iter_mut() {
        let moved: Vec<f32> = param.value().to_vec().iter().map(|value| 3.0 - 5.0 * value).collect();
        param.set(&moved).unwrap();
    }
    let part = prepared.part(&prepared.examples.test[..4]);
    let untuned = LanguageModel::untuned(&prepared.model).unwrap();
    let write = |model: &LanguageModel| part.written(model, 6, &mut |_| ()).unwrap();
    assert_ne!(write(&grown), write(&untuned));
    assert_eq!(write(&grown), write(&grown));
}

#[test]
fn what_has_no_prompt_is_refused() {
    let rows: Vec<LmExample> = (0..40).map(|i| row(Content::Text(format!("w{i} w{} w3", i % 7)))).collect();
    let mut prepared = prepared("llama-lm", Some(CHAT), &rows, 512);
    for name in ["in-context", "hard-prompt"] {
        let message = refused(&prepared, json!({ "method": name }));
        assert!(message.contains("plain text"), "{message}");
    }
    assert!(refused(&prepared, json!({ "method": "features" })).contains("classifies"));
    prepared.generate.rows = 2;
    let message = refused(&prepared, json!({ "method": "lora", "rank": 2 }));
    assert!(message.contains("plain text") && message.contains("--generate"), "{message}");
    let mut completions = self::prepared("llama-lm", Some(CHAT), &completions(), 512);
    let labels = json!({ "method": "in-context", "template": "{text} {labels}" });
    assert!(refused(&completions, labels).contains("{labels}"));
    completions.settings.train_on_prompt = true;
    assert!(refused(&completions, json!({ "method": "in-context" })).contains("--train-on-prompt"));
}

#[test]
fn a_conversation_goes_on_in_a_prompt() {
    let examples = vec![Demonstration { text: "a".into(), answer: "b".into() }];
    let prompt = Prompt { examples, ..Prompt::plain("Q {text}") };
    let turns = prompt.turns(&[Message::user("c")]).unwrap();
    assert_eq!(turns, [Message::user("Q a"), Message::assistant("b"), Message::user("Q c")]);
    let nearest = Prompt { nearest: 1, ..prompt };
    assert!(nearest.turns(&[]).unwrap_err().to_string().contains("offshoot generate"));
}
