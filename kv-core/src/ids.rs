//! Names of clusters, nodes, lives of stores, buckets and partitions.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A node of a cluster: any number but 0, chosen by the operator and kept in the data directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeId(pub u64);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A cluster: 128 random bits, drawn once by `kv cluster init`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClusterId(pub u128);

// Postcard has no cheaper form for a u128 than its varint; text formats get the hexadecimal form that people see.
impl Serialize for ClusterId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for ClusterId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
        } else {
            u128::deserialize(deserializer).map(ClusterId)
        }
    }
}

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl FromStr for ClusterId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.len() != 32 {
            return Err(format!("a cluster id is 32 hexadecimal digits, not {} characters", text.len()));
        }
        u128::from_str_radix(text, 16).map(ClusterId).map_err(|error| format!("cluster id: {error}"))
    }
}

/// One life of a store: 64 random bits, new each time a store is opened and after every failed commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Incarnation(pub u64);

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// A bucket. 0 is the store's own metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BucketId(pub u32);

impl BucketId {
    /// Metadata of the store itself: identity, incarnation, clock ceiling, layout, bucket table.
    pub const META: BucketId = BucketId(0);
    /// Records that are kept for owners that are absent: no bucket of the table.
    pub const STAND_IN: BucketId = BucketId(u32::MAX);
    /// The bucket `default`, which keeps siblings.
    pub const DEFAULT: BucketId = BucketId(1);
    /// The bucket `redis`, last write wins: database 0 of Redis clients.
    pub const REDIS: BucketId = BucketId(2);
}

/// A position in the hash space.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Token(pub u64);

/// One of the Q equal slices of the hash space, from 0 to Q-1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PartitionId(pub u32);

/// The generation of a partition: what is deleted leaves the stores when it has gone through a few (see `docs/epochs.md`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub u64);

impl Epoch {
    /// No epoch is known.
    pub const NONE: Epoch = Epoch(0);
    /// The epoch in which every partition begins.
    pub const FIRST: Epoch = Epoch(1);

    /// The epoch so many later.
    #[must_use]
    pub fn plus(self, epochs: u64) -> Epoch {
        Epoch(self.0.saturating_add(epochs))
    }
}

/// What is done for one request of a client at all nodes, where it is followed: 64 random bits, or 0 where it is not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TraceId(pub u64);

impl TraceId {
    /// Not followed.
    pub const NONE: TraceId = TraceId(0);
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// An operation that a node coordinates; numbered by the node from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OpId(pub u64);
