use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use smallvec::SmallVec;

use crate::storage::{
    Batch, Change, CommitError, Durability, Page, ScanRange, Storage, StorageCapabilities, StorageError,
    StorageStats,
};

const KEY_BYTES_MAX: usize = 4_096;

/// Keys of ordinary length lie in the nodes of the tree: whoever looks for one compares what is there, and follows no pointers.
type MapKey = SmallVec<[u8; 40]>;

/// The reference implementation: a map in memory, lost with the process.
#[derive(Debug, Default)]
pub struct MemoryStorage {
    state: RwLock<State>,
    bytes_max: Option<u64>,
    batches: AtomicU64,
    syncs: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    map: BTreeMap<MapKey, Box<[u8]>>,
    bytes: u64,
}

impl MemoryStorage {
    /// An empty store without a bound.
    pub fn new() -> Self {
        MemoryStorage::default()
    }

    /// An empty store that refuses a batch once its keys and values would exceed `bytes_max` bytes.
    pub fn with_bytes_max(bytes_max: u64) -> Self {
        MemoryStorage { bytes_max: Some(bytes_max), ..MemoryStorage::default() }
    }

    // A poisoned lock is taken all the same: nothing that runs under the write lock can panic half way, and a reader's
    // callback that panics has changed nothing.
    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Refuses what could not be applied entirely, before anything is.
    fn check(&self, state: &State, batch: &Batch) -> Result<(), StorageError> {
        for change in batch.changes() {
            if let Change::Put { key, .. } = change
                && !(1..=KEY_BYTES_MAX).contains(&key.len())
            {
                let message = format!("a key must have 1 to {KEY_BYTES_MAX} bytes, not {}", key.len());
                return Err(StorageError::new("write", message));
            }
        }
        let bytes_max = self.bytes_max.unwrap_or(u64::MAX);
        if state.bytes.saturating_add(batch.bytes() as u64) > bytes_max {
            return Err(StorageError::new("write", format!("the store is full at {bytes_max} bytes")));
        }
        Ok(())
    }
}

impl State {
    fn apply(&mut self, change: Change<'_>) {
        match change {
            Change::Put { key, value } => {
                self.bytes += (key.len() + value.len()) as u64;
                if let Some(old) = self.map.insert(MapKey::from_slice(key), value.into()) {
                    self.bytes -= (key.len() + old.len()) as u64;
                }
            }
            Change::Delete { key } => {
                if let Some(old) = self.map.remove(key) {
                    self.bytes -= (key.len() + old.len()) as u64;
                }
            }
            Change::DeleteRange { start, end } => self.remove_range(ScanRange::new(start, end)),
        }
    }

    fn remove_range(&mut self, range: ScanRange<'_>) {
        let Some((lower, upper)) = range.bounds() else { return };
        let owned = |bound: Bound<&[u8]>| bound.map(MapKey::from_slice);
        let removed = self.map.extract_if((owned(lower), owned(upper)), |_, _| true);
        self.bytes -= removed.map(|(key, value)| (key.len() + value.len()) as u64).sum::<u64>();
    }
}

impl Storage for MemoryStorage {
    fn capabilities(&self) -> StorageCapabilities {
        StorageCapabilities {
            durable: false,
            reads_may_block: false,
            writes_may_block: false,
            key_bytes_max: KEY_BYTES_MAX,
        }
    }

    fn get(&self, key: &[u8], value: &mut Vec<u8>) -> Result<bool, StorageError> {
        value.clear();
        let state = self.read();
        let found = state.map.get(key);
        if let Some(found) = found {
            value.extend_from_slice(found);
        }
        Ok(found.is_some())
    }

    fn get_many(
        &self,
        keys: &[&[u8]],
        visit: &mut dyn FnMut(usize, Option<&[u8]>),
    ) -> Result<(), StorageError> {
        let state = self.read();
        for (index, key) in keys.iter().enumerate() {
            visit(index, state.map.get(*key).map(|value| &**value));
        }
        Ok(())
    }

    fn scan(&self, range: ScanRange<'_>, page: &mut Page) -> Result<(), StorageError> {
        let Some(bounds) = range.bounds() else { return Ok(()) };
        for (key, value) in self.read().map.range::<[u8], _>(bounds) {
            if !page.push(key, value) {
                break;
            }
        }
        Ok(())
    }

    fn write(&self, batch: &Batch, durability: Durability) -> Result<(), CommitError> {
        let mut state = self.lock();
        self.check(&state, batch).map_err(CommitError::NotWritten)?;
        for change in batch.changes() {
            state.apply(change);
        }
        self.batches.fetch_add(1, Ordering::Relaxed);
        if durability == Durability::Synced {
            self.syncs.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    fn sync(&self) -> Result<(), CommitError> {
        self.syncs.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn stats(&self) -> Result<StorageStats, StorageError> {
        let state = self.read();
        Ok(StorageStats {
            entries: state.map.len() as u64,
            bytes_used: state.bytes,
            bytes_free: self.bytes_max.map(|bytes_max| bytes_max.saturating_sub(state.bytes)),
            syncs: self.syncs.load(Ordering::Relaxed),
            batches: self.batches.load(Ordering::Relaxed),
        })
    }
}
