//! Rows from several files and from standard input.

use crate::place::{Place, rows};
use std::fs;

/// The rows of `rows.csv` in two files, `part/a.csv` and `part/b.jsonl`.
fn parts(place: &Place) {
    fs::create_dir(place.path("part")).unwrap();
    let text = place.read("rows.csv");
    let lines: Vec<&str> = text.lines().collect();
    fs::write(place.path("part/a.csv"), lines[..30].join("\n")).unwrap();
    let object = |line: &&str| {
        let (text, label) = line.split_once(',').unwrap();
        format!("{{\"text\":\"{text}\",\"label\":{label}}}\n")
    };
    fs::write(place.path("part/b.jsonl"), lines[30..].iter().map(object).collect::<String>()).unwrap();
}

fn adapter(place: &Place, name: &str) -> Vec<u8> {
    fs::read(place.path(name).join("adapter_model.safetensors")).unwrap()
}

#[test]
fn a_pattern_is_one_table_for_every_command() {
    let place = Place::new();
    parts(&place);
    let ran = place.run("train part/* --model model --threads 1 --epochs 1 --output out").ok();
    assert!(ran.stderr.contains("part/*: 60 rows"), "{}", ran.stderr);
    assert!(place.read("out/recipe.toml").contains("path = \"part/*\""));
    place.run("train --recipe out/recipe.toml --threads 1 --output again").ok();
    assert!(adapter(&place, "out") == adapter(&place, "again"), "other bytes");
    let said = place.run("predict part/* --adapter out --threads 1").ok().stdout;
    assert!(said.starts_with("file,line,label,p_0,p_1\npart/a.csv,2,"), "{said}");
    assert!(said.lines().last().unwrap().starts_with("part/b.jsonl,31,"), "{said}");
    let json = place.run("evaluate part/* --adapter out --threads 1 --json").ok().json();
    assert_eq!(json["test_rows"], 60);
    let flags = "--recipe out/recipe.toml --set data.test_data=part/a.* --output tested --json";
    let json = place.run(&format!("train --threads 1 {flags}")).ok().json();
    assert_eq!(json["test_rows"], 29);
    // Neither the split nor embeddings are written over one of the files.
    let text = place.read("part/a.csv");
    fs::write(place.path("part/train.csv"), &text).unwrap();
    let flags = "--model model --write-split part --output x";
    place.run(&format!("train part/*.csv {flags}")).fails(1, &["would overwrite the data itself"]);
    fs::write(place.path("part/e.rows.jsonl"), "{\"text\":\"a\",\"label\":0}\n").unwrap();
    place.run("embed part/*l --model model --output part/e.npy").fails(1, &["overwritten"]);
    assert_eq!(place.read("part/train.csv"), text);
}

#[test]
fn what_no_pattern_finds_and_what_differs_is_named() {
    let place = Place::new();
    parts(&place);
    let train = |data: &str| place.run(&format!("train {data} --model model --output out"));
    train("part/*.tsv").fails(1, &["part/*.tsv: no file fits this pattern"]);
    train("part").fails(1, &["part: there is no file to train on", "part/*.csv"]);
    place.run("embed part --model model --output e.npy").fails(1, &["part is a folder", "part/*.csv"]);
    fs::write(place.path("part/c.csv"), "text,mood\na,0\n").unwrap();
    train("part/*.csv").fails(1, &["part/c.csv has the columns `text`, `mood`", "part/a.csv has `label`"]);
    fs::write(place.path("part/c.csv"), "text,label\na,0\n,1\n").unwrap();
    train("part/*.csv").fails(1, &["part/c.csv, line 3: the text is empty"]);
    fs::write(place.path("part/readme.md"), "").unwrap();
    train("part/*").fails(1, &["part/readme.md: the format is not known"]);
    assert!(!place.path("out").join("recipe.toml").exists());
}

