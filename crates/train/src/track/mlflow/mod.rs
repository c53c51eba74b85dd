//! MLflow: runs of an experiment on a tracking server, over its REST API 2.0.
//!
//! `server` is where it is, `client` what it is asked, `sender` the thread that sends numbers.

mod client;
mod sender;
mod server;
#[cfg(test)]
mod stub;
#[cfg(test)]
mod tests;

pub use server::MlflowServer;

use super::RunInfo;
use super::scalars::Scalar;
use crate::{Error, Result, RunReport, files};
use client::{Client, Failure, now};
use sender::{Pace, Sender, Status};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// The file that says which run on the server a folder's run is.
pub(super) const FILE: &str = "mlflow.json";

/// An experiment on a server that has answered.
#[derive(Clone)]
pub(super) struct Experiment {
    client: Client,
    id: String,
    pace: Pace,
}

/// What [`FILE`] holds.
#[derive(Serialize, Deserialize)]
struct Kept {
    server: String,
    run_id: String,
}

impl Experiment {
    /// The experiment of a name, which is made if there is none.
    pub(super) fn connect(server: &MlflowServer, name: &str) -> Result<Self> {
        let client = Client::new(server);
        if let Some(problem) = server.problem() {
            return Err(Error::Mlflow { server: client.place(), reason: problem.into() });
        }
        if name.trim().is_empty() {
            return Err(Error::Mlflow {
                server: client.place(),
                reason: "an experiment needs a name".into(),
            });
        }
        let id = find(&client, name).map_err(|failure| client.error(&failure))?;
        Ok(Self { client, id, pace: Pace::default() })
    }

    /// Where a person sees it.
    pub(super) fn page(&self) -> String {
        format!("{}/#/experiments/{}", self.client.place(), self.id)
    }

    /// Begins a run, or goes on with the one that a folder's file names. The file is written.
    pub(super) fn begin(&self, folder: &Path, info: &RunInfo, resumes: bool) -> Result<Run> {
        let failed = |failure| self.client.error(&failure);
        let before = if resumes { self.unfinished(folder).map_err(failed)? } else { None };
        let id = match before {
            Some(id) => id,
            None => self.create(info).map_err(failed)?,
        };
        let kept = json!(Kept { server: self.client.place(), run_id: id.clone() });
        files::atomic_write(&folder.join(FILE), |file| writeln!(file, "{kept}"))?;
        let sender = Sender::start(self.client.clone(), id, self.pace);
        let failed = |error: std::io::Error| Error::Mlflow {
            server: self.client.place(),
            reason: format!("no thread can be started for it: {error}"),
        };
        Ok(Run(sender.map_err(failed)?))
    }

    /// The folder's run, if it is of this experiment and did not come to its end.
    fn unfinished(&self, folder: &Path) -> Result<Option<String>, Failure> {
        let kept =
            fs::read(folder.join(FILE)).ok().and_then(|text| serde_json::from_slice::<Kept>(&text).ok());
        let Some(kept) = kept.filter(|kept| kept.server == self.client.place()) else { return Ok(None) };
        let run = match self.client.get("runs/get", "run_id", &kept.run_id) {
            Err(failure) if failure.is("RESOURCE_DOES_NOT_EXIST") => return Ok(None),
            answer => answer?,
        };
        let info = &run["run"]["info"];
        let ours = info["experiment_id"] == self.id.as_str() && info["lifecycle_stage"] != "deleted";
        if !ours || info["status"] == Status::Finished.name() {
            return Ok(None);
        }
        self.client.set_status(&kept.run_id, Status::Running)?;
        Ok(Some(kept.run_id))
    }

    fn create(&self, info: &RunInfo) -> Result<String, Failure> {
        let tag = |(key, value)| json!({ "key": key, "value": value });
        let tags = [("mlflow.source.name", "offshoot"), ("mlflow.source.type", "LOCAL")].map(tag);
        let body = json!({
            "experiment_id": self.id, "run_name": info.name, "start_time": now(), "tags": tags,
        });
        let id = text(&self.client.post("runs/create", &body)?["run"]["info"]["run_id"])?;
        self.client.log_params(&id, &info.params).inspect_err(|_| {
            // It is the first failure that counts.
            drop(self.client.set_status(&id, Status::Failed));
        })?;
        Ok(id)
    }
}

/// The id of the experiment of a name.
fn find(client: &Client, name: &str) -> Result<String, Failure> {
    const BY_NAME: &str = "experiments/get-by-name";
    let found = match client.get(BY_NAME, "experiment_name", name) {
        Err(failure) if failure.is("RESOURCE_DOES_NOT_EXIST") => {
            match client.post("experiments/create", &json!({ "name": name })) {
                // Somebody else has just made it.
                Err(failure) if failure.is("RESOURCE_ALREADY_EXISTS") => {
                    client.get(BY_NAME, "experiment_name", name)?
                }
                made => return text(&made?["experiment_id"]),
            }
        }
        found => found?,
    };
    let experiment = &found["experiment"];
    if experiment["lifecycle_stage"] == "deleted" {
        let message =
            format!("experiment `{name}` is deleted: restore it, or choose another --mlflow-experiment");
        return Err(Failure::Refused { status: 200, code: "DELETED".into(), message });
    }
    text(&experiment["experiment_id"])
}

/// An id of an answer.
fn text(value: &Value) -> Result<String, Failure> {
    value.as_str().map(str::to_owned).ok_or(Failure::Foreign(200))
}

/// A run on the server, from here on.
pub(super) struct Run(Sender);

impl Run {
    pub(super) fn log(&self, scalars: &[Scalar]) {
        self.0.log(scalars);
    }

    /// What went wrong, once.
    pub(super) fn trouble(&self) -> Option<String> {
        self.0.trouble()
    }

    /// Waits for what is still to be sent; what did not arrive.
    pub(super) fn end(&mut self, run: Result<&RunReport, &Error>) -> Option<String> {
        self.0.end(match run {
            Ok(_) => Status::Finished,
            Err(Error::Stopped { .. }) => Status::Killed,
            Err(_) => Status::Failed,
        })
    }
}
