use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::bucket::{BucketProperties, BucketTable};
use crate::causality::Stamp;
use crate::command::{Get, GetAnswer, GetMany, Put, PutMany, PutResult, Scan, ScanAnswer};
use crate::error::Error;
use crate::ids::{BucketId, ClusterId, Epoch, Incarnation, NodeId, PartitionId, TraceId};
use crate::layout::Layout;
use crate::membership::Liveness;
use crate::storage::StorageStats;
use crate::tree::{LeafCount, LeafId};
use crate::wire::{
    ClearItem, CompareAnswer, CompareItem, Forward, ForwardAnswer, RangeAnswer, RangeItem, ReadAnswer,
    ReadItem, WriteAnswer, WriteItem,
};

/// Stands at the front of every request and answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The sender's cluster; 0 for a node that has none yet and for a client that does not know.
    pub cluster: ClusterId,
    /// The sender's layout version; 0 for none.
    pub layout: u64,
    /// The life of the sender's store; 0 for a client.
    pub incarnation: Incarnation,
    /// The sender's clock; 0 for a client.
    pub clock: Stamp,
    /// Digest of the sender's bucket table; 0 for a client.
    pub buckets: u64,
    /// What a peer's request belongs to, if that is followed; 0 in answers and for a client.
    pub trace: TraceId,
}

/// One request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// Who asks, and what it knows.
    pub header: Header,
    /// What it asks.
    pub body: RequestBody,
}