#[test]
fn a_folder_of_a_data_set_is_trained_validated_and_tested_on() {
    let place = Place::new();
    let text = rows(60);
    let lines: Vec<&str> = text.lines().collect();
    let write = |name: &str, rows: &[&str]| {
        fs::create_dir_all(place.path("set/data")).unwrap();
        fs::write(place.path("set/data").join(name), format!("text,label\n{}\n", rows.join("\n"))).unwrap();
    };
    write("train-00000-of-00002.csv", &lines[1..25]);
    write("train-00001-of-00002.csv", &lines[25..41]);
    write("test.csv", &lines[41..]);
    let train = |flags: &str| place.run(&format!("train set --model model --threads 1 --epochs 1 {flags}"));
    let ran = train("--output two --json").ok();
    let said = "validation: 4 rows";
    assert!(ran.stderr.contains("set (train): 40 rows") && ran.stderr.contains(said), "{}", ran.stderr);
    assert_eq!((ran.json()["train_rows"].as_u64(), ran.json()["test_rows"].as_u64()), (Some(36), Some(20)));

    write("validation.csv", &lines[36..43]);
    let ran = train("--output three --json").ok();
    assert!(ran.stderr.contains("validation.csv: 7 rows, 2 in the test file too; 5 used"), "{}", ran.stderr);
    assert!(ran.stderr.contains("40 rows, 5 in the other files too; 35 used"), "{}", ran.stderr);
    assert_eq!((ran.json()["train_rows"].as_u64(), ran.json()["test_rows"].as_u64()), (Some(35), Some(20)));
    let json = train("--output four --validation-data rows.csv --validation 10 --test 0 --json")
        .fails(1, &["training"]);
    assert!(json.stderr.contains("leaves none"), "{}", json.stderr);

    fs::write(place.path("more.csv"), "text,label\nreally good story,1\nreally bad story,0\n").unwrap();
    let ran = train("--output five --validation-data more.csv --test 0 --json").ok();
    assert!(
        ran.json()["test"].is_null() && ran.stderr.contains("more.csv: 2 rows; 2 used"),
        "{}",
        ran.stderr
    );
    place.run("train --recipe five/recipe.toml --threads 1 --output again").ok();
    assert!(adapter(&place, "five") == adapter(&place, "again"), "other bytes");

    let readme = "---\nconfigs:\n- config_name: small\n  data_files:\n  - split: train\n    path: data/train-00000*\n  \
                  - split: extra\n    path: data/x.csv\n- config_name: large\n  data_files: data/train-*\n---\n";
    fs::write(place.path("set/README.md"), readme).unwrap();
    train("--output six").fails(1, &["several configurations", "--config: `small`, `large`"]);
    let ran = train("--output six --config small").ok();
    assert!(ran.stderr.contains("note: set: not used: `extra`"), "{}", ran.stderr);
    assert!(place.read("six/recipe.toml").contains("config = \"small\""));
}

#[test]
fn rows_come_from_standard_input() {
    let place = Place::new();
    let text = rows(60);
    let flags = "--model model --threads 1 --epochs 1";
    place.run(&format!("train rows.csv {flags} --output file")).ok();
    let ran = place.run_with(&format!("train - {flags} --write-split split --output piped"), &text).ok();
    assert!(ran.stderr.contains("standard input: 60 rows"), "{}", ran.stderr);
    assert!(adapter(&place, "file") == adapter(&place, "piped"), "other bytes");
    assert!(place.read("split/train.csv").lines().count() > 30);
    assert!(place.read("piped/report.json").contains("piped-again < THE-SAME-ROWS"));
    place.run_with("train --recipe piped/recipe.toml --threads 1 --output again", &text).ok();
    assert!(adapter(&place, "file") == adapter(&place, "again"), "other bytes");

    let json = place.run_with("evaluate - --adapter file --threads 1 --json", &text).ok().json();
    assert_eq!(json["test_rows"], 60);
    let json = place.run_with("embed - --model model --threads 1 --output e.npy --json", &text).ok().json();
    assert_eq!(json["rows"], 60);
    let tsv = text.replace(',', "\t");
    let said = place.run_with("predict - --format tsv --adapter file --threads 1", &tsv).ok().stdout;
    assert_eq!(said.lines().count(), 61);
    let compare = format!("compare - --methods features,head --no-tune {flags} --output both --json");
    assert_eq!(place.run_with(&compare, &tsv).ok().json()["rows"].as_array().unwrap().len(), 2);
}

#[test]
fn standard_input_that_says_too_little_is_refused() {
    let place = Place::new();
    let train = |flags: &str, text: &str| {
        place.run_with(&format!("train - --model model --output out {flags}"), text)
    };
    train("", "text\nfilm\n").fails(1, &["does not say the format", "--format csv"]);
    train("", "").fails(1, &["standard input holds no rows"]);
    train("--format parquet", "PAR1").fails(1, &["standard input", "parquet is read from a file"]);
    train("--format xml", "a,b").fails(2, &["csv", "jsonl"]);
    train("--test-data -", &rows(60)).fails(1, &["only the rows to train on can be standard input"]);
}
