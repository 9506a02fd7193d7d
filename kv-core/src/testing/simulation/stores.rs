//! Where the stores of a run come from, and what became of them.

use std::fmt;
use std::sync::Arc;

use crate::ids::NodeId;
use crate::storage::{Page, ScanRange, Storage};

pub(super) type StorageFactory = dyn Fn(NodeId) -> Arc<dyn Storage> + Send + Sync;

/// Where stores come from, and what became of them.
pub(super) struct Stores {
    pub(super) factory: Arc<StorageFactory>,
    /// What a copy of the store of a node has, by node, if one was made.
    pub(super) copies: Vec<Option<Vec<Entry>>>,
    /// Whether the store of a node was replaced and has not caught up since.
    pub(super) is_behind: Vec<bool>,
    /// How many were replaced.
    pub(super) replaced: u64,
}

/// A key and a value of a store.
pub(super) type Entry = (Vec<u8>, Vec<u8>);

impl fmt::Debug for Stores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stores").field("is_behind", &self.is_behind).finish_non_exhaustive()
    }
}

impl Stores {
    pub(super) fn new(factory: Arc<StorageFactory>, nodes: usize) -> Self {
        Stores { factory, copies: vec![None; nodes], is_behind: vec![false; nodes], replaced: 0 }
    }
}

/// Everything that is stored.
pub(super) fn entries(store: &dyn Storage) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    loop {
        let after = entries.last().map(|(key, _)| key.clone());
        let mut page = Page::new(1_000, usize::MAX);
        let range = ScanRange { start: b"", end: b"", after: after.as_deref() };
        if store.scan(range, &mut page).is_err() {
            return entries;
        }
        entries.extend(page.entries().map(|(key, value)| (key.to_vec(), value.to_vec())));
        if !page.is_full() {
            return entries;
        }
    }
}
