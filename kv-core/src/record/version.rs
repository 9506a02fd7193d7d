use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::causality::{Dot, DotSet, Stamp};

/// One written value with its dot and past. Dot, stamp, expiry, id and value of a version never change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// The name of the write.
    pub dot: Dot,
    /// What the write replaced: exactly the context that it was given.
    pub past: DotSet,
    /// When the value was stamped; above every stamp in the past.
    pub stamp: Stamp,
    /// When the value expires, if it does.
    pub expiry: Option<Expiry>,
    /// The id that the client gave the write, if it did.
    pub id: Option<WriteId>,
    /// The value, or none for a tombstone.
    pub value: Option<Bytes>,
}

/// When a version expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Expiry {
    /// Milliseconds since 1970.
    pub at_ms: u64,
    /// The stamp of the last change of the expiry; the value's own stamp if it was never changed alone.
    pub stamp: Stamp,
}

/// Sixteen bytes by which a client recognises its own write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WriteId(pub [u8; 16]);

impl Version {
    /// The stamp by which the expiry is ordered.
    pub fn expiry_stamp(&self) -> Stamp {
        self.expiry.map_or(self.stamp, |expiry| expiry.stamp)
    }

    /// Whether something of the version goes some time: a tombstone, a value that expires, or the past of a value.
    pub fn ages(&self) -> bool {
        self.value.is_none() || self.expiry.is_some() || !self.past.is_empty()
    }

    /// Whether the version itself goes some time: a tombstone, or a value that expires.
    pub fn is_mortal(&self) -> bool {
        self.value.is_none() || self.expiry.is_some()
    }

    /// Whether the version is a tombstone.
    pub fn is_tombstone(&self) -> bool {
        self.value.is_none()
    }
}
