//! The real binary from prompts to text, and in a conversation.

use crate::language_place::{objects, place};
use serde_json::json;
use std::fs;

#[test]
fn a_prompt_is_continued_the_same_way_each_time() {
    let place = place();
    let plain = place.run("generate --model model --max-tokens 12 abc").ok().stdout;
    assert!(!plain.trim().is_empty());
    assert_eq!(place.run("generate --model model --max-tokens 12 --greedy --raw abc").ok().stdout, plain);
    assert_eq!(place.run_with("generate --model model --max-tokens 12 -", "abc").ok().stdout, plain);
    assert_ne!(place.run("generate --model model --adapter one --max-tokens 12 abc").ok().stdout, plain);
    let drawn = |seed: u64| {
        let flags = "--temperature 2 --top-k 50 --top-p 0.9 --repetition-penalty 1.1";
        place.run(&format!("generate --model model {flags} --seed {seed} abc")).ok().stdout
    };
    assert_eq!(drawn(1), drawn(1));
    assert_ne!(drawn(1), drawn(2));
}

#[test]
fn rows_of_a_file_use_the_adapters_they_name_together() {
    let place = place();
    let row = |prompt: &str, adapter: &str| json!({"prompt": prompt, "adapter": adapter}).to_string();
    let rows = [row("abc", "one"), row("abc", "none"), row("abc", "two"), row("xy", "one")].join("\n");
    fs::write(place.path("p.jsonl"), rows).unwrap();
    let flags = "generate --model model --adapter one --adapter two --max-tokens 9 --json";
    let ran = place.run(&format!("{flags} --file p.jsonl")).ok();
    let together = objects(&ran);
    let named: Vec<_> = together.iter().map(|row| (row["prompt"].clone(), row["adapter"].clone())).collect();
    let expected = [("abc", json!("one")), ("abc", json!(null)), ("abc", json!("two")), ("xy", json!("one"))];
    assert_eq!(named, expected.map(|(prompt, adapter)| (json!(prompt), adapter)));
    for (row, words) in
        together.iter().zip(["--adapter one abc", "abc", "--adapter two abc", "--adapter one xy"])
    {
        let alone = place.run(&format!("generate --model model --max-tokens 9 --json {words}")).ok();
        let alone = objects(&alone).remove(0);
        assert_eq!(
            (&row["text"], &row["finish"], &row["tokens"]),
            (&alone["text"], &alone["finish"], &alone["tokens"])
        );
    }
    assert!(together[0]["text"] != together[1]["text"] && together[0]["text"] != together[2]["text"]);
    let text = place.run("generate --model model --adapter one --max-tokens 9 --file p.jsonl");
    text.fails(1, &["line 3", "there is no adapter `two`", "one, none"]);
}

#[test]
fn conversations_and_chat_go_through_the_template() {
    let place = place();
    let said = json!({"messages": [{"role": "user", "content": "hi"}]});
    fs::write(place.path("m.jsonl"), said.to_string()).unwrap();
    fs::write(place.path("t.txt"), "hi\n").unwrap();
    let run = |words: &str| {
        let ran = place.run(&format!("generate --model model --max-tokens 8 --json {words}")).ok();
        objects(&ran).remove(0)
    };
    let turns = run("--file m.jsonl");
    assert_eq!(turns["prompt"], said["messages"]);
    // <|user|>user:hi<|bot|>
    assert_eq!(turns["prompt_tokens"], 9);
    for words in ["--chat hi", "--chat --file t.txt", "<|user|>user:hi<|bot|>"] {
        let other = run(words);
        assert_eq!(
            (&other["text"], &other["prompt_tokens"]),
            (&turns["text"], &turns["prompt_tokens"]),
            "{words}"
        );
    }
    assert_eq!(run("--file t.txt")["prompt_tokens"], 2);
    let raw = place.run("generate --model model --raw --file m.jsonl");
    raw.fails(1, &["line 1", "chat template"]);
}

