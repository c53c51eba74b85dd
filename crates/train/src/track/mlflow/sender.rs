//! The thread that sends a run's numbers, so that a slow server slows no step.

use super::client::{Client, Failure, MOST_METRICS, now};
use crate::track::scalars::Scalar;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How a run stands, in MLflow's terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Running,
    Finished,
    Failed,
    Killed,
}

impl Status {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Running => "RUNNING",
            Self::Finished => "FINISHED",
            Self::Failed => "FAILED",
            Self::Killed => "KILLED",
        }
    }
}

/// A number on its way.
#[derive(Clone)]
pub(super) struct Metric {
    scalar: Scalar,
    /// Milliseconds since 1970.
    time: u64,
}

impl Metric {
    pub(super) fn json(&self) -> Value {
        let Scalar { tag, step, value } = &self.scalar;
        // JSON has no numbers for these; the server reads the words as protocol buffers have them.
        let value = match *value {
            value if value.is_nan() => json!("NaN"),
            value if value.is_infinite() => json!(if value > 0.0 { "Infinity" } else { "-Infinity" }),
            value => json!(value),
        };
        json!({ "key": tag, "value": value, "timestamp": self.time, "step": step })
    }
}

/// When numbers are sent, and how many may wait.
#[derive(Clone, Copy)]
pub(super) struct Pace {
    /// Sent at least so often.
    pub(super) every: Duration,
    /// Sent as soon as so many wait.
    pub(super) batch: usize,
    /// More are not held for a server that does not take them.
    pub(super) most: usize,
    /// After its end a run waits so long for what is still to be sent.
    pub(super) end: Duration,
}

/// A server that is gone is asked again at growing distances, up to this one.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

impl Default for Pace {
    fn default() -> Self {
        Self { every: Duration::from_secs(2), batch: 500, most: 200_000, end: Duration::from_secs(30) }
    }
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Metric>,
    /// Numbers for which there was no room.
    lost: usize,
    /// How the run ended, and until when it waits.
    ended: Option<(Status, Instant)>,
    /// What went wrong first, until it is asked for.
    trouble: Option<String>,
    failed: bool,
}

/// What the run and its thread share.
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    pace: Pace,
}

/// The way to a run on the server.
pub(super) struct Sender {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    place: String,
}

impl Sender {
    pub(super) fn start(client: Client, run: String, pace: Pace) -> std::io::Result<Self> {
        let shared = Arc::new(Shared { state: Mutex::default(), changed: Condvar::new(), pace });
        let (place, theirs) = (client.place(), Arc::clone(&shared));
        let thread =
            thread::Builder::new().name("mlflow".into()).spawn(move || theirs.send(&client, &run))?;
        Ok(Self { shared, thread: Some(thread), place })
    }

    /// Takes numbers along; never waits for the server.
    pub(super) fn log(&self, scalars: &[Scalar]) {
        let (mut state, time) = (self.shared.state(), now());
        for scalar in scalars.iter().cloned() {
            if state.waiting.len() < self.shared.pace.most {
                state.waiting.push_back(Metric { scalar, time });
            } else {
                state.lost += 1;
            }
        }
        if state.waiting.len() >= self.shared.pace.batch {
            self.shared.changed.notify_one();
        }
    }

    /// What a person is to know of a server that failed: once.
    pub(super) fn trouble(&self) -> Option<String> {
        let trouble = self.shared.state().trouble.take()?;
        Some(format!("MLflow at {}: {trouble}; the run goes on, and it is tried again", self.place))
    }

    /// Sends what is left, and how the run ended; returns what did not arrive.
    pub(super) fn end(&mut self, status: Status) -> Option<String> {
        let thread = self.thread.take()?;
        self.shared.state().ended = Some((status, Instant::now() + self.shared.pace.end));
        self.shared.changed.notify_one();
        // It cannot panic; were it to, what waits would still be counted.
        drop(thread.join());
        let mut state = self.shared.state();
        let (count, trouble) = (state.waiting.len() + state.lost, state.trouble.take());
        let trouble = trouble.map(|trouble| format!(": {trouble}")).unwrap_or_default();
        let place = &self.place;
        match count {
            0 if trouble.is_empty() => None,
            0 => Some(format!("MLflow at {place}{trouble}")),
            _ => Some(format!(
                "{count} numbers of this run did not reach MLflow at {place}{trouble}; log.jsonl has the whole run"
            )),
        }
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        // A run that nobody ended came to no good end.
        self.end(Status::Failed);
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The thread: sends batches until the run has ended and nothing waits.
    fn send(&self, client: &Client, run: &str) {
        let mut pause = self.pace.every;
        loop {
            let (batch, ended) = self.next(pause);
            let sent = if batch.is_empty() { Ok(()) } else { client.log_metrics(run, &batch) };
            let good = self.note(sent, batch.len());
            pause = if good { self.pace.every } else { (pause * 2).min(LONGEST_PAUSE) };
            let Some((status, until)) = ended else { continue };
            if batch.is_empty() || !good || Instant::now() >= until {
                self.note(client.set_status(run, status), 0);
                return;
            }
        }
    }

    /// Waits for a batch, or the time for what there is, or the end of the run.
    fn next(&self, pause: Duration) -> (Vec<Metric>, Option<(Status, Instant)>) {
        let fewer = |state: &mut State| {
            let few = state.waiting.len() < self.pace.batch || pause > self.pace.every;
            state.ended.is_none() && few
        };
        let waited = self.changed.wait_timeout_while(self.state(), pause, fewer);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        (state.waiting.iter().take(MOST_METRICS).cloned().collect(), state.ended)
    }

    /// Forgets numbers that arrived, or keeps them and notes the first trouble; whether all was well.
    fn note(&self, sent: Result<(), Failure>, count: usize) -> bool {
        let mut state = self.state();
        match sent {
            Ok(()) => drop(state.waiting.drain(..count)),
            Err(_) if state.failed => return false,
            Err(failure) => {
                (state.failed, state.trouble) = (true, Some(failure.to_string()));
                return false;
            }
        }
        true
    }
}
