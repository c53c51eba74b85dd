//! Runs that are posted to MLflow's own server.

use crate::interrupted;
use crate::place::{Place, Ran};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// `mlflow server` on a store of its own; ends with the test.
struct Server {
    child: Child,
    port: u16,
}

impl Server {
    /// None where there is no MLflow.
    fn start(place: &Place) -> Option<Self> {
        let Some(python) = std::env::var_os("OFFSHOOT_MLFLOW_PYTHON") else {
            eprintln!("not posted to MLflow: `cargo xtask test` installs it");
            return None;
        };
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Command::new(python)
            .args(["-m", "mlflow", "server", "--workers", "1", "--port", &port.to_string()])
            .arg("--backend-store-uri")
            .arg(place.path("mlflow"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // It starts others, which are to end with it.
            .process_group(0)
            .spawn()
            .unwrap();
        let mut server = Self { child, port };
        server.wait();
        Some(server)
    }

    fn wait(&mut self) {
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(self.child.try_wait().unwrap().is_none(), "the server ended");
            assert!(begun.elapsed() < Duration::from_secs(120), "the server does not answer");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// What the API answers to `GET call`.
    fn get(&self, call: &str) -> Value {
        self.ask("GET", call, "")
    }

    fn ask(&self, method: &str, call: &str, body: &str) -> Value {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let length = body.len();
        let head = format!(
            "{method} /api/2.0/mlflow/{call} HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        );
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        serde_json::from_str(body).unwrap()
    }

    /// The runs of an experiment, by their names.
    fn runs(&self, experiment: &str) -> BTreeMap<String, Value> {
        let id = &self.get(&format!("experiments/get-by-name?experiment_name={experiment}"))["experiment"];
        let id = id["experiment_id"].as_str().unwrap();
        let found = self.ask("POST", "runs/search", &format!("{{\"experiment_ids\": [\"{id}\"]}}"));
        let runs = found["runs"].as_array().unwrap().iter();
        runs.map(|run| (run["info"]["run_name"].as_str().unwrap().to_owned(), run.clone())).collect()
    }

    /// Every value of a metric: step and value.
    fn history(&self, run: &Value, metric: &str) -> Vec<(u64, f64)> {
        let id = run["info"]["run_id"].as_str().unwrap();
        let found = self.get(&format!("metrics/get-history?run_id={id}&metric_key={metric}"));
        let metrics = found["metrics"].as_array().unwrap().iter();
        let mut values: Vec<(u64, f64)> =
            metrics.map(|m| (m["step"].as_u64().unwrap_or(0), m["value"].as_f64().unwrap())).collect();
        values.sort_by_key(|(step, _)| *step);
        values
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let group = format!("-{}", self.child.id());
        drop(Command::new("kill").args(["-KILL", "--", &group]).status());
        drop(self.child.wait());
    }
}

/// A list of keys and values as a map.
fn map(list: &Value) -> BTreeMap<String, Value> {
    let pairs = list.as_array().unwrap().iter();
    pairs.map(|pair| (pair["key"].as_str().unwrap().to_owned(), pair["value"].clone())).collect()
}

/// The losses of the steps in a log.
fn losses(place: &Place, log: &str) -> Vec<(u64, f64)> {
    let text = place.read(log);
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter_map(|line| Some((line["step"].as_u64()?, line["loss"].as_f64()?))).collect()
}

/// No file below a folder holds the words.
fn nowhere(folder: &std::path::Path, words: &str) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            nowhere(&path, words);
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        let found = bytes.windows(words.len()).any(|window| window == words.as_bytes());
        assert!(!found, "{} holds `{words}`", path.display());
    }
}

#[test]
fn mlflow_has_what_the_log_has() {
    let place = Place::new();
    let Some(server) = Server::start(&place) else { return };
    let url = format!("http://ann:se-cret@127.0.0.1:{}", server.port);
    let flags = format!("--epochs 3 --validation 10 --seed 5 --output out --json --mlflow {url}");
    let ran = place.train(&flags).ok();
    let report = ran.json();
    let page = format!("mlflow: http://127.0.0.1:{}/#/experiments/", server.port);
    assert!(ran.stderr.contains(&page) && !ran.stderr.contains("se-cret"), "{}", ran.stderr);
    nowhere(&place.path("out"), "se-cret");

    let runs = server.runs("offshoot");
    let run = &runs["lora-seed5"];
    assert_eq!(run["info"]["status"], "FINISHED");
    assert_eq!(server.history(run, "train/loss"), losses(&place, "out/log.jsonl"));
    let validation: Vec<f64> =
        server.history(run, "validation/accuracy").into_iter().map(|(_, value)| value).collect();
    let told: Vec<f64> = report["validations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|score| score["accuracy"].as_f64().unwrap())
        .collect();
    assert_eq!(validation, told);
    let metrics = map(&run["data"]["metrics"]);
    for (metric, value) in [
        ("test/accuracy", &report["test"]["accuracy"]),
        ("test/loss", &report["test"]["loss"]),
        ("tokens_per_second", &report["tokens_per_second"]),
        ("peak_memory_bytes", &report["peak_rss_bytes"]),
        ("trainable_parameters", &report["trainable_parameters"]),
    ] {
        assert_eq!(metrics[metric].as_f64(), value.as_f64(), "{metric}");
    }
    let params = map(&run["data"]["params"]);
    for (key, value) in
        [("method", "lora"), ("train.seed", "5"), ("train.epochs", "3"), ("model.name", "model")]
    {
        assert_eq!(params[key], value, "{key}");
    }
    // The recipe asks for the same again, of a comparison too.
    let recipe = "--recipe out/recipe.toml --no-tune --epochs 1 --set track.mlflow_experiment=several";
    place.run(&format!("compare {recipe} --threads 1 --seeds 1,2 --output compared")).ok();
    let runs = server.runs("several");
    assert_eq!(runs.keys().collect::<Vec<_>>(), ["lora-seed1", "lora-seed2"]);
    for (name, log) in [("lora-seed1", "lora"), ("lora-seed2", "lora-seed2")] {
        let log = format!("compared/logs/{log}/log.jsonl");
        assert_eq!(server.history(&runs[name], "train/loss"), losses(&place, &log));
        assert_eq!(runs[name]["info"]["status"], "FINISHED");
    }
    let sizes = "--parameters 300 --set track.mlflow_experiment=sizes";
    place.run(&format!("compare {recipe} --threads 1 {sizes} --output sizes")).ok();
    let runs = server.runs("sizes");
    assert_eq!(runs.keys().collect::<Vec<_>>(), ["lora-seed5", "lora-values300-seed5"]);
    stopped_and_gone_on_with(&place, &server, &url);
    left_alone(&place, server, &url);
}

/// An interrupted run is one run on the server, however often it is gone on with.
fn stopped_and_gone_on_with(place: &Place, server: &Server, url: &str) {
    let begin = "train rows.csv --model model --threads 1 --epochs 100 --lr 0.01 --save-every 1";
    let words = format!("{begin} --output one --mlflow {url} --mlflow-experiment stopped");
    let ran = interrupted::stop(place, &words, "-INT", "one/checkpoints/lora-8-seed0");
    assert_eq!(ran.code, Some(130), "{ran:?}");
    nowhere(&place.path("one"), "se-cret");
    let killed = server.runs("stopped");
    assert_eq!(killed["lora-seed0"]["info"]["status"], "KILLED");
    // The recipe that is gone on with has the server.
    place.run("train --resume --output one").ok();
    let runs = server.runs("stopped");
    let run = &runs["lora-seed0"];
    assert_eq!(run["info"]["run_id"], killed["lora-seed0"]["info"]["run_id"]);
    assert_eq!(run["info"]["status"], "FINISHED");
    let logged = losses(place, "one/log.jsonl");
    assert_eq!(logged.last().unwrap().0, 300);
    let steps: Vec<u64> = server.history(run, "train/loss").into_iter().map(|(step, _)| step).collect();
    assert_eq!(steps, logged.into_iter().map(|(step, _)| step).collect::<Vec<_>>());
}

/// A run whose server ends goes on.
fn left_alone(place: &Place, server: Server, url: &str) {
    let words = "train rows.csv --model model --threads 1 --epochs 100 --output alone --save-every 1";
    let child = place.start(&format!("{words} --mlflow {url} --mlflow-experiment alone"));
    interrupted::wait(place, "alone/checkpoints/lora-8-seed0");
    drop(server);
    let ran = Ran::of(child).ok();
    assert_eq!(ran.stderr.matches("numbers of this run did not reach MLflow").count(), 1, "{}", ran.stderr);
    assert!(ran.stderr.matches("it is tried again").count() <= 1, "{}", ran.stderr);
    assert_eq!(losses(place, "alone/log.jsonl").len(), 300);
}

#[test]
fn a_server_that_is_not_there_is_told_before_anything_is_trained() {
    let place = Place::new();
    // A port that was free a moment ago.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for (url, words) in [
        (format!("http://ann:se-cret@127.0.0.1:{port}"), "Start it with `mlflow server`"),
        ("ann:se-cret@127.0.0.1".to_owned(), "http://HOST:PORT"),
    ] {
        let ran = place.train(&format!("--mlflow {url} --output out")).fails(1, &["MLflow at ", words]);
        assert!(!ran.stderr.contains("se-cret"), "{}", ran.stderr);
        assert!(!place.path("out/log.jsonl").exists());
    }
    let ran = place.train("--mlflow-experiment x --output out");
    ran.fails(2, &["--mlflow URL"]);
}
