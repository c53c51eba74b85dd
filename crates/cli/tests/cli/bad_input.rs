//! What is wrong with the input is one clear message with the way out, never a panic.

use crate::place::{self, Place};
use std::fs;

#[test]
fn a_missing_column_lists_the_columns() {
    let place = Place::new();
    place.train("--text body --output out").fails(1, &["rows.csv has no column `body`", "`text`, `label`"]);
    place.train("--where source=imdb --output out").fails(1, &["has no column `source`"]);
    assert!(!place.path("out").exists());
}

#[test]
fn a_missing_file_and_an_unknown_format_are_named() {
    let place = Place::new();
    place.run("train no.csv --model model --output out").fails(1, &["cannot read no.csv"]);
    place
        .run("train model/config.xlsx --model model --output out")
        .fails(1, &["the format is not known", ".jsonl"]);
    place.run("predict no.csv --adapter model").fails(1, &["holds no adapter", "offshoot.json"]);
    place.run("predict rows.csv --adapter no").fails(1, &["there is no folder no"]);
    place.run("train --recipe no.toml").fails(1, &["cannot read no.toml"]);
}

#[test]
fn a_model_that_is_not_there_says_where_it_looked() {
    let place = Place::new();
    place
        .run("train rows.csv --model org/name --output out")
        .fails(1, &["org/name", "HF_HUB_OFFLINE", "folder"]);
    place.run("inspect rows.csv").fails(1, &["is a file", "name the folder"]);
}

#[test]
fn damaged_weights_are_refused() {
    let place = Place::new();
    let path = place.path("model/model.safetensors");
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    place.train("--output out").fails(1, &["model.safetensors"]);
    // A header that claims 2^60 bytes.
    fs::write(&path, [&(1_u64 << 60).to_le_bytes()[..], &whole[8..]].concat()).unwrap();
    place.train("--output out").fails(1, &["model.safetensors"]);
    place.run("inspect model").fails(1, &["model.safetensors"]);
    fs::remove_file(&path).unwrap();
    place.train("--output out").fails(1, &["model.safetensors"]);
}

#[test]
fn an_unknown_architecture_lists_the_known() {
    let place = Place::new();
    let config = place.read("model/config.json").replace("\"bert\"", "\"mamba\"");
    fs::write(place.path("model/config.json"), config).unwrap();
    place.train("--output out").fails(1, &["`mamba` is not supported", "distilbert", "roberta"]);
    fs::write(place.path("model/config.json"), "{").unwrap();
    place.train("--output out").fails(1, &["config.json"]);
}

#[test]
fn an_adapter_for_another_base_is_refused() {
    let place = Place::new();
    place.train("--epochs 1 --output out").ok();
    place::model(&place.path("other"), 2, 16);
    place::model(&place.path("wide"), 1, 32);
    place
        .run("predict rows.csv --adapter out --model other")
        .fails(1, &["another base", "`model`", "--model"]);
    place.run("evaluate rows.csv --adapter out --model wide").fails(1, &["16 width, here 32"]);
    place.run("train rows.csv --model wide --init-from out --output b").fails(1, &["another base"]);
    place
        .run("predict rows.csv --adapter out --pooling mean")
        .fails(1, &["trained with the pooling `pooler`"]);
    // A base that is gone: the adapter knows it by its path.
    fs::rename(place.path("model"), place.path("moved")).unwrap();
    place.run("predict rows.csv --adapter out").fails(1, &["name another with --model", "`model`"]);
    place.run("predict rows.csv --adapter out --model moved").ok();
}

#[test]
fn damaged_adapters_are_refused() {
    let place = Place::new();
    place.train("--epochs 1 --output out").ok();
    let path = place.path("out/adapter_model.safetensors");
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    place.run("predict rows.csv --adapter out").fails(1, &["adapter_model.safetensors"]);
    fs::write(place.path("out/offshoot.json"), "{\"version\": 99}").unwrap();
    place.run("predict rows.csv --adapter out").fails(1, &["offshoot.json", "99"]);
}

#[test]
fn a_folder_that_can_not_be_written_to_is_named_before_any_work() {
    let place = Place::new();
    for words in ["train rows.csv", "compare rows.csv"] {
        let ran = place.run(&format!("{words} --model model --output rows.csv/out"));
        let ran = ran.fails(1, &["cannot write to the folder rows.csv/out", "--output", "because: "]);
        assert!(!ran.stderr.contains("epoch"), "{}", ran.stderr);
    }
    place.train("--epochs 1 --output out").ok();
    place.run("predict rows.csv --adapter out --output no/such.csv").fails(1, &["there is no folder no"]);
}

#[test]
fn rows_that_make_no_task_are_refused() {
    let place = Place::new();
    let train = |rows: &str| {
        fs::write(place.path("odd.csv"), rows).unwrap();
        place.run("train odd.csv --model model --output out")
    };
    train("text,label\na,1\nb,1\n").fails(1, &["every row has the label `1`"]);
    train("text,label\na,1\n ,0\n").fails(1, &["odd.csv", "line 3: the text is empty"]);
    train("text,label\n").fails(1, &["holds no rows"]);
    place.train("--train 5000 --output out").fails(1, &["has 60 rows", "5000 for training"]);
    place.train("--max-length 2 --output out").fails(1, &["a maximum length of 2 leaves no room"]);
}

#[test]
fn a_label_that_training_has_not_seen_is_named() {
    let place = Place::new();
    fs::write(place.path("new.csv"), "text,label\ngood film,1\nfilm,7\n").unwrap();
    let words = ["new.csv, line 3", "the label `7` was not among"];
    place.train("--test-data new.csv --output out").fails(1, &words);
    place.train("--epochs 1 --output out").ok();
    place.run("evaluate new.csv --adapter out").fails(1, &words);
}

#[test]
fn settings_out_of_range_are_said_together() {
    let place = Place::new();
    place.train("--epochs 0 --batch 0 --output out").fails(1, &["--epochs must", "--batch must"]);
    place.train("--method full --output model").fails(1, &["holds the base model", "--output"]);
    place.train("--rank 0 --output out").fails(1, &["lora: `rank` is 0"]);
    place.train("--lr 1e30 --clip 0 --method full --output out").fails(1, &["is not finite", "Lower --lr"]);
}

#[test]
fn wrong_usage_is_exit_code_2() {
    let place = Place::new();
    for (words, said) in [
        ("", "Usage"),
        ("trian", "train"),
        ("train rows.csv", "which model"),
        ("train --model model", "DATA"),
        ("train rows.csv --model model --method lorra", "lora"),
        ("train rows.csv --model model --dtype f16", "choose auto, f32 or bf16"),
        ("train rows.csv --model model --method head --rank 4", "--rank"),
        ("train rows.csv --model model --set epochs=3", "train"),
        ("train rows.csv --model model --set train.epoch=3", "epoch"),
        ("train rows.csv --model model --train many", "2000"),
        ("train rows.csv --model model --pooling max", "mean"),
        ("train rows.csv --model model --threads 0", "1.."),
        ("train rows.csv --model model --where imdb", "COLUMN=VALUE"),
        ("predict rows.csv", "--adapter"),
        ("predict rows.csv --adapter a --json", "--output"),
        ("train rows.csv --init-from", "--init-from"),
        ("train rows.csv --resume --restart", "--restart"),
        ("train rows.csv --init-from a --rank 4", "--rank"),
    ] {
        let ran = place.run(words);
        assert_eq!(ran.code, Some(2), "{words}: {ran:?}");
        assert!(ran.stderr.contains(said) && !ran.stderr.contains("panicked"), "{words}: {}", ran.stderr);
    }
}
