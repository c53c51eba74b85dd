//! Numbers as labels, from rows to predictions.

use crate::place::Place;
use serde_json::Value;
use std::fs;

const RUN: &str = "train numbers.csv --task regression --model model --threads 1";

/// Rows whose number is 10 for each `good` and -10 for each `bad`, about 50.
fn numbers(count: usize) -> String {
    let row = |row: usize| {
        let mood = |at: usize| if (row >> at) & 1 == 1 { "good" } else { "bad" };
        let number = 50 + (0..6).map(|at| if mood(at) == "good" { 10 } else { -10 }).sum::<i32>();
        let words: Vec<&str> = (0..6).map(mood).collect();
        format!("{},{number}.0\n", words.join(" "))
    };
    "text,score\n".to_owned() + &(0..count).map(row).collect::<String>()
}

fn place() -> Place {
    let place = Place::new();
    fs::write(place.path("numbers.csv"), numbers(64)).unwrap();
    place
}

fn mse(value: &Value) -> f64 {
    value["mse"].as_f64().unwrap()
}

#[test]
fn a_number_is_learnt_told_and_measured() {
    let place = place();
    let ran = place.run(&format!("{RUN} --epochs 20 --lr 0.01 --write-split parts --output out --json")).ok();
    assert!(
        ran.stderr.contains("task: regression, a number for each text; the head is new"),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("train: 47 rows (numbers from -10 to 90, mean 48.723)"), "{}", ran.stderr);
    assert!(ran.stderr.contains("the label is column `score`"), "{}", ran.stderr);
    assert!(ran.stderr.contains(", validation MSE "), "{}", ran.stderr);
    let report = ran.json();
    assert_eq!((&report["task"], report.get("labels")), (&Value::from("regression"), None));
    // The labels' variance is 600.
    assert!(mse(&report["test"]) < 100.0, "{}", report["test"]);
    assert!(
        report["test"]["pearson"].as_f64() > Some(0.9) && report["test"]["spearman"].as_f64() > Some(0.8)
    );
    let measured = place.run("evaluate parts/test.csv --adapter out --threads 1 --json").ok().json();
    assert_eq!((&measured["task"], &measured["test"]), (&Value::from("regression"), &report["test"]));

    place.run("predict parts/test.csv --adapter out --output said.csv").ok();
    let said = place.read("said.csv");
    let mut lines = said.lines();
    assert_eq!(lines.next(), Some("line,number"));
    let said: Vec<f64> = lines.map(|line| line.split(',').nth(1).unwrap().parse().unwrap()).collect();
    let wanted = place.read("parts/test.csv");
    let wanted: Vec<f64> =
        wanted.lines().skip(1).map(|line| line.split(',').nth(1).unwrap().parse().unwrap()).collect();
    // What the report says, computed here once more.
    let squares: f64 = said.iter().zip(&wanted).map(|(a, b)| (a - b).powi(2)).sum();
    assert!((squares / wanted.len() as f64 - mse(&report["test"])).abs() < 1e-3, "{said:?} {wanted:?}");
    let object = place.run_with("predict - --adapter out --to jsonl", "good good good bad\n").ok().stdout;
    let object: Value = serde_json::from_str(object.trim()).unwrap();
    assert!(object["number"].is_f64() && object.get("label").is_none(), "{object}");

    let again =
        place.run("train numbers.csv --init-from out --threads 1 --epochs 1 --output more --json").ok();
    assert_eq!(again.json()["task"], "regression", "the adapter's task is gone on with");
    assert!(
        !again.stderr.contains("the head is new:") && mse(&again.json()["test"]) < 200.0,
        "{}",
        again.stderr
    );
    let shown = place.run("inspect out").ok().stdout;
    assert!(shown.contains("task      regression"), "{shown}");
}

