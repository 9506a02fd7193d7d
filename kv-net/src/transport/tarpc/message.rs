//! What tarpc carries for us: a frame one way, an answer the other.

use bytes::Bytes;
use kv_core::error::ErrorKind;
use tarpc::RequestName;

/// A request: the bytes of one frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame(pub Bytes);

impl RequestName for Frame {
    fn name(&self) -> &str {
        "frame"
    }
}

/// What comes back for a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The handler's answer.
    Frame(Bytes),
    /// The transport of the other side has none, for this reason.
    Refused(ErrorKind),
}
