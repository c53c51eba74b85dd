//! What a comparison does for fairness, and what its runs leave.

use crate::place::{self, Place};
use serde_json::Value;

#[test]
fn a_comparison_finds_learning_rates_and_keeps_to_its_time() {
    let place = Place::new();
    std::fs::write(place.path("more.csv"), place::rows(120)).unwrap();
    let compare = "compare more.csv --model model --threads 1 --batch 3 --json";
    let several = format!("{compare} --methods features,lora,ia3,bitfit");
    let ran = place.run(&format!("{several} --epochs 2 --output tuned")).ok();
    assert_eq!(ran.stderr.matches(": learning rate ").count(), 3, "features is solved: {}", ran.stderr);
    let report = ran.json();
    for row in &report["rows"].as_array().unwrap()[1..] {
        let tried = row["tuned"]["tried"].as_array().unwrap();
        let loss = |trial: &Value| trial["loss"].as_f64().unwrap_or(f64::INFINITY);
        let best = tried.iter().min_by(|a, b| loss(a).total_cmp(&loss(b))).unwrap();
        assert!((3..=5).contains(&tried.len()), "{row}");
        assert_eq!(row["learning_rate"], best["rate"], "the best rate is used: {row}");
        assert!(row["spent_seconds"].as_f64() > row["train_seconds"].as_f64(), "the search counts: {row}");
    }
    // A given rate, or none searched for, is the rate.
    for (flags, rate) in [("--lr 0.005", 0.005), ("--no-tune", 7e-4)] {
        let ran = place.run(&format!("{compare} --methods lora --epochs 2 {flags} --output as-is"));
        let report = ran.ok().json();
        assert!((report["rows"][0]["learning_rate"].as_f64().unwrap() - rate).abs() < 1e-9, "{report}");
        assert!(report["rows"][0].get("tuned").is_none());
    }
    let ran = place
        .run(&format!("{several} --epochs 3000 --patience 1 --seeds 0,1,2 --budget 1s --output short"))
        .ok();
    assert!(ran.stderr.contains("within the time: 1 seed of each method, left out: "), "{}", ran.stderr);
    let report = ran.json();
    let rows = report["rows"].as_array().unwrap();
    let left_out = rows
        .iter()
        .filter(|row| row["error"].as_str().is_some_and(|e| e.contains("of the 1 s that are given")))
        .count();
    assert_eq!(left_out, 2, "one that is trained is always run: {report}");
}

