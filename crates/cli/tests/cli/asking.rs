//! The real binary on what is written, and on what is asked in words.

use crate::language_place::{objects, place};
use crate::place::{Place, rows};
use serde_json::{Value, json};
use std::fs;

/// A place with rows to train on and others to test on.
fn with_rows() -> Place {
    let place = place();
    let row = |i: usize| json!({"prompt": format!("{i}+{}", i % 7), "completion": format!("={}", i + i % 7)});
    let lines = |range: std::ops::Range<usize>| range.map(|i| row(i).to_string() + "\n").collect::<String>();
    fs::write(place.path("train.jsonl"), lines(0..30)).unwrap();
    fs::write(place.path("test.jsonl"), lines(40..48)).unwrap();
    place
}

const RUN: &str = "train.jsonl --test-data test.jsonl --task language-model --model model --threads 1 --json";

#[test]
fn what_is_written_for_test_rows_is_measured() {
    let place = with_rows();
    let flags = "--method lora --rank 2 --epochs 1 --generate 3 --generate-tokens 5";
    let ran = place.run(&format!("train {RUN} {flags} --output out")).ok();
    let report = ran.json();
    assert_eq!(report["generated"]["rows"], 3);
    assert!(report["generated"]["rouge_l"].is_f64() && report["generated"]["exact_match"].is_f64());
    assert!(ran.stderr.contains("untuned, generated: exact match "), "{}", ran.stderr);
    assert!(ran.stderr.contains("\ngenerated: exact match "), "{}", ran.stderr);
    assert!(place.read("out/recipe.toml").contains("[data.generate]\nrows = 3\nmax_tokens = 5\n"));
    let evaluate = "evaluate test.jsonl --adapter out --threads 1 --json";
    let measured = place.run(&format!("{evaluate} --generate 3 --generate-tokens 5")).ok().json();
    assert_eq!((&measured["test"], &measured["generated"]), (&report["test"], &report["generated"]));
    assert_eq!((&measured["task"], &measured["test_rows"]), (&json!("language-model"), &json!(8)));
    let plain = place.run(evaluate).ok().json();
    assert_eq!((&plain["test"], plain.get("generated")), (&report["test"], None), "it is slow");
    // Another program's adapter has no card that says what it is for.
    let foreign = place.run("evaluate test.jsonl --adapter one --model model --threads 1 --json").ok().json();
    assert!(foreign["test"]["perplexity"].is_f64(), "{foreign}");
    place.run(&format!("{evaluate} --where a=b")).fails(2, &["--where", "language model"]);
    fs::write(
        place.path("plain.jsonl"),
        (0..9).map(|i| format!("{{\"text\":\"a{i}\"}}\n")).collect::<String>(),
    )
    .unwrap();
    let plain = "evaluate plain.jsonl --adapter out --generate 2";
    place.run(plain).fails(1, &["plain text", "--generate"]);
    place.run("train rows.csv --model model --generate 2").fails(2, &["--task language-model"]);
}

#[test]
fn prompts_in_words_are_compared_with_what_is_trained() {
    let place = with_rows();
    let flags = "--methods in-context,hard-prompt,lora --epochs 1 --generate 2 --generate-tokens 4 --max-length 60 \
        --set in-context.shots=9 --set hard-prompt.rows=4 --set hard-prompt.search_rows=3 \
        --set hard-prompt.search_steps=1 --output out";
    let ran = place.run(&format!("compare {RUN} {flags}")).ok();
    let report = ran.json();
    for row in report["rows"].as_array().unwrap() {
        assert_eq!(row.get("error"), None, "{row}");
        assert!(row["test"]["loss"].is_f64() && row["generated"]["rows"] == 2, "{row}");
        assert_eq!(row["test"]["predicted"], report["rows"][2]["test"]["predicted"], "the same tokens");
        let folder = format!("out/adapters/{}", row["method"].as_str().unwrap());
        let measured = place.run(&format!("evaluate test.jsonl --adapter {folder} --threads 1 --json")).ok();
        assert_eq!(
            (&measured.json()["test"], measured.json().get("shots")),
            (&row["test"], row.get("shots"))
        );
    }
    let shots = &report["rows"][0]["shots"];
    assert_eq!((&shots["asked"], &shots["rows"], &shots["fewer"]), (&json!(9), &json!(8), &json!(8)));
    assert!(ran.stderr.contains("| exact match | ROUGE-L |"), "{}", ran.stderr);
    let again = place.run(&format!("train {RUN} --init-from out/adapters/in-context --output b"));
    again.fails(1, &["in-context", "trained nothing"]);
    fs::write(
        place.path("train.jsonl"),
        (0..30).map(|i| format!("{{\"text\":\"a{i}\"}}\n")).collect::<String>(),
    )
    .unwrap();
    let flags = "--task language-model --model model --threads 1 --epochs 1 --output out --json";
    let ran = place.run(&format!("compare train.jsonl {flags}")).ok();
    assert!(ran.stderr.contains("left out: in-context, hard-prompt (plain text"), "{}", ran.stderr);
}

