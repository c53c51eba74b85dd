//! What can go wrong between a user's rows and a trained adapter.

/// The result of a call into this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The data.
    #[error(transparent)]
    Data(#[from] crate::data::Error),
    /// A file that could not be written.
    #[error(transparent)]
    File(#[from] crate::files::Error),
    /// The model, its files or its tokenizer.
    #[error(transparent)]
    Model(#[from] offshoot_models::Error),
    /// The engine or a method's settings.
    #[error(transparent)]
    Core(#[from] offshoot_core::Error),
    /// A loss or gradient that is not a number: nothing was updated with it.
    #[error(
        "step {step}: the {what} is not finite (lines {} of the data); nothing was updated with it and nothing saved. \
         Lower --lr, or look at these lines",
        rows(lines)
    )]
    NotFinite {
        /// The optimizer step, from 1.
        step: u64,
        /// `loss` or `gradient`.
        what: &'static str,
        /// Lines of the data file whose rows were in the step.
        lines: Vec<u64>,
    },
    /// A run that was asked to stop. Its state is on disk.
    #[error("stopped at step {step} of {steps}")]
    Stopped {
        /// Optimizer steps that are done.
        step: u64,
        /// Optimizer steps in all.
        steps: u64,
    },
    /// A tracking server that a run was to be posted to.
    #[error("MLflow at {server}: {reason}")]
    Mlflow {
        /// Its address, without user and password.
        server: String,
        /// What went wrong, and what to do.
        reason: String,
    },
    /// A setting that does not fit; the text says which and what would fit.
    #[error("{0}")]
    Invalid(String),
}

impl Error {
    /// An [`Error::Invalid`] from any text.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::Invalid(message.into())
    }
}

fn rows(lines: &[u64]) -> String {
    const LISTED: usize = 16;
    let mut text = lines.iter().take(LISTED).map(u64::to_string).collect::<Vec<_>>().join(", ");
    if lines.len() > LISTED {
        text.push_str(", …");
    }
    text
}
