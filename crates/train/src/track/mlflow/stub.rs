//! As much of an MLflow server as a run meets, on loopback; ends with the test.

use serde_json::{Value, json};
use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How the server answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mood {
    Well,
    /// Says that something broke, in MLflow's way.
    Broken,
    /// Ends the connection without a word.
    HangsUp,
    /// Sends what is no HTTP.
    Garbage,
    /// Sends what is no MLflow, with a status that says all is well.
    Page,
    /// Asks who is there.
    Closed,
    /// Does not answer until it is well.
    Waits,
}

/// One request.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    /// `POST runs/create`; of a GET also its query.
    pub(super) call: String,
    pub(super) authorization: String,
    pub(super) body: Value,
}

struct State {
    mood: Mood,
    seen: Vec<Asked>,
    /// Whether the experiment is there.
    experiment: bool,
    /// How the run stands, once there is one.
    status: VecDeque<String>,
    runs: usize,
    closing: bool,
}

pub(super) struct Stub {
    pub(super) address: String,
    state: Arc<Mutex<State>>,
    thread: Option<JoinHandle<()>>,
}

impl Stub {
    pub(super) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (seen, status) = (Vec::new(), VecDeque::new());
        let state = State { mood: Mood::Well, seen, experiment: false, status, runs: 0, closing: false };
        let state = Arc::new(Mutex::new(state));
        let shared = Arc::clone(&state);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.lock().unwrap().closing {
                    break;
                }
                // Ends where the other side ends.
                let _ = answer(stream.unwrap(), &shared);
            }
        });
        Self { address, state, thread: Some(thread) }
    }

    pub(super) fn set(&self, mood: Mood) {
        self.state.lock().unwrap().mood = mood;
    }

    pub(super) fn seen(&self) -> Vec<Asked> {
        self.state.lock().unwrap().seen.clone()
    }

    pub(super) fn calls(&self) -> Vec<String> {
        self.seen().into_iter().map(|asked| asked.call).collect()
    }

    /// Waits until this holds of the requests.
    pub(super) fn wait(&self, what: &str, holds: impl Fn(&[Asked]) -> bool) {
        let begun = Instant::now();
        while !holds(&self.seen()) {
            assert!(begun.elapsed() < Duration::from_secs(20), "{what}: {:?}", self.calls());
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        if let Ok(mut state) = self.state.lock() {
            state.closing = true;
        }
        let _ = TcpStream::connect(&self.address);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn answer(mut stream: TcpStream, state: &Mutex<State>) -> Option<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    let asked = request(&stream)?;
    let mood = {
        let mut state = state.lock().unwrap();
        state.seen.push(asked.clone());
        state.mood
    };
    let error = |code: &str| json!({ "error_code": code, "message": "no\u{1b}[31m" }).to_string();
    let (status, body) = match mood {
        Mood::HangsUp => return None,
        Mood::Garbage => return stream.write_all(b"\x00\xffwhat?\r\n\r\n").ok(),
        Mood::Broken => (500, error("INTERNAL_ERROR")),
        Mood::Page => (200, "<html>".to_owned()),
        Mood::Closed => (401, "who?".to_owned()),
        Mood::Well | Mood::Waits => {
            while state.lock().unwrap().mood == Mood::Waits {
                std::thread::sleep(Duration::from_millis(1));
            }
            respond(&mut state.lock().unwrap(), &asked)
                .map_or_else(|| (404, error("RESOURCE_DOES_NOT_EXIST")), |object| (200, object.to_string()))
        }
    };
    let length = body.len();
    let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    stream.write_all(format!("{head}{body}").as_bytes()).ok()
}

fn request(stream: &TcpStream) -> Option<Asked> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let (method, path) = line.trim_end().strip_suffix(" HTTP/1.1")?.split_once(' ')?;
    let call = format!("{method} {}", path.strip_prefix("/api/2.0/mlflow/").unwrap_or(path));
    let (mut length, mut authorization) = (0, String::new());
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().ok()?,
            "authorization" => authorization = value.to_owned(),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    Some(Asked { call, authorization, body })
}

/// What a server that is well says; none of what it does not have.
fn respond(state: &mut State, asked: &Asked) -> Option<Value> {
    let run = |state: &State| {
        let status = state.status.back();
        json!({ "run": { "info": { "run_id": format!("run{}", state.runs), "experiment_id": "7", "status": status } } })
    };
    match asked.call.split('?').next()? {
        "GET experiments/get-by-name" if state.experiment => {
            Some(json!({ "experiment": { "experiment_id": "7" } }))
        }
        "POST experiments/create" => {
            state.experiment = true;
            Some(json!({ "experiment_id": "7" }))
        }
        "POST runs/create" => {
            (state.runs, state.status) = (state.runs + 1, VecDeque::from(["RUNNING".to_owned()]));
            Some(run(state))
        }
        "POST runs/update" => {
            state.status.push_back(asked.body["status"].as_str()?.to_owned());
            Some(run(state))
        }
        "GET runs/get" if state.runs > 0 => Some(run(state)),
        "POST runs/log-batch" => Some(json!({})),
        _ => None,
    }
}
