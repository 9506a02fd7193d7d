use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::causality::{Dot, DotSet, Stamp};
use crate::mutants::{self, Mutant};

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
    /// Milliseconds since 1970; [`Expiry::NEVER_MS`] where a change of the expiry alone took it away.
    pub at_ms: u64,
    /// The stamp of the last change of the expiry; the value's own stamp if it was never changed alone.
    pub stamp: Stamp,
}

/// Sixteen bytes by which a client recognises its own write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WriteId(pub [u8; 16]);

impl Expiry {
    /// Longer than any value lives.
    pub const NEVER_MS: u64 = u64::MAX;
}

impl Version {
    /// Whether it has a value that has not expired at `wall_ms`, on the clock of whoever coordinates.
    pub fn is_live(&self, wall_ms: u64) -> bool {
        let expires_at_ms = self.expires_at_ms().filter(|_| !mutants::on(Mutant::ExpiryIsIgnored));
        self.value.is_some() && expires_at_ms.is_none_or(|at_ms| at_ms > wall_ms)
    }

    /// When the value expires, if it does.
    pub fn expires_at_ms(&self) -> Option<u64> {
        self.expiry.map(|expiry| expiry.at_ms).filter(|at_ms| *at_ms != Expiry::NEVER_MS)
    }

    /// The stamp by which the expiry is ordered.
    pub fn expiry_stamp(&self) -> Stamp {
        self.expiry.map_or(self.stamp, |expiry| expiry.stamp)
    }

    /// Whether something of the version goes some time: a tombstone, a value that expires, or the past of a value.
    pub fn ages(&self) -> bool {
        self.is_mortal() || !self.past.is_empty()
    }

    /// Whether the version itself goes some time: a tombstone, or a value that expires.
    pub fn is_mortal(&self) -> bool {
        self.value.is_none() || self.expires_at_ms().is_some()
    }

    /// The later of the stamps of the value and of its expiry.
    pub fn latest_stamp(&self) -> Stamp {
        self.stamp.max(self.expiry_stamp())
    }

    /// Whether the version is a tombstone.
    pub fn is_tombstone(&self) -> bool {
        self.value.is_none()
    }
}
