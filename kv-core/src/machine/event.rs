use bytes::Bytes;

use crate::error::{Error, ErrorKind};
use crate::ids::{Incarnation, NodeId, OpId};
use crate::machine::{CallToken, PreparedGet, PreparedPut, PreparedScan, Resolution, Shown};
use crate::replica::{CopiesPage, Minted, Ours};
use crate::storage::{CommitError, Durability};
use crate::transport::CallError;
use crate::wire::{AnswerBody, ClearItem, RangeAnswer, ReadAnswer};

/// What happens to the machine. `T` names whoever waits for an outcome.
#[derive(Debug)]
pub enum Event<T> {
    /// A client reads.
    Get(T, PreparedGet),
    /// A client writes.
    Put(T, PreparedPut),
    /// A client reads many keys; a key that was refused at the door keeps its place.
    GetMany(T, Vec<Result<PreparedGet, Error>>),
    /// A client writes many keys; a key that was refused at the door keeps its place.
    PutMany(T, Vec<Result<PreparedPut, Error>>),
    /// A client reads a page of keys.
    Scan(T, PreparedScan),
    /// A peer hands over a put that is prepared like a client's.
    Forwarded {
        /// Who waits.
        ticket: T,
        /// The peer and the life of its store.
        from: (NodeId, Incarnation),
        /// The peer's number for the request.
        id: u64,
        /// The lowest of the peer's numbers that is not settled.
        floor: u64,
        /// The put.
        put: Result<PreparedPut, Error>,
    },
    /// A record was read from the local store.
    Read((OpId, u8), ReadAnswer),
    /// Answers were merged.
    Resolved(OpId, Box<Result<Resolution, Error>>),
    /// A range was read from the local store.
    Range((OpId, u8), RangeAnswer),
    /// Copies that are kept for absent owners were read.
    Copies(Result<CopiesPage, ErrorKind>),
    /// Trees of the local store were read.
    Trees(u64, Vec<Ours>),
    /// Of which partitions members have to be asked for older copies.
    ToClear(u64, Vec<ClearItem>),
    /// The writer has looked after epochs.
    Turned {
        /// Whether it has more to do.
        has_work: bool,
        /// Whether this replica lacks something that only exchanges bring back.
        recovers: bool,
    },
    /// A range of the local store was listed.
    Listed(u64, RangeAnswer),
    /// A round of anti-entropy is to begin now.
    Repair(T),
    /// Records were shown.
    Shown(OpId, Result<Vec<Shown>, Error>),
    /// The writer made versions (or refused to) and is about to commit them.
    Minted(Vec<Minted>),
    /// The writer refused what operations wanted merged into this node's own records.
    Refused(Vec<(OpId, ErrorKind)>),
    /// The writer's commit ended: of these operations, in that life of the store, so durably if it succeeded.
    Committed(Vec<OpId>, Incarnation, Result<Durability, CommitError>),
    /// A peer answered, or did not.
    Answer {
        /// The token of the call.
        token: CallToken,
        /// The peer.
        peer: NodeId,
        /// How long it took, in microseconds.
        took_us: u64,
        /// What the peer said.
        result: Result<PeerAnswer, CallError>,
    },
    /// A packet of gossip arrived.
    Gossip(Bytes),
    /// The node is about to stop: the others are told.
    Leave,
    /// Time passed.
    Tick,
}

/// A peer's answer.
#[derive(Debug, Clone)]
pub struct PeerAnswer {
    /// The life of the peer's store.
    pub incarnation: Incarnation,
    /// What it said.
    pub body: AnswerBody,
}
