//! MLflow's REST API 2.0, as far as runs need it.

use super::MlflowServer;
use super::sender::{Metric, Status};
use crate::{Error, Result};
use serde_json::{Value, json};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use ureq::http::Response;
use ureq::{Agent, Body};

/// What the API takes in one request.
pub(super) const MOST_METRICS: usize = 1000;
const MOST_PARAMS: usize = 100;
/// A server that has not answered by then is not waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// Answers are short.
const LARGEST_ANSWER: u64 = 1 << 20;
/// Characters of what a server says that are passed on.
const SAID: usize = 200;

/// Why a request came to nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// No answer.
    #[error("it cannot be reached: {0}. Start it with `mlflow server`, or check the address")]
    Silent(String),
    /// It wants to know who asks.
    #[error("it refuses who asks ({0}): name a user and a password, as in https://USER:PASSWORD@HOST")]
    Unknown(u16),
    /// MLflow says no.
    #[error("it answers {status} {code}: {message}")]
    Refused { status: u16, code: String, message: String },
    /// It is no MLflow.
    #[error("it answers {0}, but not as MLflow does: is this its address?")]
    Foreign(u16),
}

impl Failure {
    /// Whether MLflow says `code`, such as `RESOURCE_DOES_NOT_EXIST`.
    pub(super) fn is(&self, said: &str) -> bool {
        matches!(self, Self::Refused { code, .. } if code == said)
    }
}

/// One server, asked as one user.
#[derive(Clone)]
pub(super) struct Client {
    agent: Agent,
    server: MlflowServer,
}

impl Client {
    pub(super) fn new(server: &MlflowServer) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            // A password is for the server that was named.
            .max_redirects(0)
            .max_redirects_will_error(false)
            // Servers close idle connections, and a request on such a one would fail.
            .max_idle_connections(0)
            .timeout_global(Some(PATIENCE))
            .user_agent(concat!("offshoot/", env!("CARGO_PKG_VERSION")));
        Self { agent: config.build().into(), server: server.clone() }
    }

    /// The address, without who asks.
    pub(super) fn place(&self) -> String {
        self.server.to_string()
    }

    /// What went wrong, as an error of this crate.
    pub(super) fn error(&self, failure: &Failure) -> Error {
        Error::Mlflow { server: self.place(), reason: failure.to_string() }
    }

    /// Asks for something by one property.
    pub(super) fn get(&self, call: &str, key: &str, value: &str) -> Result<Value, Failure> {
        let request = self.agent.get(self.url(call)).query(key, value);
        let request = match self.server.authorization() {
            Some(who) => request.header("Authorization", who),
            None => request,
        };
        read(request.call())
    }

    pub(super) fn post(&self, call: &str, body: &Value) -> Result<Value, Failure> {
        let request = self.agent.post(self.url(call)).content_type("application/json");
        let request = match self.server.authorization() {
            Some(who) => request.header("Authorization", who),
            None => request,
        };
        read(request.send(body.to_string()))
    }

    fn url(&self, call: &str) -> String {
        format!("{}/api/2.0/mlflow/{call}", self.server)
    }

    /// Names what the run was asked to do.
    pub(super) fn log_params(&self, run: &str, params: &[(String, String)]) -> Result<(), Failure> {
        for params in params.chunks(MOST_PARAMS) {
            let pair = |(key, value): &(String, String)| json!({ "key": key, "value": value });
            let params: Vec<Value> = params.iter().map(pair).collect();
            self.post("runs/log-batch", &json!({ "run_id": run, "params": params }))?;
        }
        Ok(())
    }

    /// Adds at most [`MOST_METRICS`] numbers.
    pub(super) fn log_metrics(&self, run: &str, metrics: &[Metric]) -> Result<(), Failure> {
        let metrics: Vec<Value> = metrics.iter().map(Metric::json).collect();
        self.post("runs/log-batch", &json!({ "run_id": run, "metrics": metrics })).map(drop)
    }

    pub(super) fn set_status(&self, run: &str, status: Status) -> Result<(), Failure> {
        let mut body = json!({ "run_id": run, "status": status.name() });
        if status != Status::Running {
            body["end_time"] = json!(now());
        }
        self.post("runs/update", &body).map(drop)
    }
}

/// Milliseconds since 1970, as MLflow counts.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

/// The answer's object. What a server sends may be anything.
fn read(answer: Result<Response<Body>, ureq::Error>) -> Result<Value, Failure> {
    let silent = |error: ureq::Error| Failure::Silent(plain(&error.to_string()));
    let mut answer = answer.map_err(silent)?;
    let status = answer.status().as_u16();
    let text = answer.body_mut().with_config().limit(LARGEST_ANSWER).read_to_string();
    let object =
        text.ok().and_then(|text| serde_json::from_str::<Value>(&text).ok()).filter(Value::is_object);
    match (status, object) {
        (200, Some(object)) => Ok(object),
        (401 | 403, _) => Err(Failure::Unknown(status)),
        (_, Some(object)) if object["error_code"].is_string() => {
            let [code, message] =
                ["error_code", "message"].map(|key| plain(object[key].as_str().unwrap_or_default()));
            Err(Failure::Refused { status, code, message })
        }
        _ => Err(Failure::Foreign(status)),
    }
}

/// A text from the network as a part of one line.
fn plain(text: &str) -> String {
    text.chars().take(SAID).map(|c| if c.is_control() { ' ' } else { c }).collect()
}