#[test]
fn a_comparison_says_what_more_rows_buy() {
    let place = Place::new();
    std::fs::write(place.path("more.csv"), place::rows(120)).unwrap();
    let compare =
        "compare more.csv --model model --threads 1 --batch 3 --test 30 --methods features-knn,lora";
    let ran =
        place.run(&format!("{compare} --seeds 0,1 --train-sizes 20,40,40,9999 --output sizes --json")).ok();
    let report = ran.json();
    let parts: Vec<(u64, &str)> = report["parts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["train_rows"].as_u64().unwrap(), row["method"].as_str().unwrap()))
        .collect();
    assert_eq!(parts, [(40, "features-knn"), (40, "lora"), (20, "features-knn"), (20, "lora")]);
    let whole = report["rows"][1]["train_rows"].as_u64().unwrap();
    let gain = &report["gains"][1];
    assert_eq!((gain["from"].as_u64(), gain["to"].as_u64()), (Some(40), Some(whole)), "{report}");
    let steps = |row: &Value| row["steps"].as_u64().unwrap();
    assert!(steps(&report["parts"][1]) > steps(&report["parts"][3]), "fewer rows are fewer steps");
    let names: Vec<_> = std::fs::read_dir(place.path("sizes/adapters"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(names.iter().all(|name| !name.contains("rows")), "only runs on all rows are kept: {names:?}");
    assert!(place.path("sizes/logs/lora-rows20-seed1").exists());
    assert!(place.read("sizes/report.html").contains("rows to train on"));
    // A part is what a run on so many rows is.
    let alone = place.run(&format!(
        "{compare} --seeds 0,1 --no-tune --lr {} --set train.rows=20 --output alone --json",
        report["parts"][3]["learning_rate"]
    ));
    assert_eq!(alone.ok().json()["rows"][1]["test"], report["parts"][3]["test"]);
    let table = place.run(&format!("{compare} --no-tune --train-sizes 20 --output table")).ok().stdout;
    assert!(table.contains("On fewer rows to train on:") && table.contains("More rows: "), "{table}");
    let both = place.run(&format!("{compare} --budget 1m --train-sizes 20 --output both"));
    both.fails(2, &["--train-sizes"]);
}

#[test]
fn methods_are_compared_at_the_same_number_of_trained_values() {
    let place = Place::new();
    std::fs::write(place.path("more.csv"), place::rows(60)).unwrap();
    let compare = "compare more.csv --model model --threads 1 --batch 3 --epochs 1 --no-tune";
    let methods = "--methods features,bitfit,prompt,lora,houlsby";
    let ran = place.run(&format!("{compare} {methods} --parameters 300,10% --output sized --json")).ok();
    let report = ran.json();
    let sized = report["sized"].as_array().unwrap();
    let failed: Vec<&str> = sized
        .iter()
        .filter(|row| row.get("error").is_some())
        .map(|row| row["method"].as_str().unwrap())
        .collect();
    for row in sized.iter().filter(|row| row.get("error").is_none()) {
        let number = |key: &str| row[key].as_u64().unwrap() as f64;
        let off = number("trainable_parameters") / number("sized_to");
        assert!((0.8..=1.25).contains(&off), "{row}");
        assert!(row["test"]["accuracy"].is_number(), "{row}");
    }
    let names: Vec<&str> = sized.iter().map(|row| row["method"].as_str().unwrap()).collect();
    assert_eq!(names, ["prompt", "lora", "houlsby", "prompt", "lora", "houlsby"], "those that have a size");
    assert!(failed.len() < 4, "{report}");
    for row in sized.iter().filter(|row| row.get("error").is_some()) {
        assert!(row["error"].as_str().unwrap().contains(row["method"].as_str().unwrap()), "{row}");
    }
    let budget = sized[4]["sized_to"].as_u64().unwrap();
    assert!(place.path(&format!("sized/logs/lora-values{budget}/log.jsonl")).exists());
    assert!(!place.path(&format!("sized/adapters/lora-values{budget}")).exists(), "its own size is kept");
    assert!(place.read("sized/report.html").contains("one method at several sizes"));
    let table = place.run(&format!("{compare} --methods lora --parameters 10% --output table")).ok().stdout;
    assert!(table.contains("As large as each other"), "{table}");
    let bad = place.run(&format!("{compare} --parameters 1%,much --output bad"));
    bad.fails(2, &["much", "a count (2000) or a share (0.8 or 80%)"]);
    let both = place.run("compare more.csv --model model --budget 1m --parameters 1% --output both");
    both.fails(2, &["--parameters"]);
}

#[test]
fn a_run_leaves_a_log_that_tensorboard_reads() {
    let place = Place::new();
    place.train("--epochs 3 --validation 10 --tensorboard --output out").ok();
    let lines: Vec<Value> =
        place.read("out/log.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let losses: Vec<f64> = lines.iter().filter_map(|line| line["loss"].as_f64()).collect();
    let steps: Vec<u64> =
        lines.iter().filter(|l| l.get("loss").is_some()).filter_map(|l| l["step"].as_u64()).collect();
    assert_eq!(steps, (1..=steps.len() as u64).collect::<Vec<_>>());
    assert_eq!(lines.iter().filter(|line| line.get("epoch").is_some()).count(), 3);
    let Some(python) = std::env::var_os("OFFSHOOT_TENSORBOARD_PYTHON") else {
        eprintln!("not read by TensorBoard: `cargo xtask test` installs it");
        return;
    };
    let script = "import json, sys\n\
                  from tensorboard.backend.event_processing.event_accumulator import EventAccumulator\n\
                  events = EventAccumulator(sys.argv[1]).Reload()\n\
                  tags = events.Tags()['scalars']\n\
                  print(json.dumps({tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in tags}))";
    let output =
        std::process::Command::new(python).args(["-c", script]).arg(place.path("out")).output().unwrap();
    let read: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    let read_losses: Vec<f64> =
        read["train/loss"].as_array().unwrap().iter().map(|pair| pair[1].as_f64().unwrap()).collect();
    assert_eq!(read_losses.len(), losses.len());
    assert!(read_losses.iter().zip(&losses).all(|(a, b)| (a - b).abs() < 1e-6), "{read} {losses:?}");
    assert_eq!(read["validation/accuracy"].as_array().unwrap().len(), 3, "{read}");
}