#[test]
fn a_stop_string_ends_a_text() {
    let place = place();
    let run = |words: &str| {
        let ran = place.run(&format!("generate --model model --max-tokens 40 --json {words} abc")).ok();
        objects(&ran).remove(0)
    };
    let whole = run("");
    let text = whole["text"].as_str().unwrap().to_owned();
    let stop = text.char_indices().find(|(_, c)| c.is_ascii_alphanumeric());
    let (at, stop) = stop.unwrap();
    let stopped = run(&format!("--stop {stop}"));
    assert_eq!((stopped["text"].as_str().unwrap(), &stopped["finish"]), (&text[..at], &json!("stop")));
}

#[test]
fn a_chat_goes_on_through_a_pipe() {
    let place = place();
    let chat = |input: &str| {
        place.run_with("chat --model model --adapter one --adapter two --max-tokens 6", input).ok()
    };
    let both = chat("hi\n/adapter two\nhi\n");
    assert!(both.stderr.contains("adapter two"));
    let asked = |turns: serde_json::Value, adapter: &str| {
        fs::write(place.path("m.jsonl"), json!({"messages": turns}).to_string()).unwrap();
        let ran = place
            .run(&format!("generate --model model --adapter {adapter} --max-tokens 6 --json --file m.jsonl"));
        objects(&ran.ok())[0]["text"].as_str().unwrap().to_owned()
    };
    let user = |text: &str| json!({"role": "user", "content": text});
    let first = asked(json!([user("hi")]), "one");
    let second = asked(json!([user("hi"), {"role": "assistant", "content": first}, user("hi")]), "two");
    assert_eq!(both.stdout, format!("{first}\n{second}\n"));
    let reset = chat("hi\n/reset\n\nhi\n/quit\nnever said\n");
    assert_eq!(reset.stdout, format!("{first}\n{first}\n"));
    let system = chat("/system be kind\nhi");
    let expected = asked(json!([{"role": "system", "content": "be kind"}, user("hi")]), "one");
    assert_eq!(system.stdout, format!("{expected}\n"));
    assert!(chat("/help\n/adapter\n").stderr.contains("adapter one of one, two, none"));
    place.run_with("chat --model model", "/adapter x\n").fails(1, &["there is no adapter `x`"]);
    place.run_with("chat --model model", "/dance\n").fails(1, &["/dance", "/help"]);
    place.run_with("chat --model model", &"long ".repeat(99)).fails(1, &["tokens", "positions for 256"]);
}

#[test]
fn what_does_not_fit_together_is_said() {
    let place = place();
    place.run("generate --model model").fails(2, &["PROMPT"]);
    place.run("generate abc").fails(2, &["--model"]);
    place.run("generate --model model --top-k 3 abc").fails(2, &["--temperature"]);
    let wrong = "generate --model model --temperature -1 --top-p 2 --repetition-penalty 0 abc";
    place.run(wrong).fails(2, &["temperature is -1", "top_p is 2", "repetition_penalty is 0"]);
    place.run("generate --model model --temperature 1 --greedy abc").fails(2, &["--greedy"]);
    place.run("generate --model model --stop= abc").fails(2, &["--stop"]);
    place.run("generate --model model --adapter nowhere abc").fails(1, &["there is no folder nowhere"]);
    place
        .run("generate --model model --adapter one --adapter one abc")
        .fails(1, &["two adapters are named `one`"]);
    place.run("generate --model model --adapter one --adapter two abc").fails(1, &["one, two, none"]);
    place.run("generate --model model --file none.jsonl").fails(1, &["none.jsonl"]);
    fs::write(place.path("model/tokenizer_config.json"), r#"{"eos_token": "</s>"}"#).unwrap();
    place.run("generate --model model --chat abc").fails(1, &["no chat template"]);
    place.run_with("chat --model model", "hi\n").fails(1, &["no chat template"]);
}
