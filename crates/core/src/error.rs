//! What can go wrong in the engine.

/// The result of an engine call.
pub type Result<T> = std::result::Result<T, Error>;

/// An error of the engine. Every message names the operation or the tensor and what it expected.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Two shapes that do not fit an operation.
    #[error("{op}: the shapes {left:?} and {right:?} do not fit together")]
    Shapes {
        /// The operation.
        op: &'static str,
        /// Shape of its first argument.
        left: Vec<usize>,
        /// Shape of its second argument, or what was asked for.
        right: Vec<usize>,
    },
    /// An index outside a table.
    #[error("{op}: index {index} is outside a table of {rows} rows")]
    Index {
        /// The operation.
        op: &'static str,
        /// The offending index.
        index: usize,
        /// How many rows there are.
        rows: usize,
    },
    /// A parameter that is there twice.
    #[error("two parameters are named `{0}`")]
    DuplicateParam(String),
    /// A backward pass from a tensor that nothing trainable reached.
    #[error("the loss depends on no trainable parameter, so there is nothing to train")]
    Untracked,
    /// A setting or an input that does not fit; the text says which and what would fit.
    #[error("{0}")]
    Invalid(String),
}

impl Error {
    /// An [`Error::Invalid`] from any text.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::Invalid(message.into())
    }
}
