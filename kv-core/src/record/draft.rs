use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::causality::{Dot, DotSet, Stamp};
use crate::mutants::{self, Mutant};
use crate::record::{Expiry, Version, WriteId};

/// What a version is made of, before it has a dot, a past and a stamp.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draft {
    /// The value, or none for a tombstone.
    pub value: Option<Bytes>,
    /// When the value expires, if it does.
    pub expires_at_ms: Option<u64>,
    /// For a change of the expiry alone: the stamp of the value, which it keeps.
    pub value_stamp: Option<Stamp>,
    /// The client's id for the write.
    pub id: Option<WriteId>,
}

impl Draft {
    /// A draft of a value that never expires, or of a tombstone.
    pub fn of(value: Option<Bytes>) -> Self {
        Draft { value, ..Draft::default() }
    }

    /// The version under that dot. `stamp` is the value's, or that of the change where the expiry alone changes.
    pub fn into_version(self, dot: Dot, past: DotSet, stamp: Stamp) -> Version {
        let kept = self.value_stamp.filter(|_| !mutants::on(Mutant::ExpireBeatsSet));
        let at_ms = self.expires_at_ms.or(kept.map(|_| Expiry::NEVER_MS));
        Version {
            dot,
            past,
            stamp: kept.unwrap_or(stamp),
            expiry: at_ms.map(|at_ms| Expiry { at_ms, stamp }),
            id: self.id,
            value: self.value,
        }
    }
}