#[test]
fn methods_are_compared_by_their_error_and_those_without_numbers_left_out() {
    let place = place();
    let compare = "compare numbers.csv --task regression --model model --threads 1";
    let ran = place.run(&format!("{compare} --epochs 2 --no-tune --output all --json")).ok();
    let out = "left out: in-context, hard-prompt, features-knn, features-forest, features-xgboost (they tell classes \
               apart and give no numbers)";
    assert!(ran.stderr.contains(out), "{}", ran.stderr);
    let report = ran.json();
    let rows = report["rows"].as_array().unwrap();
    assert!(rows.len() > 15 && rows.iter().all(|row| row.get("error").is_none()), "{report}");
    let floor = report["mean_baseline"].as_f64().unwrap();
    assert!((300.0..1200.0).contains(&floor) && report["majority_baseline"].is_null(), "{floor}");
    let ridge = rows.iter().find(|row| row["method"] == "features").unwrap();
    assert!(mse(&ridge["test"]) < floor / 4.0, "{}", ridge["test"]);
    let real =
        report["differences"].as_array().unwrap().iter().find(|d| d["low"].as_f64() > Some(0.0)).unwrap();
    assert!(
        real["measure"] == "mse" && real["difference"].as_f64() > Some(0.0),
        "a larger error is worse: {real}"
    );
    assert!(
        ran.stderr.contains("| (mean label)") && ran.stderr.contains(" MSE | Pearson |"),
        "{}",
        ran.stderr
    );
    assert!(report["reason"].as_str().unwrap().contains("an MSE of "), "{}", report["reason"]);
    let page = place.read("all/report.html");
    for part in
        ["What was said, and what is", "the mean of the training labels", "<th>MSE</th>", "The hardest rows"]
    {
        assert!(page.contains(part), "{part} is missing");
    }
    // Named, they are left out too, and none that is left is an error.
    let some = place.run(&format!("{compare} --methods features,features-knn --output some")).ok();
    assert!(some.stderr.contains("left out: features-knn"), "{}", some.stderr);
    place.run(&format!("{compare} --methods features-knn --output none")).fails(2, &["features-knn", "lora"]);
    let merged = place.run("report all out --output both");
    assert_eq!(merged.code, Some(1), "there is no such run");
    place.run("report all some --output both").ok();
    assert!(place.read("both/report.html").contains("<th>MSE</th>"));
}

#[test]
fn a_run_stops_early_and_goes_on() {
    let place = place();
    let patient =
        place.run(&format!("{RUN} --epochs 60 --lr 0.05 --patience 2 --output out --json")).ok().json();
    let epochs = patient["validations"].as_array().unwrap();
    assert!(epochs.len() < 60 && patient["epochs"].as_u64() == Some(epochs.len() as u64), "{patient}");
    let best = epochs.iter().map(mse).fold(f64::INFINITY, f64::min);
    assert_eq!(mse(&patient["validation"]), best);
    let recipe = place.read("out/recipe.toml");
    assert!(recipe.contains("task = \"regression\""), "{recipe}");
    let again = place.run("train --recipe out/recipe.toml --threads 1 --output again --json").ok().json();
    assert_eq!((&again["test"], &again["rows_hash"]), (&patient["test"], &patient["rows_hash"]));
}

#[test]
fn what_is_wrong_is_said_before_any_work() {
    let place = place();
    let run = |flags: &str| place.run(&format!("train {flags} --model model --threads 1"));
    run("numbers.csv --task regression --method features-forest")
        .fails(2, &["`features-forest`", "features-mlp"]);
    run("numbers.csv --task regression --label-smoothing 0.1").fails(2, &["label_smoothing"]);
    let order = "--labels is for classification, and --task is regression";
    run("numbers.csv --task regression --labels 1,2").fails(2, &[order]);
    let weights = "--class-weights is for classification, and --task is regression";
    let compare = "compare numbers.csv --task regression --model model --methods lora";
    place.run(&format!("{compare} --class-weights balanced")).fails(2, &[weights]);
    // A recipe is asked as a whole.
    let both = "--set train.class_weights=balanced --set data.load.labels=[\"1\",\"2\"]";
    run(&format!("numbers.csv --task regression {both}"))
        .fails(2, &["class_weights is for classes", "--labels:"]);
    run("numbers.csv --task sorting").fails(2, &["classification, regression, language-model"]);
    run("numbers.csv --task regression --generate 3").fails(2, &["--generate"]);
    let wrong = numbers(40)
        .replace("bad bad bad bad bad bad,", "bad,far ")
        .replace("good bad bad bad bad bad,-", "good,n");
    fs::write(place.path("wrong.csv"), wrong + "fine,nan\nodd,1e999\n").unwrap();
    let words = [
        "wrong.csv",
        "line 2: the label `far -10.0` is no finite number",
        "line 42: the label `nan`",
        "`1e999`",
    ];
    run("wrong.csv --task regression --label score").fails(1, &words);
    let same: String = (0..20).map(|row| format!("text {row},5.0\nrow {row},5\n")).collect();
    fs::write(place.path("same.csv"), format!("text,score\n{same}")).unwrap();
    run("same.csv --task regression").fails(1, &["every row has the label `5`", "nothing to learn"]);
    let many: String = (0..1001).map(|row| format!("text {row},{row}.5\n")).collect();
    fs::write(place.path("many.csv"), format!("text,label\n{many}")).unwrap();
    run("many.csv").fails(1, &["--task regression"]);
}
