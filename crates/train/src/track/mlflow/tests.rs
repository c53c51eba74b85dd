//! Runs against a small server on loopback.

use super::stub::{Asked, Mood, Stub};
use super::*;
use crate::track::{Track, Trackers};
use crate::trainer::Event;
use crate::{LmMetrics, Score};
use std::time::Duration;
use tempfile::TempDir;

/// So short that a test does not wait.
const PACE: Pace =
    Pace { every: Duration::from_millis(5), batch: 500, most: 3000, end: Duration::from_secs(30) };

fn server(stub: &Stub) -> MlflowServer {
    format!("http://ann:secret@{}", stub.address).into()
}

fn connect(stub: &Stub, pace: Pace) -> Trackers {
    let experiment = Experiment::connect(&server(stub), "first tries").unwrap();
    Trackers { tensorboard: false, mlflow: Some(Experiment { pace, ..experiment }) }
}

fn info() -> RunInfo {
    let params = (0..150).map(|i| (format!("p{i}"), i.to_string())).collect();
    RunInfo { name: "lora-seed0".into(), params }
}

/// A run in a folder, with so many steps.
fn run(folder: &TempDir, trackers: &Trackers, resumes: bool, steps: u64) -> Track {
    let mut track = Track::open(folder.path(), trackers, &info(), resumes).unwrap();
    for step in 1..=steps {
        track.event(&Event::Step { step, steps, loss: 1.0 / step as f64, tokens: step }).unwrap();
    }
    track
}

/// The numbers that arrived: name, step, value.
fn arrived(seen: &[Asked]) -> Vec<(String, u64, f64)> {
    let batches = seen.iter().filter_map(|asked| asked.body["metrics"].as_array());
    let one = |metric: &Value| {
        let key = metric["key"].as_str().unwrap().to_owned();
        assert!(metric["timestamp"].as_u64() > Some(1_600_000_000_000), "milliseconds: {metric}");
        (key, metric["step"].as_u64().unwrap(), metric["value"].as_f64().unwrap())
    };
    batches.flatten().map(one).collect()
}

/// What is in the files of a folder.
fn files(folder: &TempDir) -> String {
    let entries = fs::read_dir(folder.path()).unwrap();
    entries.map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap()).collect()
}

#[test]
fn a_run_is_made_told_and_ended() {
    let (stub, folder) = (Stub::start(), tempfile::tempdir().unwrap());
    let mut track = run(&folder, &connect(&stub, PACE), false, 1200);
    let score = Some(Score::Text(LmMetrics::of(6.0, 3)));
    track.event(&Event::Epoch { epoch: 1, loss: 0.5, validation: score }).unwrap();
    let report = RunReport { steps: 1200, trainable_parameters: 42, test: score, ..RunReport::default() };
    assert_eq!(track.end(Ok(&report)).unwrap(), None);
    let seen = stub.seen();
    let calls = stub.calls();
    assert_eq!(
        calls[..5],
        [
            "GET experiments/get-by-name?experiment_name=first%20tries",
            "POST experiments/create",
            "POST runs/create",
            "POST runs/log-batch",
            "POST runs/log-batch",
        ]
    );
    assert_eq!(
        (&seen[2].body["run_name"], &seen[2].body["experiment_id"]),
        (&json!("lora-seed0"), &json!("7"))
    );
    let params = |asked: &Asked| asked.body["params"].as_array().unwrap().len();
    assert_eq!((params(&seen[3]), params(&seen[4])), (100, 50));
    assert!(seen.iter().all(|asked| asked.authorization == "Basic YW5uOnNlY3JldA=="), "{seen:?}");
    let numbers = arrived(&seen);
    let losses: Vec<_> = numbers.iter().filter(|(key, ..)| key == "train/loss").collect();
    assert_eq!(losses.len(), 1200);
    assert!(
        losses
            .iter()
            .enumerate()
            .all(|(i, (_, step, loss))| (*step, *loss) == (i as u64 + 1, 1.0 / *step as f64))
    );
    for expected in [("validation/loss", 2.0), ("test/loss", 2.0), ("trainable_parameters", 42.0)] {
        assert!(numbers.contains(&(expected.0.into(), 1200, expected.1)), "{expected:?}");
    }
    let most = seen.iter().filter_map(|asked| asked.body["metrics"].as_array()).map(Vec::len).max();
    assert!(most.unwrap() <= 1000);
    let last = seen.last().unwrap();
    assert_eq!((last.call.as_str(), &last.body["status"]), ("POST runs/update", &json!("FINISHED")));
    assert!(
        files(&folder).contains("run1")
            && !files(&folder).contains("secret")
            && !files(&folder).contains("ann")
    );
}

