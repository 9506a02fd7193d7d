use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

use crate::bucket::BucketTable;
use crate::error::{Error, ErrorKind};
use crate::ids::{ClusterId, NodeId, PartitionId};
use crate::layout::Layout;
use crate::replica::{StoreIdentity, mark_replacement, store_layout, store_table};
use crate::storage::Storage;
use crate::view::{ClusterSecret, Identity};

/// The format of what [`Membership::encode`] makes.
const FORMAT: u8 = 1;

/// Bytes of the checksum in front of it.
const CHECKSUM_BYTES: usize = 8;

/// What a node has to know of its cluster to take its place again with an empty store. The store has it; a copy beside the store is there when
/// the store cannot be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// Who the node is.
    pub identity: Identity,
    /// Who owns what.
    pub layout: Arc<Layout>,
    /// The buckets.
    pub table: Arc<BucketTable>,
}

/// A partition of which too few other owners have what they are to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TooFewOthers {
    /// The bucket.
    pub bucket: String,
    /// The partition.
    pub partition: PartitionId,
    /// How many a read needs.
    pub needed: usize,
    /// How many there are.
    pub complete: usize,
}

impl Membership {
    /// What `store` says, if its node belongs to a cluster.
    ///
    /// # Errors
    ///
    /// As [`StoreIdentity::read`].
    pub fn read(store: &dyn Storage) -> Result<Option<Self>, Error> {
        let (Some(identity), Some(layout)) = (StoreIdentity::read(store)?.identity, store_layout(store)?)
        else {
            return Ok(None);
        };
        let table = store_table(store)?;
        Ok(Some(Membership { identity, layout: Arc::new(layout), table: Arc::new(table) }))
    }

    /// As bytes, with a checksum.
    pub fn encode(&self) -> Vec<u8> {
        let Identity { cluster, secret, node } = &self.identity;
        let told = (FORMAT, *cluster, secret.0, *node, &*self.layout, &*self.table);
        // Layouts, tables and ids hold nothing that postcard refuses.
        let told = match postcard::to_stdvec(&told) {
            Ok(told) => told,
            Err(error) => unreachable!("a membership does not encode: {error}"),
        };
        [&xxh3_64(&told).to_le_bytes()[..], &told].concat()
    }

