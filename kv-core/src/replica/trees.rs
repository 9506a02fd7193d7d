mod count;
mod stored;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::ids::BucketId;
use crate::replica::trees::stored::{put_mark, put_tree, remove_tree};
use crate::storage::{Batch, Storage};
use crate::tree::{LeafCount, LeafId, Tree, TreeId};

pub use count::count;
pub(super) use stored::load;

/// The trees of one store: what it holds of each partition of each bucket. Written by the writer of the store, read by whoever compares.
///
/// The digests are in memory. What a crash leaves is a mark for each leaf that was written to since its tree was stored, put into the same
/// batch as the first such write; only those leaves have to be counted.
#[derive(Debug)]
pub struct Trees(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    trees: BTreeMap<TreeId, State>,
    /// What a partition is of which nothing was ever noted.
    absent: Tree,
}

#[derive(Debug, Clone, Copy)]
struct State {
    tree: Tree,
    /// A bit for each leaf that was written to since the tree was stored.
    marked: u64,
}

/// What a batch does to one leaf.
#[derive(Debug, Clone, Copy)]
pub(super) struct LeafChange {
    pub(super) leaf: LeafId,
    /// What is added to its digest; unknown for a record whose old bytes were damaged.
    pub(super) delta: Option<u64>,
}

/// What a batch does to the trees, once it is committed.
#[derive(Debug, Default)]
pub(super) struct TreeChanges {
    pub(super) changes: Vec<LeafChange>,
    pub(super) counted: Vec<LeafCount>,
    /// Trees of which nothing is left.
    pub(super) emptied: Vec<TreeId>,
    marks: BTreeMap<TreeId, u64>,
    checkpointed: Vec<TreeId>,
    removed: Vec<TreeId>,
}

impl Trees {
    fn new(trees: BTreeMap<TreeId, State>, absent: Tree) -> Self {
        Trees(Mutex::new(Inner { trees, absent }))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The tree of a partition.
    pub fn tree(&self, id: TreeId) -> Tree {
        self.lock().state(id).tree
    }

    /// The trees of these partitions, all of one moment.
    pub fn trees(&self, ids: &[TreeId]) -> Vec<Tree> {
        let inner = self.lock();
        ids.iter().map(|id| inner.state(*id).tree).collect()
    }

    /// Trees that a crash would leave with leaves to be counted.
    pub fn marked(&self) -> usize {
        self.lock().trees.values().filter(|state| state.marked != 0).count()
    }

    /// Adds to `batch` the marks that `changes` need.
    pub(super) fn mark(&self, changes: &mut TreeChanges, batch: &mut Batch) {
        let inner = self.lock();
        for change in &changes.changes {
            let id = change.leaf.tree;
            let marked = changes.marks.get(&id).copied().unwrap_or_else(|| inner.state(id).marked);
            let wanted = marked | 1 << change.leaf.leaf;
            if wanted != marked {
                changes.marks.insert(id, wanted);
            }
        }
        for id in &changes.emptied {
            // To be counted is to find nothing.
            changes.marks.insert(*id, u64::MAX);
        }
        for (id, marked) in &changes.marks {
            put_mark(batch, *id, *marked);
        }
    }

    /// Adds to `batch` at most so many trees that are marked, those that the batch itself does not write to; and removes what is left of buckets of which
    /// `is_live` says that they are gone, once nothing is stored of them.
    pub(super) fn checkpoint(
        &self,
        store: &dyn Storage,
        is_live: impl Fn(BucketId) -> bool,
        (trees_max, changes): (usize, &mut TreeChanges),
        batch: &mut Batch,
    ) {
        if trees_max == 0 {
            return;
        }
        let touched: BTreeSet<TreeId> = changes.changes.iter().map(|change| change.leaf.tree).collect();
        let inner = self.lock();
        let due = inner.trees.iter().filter(|(id, state)| state.marked != 0 && !touched.contains(id));
        for (id, state) in due.take(trees_max) {
            if is_live(id.bucket) {
                put_tree(batch, *id, &state.tree);
                changes.checkpointed.push(*id);
            } else if stored::is_empty(store, id.bucket) {
                remove_tree(batch, *id);
                changes.removed.push(*id);
            }
        }
    }

    /// All trees of a bucket have to be counted: something is removed from it.
    pub(super) fn forget(&self, bucket: BucketId, changes: &mut TreeChanges) {
        let first = TreeId { bucket, partition: crate::ids::PartitionId(0) };
        let inner = self.lock();
        for (id, _) in inner.trees.range(first..).take_while(|(id, _)| id.bucket == bucket) {
            for leaf in 0..crate::tree::LEAVES as u8 {
                changes.changes.push(LeafChange { leaf: LeafId { tree: *id, leaf }, delta: None });
            }
        }
    }

    /// The batch is committed.
    pub(super) fn commit(&self, changes: TreeChanges) {
        let mut inner = self.lock();
        for count in &changes.counted {
            inner.state_mut(count.leaf.tree).tree.counted(count.leaf.leaf, count.sum);
        }
        for id in changes.emptied {
            inner.state_mut(id).tree = Tree::EMPTY;
        }
        for LeafChange { leaf, delta } in changes.changes {
            let tree = &mut inner.state_mut(leaf.tree).tree;
            match delta {
                Some(delta) => tree.change(leaf.leaf, delta),
                None => tree.forget(leaf.leaf),
            }
        }
        for (id, marked) in changes.marks {
            inner.state_mut(id).marked = marked;
        }
        for id in changes.checkpointed {
            inner.state_mut(id).marked = 0;
        }
        for id in changes.removed {
            inner.trees.remove(&id);
        }
    }
}

impl Inner {
    fn state(&self, id: TreeId) -> State {
        self.trees.get(&id).copied().unwrap_or(State { tree: self.absent, marked: 0 })
    }

    fn state_mut(&mut self, id: TreeId) -> &mut State {
        self.trees.entry(id).or_insert(State { tree: self.absent, marked: 0 })
    }
}

#[cfg(test)]
mod tests;
