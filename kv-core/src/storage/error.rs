use std::sync::Arc;

use thiserror::Error;

use crate::error::{Error, ErrorKind};

/// The engine could not read, or could not be asked.
#[derive(Debug, Clone, Error)]
#[error("storage {operation}: {message}")]
pub struct StorageError {
    operation: &'static str,
    message: String,
    #[source]
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

impl StorageError {
    /// A failure of `operation`, described by `message`.
    pub fn new(operation: &'static str, message: impl Into<String>) -> Self {
        StorageError { operation, message: message.into(), source: None }
    }

    /// A failure of `operation` that `source` caused.
    pub fn from_source(
        operation: &'static str,
        source: impl std::error::Error + Send + Sync + 'static,
    ) -> Self {
        StorageError { operation, message: source.to_string(), source: Some(Arc::new(source)) }
    }
}

impl From<StorageError> for Error {
    fn from(error: StorageError) -> Error {
        Error::new(ErrorKind::StorageFailed, error.to_string())
    }
}

/// A batch was not stored, or nobody knows.
#[derive(Debug, Clone, Error)]
pub enum CommitError {
    /// Nothing of the batch was stored, known for certain; the store goes on.
    #[error("not written: {0}")]
    NotWritten(#[source] StorageError),
    /// The batch may or may not be stored; the store must not be used any more.
    #[error("commit unknown: {0}")]
    Unknown(#[source] StorageError),
}

impl CommitError {
    /// The kind under which the error travels.
    pub fn kind(&self) -> ErrorKind {
        match self {
            CommitError::NotWritten(_) => ErrorKind::NotWritten,
            CommitError::Unknown(_) => ErrorKind::CommitUnknown,
        }
    }
}

impl From<CommitError> for Error {
    fn from(error: CommitError) -> Error {
        Error::new(error.kind(), error.to_string())
    }
}