    /// From what [`encode`](Self::encode) made.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::IncompatibleFormat`] if a newer release made it, [`ErrorKind::StorageUnusable`] if it is damaged.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let damaged =
            || Error::new(ErrorKind::StorageUnusable, "the copy of the node's membership is damaged");
        let (checksum, told) = bytes.split_at_checked(CHECKSUM_BYTES).ok_or_else(damaged)?;
        if xxh3_64(told).to_le_bytes() != checksum {
            return Err(damaged());
        }
        if told.first() != Some(&FORMAT) {
            let message = "the copy of the node's membership is of a newer release: run that";
            return Err(Error::new(ErrorKind::IncompatibleFormat, message));
        }
        type Told = (u8, ClusterId, [u8; 16], NodeId, Layout, BucketTable);
        let (_, cluster, secret, node, layout, table): Told =
            postcard::from_bytes(told).map_err(|_| damaged())?;
        layout.check()?;
        let identity = Identity { cluster, secret: ClusterSecret(secret), node };
        Ok(Membership { identity, layout: Arc::new(layout), table: Arc::new(table) })
    }

    /// Makes an empty `store` the one with which the node takes its place again: nothing in it is complete, and it has no vote, until the others
    /// were asked.
    ///
    /// # Errors
    ///
    /// Those of [`StoreIdentity::write`].
    pub fn begin_anew(&self, store: &dyn Storage) -> Result<(), Error> {
        // First: a store with an identity and without the mark would vote.
        mark_replacement(store, &self.table.replicated(self.layout.members().len()))?;
        StoreIdentity::write(store, &self.identity, &self.layout, &self.table)
    }

    /// The first partition of which this node is an owner and of which the other owners in `complete` are fewer than a read of its bucket needs.
    pub fn first_lacking(&self, complete: &[NodeId]) -> Option<TooFewOthers> {
        let node = self.identity.node;
        let partitioning = self.layout.partitioning();
        for (bucket, _, properties) in self.table.buckets() {
            for partition in (0..partitioning.count()).map(PartitionId) {
                let first = partitioning.first_token(partition);
                let owners = self.layout.owners(first, properties.n.into());
                if !owners.contains(&node) {
                    continue;
                }
                let needed = properties.r.needed(owners.len());
                let others = owners.iter().filter(|owner| **owner != node && complete.contains(owner));
                let complete = others.count();
                if complete < needed {
                    let bucket = bucket.to_string();
                    return Some(TooFewOthers { bucket, partition, needed, complete });
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Epoch;
    use crate::layout::{LayoutDraft, Member, Partitioning};
    use crate::partitioner::Xxh3Partitioner;
    use crate::replica::open_store;
    use crate::replication::HashRing;
    use crate::storage::{Durability, MemoryStorage};
    use crate::time::Now;

    fn membership(members: u64, replicas: u8) -> Membership {
        let draft = LayoutDraft {
            cluster: ClusterId(7),
            members: (1..=members).map(|id| Member::new(NodeId(id), "")).collect(),
            partitioning: Partitioning::new(64).unwrap(),
            replicas: replicas.into(),
        };
        let layout = Layout::first(draft, &Xxh3Partitioner, &HashRing::default()).unwrap().0;
        let identity = Identity { cluster: ClusterId(7), secret: ClusterSecret([9; 16]), node: NodeId(1) };
        let table = BucketTable::first(replicas, Durability::Synced);
        Membership { identity, layout: Arc::new(layout), table: Arc::new(table) }
    }

    #[test]
    fn a_copy_says_what_the_store_says_and_damage_to_it_is_found() {
        let told = membership(3, 3);
        let store = MemoryStorage::new();
        assert_eq!(Membership::read(&store).unwrap(), None);
        told.begin_anew(&store).unwrap();
        assert_eq!(Membership::read(&store).unwrap(), Some(told.clone()));
        let bytes = told.encode();
        assert_eq!(Membership::decode(&bytes).unwrap(), told);
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(Membership::decode(&flipped).is_err(), "bit {bit}");
        }
        assert!((0..bytes.len()).all(|length| Membership::decode(&bytes[..length]).is_err()));
    }

    #[test]
    fn a_store_that_begins_anew_has_no_vote() {
        let store = MemoryStorage::new();
        membership(3, 3).begin_anew(&store).unwrap();
        let now = Now { monotonic_us: 1, wall_ms: 1 };
        let ledger = open_store(&store, crate::ids::Incarnation(1), now).unwrap();
        assert!(ledger.partitions.epochs.may_any_recover());
        let tree = crate::tree::TreeId { bucket: crate::ids::BucketId::DEFAULT, partition: PartitionId(0) };
        assert!(ledger.partitions.epochs.is_recovering(tree));
        assert_eq!(ledger.partitions.epochs.epoch(tree), Epoch::FIRST);
    }

    #[test]
    fn the_others_suffice_where_a_read_of_each_partition_has_enough_of_them() {
        let three = membership(3, 3);
        assert_eq!(three.first_lacking(&[NodeId(2), NodeId(3)]), None);
        let lacking = three.first_lacking(&[NodeId(3), NodeId(1)]).unwrap();
        assert_eq!((lacking.needed, lacking.complete), (2, 1));
        assert!(membership(1, 1).first_lacking(&[NodeId(1)]).is_some());
        // A node that shares no partition with this one is not needed.
        let ring = membership(7, 1);
        assert!(ring.first_lacking(&(2..=7).map(NodeId).collect::<Vec<_>>()).is_some());
        let five = membership(5, 3);
        let shared = |other: u64| {
            let (node, other) = (NodeId(1), NodeId(other));
            let tokens =
                (0..64).map(|partition| five.layout.partitioning().first_token(PartitionId(partition)));
            tokens.into_iter().any(|token| {
                let owners = five.layout.owners(token, 3);
                owners.contains(&node) && owners.contains(&other)
            })
        };
        for absent in 2..=5 {
            let complete: Vec<NodeId> = (2..=5).filter(|id| *id != absent).map(NodeId).collect();
            assert_eq!(five.first_lacking(&complete).is_some(), shared(absent), "without {absent}");
        }
    }
}
