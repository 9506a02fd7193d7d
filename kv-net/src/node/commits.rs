use std::time::Duration;

use kv_core::histogram::{Histogram, KEYS, NANOSECONDS};
use kv_core::storage::CommitError;

/// What the commits of a node's writer came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitFigures {
    /// Keys that each commit was about.
    pub keys: Histogram,
    /// Nanoseconds that each took, also those that failed.
    pub ns: Histogram,
    /// Bytes of keys and values that were stored.
    pub bytes: u64,
    /// Commits of which nothing was stored.
    pub not_written: u64,
    /// Commits of which nobody knows whether they are stored.
    pub unknown: u64,
}

impl CommitFigures {
    pub(super) fn new() -> Self {
        CommitFigures {
            keys: Histogram::new(KEYS),
            ns: Histogram::new(NANOSECONDS),
            bytes: 0,
            not_written: 0,
            unknown: 0,
        }
    }

    /// Takes note of one commit.
    pub(super) fn note(
        &mut self,
        keys: usize,
        bytes: usize,
        took: Duration,
        result: &Result<(), CommitError>,
    ) {
        self.keys.observe(keys as u64);
        self.ns.observe(took.as_nanos() as u64);
        match result {
            Ok(()) => self.bytes += bytes as u64,
            Err(CommitError::NotWritten(_)) => self.not_written += 1,
            Err(CommitError::Unknown(_)) => self.unknown += 1,
        }
    }
}
