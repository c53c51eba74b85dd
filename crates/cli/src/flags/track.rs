//! Who is told of runs.

use super::change;
use crate::failure::Usage;
use anyhow::{Result, bail};
use clap::Args;
use offshoot::train::{MlflowServer, TrackSettings};

/// Where numbers go beside the log.jsonl of each run.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Tracking")]
pub(crate) struct TrackFlags {
    /// Also write event files for TensorBoard, beside the log.jsonl of each run
    #[arg(long)]
    tensorboard: bool,

    /// Also post each run to this MLflow server, as in http://localhost:5000; a user and a password in it
    /// (https://USER:PASSWORD@HOST) are written nowhere
    #[arg(long, value_name = "URL")]
    mlflow: Option<MlflowServer>,

    /// The experiment on the MLflow server, made if there is none [default: offshoot]
    #[arg(long, value_name = "NAME")]
    mlflow_experiment: Option<String>,
}

impl TrackFlags {
    pub(super) fn change(&self, track: &mut TrackSettings) {
        track.tensorboard |= self.tensorboard;
        track.mlflow = self.mlflow.clone().or(track.mlflow.take());
        change(&mut track.mlflow_experiment, self.mlflow_experiment.as_ref());
    }

    pub(super) fn check(&self, track: &TrackSettings) -> Result<()> {
        if self.mlflow_experiment.is_some() && track.mlflow.is_none() {
            bail!(Usage("--mlflow-experiment is of an MLflow server: name it with --mlflow URL".into()));
        }
        Ok(())
    }
}
