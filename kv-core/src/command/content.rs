use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// What a put writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Content {
    /// A value, and when it expires.
    Value(Bytes, Expires),
    /// A tombstone: the put is a delete.
    Tombstone,
    /// The one value that is there, with another expiry. It needs [`crate::command::Replace::Overwrite`], writes nothing where there is no
    /// value, and loses to a concurrent put of a value where the last write wins.
    Same(Expires),
}

/// When a value expires. The moment is computed once, by the clock of the node that the put reaches first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Expires {
    /// As the bucket says (`expiry_ms`).
    #[default]
    ByBucket,
    /// Never.
    Never,
    /// So many milliseconds after the put arrived.
    AfterMs(u64),
    /// At that time, in milliseconds since 1970. A time that has passed is allowed: the value is never shown.
    AtMs(u64),
    /// When the value that it replaces would have. It needs [`crate::command::Replace::Overwrite`].
    Keep,
}

impl Content {
    /// A value that expires as the bucket says.
    pub fn value(value: impl Into<Bytes>) -> Self {
        Content::Value(value.into(), Expires::ByBucket)
    }

    /// About how many bytes it takes.
    pub fn bytes(&self) -> usize {
        match self {
            Content::Value(value, _) => value.len(),
            Content::Tombstone | Content::Same(_) => 0,
        }
    }
}
