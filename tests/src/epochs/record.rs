//! A record of the model: the versions that a store holds of the one key.

use crate::epochs::rule::Epoch;

/// How many writes a run can make.
pub(super) const WRITES_MAX: usize = 12;

/// A set of writes, one bit each. A write is named by its number, which stands for its dot.
pub(super) type Writes = u16;

/// The set of one write.
pub(super) fn one(write: usize) -> Writes {
    1 << write
}

/// The writes of a set, ascending.
pub(super) fn each(writes: Writes) -> impl Iterator<Item = usize> {
    (0..WRITES_MAX).filter(move |write| writes & one(*write) != 0)
}

/// What a store keeps of a version. Its kind never changes and is kept in the history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Held {
    /// What the write replaced, as far as it is still known.
    pub past: Writes,
    /// The epoch in which this store first held the version; beside the replicated bytes.
    pub since: Epoch,
}

/// The versions of the key, by their writes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Record {
    held: [Option<Held>; WRITES_MAX],
}

impl Record {
    pub fn is_empty(&self) -> bool {
        self.held.iter().all(Option::is_none)
    }

    pub fn get(&self, write: usize) -> Option<Held> {
        self.held[write]
    }

    pub fn insert(&mut self, write: usize, held: Held) {
        self.held[write] = Some(held);
    }

    pub fn remove(&mut self, write: usize) {
        self.held[write] = None;
    }

    /// The versions, ascending.
    pub fn versions(&self) -> impl Iterator<Item = (usize, Held)> {
        self.held.iter().enumerate().filter_map(|(write, held)| held.map(|held| (write, held)))
    }

    /// The writes whose versions are here.
    pub fn writes(&self) -> Writes {
        self.versions().fold(0, |writes, (write, _)| writes | one(write))
    }

    /// What a reader has seen: the dots and pasts of all versions.
    pub fn context(&self) -> Writes {
        self.versions().fold(0, |writes, (write, held)| writes | one(write) | held.past)
    }

    /// The writes that are in pasts.
    pub fn covered(&self) -> Writes {
        self.versions().fold(0, |writes, (_, held)| writes | held.past)
    }

    /// Drops names from all pasts.
    pub fn drop_names(&mut self, names: Writes) {
        self.held.iter_mut().flatten().for_each(|held| held.past &= !names);
    }

    /// Takes in a version: of two copies the past is what both know.
    pub fn take(&mut self, write: usize, held: Held) {
        match &mut self.held[write] {
            Some(ours) => ours.past &= held.past,
            none => *none = Some(held),
        }
    }

    /// Drops what is covered by a past in the record, or is among `covered`.
    pub fn settle(&mut self, covered: Writes) {
        let covered = self.versions().fold(covered, |covered, (_, held)| covered | held.past);
        for write in each(covered) {
            self.held[write] = None;
        }
    }

    /// What a reader of both records finds.
    pub fn merged(mut self, other: &Record) -> Record {
        for (write, held) in other.versions() {
            self.take(write, held);
        }
        self.settle(0);
        self
    }
}
