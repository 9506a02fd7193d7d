use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::causality::{ContextToken, Dot, Stamp};
use crate::command::Explain;
use crate::error::Error;
use crate::ids::{Incarnation, NodeId};
use crate::storage::Durability;

/// One live version of a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sibling {
    /// The value.
    pub value: Bytes,
    /// The name of the write; that of the highest part for a combined value.
    pub dot: Dot,
    /// When it was stamped.
    pub stamp: Stamp,
    /// When it expires, in milliseconds since 1970; none if never.
    pub expires_at_ms: Option<u64>,
}

/// What a get found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GetAnswer {
    /// The concurrent values: none for a key that is not there, one usually, more where writers were concurrent and the bucket keeps siblings.
    #[serde(deserialize_with = "crate::codec::list")]
    pub values: Vec<Sibling>,
    /// What was seen, tombstones included, to be given with the put that replaces it.
    pub context: ContextToken,
    /// How many of the answers that counted are of nodes that stand in for absent owners.
    pub stand_ins: u8,
    /// Who answered with what, if that was asked for.
    pub explain: Option<Box<Explain>>,
}

/// A replica's acknowledgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Ack {
    /// The replica.
    pub node: NodeId,
    /// The life of its store in which it committed.
    pub incarnation: Incarnation,
    /// Whether it committed in a way that survives a crash of its machine.
    pub durability: Durability,
    /// The absent owner for which it keeps the write; none for an owner.
    pub stands_for: Option<NodeId>,
}

/// What an applied put says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutApplied {
    /// The name of the write; none for a delete, or a change of an expiry, that found no value.
    pub dot: Option<Dot>,
    /// What the put replaced and itself: exactly its own context plus its own dot.
    pub context: ContextToken,
    /// The replicas that committed it by the time of the answer.
    #[serde(deserialize_with = "crate::codec::list")]
    pub acks: Vec<Ack>,
    /// Of an overwrite: how many of the answers that counted in its read are of nodes that stand in for absent owners.
    pub stand_ins_read: u8,
    /// Who acknowledged and who did not, if that was asked for.
    pub explain: Option<Box<Explain>>,
}

/// The three ways in which a put can end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum PutResult {
    /// It is stored as durably and as often as was asked.
    Applied(PutApplied),
    /// It has not happened and will not.
    NotApplied(Error),
    /// It may have happened, may appear later, or may never.
    Indeterminate(Error),
}

impl PutResult {
    /// The answer of an applied put, or the error of one that was not or may not have been.
    ///
    /// # Errors
    ///
    /// The error of the other two cases.
    pub fn into_result(self) -> Result<PutApplied, Error> {
        match self {
            PutResult::Applied(applied) => Ok(applied),
            PutResult::NotApplied(error) | PutResult::Indeterminate(error) => Err(error),
        }
    }

    /// The error of a put that has not happened and will not.
    pub fn as_not_applied(&self) -> Option<&Error> {
        match self {
            PutResult::NotApplied(error) => Some(error),
            PutResult::Applied(_) | PutResult::Indeterminate(_) => None,
        }
    }
}
