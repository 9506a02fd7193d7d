//! The first bytes of each message on an established connection, in postcard; the frame is the rest of the message.
//!
//! The enums are append-only. tarpc's own serialisation is not used: it turns a deadline that a stranger chose into an
//! [`Instant`](std::time::Instant) by an addition that panics.

use serde::{Deserialize, Serialize};
use tarpc::trace;

/// Longest encoded header.
pub(super) const HEADER_BYTES_MAX: usize = 64;

/// The header of a message from the caller.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) enum RequestHeader {
    /// A request; the frame follows.
    Call {
        /// Names the request on this connection.
        id: u64,
        /// Time that is left to answer it.
        deadline_ms: u32,
        /// The caller's trace, if it is recorded.
        trace: Option<trace::Context>,
    },
    /// The caller waits no longer.
    Cancel {
        /// The request.
        id: u64,
    },
}

/// The header of a message to the caller.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) enum ResponseHeader {
    /// The handler's answer; the frame follows.
    Answer {
        /// The request.
        id: u64,
    },
    /// There is no answer.
    Refused {
        /// The request.
        id: u64,
        /// The number of an [`ErrorKind`](kv_core::error::ErrorKind).
        kind: u16,
    },
    /// The last message: requests without an answer have not been taken and will not be.
    Goodbye,
}
