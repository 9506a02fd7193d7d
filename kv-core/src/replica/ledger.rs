use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::ids::NodeId;
use crate::replica::{Begun, Epochs, Minter, Space, Trees};
use crate::tree::{Tree, TreeId};

/// What the writer of a store keeps in memory beside the store.
#[derive(Debug)]
pub struct Ledger {
    /// What dots and stamps are made from.
    pub minter: Minter,
    /// What is kept for absent owners.
    pub stand_ins: Arc<StandIns>,
    /// What is held of each partition.
    pub partitions: Arc<Partitions>,
    /// Whether there is room for what clients write.
    pub space: Arc<Space>,
}

/// What the writer of a store keeps in memory of each partition of each bucket.
#[derive(Debug)]
pub struct Partitions {
    /// Digests of what is held.
    pub trees: Trees,
    /// Epochs.
    pub epochs: Epochs,
}

/// What a node begins an exchange of one partition with.
#[derive(Debug, Clone)]
pub struct Ours {
    /// What it holds.
    pub tree: Tree,
    /// How it stood before that was looked at.
    pub begun: Begun,
}

impl Partitions {
    /// What exchanges of these partitions begin with.
    pub fn ours(&self, ids: &[TreeId]) -> Vec<Ours> {
        // First how it stands: what is emptied in between is then seen as emptied, in an exchange that counts for nothing.
        let begun: Vec<Begun> = ids.iter().map(|id| self.epochs.begun(*id)).collect();
        let trees = self.trees.trees(ids).into_iter();
        trees.zip(begun).map(|(tree, begun)| Ours { tree, begun }).collect()
    }
}

/// How many copies are kept for one owner.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CopyFigures {
    /// Copies.
    pub copies: u64,
    /// Their bytes in the store.
    pub bytes: u64,
}

/// How many copies a node keeps for which owner. Written by the writer of the store, read by whoever wants to know.
#[derive(Debug, Default)]
pub struct StandIns(Mutex<BTreeMap<NodeId, CopyFigures>>);

impl StandIns {
    /// The owners for which something is kept, ascending.
    pub fn figures(&self) -> Vec<(NodeId, CopyFigures)> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().map(|(owner, figures)| (*owner, *figures)).collect()
    }

    /// Bytes of all copies.
    pub fn bytes(&self) -> u64 {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.values().map(|figures| figures.bytes).sum()
    }

    /// Takes note that a copy for `owner` had `before` bytes and has `after`; 0 for none.
    pub(super) fn changed(&self, owner: NodeId, before: u64, after: u64) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let figures = all.entry(owner).or_default();
        figures.copies = (figures.copies + u64::from(after > 0)).saturating_sub(u64::from(before > 0));
        figures.bytes = (figures.bytes + after).saturating_sub(before);
        if figures.copies == 0 {
            all.remove(&owner);
        }
    }
}
