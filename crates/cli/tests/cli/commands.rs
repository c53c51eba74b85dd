//! The real binary from rows to predictions, on a tiny model.

use crate::place::{self, Place};
use serde_json::Value;
use std::fs;
use std::path::Path;

/// What the JSON of a run must have.
const FIELDS: [&str; 25] = [
    "tool",
    "method",
    "model",
    "task",
    "dtype",
    "trainable_parameters",
    "total_parameters",
    "train_rows",
    "test_rows",
    "epochs",
    "steps",
    "tokens",
    "labelled",
    "squared_lengths",
    "train_seconds",
    "epoch_seconds",
    "tokens_per_second",
    "startup_seconds",
    "evaluate_seconds",
    "peak_rss_bytes",
    "final_loss",
    "adapter_bytes",
    "validation",
    "test",
    "seed",
];

fn has_the_fields(row: &Value) {
    for field in FIELDS {
        assert!(row.get(field).is_some(), "{field} is not in {row}");
    }
    for metric in ["accuracy", "macro_f1", "loss"] {
        assert!(row["test"][metric].is_f64(), "{row}");
    }
}

#[test]
fn an_adapter_is_trained_asked_and_measured() {
    let place = Place::new();
    let ran = place.train("--test-data rows.csv --validation 0 --epochs 8 --output out --json");
    // The test rows are the training rows here, which is refused: nothing is tested that was trained on.
    ran.fails(1, &["leaves none for training"]);

    std::fs::write(place.path("test.csv"), place::rows(120).replace("\nthe ", "\nmusic was ")).unwrap();
    let ran =
        place.train("--test-data test.csv --validation 0 --epochs 20 --lr 0.01 --output out --json").ok();
    let report = ran.json();
    has_the_fields(&report);
    assert_eq!(ran.stdout.lines().count(), 1, "{}", ran.stdout);
    assert_eq!(report["method"], "lora");
    assert_eq!(report, serde_json::from_str::<Value>(&place.read("out/report.json")).unwrap());
    assert!(report["test"]["accuracy"].as_f64().unwrap() > 0.8, "{report}");

    let measured = place.run("evaluate test.csv --adapter out --json").ok().json();
    assert_eq!(measured["test"], report["test"]);
    assert_eq!(measured["test_rows"], 120);

    let said =
        place.run_with("predict - --adapter out", "film good good good\nbad bad bad story\n").ok().stdout;
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[0], "line,label,p_0,p_1");
    assert!(lines[1].starts_with("1,1,0.") && lines[2].starts_with("2,0,0."), "{said}");
}

#[test]
fn a_run_says_what_it_does_on_stderr() {
    let place = Place::new();
    let ran = place.train("--train 30 --validation 10 --test 10 --epochs 2 --max-length 5 --output out").ok();
    for words in [
        "(bert, 2 layers, hidden 16)",
        "train: 30 rows (`0` 15, `1` 15)",
        "the text is column `text`, the label is column `label` (guessed",
        "classification into 2 classes",
        "30 of 30 are cut to 5",
        "method: lora (low-rank updates beside the projections): rank 8",
        "lora: epoch 1 of 2, loss 0.",
        "validation accuracy ",
    ] {
        assert!(ran.stderr.contains(words), "`{words}` is not said: {}", ran.stderr);
    }
    assert!(!ran.stderr.contains('\u{1b}'), "{:?}", ran.stderr);
    assert!(ran.stdout.contains("test: accuracy ") && ran.stdout.contains("--adapter out"), "{}", ran.stdout);
}

#[test]
fn memory_is_planned_and_limited_with_the_same_result() {
    let place = Place::new();
    let flags = "--epochs 2 --batch 8 --json";
    let free = place.train(&format!("{flags} --output a")).ok();
    let planned = &free.json()["planned"];
    for part in ["weights", "program", "adapter", "optimizer", "activations"] {
        assert!(planned[part].as_u64().unwrap() > 0, "{planned}");
    }
    assert!(
        free.stderr.contains("memory: about ") && free.stderr.contains(" activations"),
        "{}",
        free.stderr
    );

    let twice = place.train(&format!("{flags} --set train.recompute=9 --memory 1GB --output b")).ok();
    assert!(twice.stderr.contains(" trained blocks computed twice"), "{}", twice.stderr);
    assert_eq!(twice.json()["final_loss"], free.json()["final_loss"]);
    let bytes = |folder: &str| fs::read(place.path(folder).join("adapter_model.safetensors")).unwrap();
    assert_eq!(bytes("a"), bytes("b"));

    place.train("--memory 1kB --output c").fails(1, &["--memory 1MB is too small", "MB at least"]);
    place.train("--memory much --output c").fails(2, &["400MB"]);
}

