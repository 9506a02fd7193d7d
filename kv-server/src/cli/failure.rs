//! How commands fail.

use std::io;

use kv_core::error::{Error, ErrorKind};
use serde_json::json;

use super::describe::error_json;
use super::output::Output;
use crate::console::complain;
use crate::exit::Exit;

/// Why a command did not do what was asked.
#[derive(Debug)]
pub(super) enum Failure {
    /// The cluster or the way to it; nothing was changed.
    Refused(Error),
    /// A write that may have happened.
    Indeterminate(Error),
    /// What was asked cannot be asked.
    Invalid(String),
    /// It is not there.
    NotFound(String),
    /// Something on this side.
    Other(String),
    /// Nobody reads the output.
    Output(io::Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Refused(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Failure::Output(error)
    }
}

impl Failure {
    pub(super) fn other(message: impl Into<String>) -> Self {
        Failure::Other(message.into())
    }

    /// Says it and returns the exit code for it.
    pub(super) fn report(self, output: &mut Output) -> Exit {
        let (exit, result, message, error) = match self {
            Failure::Refused(error) => (Exit::from(error.kind()), "error", error.to_string(), Some(error)),
            Failure::Indeterminate(error) => {
                let message =
                    format!("indeterminate, the write may have happened or may still appear: {error}");
                (Exit::Indeterminate, "indeterminate", message, Some(error))
            }
            Failure::Invalid(message) => (Exit::Invalid, "error", message, None),
            Failure::NotFound(message) => (Exit::NotFound, "not_found", message, None),
            Failure::Other(message) => (Exit::Failed, "error", message, None),
            Failure::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => return Exit::Failed,
            Failure::Output(error) => (Exit::Failed, "error", format!("cannot print: {error}"), None),
        };
        if output.is_json() {
            let error = error.as_ref().map_or_else(|| json!({ "message": message }), error_json);
            // Without a reader the exit code has to do.
            let _ = output.json(&json!({ "result": result, "error": error }));
        } else {
            complain(&format!("kv: {message}"));
            if error.is_some_and(|error| error.kind() == ErrorKind::ConnectionFailed) {
                complain(
                    "kv: is the cluster up? Name one of its nodes with --server, or start one with kv-server dev",
                );
            }
        }
        exit
    }
}
