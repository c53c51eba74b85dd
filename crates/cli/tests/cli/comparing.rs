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
