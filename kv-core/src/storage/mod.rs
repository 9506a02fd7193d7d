//! The storage plug-in: an ordered map of bytes with atomic batches.

mod batch;
mod error;
mod memory;
mod scan;

use std::fmt::Debug;

pub use batch::{Batch, Change};
pub use error::{CommitError, StorageError};
pub use memory::MemoryStorage;
pub use scan::{KeyBounds, Page, ScanRange};
use serde::{Deserialize, Serialize};

/// When a batch counts as stored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// When it survives a crash of the process but not necessarily of the machine.
    Buffered,
    /// When it survives a crash of the machine.
    #[default]
    Synced,
}

/// What an engine can do; the conformance suite and the node ask before they rely on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StorageCapabilities {
    /// Batches written with [`Durability::Synced`] are there after the process is killed and the store reopened.
    pub durable: bool,
    /// A read may wait for a device: the node then reads on a pool of threads instead of where the request arrives.
    pub reads_may_block: bool,
    /// A write may wait for a device: the node then writes on a thread of its own instead of between its other tasks.
    pub writes_may_block: bool,
    /// Longest storage key, in bytes. A node needs 24 more than its longest key.
    pub key_bytes_max: usize,
}

/// Figures of a store, for people and metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorageStats {
    /// Entries in the map, the store's own metadata included.
    pub entries: u64,
    /// Bytes that the store occupies on its device (or in memory).
    pub bytes_used: u64,
    /// Bytes that it can still take, where known: the node refuses what clients write when they are few.
    pub bytes_free: Option<u64>,
    /// Synchronisations with the device since the store was opened.
    pub syncs: u64,
    /// Batches written since the store was opened.
    pub batches: u64,
}

/// An ordered map from bytes to bytes.
///
/// One thread writes at a time (the node has one writer per store); any number of threads read meanwhile. The node never
/// calls a storage while it holds a lock of its own.
///
/// # Contract
///
/// `kv_core::testing::storage` has one case per bullet.
///
/// - `S-01`: a get returns the value of the last batch that put its key, byte for byte, and says `false` for a key that was
///   never put or was deleted since. The caller's buffer is replaced, not appended to.
/// - `S-02`: keys of 1 to `key_bytes_max` bytes and values of 0 bytes to at least 16 MiB are stored; a batch that puts an empty
///   or a longer key fails with [`CommitError::NotWritten`].
/// - `S-03`: a batch is applied entirely or not at all, and its changes in their order: of two changes of one key the later wins.
/// - `S-04`: a scan returns the entries of the half-open range in ascending order of their bytes, each once, and stops at the
///   page's bounds, having returned at least one entry if there is any; going on after the last key of a full page
///   misses nothing and repeats nothing.
/// - `S-05`: a range deletion removes every key of the half-open range and no other, those put earlier in the same batch too.
/// - `S-06`: `get_many` calls back once for each key, in the order given, with what `get` would return; all are read from one state.
/// - `S-07`: readers see a batch when `write` returned, and never a part of one.
/// - `S-08`: after `write` failed with [`CommitError::NotWritten`] nothing of the batch is there, now or after reopening, and
///   the store goes on.
/// - `S-09`: (`durable`) every batch whose `write` returned is there after the process was killed and the store reopened;
///   a batch that was being written is there entirely or not at all.
/// - `S-10`: (`durable`) a store that is open cannot be opened a second time; it can after it was dropped.
/// - `S-11`: reads run from several threads while writes run, one at a time but each from whichever thread, without error.
/// - `S-12`: `stats` counts entries exactly while no write runs (a layer that would have to look for each may estimate those of its own
///   that are more than a thousand): a put of a new key adds one, an overwrite and the removal of an
///   absent key change nothing.
pub trait Storage: Debug + Send + Sync + 'static {
    /// What the engine can do.
    fn capabilities(&self) -> StorageCapabilities;

    /// Reads the value of `key` into `value`, whose content is replaced, and says whether there is one.
    ///
    /// # Errors
    ///
    /// [`StorageError`] if the engine cannot read; `value` is then unspecified.
    fn get(&self, key: &[u8], value: &mut Vec<u8>) -> Result<bool, StorageError>;

    /// Reads many keys from one state and calls `visit` with each key's index and value, in order. `visit` must be quick
    /// and must not call the storage: the engine may hold a lock or the thread's only read transaction.
    ///
    /// # Errors
    ///
    /// [`StorageError`] if the engine cannot read; some keys may have been visited.
    fn get_many(
        &self,
        keys: &[&[u8]],
        visit: &mut dyn FnMut(usize, Option<&[u8]>),
    ) -> Result<(), StorageError>;

    /// Appends entries of `range` to `page` until the range ends or the page is full. A range whose start is not below its
    /// end is empty.
    ///
    /// # Errors
    ///
    /// [`StorageError`] if the engine cannot read; the page may have taken entries.
    fn scan(&self, range: ScanRange<'_>, page: &mut Page) -> Result<(), StorageError>;

    /// Applies `batch` as one; when it returns, the batch is visible to readers and as durable as asked.
    ///
    /// # Errors
    ///
    /// [`CommitError::NotWritten`] if nothing was stored and the store goes on; [`CommitError::Unknown`] if the batch may or
    /// may not be there, now or after a restart: the node then stops using the store.
    fn write(&self, batch: &Batch, durability: Durability) -> Result<(), CommitError>;

    /// Makes everything written so far durable.
    ///
    /// # Errors
    ///
    /// [`CommitError::Unknown`] if the device failed.
    fn sync(&self) -> Result<(), CommitError>;

    /// Figures for people and metrics.
    ///
    /// # Errors
    ///
    /// [`StorageError`] if the engine cannot tell.
    fn stats(&self) -> Result<StorageStats, StorageError>;
}
