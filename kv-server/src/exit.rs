//! What the programs say with their exit codes.

use std::process::ExitCode;

use kv_core::error::ErrorKind;

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// What was asked is done.
    Done = 0,
    /// Something else went wrong.
    Failed = 1,
    /// The command line, the configuration or the request is not valid: it will fail in the same way again.
    Invalid = 2,
    /// The key or bucket is not there.
    NotFound = 3,
    /// The write may have happened or may still happen.
    Indeterminate = 4,
    /// The cluster cannot do it at present; nothing was written.
    Unavailable = 5,
    /// The key has several concurrent values, and one was asked for.
    Siblings = 6,
}

/// The table of exit codes at the end of `--help`.
pub const EXIT_CODES: &str = "Exit codes:\n  \
    0  done\n  \
    1  something went wrong\n  \
    2  the command line, the configuration or the request is not valid\n  \
    3  the key or bucket is not there\n  \
    4  indeterminate: the write may have happened or may still appear\n  \
    5  unavailable: the cluster cannot do it at present, nothing was written\n  \
    6  the key has several concurrent values (kv get without --all)";

/// The part of the table that concerns the server.
pub const SERVER_EXIT_CODES: &str = "Exit codes:\n  \
    0  stopped as it was asked to\n  \
    1  something went wrong\n  \
    2  the command line or the configuration is not valid";

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

impl From<ErrorKind> for Exit {
    /// The exit code for an operation that failed with an error of that kind and changed nothing.
    fn from(kind: ErrorKind) -> Exit {
        match kind {
            ErrorKind::UnknownBucket => Exit::NotFound,
            ErrorKind::InvalidKey
            | ErrorKind::ValueTooLarge
            | ErrorKind::InvalidContext
            | ErrorKind::InvalidBucket
            | ErrorKind::Unsupported
            | ErrorKind::TooManySiblings
            | ErrorKind::RecordTooLarge
            | ErrorKind::InvalidConsistency
            | ErrorKind::BatchTooLarge
            | ErrorKind::InvalidPut
            | ErrorKind::FrameTooLarge
            | ErrorKind::InvalidConfiguration
            | ErrorKind::InvalidLayout => Exit::Invalid,
            kind if kind.is_retryable() => Exit::Unavailable,
            _ => Exit::Failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_that_scripts_tell_apart_never_change() {
        let codes = [
            Exit::Done,
            Exit::Failed,
            Exit::Invalid,
            Exit::NotFound,
            Exit::Indeterminate,
            Exit::Unavailable,
            Exit::Siblings,
        ];
        assert_eq!(codes.map(|exit| exit as u8), [0, 1, 2, 3, 4, 5, 6]);
        for code in 0..=6 {
            assert!(EXIT_CODES.contains(&format!("\n  {code}  ")), "{code} is not in --help");
        }
    }

    #[test]
    fn what_can_be_tried_again_is_unavailable_and_what_cannot_is_not() {
        for kind in ErrorKind::ALL {
            assert_eq!(Exit::from(*kind) == Exit::Unavailable, kind.is_retryable(), "{}", kind.name());
        }
        assert_eq!(Exit::from(ErrorKind::UnknownBucket), Exit::NotFound);
        assert_eq!(Exit::from(ErrorKind::ValueTooLarge), Exit::Invalid);
        assert_eq!(Exit::from(ErrorKind::Internal), Exit::Failed);
    }
}