/// What is asked. The first group is for peers, the second for clients too.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum RequestBody {
    /// Reads records.
    Read(#[serde(deserialize_with = "crate::codec::list")] Vec<ReadItem>),
    /// Merges records, answered when all are committed.
    Write(#[serde(deserialize_with = "crate::codec::list")] Vec<WriteItem>),
    /// Coordinates a put.
    Forward(Forward),
    /// Takes in a bucket table and answers with the merged one.
    MergeBuckets(BucketTable),
    /// Makes a node that has no cluster a member of this one.
    Join(Box<Join>),
    /// Reads a key for a client.
    Get(Get),
    /// Writes a key for a client.
    Put(Put),
    /// Reads keys for a client.
    GetMany(GetMany),
    /// Writes keys for a client.
    PutMany(PutMany),
    /// Tells what a client needs to find owners.
    Cluster,
    /// Tells how the node is.
    Status,
    /// Makes version 1 of the layout from the members in this node's configuration.
    Init,
    /// Changes the bucket table.
    ChangeBucket(BucketChange),
    /// Reads a range of records; for peers.
    ReadRange(RangeItem),
    /// Reads a page of keys for a client.
    Scan(Scan),
    /// A packet of gossip; for peers.
    Gossip(Bytes),
    /// Tells how the partitions of a bucket are getting on of which the node is an owner.
    Partitions(BucketId),
    /// Begins a round of anti-entropy now.
    Repair,
    /// Counts leaves of this node's trees anew, by looking at each record.
    Count(#[serde(deserialize_with = "crate::codec::list")] Vec<LeafId>),
    /// Asks for copies that were read before an epoch; for peers.
    Clear(#[serde(deserialize_with = "crate::codec::list")] Vec<ClearItem>),
    /// Compares what is held of partitions; for peers.
    Compare(#[serde(deserialize_with = "crate::codec::list")] Vec<CompareItem>),
}

/// What a node needs to become a member of a cluster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Join {
    /// The layout.
    pub layout: Layout,
    /// The cluster's secret.
    pub secret: [u8; 16],
    /// The buckets.
    pub table: BucketTable,
    /// Whether the cluster was there before: the node may have been a member and have lost its store, so it lacks what others may have until it has met
    /// them.
    pub is_late: bool,
}

/// A change of the bucket table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum BucketChange {
    /// Creates a bucket, or fails if there is one.
    Create(String, BucketProperties),
    /// Changes a bucket that exists.
    Set(String, BucketProperties),
    /// Deletes a bucket and what is in it.
    Delete(String),
}

impl RequestBody {
    /// Whether clients may ask it.
    pub fn is_for_clients(&self) -> bool {
        !matches!(
            self,
            RequestBody::Read(_)
                | RequestBody::Write(_)
                | RequestBody::Forward(_)
                | RequestBody::MergeBuckets(_)
                | RequestBody::Join(..)
                | RequestBody::ReadRange(_)
                | RequestBody::Gossip(_)
                | RequestBody::Clear(_)
                | RequestBody::Compare(_)
        )
    }

    /// Whether asking it twice does the same as asking it once.
    pub fn is_idempotent(&self) -> bool {
        !matches!(
            self,
            RequestBody::Forward(_)
                | RequestBody::Put(_)
                | RequestBody::PutMany(_)
                | RequestBody::ChangeBucket(_)
        )
    }
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// Who answers, and what it knows.
    pub header: Header,
    /// What it says.
    pub body: AnswerBody,
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum AnswerBody {
    /// The request as a whole was refused; nothing was done.
    Refused(Error),
    /// One answer per item of a read.
    Read(#[serde(deserialize_with = "crate::codec::list")] Vec<ReadAnswer>),
    /// One answer per item of a write.
    Write(#[serde(deserialize_with = "crate::codec::list")] Vec<WriteAnswer>),
    /// How a forwarded put ended.
    Forward(ForwardAnswer),
    /// The merged bucket table.
    Buckets(BucketTable),
    /// Done.
    Done,
    /// What a get found.
    Get(Result<GetAnswer, Error>),
    /// How a put ended.
    Put(PutResult),
    /// What each get found.
    GetMany(#[serde(deserialize_with = "crate::codec::list")] Vec<Result<GetAnswer, Error>>),
    /// How each put ended.
    PutMany(#[serde(deserialize_with = "crate::codec::list")] Vec<PutResult>),
    /// What a client needs to find owners.
    Cluster(Box<ClusterInfo>),
    /// How the node is.
    Status(Box<NodeStatus>),
    /// What lies in a range.
    Range(RangeAnswer),
    /// A page of keys.
    Scan(Result<ScanAnswer, Error>),
    /// How partitions are getting on.
    Partitions(#[serde(deserialize_with = "crate::codec::list")] Vec<PartitionStatus>),
    /// The number of the round that begins.
    Repair(u64),
    /// What leaves were counted to.
    Counted(#[serde(deserialize_with = "crate::codec::list")] Vec<LeafCount>),
    /// Whether no older copies are kept of each partition that was asked for.
    Cleared(#[serde(deserialize_with = "crate::codec::list")] Vec<bool>),
    /// What is held of partitions, beside what was asked.
    Compared(#[serde(deserialize_with = "crate::codec::list")] Vec<CompareAnswer>),
}

/// What a client needs to find owners.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterInfo {
    /// The layout, or none for a node that has no cluster yet.
    pub layout: Option<Layout>,
    /// The bucket table.
    pub buckets: BucketTable,
}

/// How a node is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeStatus {
    /// The node.
    pub node: NodeId,
    /// The release it runs.
    pub release: String,
    /// Seconds since it started.
    pub uptime_s: u64,
    /// Its cluster, or none yet.
    pub cluster: Option<ClusterId>,
    /// Its layout version, 0 for none.
    pub layout: u64,
    /// The life of its store.
    pub incarnation: Incarnation,
    /// Why it takes no writes, or does not work at all; empty if it does.
    pub trouble: String,
    /// Its store.
    pub storage: StorageStats,
    /// Operations that it coordinates at this moment.
    pub operations: u64,
    /// Mutations that wait for its writer.
    pub mutations: u64,
    /// Milliseconds between its clock and the median of its peers' clocks.
    pub clock_distance_ms: u64,
    /// Operations and what became of them since the start, by name.
    #[serde(deserialize_with = "crate::codec::list")]
    pub counters: Vec<(String, u64)>,
    /// The other members.
    #[serde(deserialize_with = "crate::codec::list")]
    pub peers: Vec<PeerStatus>,
    /// How it compares what it holds with them.
    pub repair: RepairStatus,
    /// How the partitions are getting on of which it is an owner.
    pub epochs: EpochStatus,
}

/// How the partitions of buckets are getting on of which a node is an owner.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpochStatus {
    /// How many there are.
    pub partitions: u64,
    /// The lowest epoch of any.
    pub lowest: Epoch,
    /// The highest.
    pub highest: Epoch,
    /// Those that lack what the node once had or is to have, and so do not count in reads.
    pub recovering: u64,
    /// Those that hold something deleted or expiring, which goes when epochs have gone by.
    pub ageing: u64,
}

/// How one partition of a bucket is getting on at a node that is an owner of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionStatus {
    /// The partition.
    pub partition: PartitionId,
    /// Its epoch there.
    pub epoch: Epoch,
    /// Whether the node lacks what it once had or is to have, and so does not count in reads.
    pub is_recovering: bool,
    /// In how many of its 64 leaves something deleted or expiring is held, which goes when epochs have gone by.
    pub ageing_leaves: u8,
    /// The other owners with which the node has exchanged it since it started, and how many milliseconds ago that was last.
    #[serde(deserialize_with = "crate::codec::list")]
    pub exchanged: Vec<(NodeId, u64)>,
}

/// How anti-entropy of one node is getting on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepairStatus {
    /// Rounds that were begun; in each the node compares what it holds with every other owner that is up.
    pub rounds_begun: u64,
    /// Rounds that are over.
    pub rounds_ended: u64,
    /// With whom it compares now.
    pub peer: Option<NodeId>,
    /// Partitions of buckets that are still to be compared with that peer.
    pub trees_left: u64,
    /// Partitions that were found to be the same, or made the same, since the start.
    pub exchanges: u64,
    /// Partitions of which that could not be done at the time.
    pub failures: u64,
    /// Keys that differed and were brought to the same.
    pub keys_repaired: u64,
    /// Keys that differed and could not be.
    pub keys_failed: u64,
    /// Pairs of a partition and a peer that have been exchanged at least once.
    pub pairs: u64,
    /// Milliseconds since the least recent last exchange of such a pair.
    pub oldest_ms: u64,
}

/// How another member is, as a node sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerStatus {
    /// The member.
    pub node: NodeId,
    /// Whether the last call to it was answered, if there was one.
    pub answers: Option<bool>,
    /// Whether it can be reached, as gossip has it.
    pub liveness: Liveness,
    /// How long its answers take, smoothed, in microseconds; 0 if none came yet.
    pub latency_us: u64,
    /// Copies that are kept for it because it was absent.
    pub copies: u64,
    /// Their bytes.
    pub copies_bytes: u64,
}
