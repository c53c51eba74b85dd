//! What a language model's rows depend on beside their file: their length, and the date.

use crate::language_place;
use serde_json::Value;
use std::fs;

const TRAIN: &str = "train rows.jsonl --task language-model --model model --threads 1 --epochs 1 --method lora \
                     --validation 0 --test 1";

#[test]
fn long_texts_are_said_to_be_in_pieces() {
    let place = language_place::place();
    let row = |text: &str| format!("{{\"text\": \"{text}\"}}\n");
    let rows = [row(&"a".repeat(40)), row(&"b".repeat(41)), row("cc")].concat();
    fs::write(place.path("rows.jsonl"), rows).unwrap();
    let said = place.run(&format!("{TRAIN} --max-length 16 --output out --json")).ok();
    // Two long rows of 41 and 42 tokens with the end are three pieces each; one of the three rows is the test's.
    let lines: Vec<&str> =
        said.stderr.lines().filter(|line| line.contains("longer than 16 tokens")).collect();
    assert!(!lines.is_empty() && lines.iter().all(|line| line.contains("none is cut")), "{}", said.stderr);
    let pieces = [
        "a text is longer than 16 tokens (--max-length) in 3 pieces",
        "2 texts are longer than 16 tokens \
                  (--max-length) in 6 pieces",
    ];
    assert!(lines.iter().all(|line| pieces.iter().any(|said| line.contains(said))), "{lines:?}");
    let all = said.stderr.lines().any(|line| line.contains(pieces[1]));
    assert!(all || lines.len() == 2, "all six pieces are somewhere: {lines:?}");
}

/// Has the model's template write the date.
fn dated(folder: &std::path::Path) {
    let path = folder.join("tokenizer_config.json");
    let mut settings: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    let template = settings["chat_template"].as_str().unwrap();
    settings["chat_template"] = format!("{{{{ strftime_now('%d %b %Y') }}}}{template}").into();
    fs::write(&path, settings.to_string()).unwrap();
}

#[test]
fn the_date_stands_in_the_recipe_where_the_template_writes_it() {
    let place = language_place::place();
    let rows: String =
        (0..6).map(|i| format!("{{\"prompt\": \"a{i}\", \"completion\": \"b{i}\"}}\n")).collect();
    fs::write(place.path("rows.jsonl"), rows).unwrap();
    place.run(&format!("{TRAIN} --output plain")).ok();
    assert!(
        !place.read("plain/recipe.toml").contains("date"),
        "a template that does not ask changes nothing"
    );

    dated(&place.path("model"));
    let said = place.run(&format!("{TRAIN} --output out --set data.date=2001-02-03")).ok();
    assert!(said.stderr.contains("writes the date into prompts: 2001-02-03"), "{}", said.stderr);
    assert!(place.read("out/recipe.toml").contains("date = \"2001-02-03\""));
    let again = place.run("train --recipe out/recipe.toml --threads 1 --output again").ok();
    assert!(again.stderr.contains("prompts: 2001-02-03"), "{}", again.stderr);
    let today = place.run(&format!("{TRAIN} --output today")).ok();
    assert!(today.stderr.contains("writes the date into prompts: 20"), "{}", today.stderr);
    place
        .run(&format!("{TRAIN} --output bad --set data.date=tomorrow"))
        .fails(2, &["tomorrow", "2026-11-24"]);
    place.run("generate --model model --max-tokens 2 abc").ok();
}