#[test]
fn a_saved_prompt_stands_around_what_is_asked() {
    let place = with_rows();
    place.run(&format!("train {RUN} --method in-context --set in-context.shots=2 --output out")).ok();
    let prompt: Value = serde_json::from_str(&place.read("out/prompt.json")).unwrap();
    let mut turns = Vec::new();
    for example in prompt["examples"].as_array().unwrap() {
        turns.push(json!({"role": "user", "content": example["text"]}));
        turns.push(json!({"role": "assistant", "content": example["answer"]}));
    }
    turns.push(json!({"role": "user", "content": "5+5"}));
    fs::write(place.path("m.jsonl"), json!({"messages": turns}).to_string()).unwrap();
    let run =
        |words: &str| objects(&place.run(&format!("generate --max-tokens 9 --json {words}")).ok()).remove(0);
    let (by_hand, saved) = (run("--model model --file m.jsonl"), run("--adapter out 5+5"));
    assert_eq!((&saved["text"], &saved["prompt_tokens"]), (&by_hand["text"], &by_hand["prompt_tokens"]));
    let chat = place.run_with("chat --adapter out --max-tokens 9", "5+5\n").ok().stdout;
    assert_eq!(chat.trim_end_matches('\n'), saved["text"].as_str().unwrap().trim_end_matches('\n'));
    let near = "--method in-context --set in-context.shots=1 --set in-context.examples=nearest --output near";
    place.run(&format!("train {RUN} {near}")).ok();
    // One example is shown of the thirty that are saved, the row itself: <|user|>user:3+3<|bot|>=6</s>, and the row.
    assert_eq!(run("--adapter near 3+3")["prompt_tokens"], 23);
    let wrong = |text: &str, says: &[&str]| {
        fs::write(place.path("out/prompt.json"), text).unwrap();
        for words in ["generate --adapter out a", "evaluate test.jsonl --adapter out"] {
            place.run(words).fails(1, says);
        }
    };
    wrong("{", &["prompt.json", "damaged"]);
    wrong("{\"template\":\"none\"}", &["prompt.json", "{text}"]);
    fs::remove_file(place.path("out/prompt.json")).unwrap();
    place.run("generate --adapter out a").fails(1, &["prompt.json", "no such file"]);
}

#[test]
fn a_saved_prompt_classifies() {
    let place = with_rows();
    fs::write(place.path("rows.csv"), rows(60)).unwrap();
    fs::write(place.path("other.csv"), rows(80).replace("\nthe ", "\nmusic was ")).unwrap();
    let flags = "--model model --threads 1 --validation 0 --json";
    for (folder, method) in [
        ("shots", "--method in-context --set in-context.shots=2"),
        ("near", "--method in-context --set in-context.shots=2 --set in-context.examples=nearest"),
        ("hard", "--method hard-prompt --set hard-prompt.rows=4 --set hard-prompt.search_steps=0"),
    ] {
        let train = format!("train rows.csv --test-data other.csv {flags} {method} --output {folder}");
        let report = place.run(&train).ok().json();
        let measured = place.run(&format!("evaluate other.csv --adapter {folder} --threads 1 --json")).ok();
        let (found, expected) = (&measured.json()["test"], &report["test"]);
        assert_eq!(found["macro_f1"], expected["macro_f1"], "{folder}");
        // What rows share is cached, and here other rows follow each other.
        let loss = |metrics: &Value| metrics["loss"].as_f64().unwrap();
        assert!((loss(found) - loss(expected)).abs() < 1e-6, "{folder}");
        let said = place.run(&format!("predict other.csv --adapter {folder} --threads 1")).ok().stdout;
        assert!(said.starts_with("line,label,p_0,p_1\n"), "{said}");
        let own = rows(80);
        let right = said.lines().skip(1).zip(own.lines().skip(1));
        let right = right.filter(|(said, row)| said.split(',').nth(1) == row.rsplit(',').next()).count();
        let accuracy = report["test"]["accuracy"].as_f64().unwrap();
        assert_eq!(right as f64 / 80.0, accuracy, "{folder}");
    }
    fs::write(place.path("hard/prompt.json"), "[]").unwrap();
    place.run("predict other.csv --adapter hard").fails(1, &["prompt.json", "no prompt"]);
}
