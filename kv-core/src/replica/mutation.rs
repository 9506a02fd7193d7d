use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use crate::causality::{Context, Dot, Stamp};
use crate::error::{Error, ErrorKind};
use crate::ids::{NodeId, OpId, Token};
use crate::key::Key;
use crate::record::{Draft, EncodedRecord, Provenance};
use crate::replica::StandInCopy;
use crate::tree::LeafId;
use crate::view::Bucket;
use crate::wire::{ClearItem, Heal};

/// Work for the writer of a store. `T` names whoever waits for the answer to a peer's request.
#[derive(Debug)]
pub enum Mutation<T> {
    /// Makes a new version, for an operation that this node coordinates.
    Mint(Box<Mint>),
    /// Merges records that others made.
    Merge(MergeGroup<T>),
    /// Lets go of copies that the owner for which they were kept has committed.
    Release(Vec<StandInCopy>),
    /// Counts leaves of trees anew.
    Count {
        /// The leaves.
        leaves: Vec<LeafId>,
        /// Who is told what they were counted to; nobody if the trees need it.
        reply: Option<T>,
    },
    /// Promises for each partition to take no copies that were read before an epoch, and says whether any are kept.
    Promise {
        /// The partitions and epochs.
        items: Vec<ClearItem>,
        /// Who waits.
        reply: T,
    },
    /// Goes to the next epoch where all has happened that has to, begins anew where this replica is too far behind, and looks through some
    /// leaves for what is due.
    Turn,
    /// Stores some of the trees that were written to since they were stored last.
    Checkpoint {
        /// How many at most.
        trees_max: usize,
    },
    /// Stores metadata of the store: the layout, the bucket table.
    Meta {
        /// Which piece.
        name: &'static str,
        /// The piece.
        value: Vec<u8>,
        /// Who waits until it is committed.
        reply: T,
    },
    /// Removes what a bucket that was deleted left behind (see [`leftover`](crate::replica::leftover)).
    Remove {
        /// The keys, as they are in the storage.
        range: Range<Vec<u8>>,
        /// Who waits until they are gone.
        reply: T,
    },
}

/// A version that was made before, and the record that it was found in.
#[derive(Debug, Clone)]
pub struct FoundRecord {
    /// The name of the version.
    pub dot: Dot,
    /// The record.
    pub record: EncodedRecord,
    /// In which epoch it was read, and since when its versions are held.
    pub read: Provenance,
}

/// A new version to be made.
#[derive(Debug)]
pub struct Mint {
    /// The operation.
    pub op: OpId,
    /// The bucket.
    pub bucket: Arc<Bucket>,
    /// The key.
    pub key: Key,
    /// Where it lies.
    pub token: Token,
    /// What the version replaces: its past, exactly.
    pub context: Context,
    /// What the version is made of.
    pub draft: Draft,
    /// For a write that was found to be made already: its name, and the record that has it. That is merged, and no version made.
    pub found: Option<Box<FoundRecord>>,
    /// The owner for which it is kept, where this node stands in.
    pub stand_in_for: Option<NodeId>,
    /// Monotonic time after which it must not be made.
    pub deadline_us: u64,
}

/// What became of a [`Mint`], before it is committed.
#[derive(Debug)]
pub struct Minted {
    /// The operation.
    pub op: OpId,
    /// What was made, or why nothing was.
    pub result: Result<MintedRecord, Error>,
}

/// A version that was made, and the record that it is in.
#[derive(Debug, Clone)]
pub struct MintedRecord {
    /// The name of the version.
    pub dot: Dot,
    /// Its stamp.
    pub stamp: Stamp,
    /// The merged record.
    pub record: EncodedRecord,
    /// In which epoch it was made, and since when the rest of it is held.
    pub read: Provenance,
}

/// Records that arrived together and are answered together.
#[derive(Debug)]
pub struct MergeGroup<T> {
    /// Who waits; nobody for a repair of this node's own record.
    pub reply: Option<T>,
    /// The operation that waits until all of them are committed here, if one does.
    pub op: Option<OpId>,
    /// The records, and why those that were refused at the door were.
    pub items: Vec<Result<Merge, ErrorKind>>,
}

/// One record to be merged.
#[derive(Debug)]
pub struct Merge {
    /// The bucket.
    pub bucket: Arc<Bucket>,
    /// The key.
    pub key: Key,
    /// Where it lies.
    pub token: Token,
    /// The record, checked.
    pub record: EncodedRecord,
    /// In which epoch it was read, and since when its versions are held there.
    pub read: Provenance,
    /// For a record that heals a damaged one.
    pub heal: Option<Heal>,
    /// The owner for which it is kept, where this node stands in.
    pub stand_in_for: Option<NodeId>,
}

impl<T> Mutation<T> {
    /// How many keys the mutation touches, at least 1.
    pub fn keys(&self) -> usize {
        match self {
            Mutation::Merge(group) => group.items.len().max(1),
            Mutation::Release(copies) => copies.len().max(1),
            Mutation::Mint(_)
            | Mutation::Count { .. }
            | Mutation::Promise { .. }
            | Mutation::Turn
            | Mutation::Checkpoint { .. }
            | Mutation::Meta { .. }
            | Mutation::Remove { .. } => 1,
        }
    }

    /// About how many bytes the mutation brings with it.
    pub fn bytes(&self) -> usize {
        match self {
            Mutation::Mint(mint) => {
                mint.key.as_bytes().len() + mint.draft.value.as_ref().map_or(0, Bytes::len)
            }
            Mutation::Merge(group) => group
                .items
                .iter()
                .flatten()
                .map(|merge| merge.key.as_bytes().len() + merge.record.len())
                .sum(),
            Mutation::Release(copies) => copies.iter().map(StandInCopy::bytes).sum(),
            Mutation::Count { .. }
            | Mutation::Promise { .. }
            | Mutation::Turn
            | Mutation::Checkpoint { .. } => 0,
            Mutation::Meta { value, .. } => value.len(),
            Mutation::Remove { range, .. } => range.start.len() + range.end.len(),
        }
    }
}