#[test]
fn a_profile_says_where_time_went() {
    let place = Place::new();
    let said = place.train("--epochs 1 --profile --output a").ok().stderr;
    for words in ["| where ", "products, to inputs", "attention", "the rest", "GFLOP/s"] {
        assert!(said.contains(words), "`{words}` is not said: {said}");
    }
}

#[test]
fn the_same_seed_and_the_written_recipe_give_the_same_bytes() {
    let place = Place::new();
    let flags = "--method houlsby --width 4 --epochs 2 --seed 7 --set train.batch=8";
    place.train(&format!("{flags} --output a")).ok();
    place.train(&format!("{flags} --output b")).ok();
    place.run("train --recipe a/recipe.toml --threads 1 --output c").ok();
    place.run("train --recipe a/recipe.toml --threads 1 --seed 8 --output d").ok();
    let bytes = |folder: &str| std::fs::read(place.path(folder).join("adapter.safetensors")).unwrap();
    assert_eq!(bytes("a"), bytes("b"));
    assert_eq!(bytes("a"), bytes("c"));
    assert_ne!(bytes("a"), bytes("d"));
    assert!(place.read("a/recipe.toml").contains("width = 4"));
}

#[test]
fn training_goes_on_from_an_adapter() {
    let place = Place::new();
    let first = place.train("--lr 0.01 --epochs 6 --rank 4 --pooling mean --output a --json").ok().json();
    let ran =
        place.run("train rows.csv --init-from a --epochs 1 --lr 0.0001 --threads 1 --output b --json").ok();
    let second = ran.json();
    assert_eq!(second["trainable_parameters"], first["trainable_parameters"]);
    let loss = |report: &Value| report["final_loss"].as_f64().unwrap();
    assert!(loss(&second) < 1.1 * loss(&first), "{second}");
    assert!(ran.stderr.contains("rank 4") && ran.stderr.contains("pooling mean"), "{}", ran.stderr);
    place.train("--init-from a --method lora --output c").fails(2, &["--method", "--init-from"]);
}

#[test]
fn the_split_can_be_given_to_another_program() {
    let place = Place::new();
    let flags = "--method head --validation 10 --no-dropout --epochs 2";
    let first = place.train(&format!("{flags} --write-split parts --output a --json")).ok().json();
    let rows = |part: &str| place.read(&format!("parts/{part}.csv")).lines().count() - 1;
    assert_eq!([rows("train"), rows("validation"), rows("test")], [38, 10, 12]);
    let second = place.run("evaluate parts/test.csv --adapter a --json").ok().json();
    assert_eq!(first["test"], second["test"]);
}

#[test]
fn every_method_is_compared() {
    let place = Place::new();
    let words = "compare rows.csv --model model --epochs 1 --threads 1 --output out --json";
    let ran = place.run(words).ok();
    let report = ran.json();
    let rows = report["rows"].as_array().unwrap();
    let listed = place.run("methods --json").ok().json();
    // An encoder predicts no words, so what asks for them is left out, and it is said.
    let asks = ["in-context", "hard-prompt"];
    // So is XGBoost where it is not installed.
    let unlibraried = usize::from(ran.stderr.contains("left out: features-xgboost (the XGBoost library"));
    assert_eq!(rows.len(), listed["methods"].as_array().unwrap().len() - asks.len() - unlibraried);
    assert!(ran.stderr.contains(&format!("left out: {}", asks.join(", "))), "{}", ran.stderr);
    for row in rows {
        assert_eq!(row["error"], Value::Null, "{row}");
        has_the_fields(row);
        let folder = format!("out/adapters/{}", row["method"].as_str().unwrap());
        assert!(place.path(&folder).join("offshoot.json").exists());
        place.run(&format!("evaluate rows.csv --adapter {folder}")).ok();
        assert!(ran.stderr.contains(&format!("| {} ", row["method"].as_str().unwrap())), "{}", ran.stderr);
    }
    assert!(report["recommended"].is_string() && report["reason"].is_string());
    assert!(ran.stderr.contains("| (majority class) |   50.0 % |"), "{}", ran.stderr);
}

