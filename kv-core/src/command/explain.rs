use serde::{Deserialize, Serialize};

use crate::causality::{Dot, Stamp};
use crate::error::ErrorKind;
use crate::ids::{Incarnation, NodeId, PartitionId, Token};

/// Why an operation ended as it did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explain {
    /// The node that ran the operation.
    pub coordinator: NodeId,
    /// Where the key lies in the hash space.
    pub token: Token,
    /// The partition of the token.
    pub partition: PartitionId,
    /// Version of the layout that named the owners.
    pub layout: u64,
    /// Replicas that were needed.
    pub needed: u8,
    /// The owners in the order of preference and what each said by the time of the answer.
    #[serde(deserialize_with = "crate::codec::list")]
    pub replicas: Vec<ExplainedReplica>,
    /// Why the answer is what it is.
    pub decision: Decision,
}

/// One owner's part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainedReplica {
    /// The node.
    pub node: NodeId,
    /// Whether it is an owner of the key; otherwise it stands in for one.
    pub is_owner: bool,
    /// What it said.
    pub state: ReplicaState,
    /// The versions it answered with.
    #[serde(deserialize_with = "crate::codec::list")]
    pub versions: Vec<ExplainedVersion>,
    /// Whether the merged record was sent to it, because it lacked something.
    pub repaired: bool,
}

/// What an owner said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReplicaState {
    /// It was not asked.
    NotAsked,
    /// It was asked and has not answered.
    Waiting,
    /// It answered with a record (or with none) that counts.
    Answered,
    /// It answered with a record that is recovering and does not count.
    Recovering,
    /// It acknowledged the write in that life of its store.
    Committed(Incarnation),
    /// It refused or could not be reached.
    Failed(ErrorKind),
}

/// One version in an owner's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainedVersion {
    /// The name of the write.
    pub dot: Dot,
    /// When it was stamped.
    pub stamp: Stamp,
    /// Length of the value in bytes, or none for a tombstone.
    pub value_bytes: Option<usize>,
    /// When the value expires, in milliseconds since 1970; none if never.
    pub expires_at_ms: Option<u64>,
    /// Whether it is part of the answer.
    pub won: bool,
}

/// Why the answer is what it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Decision {
    /// No replica that counted knows the key.
    NotFound,
    /// The only versions left are tombstones, or have expired.
    Deleted,
    /// One version replaced all others that were found.
    OnlyVersion,
    /// Versions are concurrent and the bucket keeps siblings.
    Siblings,
    /// Versions were concurrent and the resolver of that name kept some.
    Kept(String),
    /// Values were concurrent and the resolver of that name made one of them.
    Combined(String),
    /// The write was stored.
    Written,
}
