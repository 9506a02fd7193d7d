use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::hint::black_box;
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use smallvec::SmallVec;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::storage::{
    Batch, Change, CommitError, Durability, Page, ScanRange, Storage, StorageCapabilities, StorageError,
    StorageStats,
};

const KEY_BYTES_MAX: usize = 4_096;

/// Keys of ordinary length lie in the tables themselves: whoever looks for one compares what is there, and follows no pointers.
type MapKey = SmallVec<[u8; 40]>;

/// The reference implementation: tables in memory, lost with the process.
///
/// A key is found by its hash, at the price of being kept a second time in the order of scans: in a tree of a million keys a search
/// waits for the memory at every level, and most reads and writes are of single keys.
#[derive(Debug, Default)]
pub struct MemoryStorage {
    state: RwLock<State>,
    bytes_max: Option<u64>,
    batches: AtomicU64,
    syncs: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    values: Values,
    /// The keys of `values`.
    order: BTreeSet<MapKey>,
    bytes: u64,
}

/// Values by the hash of their keys.
#[derive(Debug)]
struct Values {
    /// Many small tables, each of which grows at another time: growing a large one would hold everybody up.
    tables: Box<[Table]>,
    seed: u64,
    len: usize,
}

type Table = HashTable<(MapKey, Box<[u8]>)>;

const TABLES: usize = 256;

/// So many keys of a read are looked for before the first is shown.
const CHUNK: usize = 32;

impl Default for Values {
    fn default() -> Self {
        let tables = (0..TABLES).map(|_| Table::new()).collect();
        Values { tables, seed: RandomState::new().hash_one(0), len: 0 }
    }
}

impl Values {
    fn hash(&self, key: &[u8]) -> u64 {
        xxh3_64_with_seed(key, self.seed)
    }

    fn get(&self, key: &[u8]) -> Option<&[u8]> {
        let hash = self.hash(key);
        let found = self.tables.get(place(hash))?.find(hash, |(other, _)| **other == *key);
        found.map(|(_, value)| &**value)
    }

    /// Stores a value and returns the one that was there.
    fn insert(&mut self, key: &[u8], value: &[u8]) -> Option<Box<[u8]>> {
        let (hash, seed) = (self.hash(key), self.seed);
        let table = self.tables.get_mut(place(hash))?;
        let rehash = |(key, _): &(MapKey, _)| xxh3_64_with_seed(key, seed);
        match table.entry(hash, |(other, _)| **other == *key, rehash) {
            Entry::Occupied(mut entry) => Some(std::mem::replace(&mut entry.get_mut().1, value.into())),
            Entry::Vacant(entry) => {
                entry.insert((MapKey::from_slice(key), value.into()));
                self.len += 1;
                None
            }
        }
    }

    fn remove(&mut self, key: &[u8]) -> Option<Box<[u8]>> {
        let hash = self.hash(key);
        let table = self.tables.get_mut(place(hash))?;
        let entry = table.find_entry(hash, |(other, _)| **other == *key).ok()?;
        self.len -= 1;
        Some(entry.remove().0.1)
    }
}

/// Which of the tables: by bits that have little to do with the place in it.
fn place(hash: u64) -> usize {
    (hash >> 48) as usize % TABLES
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
                match self.values.insert(key, value) {
                    Some(old) => self.bytes -= (key.len() + old.len()) as u64,
                    None => _ = self.order.insert(MapKey::from_slice(key)),
                }
            }
            Change::Delete { key } => {
                if let Some(old) = self.values.remove(key) {
                    self.order.remove(key);
                    self.bytes -= (key.len() + old.len()) as u64;
                }
            }
            Change::DeleteRange { start, end } => self.remove_range(ScanRange::new(start, end)),
        }
    }

    fn remove_range(&mut self, range: ScanRange<'_>) {
        let Some((lower, upper)) = range.bounds() else { return };
        let owned = |bound: Bound<&[u8]>| bound.map(MapKey::from_slice);
        for key in self.order.extract_if((owned(lower), owned(upper)), |_| true) {
            let value = self.values.remove(&key).unwrap_or_default();
            self.bytes -= (key.len() + value.len()) as u64;
        }
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
        let found = state.values.get(key);
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
        let mut index = 0;
        for chunk in keys.chunks(CHUNK) {
            // The processor waits for the memory of many at a time as long as for that of one, if nothing else comes between.
            let found: SmallVec<[Option<&[u8]>; CHUNK]> =
                chunk.iter().map(|key| state.values.get(key)).collect();
            let first = |value: &Option<&[u8]>| value.and_then(|value| value.first().copied()).unwrap_or(0);
            black_box(found.iter().map(first).fold(0, u8::wrapping_add));
            for value in found {
                visit(index, value);
                index += 1;
            }
        }
        Ok(())
    }

    fn scan(&self, range: ScanRange<'_>, page: &mut Page) -> Result<(), StorageError> {
        let Some(bounds) = range.bounds() else { return Ok(()) };
        let state = self.read();
        for key in state.order.range::<[u8], _>(bounds) {
            // Every key that is in order has a value.
            let value = state.values.get(key).unwrap_or_default();
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
            entries: state.values.len as u64,
            bytes_used: state.bytes,
            bytes_free: self.bytes_max.map(|bytes_max| bytes_max.saturating_sub(state.bytes)),
            syncs: self.syncs.load(Ordering::Relaxed),
            batches: self.batches.load(Ordering::Relaxed),
        })
    }
}
