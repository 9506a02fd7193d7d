use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::causality::ContextToken;
use crate::command::{PutResult, ScanPosition, WriteOptions};
use crate::error::ErrorKind;
use crate::ids::{BucketId, Epoch, Incarnation, NodeId, Token};
use crate::key::Key;
use crate::record::{Draft, Provenance};
use crate::storage::Durability;
use crate::tree::TreeId;

/// Asks a replica for one record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadItem {
    /// The bucket.
    pub bucket: BucketId,
    /// The key.
    pub key: Key,
    /// The digest of the record that the sender holds: a replica that holds the same says so and sends nothing.
    pub unless: Option<u64>,
    /// Whether it is asked as a stand-in: for what it keeps for absent owners of the key.
    pub stand_in: bool,
    /// Whether it is to answer although it lacks something of the partition: it is not asked for its vote.
    pub repairs: bool,
}

/// What a replica says to a [`ReadItem`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReadAnswer {
    /// It has no record; looked for in that epoch of the partition.
    Absent(Epoch),
    /// It has the record with the digest that was named.
    Unchanged,
    /// It has this record.
    Record(Provenance, Bytes),
    /// It has this record and is recovering: the record is incomplete and does not vote. The number names the damage.
    Recovering(u64, Provenance, Bytes),
    /// Its record fails its checksum. The number names the damage.
    Damaged(u64),
    /// It cannot say, for that reason.
    Refused(ErrorKind),
}

/// Asks a replica what lies in a range of tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RangeItem {
    /// The bucket.
    pub bucket: BucketId,
    /// Whether it is to answer although it lacks something of the range.
    pub repairs: bool,
    /// Where the range begins.
    pub from: ScanPosition,
    /// The last token of the range.
    pub last: Token,
    /// Only keys that begin so.
    pub prefix: Bytes,
    /// Most entries of the answer.
    pub entries_max: u32,
    /// Whether whole records are wanted, or their digests.
    pub records: bool,
}

/// What a replica says to a [`RangeItem`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RangeAnswer {
    /// What it has, from the beginning of the range.
    Page(RangePage),
    /// It cannot say, for that reason.
    Refused(ErrorKind),
}

/// A part of a range.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RangePage {
    /// The keys that it has a record of, in the order of scans.
    #[serde(deserialize_with = "crate::codec::list")]
    pub entries: Vec<RangeEntry>,
    /// How far the page goes; none if to the end of the range.
    pub next: Option<ScanPosition>,
}

/// One key of a range.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RangeEntry {
    /// Where the key lies.
    pub token: Token,
    /// The key.
    pub key: Key,
    /// What there is of it.
    pub state: RangeState,
}

/// What a replica has of a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RangeState {
    /// A record whose versions have that digest ([`crate::tree::digest`]), and until when any of them has a value: 0 if none has one, `u64::MAX`
    /// if one never expires. Whoever coordinates judges by its own clock.
    Digest(u64, u64),
    /// This record, which has a value.
    Record(Bytes),
    /// A record that is damaged or recovering.
    Unsure,
}

/// How a replica stands in a partition, as far as its epochs go (`docs/epochs.md`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// The epoch.
    pub epoch: Epoch,
    /// Whether it lacks nothing that it once had.
    pub is_complete: bool,
    /// The latest epoch before which no member keeps copies, as far as it knows; none if it has not asked.
    pub cleared: Epoch,
    /// Whether it, or another owner, wants the epoch to end.
    pub is_wanted: bool,
}

/// Asks a member whether it keeps copies of a partition that were read before an epoch, and to take none from then on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClearItem {
    /// The partition.
    pub tree: TreeId,
    /// The epoch.
    pub epoch: Epoch,
}

/// Asks a replica whether it holds the same of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompareItem {
    /// The partition.
    pub tree: TreeId,
    /// How the sender stands in it.
    pub standing: Standing,
    /// The root of the sender's tree.
    pub root: u64,
}

/// What a replica says to a [`CompareItem`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum CompareAnswer {
    /// It holds the same.
    Same(Standing),
    /// It holds something else: the digests of its leaves.
    Differs(Standing, #[serde(deserialize_with = "crate::codec::list")] Vec<u64>),
    /// It does not know yet what it holds, since it has started not long ago.
    Unknown,
    /// It cannot say, for that reason.
    Refused(ErrorKind),
}

/// Whose state a record was merged from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// The replica.
    pub node: NodeId,
    /// Whether it was not recovering itself.
    pub complete: bool,
}

/// Gives a replica one record to merge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriteItem {
    /// The bucket.
    pub bucket: BucketId,
    /// In which epoch the record was read, and since when its versions are held there.
    pub read: Provenance,
    /// The key.
    pub key: Key,
    /// The encoded record.
    pub record: Bytes,
    /// For a record that heals a damaged one: which damage, and with whose records.
    pub heal: Option<Heal>,
    /// The owner for which the receiver is to keep it, if it is asked as a stand-in.
    pub stand_in_for: Option<NodeId>,
}

/// Says that a record was merged from what others held after a damage was seen. What they held before proves nothing: a write
/// that the damaged replica acknowledged may not have reached them then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heal {
    /// The damage.
    pub damage: u64,
    /// The replicas whose whole records are in it.
    #[serde(deserialize_with = "crate::codec::list")]
    pub sources: Vec<Source>,
}

/// What a replica says to a [`WriteItem`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum WriteAnswer {
    /// The record is merged and committed, so durably.
    Committed(Durability),
    /// Nothing was stored, for that reason.
    Refused(ErrorKind),
    /// The commit failed in a way that leaves its outcome unknown.
    Unknown,
}

/// Hands a put to an owner, which coordinates it. Run at most once: the receiver remembers the ids from `floor` on, and takes the
/// request only in the life of its store that the sender knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forward {
    /// The receiver's incarnation as far as the sender knows.
    pub receiver: Incarnation,
    /// The life of the sender's process, which numbers its requests.
    pub sender: Incarnation,
    /// The sender's number for this request.
    pub id: u64,
    /// The lowest number of the sender's that is not settled.
    pub floor: u64,
    /// The bucket.
    pub bucket: BucketId,
    /// The key.
    pub key: Key,
    /// What is written: when it expires is settled before it is forwarded.
    pub draft: Draft,
    /// What it replaces: an overwrite has made its read before it is forwarded.
    pub context: ContextToken,
    /// How. The timeout is what is left of it.
    pub options: WriteOptions,
}

/// What an owner says to a [`Forward`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ForwardAnswer {
    /// How the put ended.
    pub result: PutResult,
}