#[test]
fn seeds_are_averaged_and_kept_apart() {
    let place = Place::new();
    let words =
        "compare rows.csv --model model --methods ia3,head --seeds 3,4 --epochs 1 --output out --json";
    let report = place.run(words).ok().json();
    let row = &report["rows"][0];
    assert_eq!(row["method"], "ia3");
    let seeds: Vec<u64> =
        row["seeds"].as_array().unwrap().iter().map(|run| run["seed"].as_u64().unwrap()).collect();
    assert_eq!(seeds, [3, 4]);
    for folder in ["ia3", "ia3-seed4", "head", "head-seed4"] {
        assert!(place.path("out/adapters").join(folder).is_dir(), "{folder}");
    }
}

#[test]
fn a_method_that_fails_is_a_row_and_only_all_of_them_are_a_failure() {
    let place = Place::new();
    let words = "compare rows.csv --model model --epochs 1 --threads 1 --output out --json";
    let report =
        place.run(&format!("{words} --methods llama-adapter,head --set llama-adapter.tokens=0")).ok().json();
    assert!(report["rows"][0]["error"].as_str().unwrap().contains("tokens"), "{report}");
    assert_eq!(report["recommended"], "head");
    let ran = place.run("compare rows.csv --model model --methods prompt --tokens 0 --output out --json");
    assert_eq!((ran.code, ran.json()["recommended"].is_null()), (Some(1), true), "{ran:?}");
}

#[test]
fn rows_name_their_adapters() {
    let place = Place::new();
    place.train("--epochs 1 --method head --output a").ok();
    std::fs::write(place.path("mood.csv"), place::rows(60).replace(",1\n", ",up\n")).unwrap();
    place.run("train mood.csv --model model --method ia3 --epochs 1 --threads 1 --output b").ok();
    std::fs::write(
        place.path("new.jsonl"),
        "{\"text\":\"good\",\"adapter\":\"b\"}\n{\"text\":\"bad\",\"adapter\":\"a\"}\n",
    )
    .unwrap();
    let said = place.run("predict new.jsonl --adapter a --adapter b --to jsonl").ok().stdout;
    let rows: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!([&rows[0]["adapter"], &rows[1]["adapter"]], ["b", "a"]);
    assert!(rows[0]["probabilities"]["up"].is_f64() && rows[1]["probabilities"]["1"].is_f64(), "{said}");
    let alone = place.run("predict new.jsonl --adapter b --output out.csv --json").ok();
    assert_eq!(alone.json()["rows"], 2);
    assert!(place.read("out.csv").starts_with("line,label,p_0,p_up\n1,"));

    std::fs::write(place.path("new.csv"), "text,adapter\ngood,c\n").unwrap();
    place.run("predict new.csv --adapter a --adapter b").fails(1, &["line 2", "no adapter `c`", "a, b"]);
    place
        .run("predict rows.csv --adapter a --adapter b")
        .fails(1, &["each row must name its own", "`adapter`"]);
    place.run("predict new.csv --adapter a --adapter a").fails(2, &["of the name `a`"]);
}

#[test]
fn models_and_adapters_are_inspected() {
    let place = Place::new();
    let ran = place.run("inspect model --classes 3 --json").ok();
    let about = ran.json();
    assert_eq!([&about["family"], &about["pooling"]], ["bert", "pooler"]);
    assert_eq!(about["layers"], 2);
    let lora = about["methods"].as_array().unwrap().iter().find(|row| row["method"] == "lora").unwrap();
    // Two factors of rank 8 on query and value of two layers, and a head of three classes.
    assert_eq!(lora["trainable_parameters"], 2 * 2 * 2 * 8 * 16 + 3 * 16 + 3);
    assert!(ran.stderr.contains("sizes     2 layers, hidden 16, 2 heads of 8"), "{}", ran.stderr);

    place.train("--epochs 1 --rank 3 --output out").ok();
    let about = place.run("inspect out").ok().stdout;
    for words in
        ["method    lora", "rank 3", "base      model (bert", "labels    0, 1", "adapter_config.json"]
    {
        assert!(about.contains(words), "`{words}` is not said: {about}");
    }
}

