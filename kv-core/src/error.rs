//! The one error type of the framework: kind, message, what each node said, source.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::ids::NodeId;

macro_rules! error_kinds {
    ($($(#[$doc:meta])* $name:ident = $number:literal, retry: $retry:literal;)*) => {
        /// What went wrong. The numbers are the same on the wire and in C, and are never reused.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(into = "u16", try_from = "u16")]
        #[repr(u16)]
        #[non_exhaustive]
        pub enum ErrorKind { $($(#[$doc])* $name = $number,)* }

        impl ErrorKind {
            /// Every kind, in the order of its number.
            pub const ALL: &'static [ErrorKind] = &[$(ErrorKind::$name,)*];

            /// The kind with that number, if there is one.
            pub fn from_number(number: u16) -> Option<ErrorKind> {
                match number { $($number => Some(ErrorKind::$name),)* _ => None }
            }

            /// Whether the same operation may succeed when it is tried again, here or at another node.
            pub fn is_retryable(self) -> bool {
                match self { $(ErrorKind::$name => $retry,)* }
            }

            /// The name of the kind, as it is written in code and in `--json` output.
            pub fn name(self) -> &'static str {
                match self { $(ErrorKind::$name => stringify!($name),)* }
            }
        }
    };
}

error_kinds! {
    /// The key is empty or longer than the limit.
    InvalidKey = 1, retry: false;
    /// The value is larger than the bucket or the node allows.
    ValueTooLarge = 2, retry: false;
    /// The context was not issued by this cluster for this key, or is damaged.
    InvalidContext = 3, retry: false;
    /// No bucket of that name or id is known to the node.
    UnknownBucket = 4, retry: false;
    /// The bucket's name or properties are not valid, or contradict the existing bucket.
    InvalidBucket = 5, retry: false;
    /// The request asks for something that this release does not offer.
    Unsupported = 6, retry: false;
    /// The put would leave more siblings than the limit: read, resolve, and put with the context.
    TooManySiblings = 7, retry: false;
    /// The put would leave a record larger than the limit.
    RecordTooLarge = 8, retry: false;
    /// The requested consistency cannot be: more answers than replicas, or fewer than the bucket's minimum.
    InvalidConsistency = 9, retry: false;
    /// A batch has more keys than the limit.
    BatchTooLarge = 10, retry: false;
    /// The expiry, or the id, that a put asks for cannot be.
    InvalidPut = 11, retry: false;
    /// Fewer replicas answered than the operation needs.
    Unavailable = 20, retry: true;
    /// The deadline passed.
    DeadlineExceeded = 21, retry: true;
    /// A bounded queue is full.
    Overloaded = 22, retry: true;
    /// The sender's layout version is not the receiver's.
    StaleLayout = 23, retry: true;
    /// The sender's partition epoch is not acceptable to the receiver.
    StaleEpoch = 24, retry: true;
    /// The record on that replica fails its checksum.
    Damaged = 25, retry: true;
    /// The replica is recovering this range and does not vote.
    Recovering = 26, retry: true;
    /// The node's clock is too far from its peers' for it to coordinate writes.
    ClockSkew = 27, retry: true;
    /// The node takes no writes at present, for want of space or of an incarnation.
    ReadOnly = 28, retry: true;
    /// The node is shutting down.
    ShuttingDown = 29, retry: true;
    /// The node does not own the key.
    NotOwner = 30, retry: true;
    /// The request names another incarnation of the receiver.
    StaleIncarnation = 31, retry: true;
    /// The request was seen before and is not run twice.
    Duplicate = 32, retry: false;
    /// The failure detector takes the node for gone; nothing was sent.
    NodeDown = 33, retry: true;
    /// The storage engine refused the batch and nothing of it was stored.
    NotWritten = 40, retry: true;
    /// The storage engine failed in a way that leaves the batch's fate unknown; the node stops.
    CommitUnknown = 41, retry: true;
    /// The storage engine failed to read.
    StorageFailed = 42, retry: true;
    /// Data on disk or on the wire has a newer or unknown format.
    IncompatibleFormat = 43, retry: false;
    /// The data directory belongs to another node or cluster.
    WrongIdentity = 44, retry: false;
    /// No connection could be made; nothing was sent.
    ConnectionFailed = 50, retry: true;
    /// The connection broke after the request may have been sent.
    ConnectionLost = 51, retry: true;
    /// The frame cannot be decoded.
    InvalidFrame = 52, retry: false;
    /// The other side belongs to another cluster.
    WrongCluster = 53, retry: false;
    /// The sender's role does not allow this request.
    NotPermitted = 54, retry: false;
    /// The frame is larger than the limit.
    FrameTooLarge = 55, retry: false;
    /// The other side has the same node id.
    DuplicateNode = 56, retry: false;
    /// A configuration value is not valid.
    InvalidConfiguration = 60, retry: false;
    /// The layout is not valid.
    InvalidLayout = 61, retry: false;
    /// The storage could not be opened or set up.
    StorageUnusable = 62, retry: false;
    /// The store is damaged.
    StorageDamaged = 63, retry: false;
    /// A broken invariant: please report it.
    Internal = 99, retry: false;
}

impl From<ErrorKind> for u16 {
    fn from(kind: ErrorKind) -> u16 {
        kind as u16
    }
}

impl TryFrom<u16> for ErrorKind {
    type Error = String;

    fn try_from(number: u16) -> Result<Self, String> {
        ErrorKind::from_number(number).ok_or_else(|| format!("unknown error kind {number}"))
    }
}

/// Why one node did not count towards a quorum.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// The node.
    pub node: NodeId,
    /// What it said, or what happened on the way to it.
    pub kind: ErrorKind,
}

/// How far an operation was from its quorum.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuorumShortfall {
    /// Answers that the operation needs.
    pub needed: u8,
    /// Answers that it got.
    pub got: u8,
    /// Each other owner's cause, in the order of the preference list.
    #[serde(deserialize_with = "crate::codec::list")]
    pub causes: Vec<Cause>,
}

/// An error of the framework.
///
/// Whether state may have changed is said by the result that carries the error ([`crate::command::PutResult`]),
/// because the same kind can end a put that was never tried and one that half succeeded.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    quorum: Option<Box<QuorumShortfall>>,
    #[serde(skip)]
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of that kind; `message` says what failed and, where something can be done, what.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Error { kind, message: message.into(), quorum: None, source: None }
    }

    /// The same error with the error that caused it.
    #[must_use]
    pub fn with_source(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// The same error with the quorum that was missed.
    #[must_use]
    pub fn with_quorum(mut self, quorum: QuorumShortfall) -> Self {
        self.quorum = Some(Box::new(quorum));
        self
    }

    /// What went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What failed, in words.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The quorum that was missed, for [`ErrorKind::Unavailable`] and [`ErrorKind::DeadlineExceeded`].
    pub fn quorum(&self) -> Option<&QuorumShortfall> {
        self.quorum.as_deref()
    }

    /// Whether the operation may succeed when it is tried again.
    pub fn is_retryable(&self) -> bool {
        self.kind.is_retryable()
    }
}

impl PartialEq for Error {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind && self.message == other.message && self.quorum == other.quorum
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(quorum) = &self.quorum {
            write!(f, " (needed {}, got {}", quorum.needed, quorum.got)?;
            for cause in &quorum.causes {
                write!(f, "; node {}: {}{}", cause.node, cause.kind.name(), remedy(cause.kind))?;
            }
            f.write_str(")")?;
        }
        if let Some(source) = &self.source {
            write!(f, ": {source}")?;
        }
        Ok(())
    }
}

/// What to do about an owner that could not help, where its name does not say it.
fn remedy(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::NotWritten => ", its disk or store is full: free space there, see its log",
        ErrorKind::ReadOnly => ", it takes no writes: free space there, see its log",
        ErrorKind::Damaged | ErrorKind::Recovering => ", its record is healed from the others in a while",
        _ => "",
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| &**source as &(dyn std::error::Error + 'static))
    }
}
