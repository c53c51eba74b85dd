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

#[test]
fn rows_come_from_several_files_a_folder_and_standard_input() {
    let place = language_place::place();
    let row = |i: usize| format!("{{\"prompt\": \"a{i}\", \"completion\": \"b{i}\"}}\n");
    let rows = |range: std::ops::Range<usize>| range.map(row).collect::<String>();
    fs::create_dir(place.path("set")).unwrap();
    for (name, text) in [
        ("train-1.jsonl", rows(0..4)),
        ("train-2.jsonl", rows(4..8)),
        ("dev.jsonl", rows(7..10)),
        ("test.jsonl", rows(9..11)),
    ] {
        fs::write(place.path("set").join(name), text).unwrap();
    }
    let train = |data: &str, input: &str| {
        let flags = "--task language-model --model model --threads 1 --epochs 1";
        place.run_with(&format!("train {data} {flags} --json"), input).ok()
    };
    let said = train("set --output set-out", "");
    assert!(said.stderr.contains("set (train): 8 rows, 1 in the other files too; 7 used"), "{}", said.stderr);
    assert!(said.stderr.contains("train: 7 rows, validation: 2, test: 2"), "{}", said.stderr);
    let said = train("set/train-* --validation-data set/dev.jsonl --test 1 --output glob-out", "");
    assert!(said.stderr.contains("train: 6 rows, validation: 3, test: 1"), "{}", said.stderr);
    let files = fs::read(place.path("glob-out/adapter_model.safetensors")).unwrap();
    train("- --validation-data set/dev.jsonl --test 1 --output piped-out", &rows(0..8));
    assert!(files == fs::read(place.path("piped-out/adapter_model.safetensors")).unwrap(), "other bytes");
    let said = place.run_with("evaluate - --adapter piped-out --threads 1 --json", &rows(0..3)).ok().json();
    assert_eq!(said["test_rows"], 3);
}
