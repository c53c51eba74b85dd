//! Every committed golden case, and what the runner says when something is wrong.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use offshoot_testing::golden::{Case, Outcome, cases, replay};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The committed cases; a case that got lost would not be missed otherwise.
const COMMITTED: usize = 39;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden")
}

fn case(name: &str) -> Case {
    Case::read(&folder().join("cases").join(name)).unwrap()
}

/// What a changed case says.
fn line(case: &Case) -> String {
    Outcome { name: "changed".into(), report: replay(case) }.to_string()
}

#[test]
fn every_committed_case_passes() {
    let outcomes: Vec<_> = cases(&folder(), "").unwrap().iter().map(|case| Outcome::of(case)).collect();
    let failed: Vec<_> =
        outcomes.iter().filter(|outcome| !outcome.passed()).map(ToString::to_string).collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(outcomes.len() >= COMMITTED, "only {} cases", outcomes.len());
}

#[test]
fn each_wrong_number_is_seen() {
    type Change = fn(&mut Case);
    let changes: [(&str, Change); 5] = [
        ("too far: logits 1.", |case| case.expected.logits.1[0] += 1.0),
        ("too far: losses 1.", |case| case.settings.losses[3] += 1.0),
        ("too far: gradients classifier.bias", |case| {
            case.expected.grad.get_mut("classifier.bias").unwrap().1[0] += 1.0
        }),
        ("too far: after classifier.bias", |case| {
            case.expected.after.get_mut("classifier.bias").unwrap().1[0] += 1.0
        }),
        ("trainable 1635 instead of 7", |case| case.settings.trainable = 7),
    ];
    for (expected, change) in changes {
        let mut case = case("bert-cls--lora");
        change(&mut case);
        let line = line(&case);
        assert!(line.starts_with("FAIL changed: logits") && line.contains(expected), "{line}");
    }
}

#[test]
fn a_missing_weight_decay_is_seen() {
    for name in ["bert-cls--lora", "bert-cls--full"] {
        let mut case = case(name);
        case.settings.optimizer.weight_decay = 0.0;
        let line = line(&case);
        let (_, wrong) = line.split_once("; too far: ").unwrap();
        assert!(wrong.contains("after "), "{line}");
    }
}

#[test]
fn a_tensor_without_a_counterpart_is_named() {
    let mut case = case("bert-cls--head");
    let bias = case.expected.before.remove("classifier.bias").unwrap();
    case.expected.after.insert("extra".into(), bias);
    let line = line(&case);
    assert!(line.contains("classifier.bias is trained and not in `before`"), "{line}");
    assert!(line.contains("extra is in `after` and not trained"), "{line}");
}

#[test]
fn a_method_that_is_not_there_fails() {
    let mut case = case("bert-cls--head");
    case.settings.method = "vera".into();
    let line = line(&case);
    assert!(line.starts_with("FAIL changed: ") && line.contains("`vera`"), "{line}");
}

/// The runner's answer.
fn golden(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_golden")).args(arguments).output().unwrap()
}

#[test]
fn the_runner_counts_and_exits_accordingly() {
    let committed = folder();
    let passing = golden(&[committed.to_str().unwrap(), "--filter", "bert-cls--head"]);
    let text = String::from_utf8(passing.stdout).unwrap();
    assert!(
        text.starts_with("ok bert-cls--head: logits ") && text.ends_with("\n2 passed, 0 failed\n"),
        "{text}"
    );
    assert_eq!(passing.status.code(), Some(0));

    let broken = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(broken.path().join("cases/empty")).unwrap();
    let failing = golden(&[broken.path().to_str().unwrap()]);
    let text = String::from_utf8(failing.stdout).unwrap();
    assert!(
        text.starts_with("FAIL empty: case.json: ") && text.ends_with("\n0 passed, 1 failed\n"),
        "{text}"
    );
    assert_eq!(failing.status.code(), Some(1));
}

#[test]
fn no_case_is_a_failure() {
    let committed = folder();
    for arguments in [&[committed.to_str().unwrap(), "--filter", "no such case"][..], &["no such folder"]] {
        let answer = golden(arguments);
        assert_eq!(answer.status.code(), Some(1));
        assert!(String::from_utf8(answer.stderr).unwrap().contains("no such"));
    }
    assert_eq!(golden(&[]).status.code(), Some(2));
}