/// The tiny model of the golden cases, which the files of other programs are for, with a vocabulary.
fn golden_model(place: &Place) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    fs::create_dir(place.path("golden")).unwrap();
    for name in ["config.json", "model.safetensors"] {
        let from = root.join("testing/golden/models/bert-cls").join(name);
        fs::copy(from, place.path("golden").join(name)).unwrap();
    }
    fs::copy(place.path("model/vocab.txt"), place.path("golden/vocab.txt")).unwrap();
    let torch = root.join("train/tests/torch");
    fs::copy(torch.join("llama-adapter.pth"), place.path("original.pth")).unwrap();
    fs::create_dir(place.path("hub")).unwrap();
    for name in ["adapter_config.json", "pytorch_adapter.bin", "pytorch_model_head.bin"] {
        fs::copy(torch.join("adapterhub").join(name), place.path("hub").join(name)).unwrap();
    }
}

#[test]
fn torch_files_of_other_programs_are_used_where_they_are_allowed() {
    let place = Place::new();
    golden_model(&place);
    let train = "train rows.csv --model golden --threads 1 --epochs 1 --init-from original.pth --output out";
    place.run(train).fails(1, &["original.pth", "--allow-pickle"]);
    let report = place.run(&format!("{train} --allow-pickle --json")).ok().json();
    assert_eq!(report["method"], "llama-adapter");
    // What comes of it is in our own files and needs no permission.
    place.run("evaluate rows.csv --adapter out").ok();
    let about = place.run("inspect original.pth").ok().stdout;
    assert!(about.contains("another program") && about.contains("file      original.pth"), "{about}");

    let predict = "predict rows.csv --adapter hub --model golden";
    place.run(predict).fails(1, &["pytorch_adapter.bin", "--allow-pickle"]);
    let said = place.run(&format!("{predict} --allow-pickle")).ok().stdout;
    assert_eq!(said.lines().count(), 61, "{said}");
    fs::write(place.path("hub/pytorch_adapter.bin"), b"\x80\x02cos\nsystem\n").unwrap();
    place.run(&format!("{predict} --allow-pickle")).fails(1, &["pytorch_adapter.bin", "torch file"]);
}

#[test]
fn the_registries_are_listed() {
    let place = Place::new();
    let methods = place.run("methods").ok().stdout;
    assert!(methods.contains("| llama-adapter ") && methods.contains("arxiv.org"), "{methods}");
    let lora = place.run("methods lora --json").ok();
    assert_eq!(lora.json()["settings"]["rank"], 8);
    let own = offshoot::methods::MethodConfig::ALL.iter().find(|info| info.name == "lora").unwrap();
    assert_eq!(lora.json()["learning_rate"].to_string(), own.learning_rate.to_string());
    assert!(place.run("models").ok().stdout.contains("| distilbert "));
}

#[test]
fn help_is_no_failure_and_has_an_example() {
    let place = Place::new();
    for command in
        ["compare", "train", "evaluate", "predict", "inspect", "merge", "export", "methods", "models"]
    {
        let help = place.run(&format!("{command} --help")).ok().stdout;
        assert!(help.contains(&format!("\n  offshoot {command}")), "{help}");
    }
    assert!(place.run("--version").ok().stdout.starts_with("offshoot "));
}

#[test]
fn shells_and_manuals_are_told_what_there_is() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish"] {
        let text = place.run(&format!("shell completions {shell}")).ok().stdout;
        assert!(text.contains("save-every") && text.contains("llama-adapter"), "{shell}: {text}");
    }
    place.run("shell man pages").ok();
    let page = place.read("pages/offshoot-train.1");
    assert!(page.contains(".TH") && page.contains("resume"), "{page}");
}
