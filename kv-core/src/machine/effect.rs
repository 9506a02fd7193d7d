use smallvec::SmallVec;

use crate::command::{GetAnswer, PutResult, ScanAnswer};
use crate::error::Error;
use crate::ids::{NodeId, OpId, TraceId};
use crate::machine::{ResolveRequest, ShowRequest};
use crate::replica::{Meeting, Mutation};
use crate::tree::TreeId;
use crate::wire::{ClearItem, RangeItem, ReadItem, RequestBody, Standing};

/// What the machine wants done. `T` names whoever waits for an outcome.
#[derive(Debug)]
pub enum Effect<T> {
    /// Read these records from the local store and come back with [`crate::machine::Event::Read`].
    Read(SmallVec<[LocalRead; 1]>),
    /// Call [`crate::machine::resolve`] and come back with [`crate::machine::Event::Resolved`].
    Resolve(Box<ResolveRequest>),
    /// Read what the local store has in a range and come back with [`crate::machine::Event::Range`].
    ReadRange((OpId, u8), RangeItem),
    /// Read copies that are kept for absent owners, behind that storage key, and come back with [`crate::machine::Event::Copies`].
    ReadCopies(Option<Vec<u8>>),
    /// Read these trees of the local store, and how it stands there, and come back with [`crate::machine::Event::Trees`] and the number.
    ReadTrees(u64, Vec<TreeId>),
    /// Read of which partitions members have to be asked for older copies and come back with [`crate::machine::Event::ToClear`] and the number.
    ReadToClear(u64),
    /// Note that no member keeps older copies of these partitions.
    Cleared(Vec<ClearItem>),
    /// Note how another owner stands in a partition.
    Heard(TreeId, Standing),
    /// Note how an exchange with another owner ended.
    Met(Meeting),
    /// Read what the local store has in a range, in the background, and come back with [`crate::machine::Event::Listed`] and the number.
    List(u64, RangeItem),
    /// Call [`crate::machine::show`] and come back with [`crate::machine::Event::Shown`].
    Show(Box<ShowRequest>),
    /// Send this request to that peer and come back with [`crate::machine::Event::Answer`] and the token.
    Call {
        /// The peer.
        peer: NodeId,
        /// The request.
        body: RequestBody,
        /// How long its answer is waited for, in microseconds.
        timeout_us: u64,
        /// To be given back with the answer.
        token: CallToken,
        /// What it belongs to, if that is followed; of several such operations that share a request, the first.
        trace: TraceId,
    },
    /// Queue this for the writer of the store.
    Mutate(Mutation<T>),
    /// From now on that peer is reached at this address, `host:port`.
    Moved(NodeId, String),
    /// Tell whoever waits.
    Complete {
        /// Who waits.
        ticket: T,
        /// What for.
        outcome: Outcome,
    },
}

/// One read of the local store.
#[derive(Debug)]
pub struct LocalRead {
    /// The operation that asks, and which of its owners this node is.
    pub op: (OpId, u8),
    /// What it asks.
    pub item: ReadItem,
}

/// Says what an answer belongs to: for each item of the request the operation and which of its owners was asked (with the highest bit
/// set when it was asked again to heal a damage).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallToken {
    /// Reads.
    Read(SmallVec<[(OpId, u8); 1]>),
    /// Writes.
    Write(SmallVec<[(OpId, u8); 1]>),
    /// A forwarded put.
    Forward(OpId, u64),
    /// A range.
    Range(OpId, u8),
    /// Repairs, by the number of the request; no operation waits for their answer.
    Repair(u64),
    /// Copies for an owner that was absent, by the number of the request.
    Delivery(u64),
    /// A step of anti-entropy.
    AntiEntropy(u64),
    /// Gossip, whose answer nobody waits for: to be carried apart from everything that may be large.
    Gossip,
}

/// How a client's operation ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Of a get.
    Get(Result<GetAnswer, Error>),
    /// Of a put or delete.
    Put(PutResult),
    /// Of a get of many keys.
    GetMany(Vec<Result<GetAnswer, Error>>),
    /// Of a put of many keys.
    PutMany(Vec<PutResult>),
    /// Of a scan.
    Scan(Result<ScanAnswer, Error>),
    /// The number of a round of anti-entropy that begins.
    Repair(u64),
}