#[test]
fn a_run_that_was_interrupted_is_gone_on_with() {
    let (stub, folder) = (Stub::start(), tempfile::tempdir().unwrap());
    let trackers = connect(&stub, PACE);
    let created = || stub.calls().iter().filter(|call| *call == "POST runs/create").count();
    let ended = || stub.seen().last().unwrap().body["status"].clone();
    let stopped = Error::Stopped { step: 1, steps: 2 };
    run(&folder, &trackers, true, 1).end(Err(&stopped)).unwrap();
    assert_eq!((created(), ended()), (1, json!("KILLED")));
    // As a process that is killed, which says nothing.
    let kept = fs::read(folder.path().join(FILE)).unwrap();
    drop(run(&folder, &trackers, true, 1));
    assert_eq!((created(), ended()), (1, json!("FAILED")), "the same run, which nobody ended well");
    run(&folder, &trackers, true, 1).end(Ok(&RunReport::default())).unwrap();
    assert_eq!((created(), ended()), (1, json!("FINISHED")));
    assert_eq!(fs::read(folder.path().join(FILE)).unwrap(), kept);
    let running = stub.seen().iter().filter(|asked| asked.body["status"] == "RUNNING").count();
    assert_eq!(running, 2);
    // One that is done is not gone on with, nor is one on another server, nor what a damaged file names.
    drop(run(&folder, &trackers, true, 1));
    assert_eq!(created(), 2);
    for wrong in ["{\"server\": \"http://other\", \"run_id\": \"run2\"}", "{", "\u{0}"] {
        fs::write(folder.path().join(FILE), wrong).unwrap();
        let before = created();
        drop(run(&folder, &trackers, true, 1));
        assert_eq!(created(), before + 1, "{wrong}");
    }
    let before = created();
    drop(run(&folder, &trackers, false, 1));
    assert_eq!(created(), before + 1, "begun anew");
}

#[test]
fn a_server_that_is_not_there_is_told_before_the_run() {
    let stub = Stub::start();
    let said = |mood: Mood| {
        stub.set(mood);
        let failed = Experiment::connect(&server(&stub), "tries").err().unwrap().to_string();
        assert!(failed.starts_with(&format!("MLflow at http://{}: it ", stub.address)), "{failed}");
        assert!(!failed.contains("secret") && !failed.contains('\u{1b}'), "{failed}");
        failed
    };
    assert!(said(Mood::Broken).ends_with("it answers 500 INTERNAL_ERROR: no [31m"));
    assert!(said(Mood::Page).ends_with("not as MLflow does: is this its address?"));
    assert!(said(Mood::Closed).contains("USER:PASSWORD@"));
    for mood in [Mood::HangsUp, Mood::Garbage] {
        assert!(said(mood).contains("cannot be reached: ") && said(mood).contains("`mlflow server`"));
    }
    let gone = Stub::start().address.clone();
    for (address, words) in
        [(&*format!("http://{gone}"), "cannot be reached"), ("host:5000", "http://HOST:PORT")]
    {
        let failed = Experiment::connect(&address.to_owned().into(), "tries").err().unwrap().to_string();
        assert!(failed.contains(words), "{failed}");
    }
}

#[test]
fn a_server_that_fails_is_warned_of_once_and_gets_everything_when_it_is_back() {
    for mood in [Mood::Broken, Mood::HangsUp, Mood::Garbage, Mood::Page] {
        let (stub, folder) = (Stub::start(), tempfile::tempdir().unwrap());
        let mut track = run(&folder, &connect(&stub, PACE), false, 0);
        stub.set(mood);
        let (before, event) = (stub.seen().len(), Event::Step { step: 1, steps: 2, loss: 0.5, tokens: 1 });
        track.event(&event).unwrap();
        stub.wait("two tries", |seen| seen.len() >= before + 2);
        let trouble = track.trouble().unwrap();
        assert!(trouble.contains("the run goes on") && !trouble.contains("secret"), "{trouble}");
        track.event(&Event::Step { step: 2, steps: 2, loss: 0.25, tokens: 1 }).unwrap();
        stub.wait("more tries", |seen| seen.len() >= before + 4);
        assert_eq!(track.trouble(), None, "{mood:?}: once");
        stub.set(Mood::Well);
        let tried = stub.seen().len();
        assert_eq!(track.end(Ok(&RunReport::default())).unwrap(), None, "{mood:?}");
        let losses: Vec<_> =
            arrived(&stub.seen()[tried..]).into_iter().filter(|(key, ..)| key == "train/loss").collect();
        assert_eq!(losses, [("train/loss".into(), 1, 0.5), ("train/loss".into(), 2, 0.25)], "{mood:?}");
    }
}

#[test]
fn what_does_not_arrive_is_counted() {
    let (stub, folder) = (Stub::start(), tempfile::tempdir().unwrap());
    let mut track = run(&folder, &connect(&stub, PACE), false, 0);
    stub.set(Mood::HangsUp);
    for step in 1..=4000 {
        track.event(&Event::Step { step, steps: 4000, loss: 0.5, tokens: 1 }).unwrap();
    }
    let left = track.end(Err(&Error::invalid("x"))).unwrap().unwrap();
    assert!(left.starts_with("4000 numbers of this run did not reach MLflow at http://127"), "{left}");
    assert!(left.contains("log.jsonl has the whole run"), "{left}");
    assert_eq!(fs::read_to_string(folder.path().join("log.jsonl")).unwrap().lines().count(), 4000);
}

#[test]
fn a_slow_server_slows_no_step() {
    let (stub, folder) = (Stub::start(), tempfile::tempdir().unwrap());
    let mut track = run(&folder, &connect(&stub, PACE), false, 0);
    stub.set(Mood::Waits);
    let before = stub.seen().len();
    let event = |step| Event::Step { step, steps: 2000, loss: 0.5, tokens: 1 };
    track.event(&event(1)).unwrap();
    stub.wait("a request", |seen| seen.len() > before);
    (2..=2000).for_each(|step| track.event(&event(step)).unwrap());
    assert_eq!(stub.seen().len(), before + 1, "all steps are done, and the first is not answered");
    stub.set(Mood::Well);
    assert_eq!(track.end(Ok(&RunReport::default())).unwrap(), None);
    assert_eq!(arrived(&stub.seen()).iter().filter(|(key, ..)| key == "train/loss").count(), 2000);
}
