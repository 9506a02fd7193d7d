use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use heed::Error as HeedError;
use kv_core::error::Error;
use kv_core::storage::{
    Batch, Change, CommitError, Durability, Page, ScanRange, Storage, StorageCapabilities, StorageError,
    StorageStats,
};

use super::LmdbOptions;
use super::environment::Environment;
use super::errors::{leaves_store_clean, read_error};
use super::free_space::free_space;
use super::open::{Entries, Opened, open};
use crate::lock::DirectoryLock;

/// Waits for the device that one commit makes: the pages, then the meta page that points to them.
const SYNCS_PER_COMMIT: u64 = 2;

/// How often a store that is written to looks whether its file is still where it was.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// A store in a directory: one LMDB environment with one map.
///
/// Reads run on the calling thread, in a transaction of their own, and never wait for a writer. A write begins and commits on
/// the calling thread. One directory belongs to one `LmdbStorage` at a time, in this process and in others.
///
/// # Durability
///
/// Every batch is written with two synchronisations, the one of its pages and the one of the meta page that makes them count;
/// readers see it after the second. [`Durability::Buffered`] gets the same. LMDB could leave out the second and keep its
/// integrity (`MDB_NOMETASYNC`), for a tenth to a third of the time, or both and be corrupt after a crash of the machine
/// (`MDB_NOSYNC`); neither is worth what it costs: readers would see what a crash then undoes, and a failed synchronisation
/// could concern an earlier batch that was acknowledged. Who wants more speed puts a log before this store.
///
/// # When a commit fails
///
/// LMDB writes a transaction's pages to places that nothing points to, synchronises them, and then overwrites the older of two
/// meta pages. It does not say at which step it failed.
///
/// - Up to the meta page, nothing that was written can be reached, now or after reopening. A write that found no room
///   (`ENOSPC`, `EDQUOT`; the map being full) is therefore [`CommitError::NotWritten`]. That holds even if the lack of room
///   was noticed by the synchronisation: all pages that were dirty then belong to the failed batch, because every
///   batch before it was synchronised, and LMDB never reads a free page before it has written it again.
/// - If writing the meta page fails, LMDB puts the environment into a fatal state, in which no transaction begins. A failed
///   commit is followed by an attempt to begin one; if that shows the fatal state, the batch is [`CommitError::Unknown`].
/// - Any other error, `EIO` before all, is [`CommitError::Unknown`], although the batch is probably not there: a device that
///   fails to write is not to be trusted with the next batch. A short write on a full disk comes as `EIO` too, which
///   is why a batch that comes near to the end of the disk is refused beforehand
///   ([`LmdbOptions::reserve_bytes`]).
///
/// After an `Unknown` every further write fails; reopening decides what is there.
#[derive(Debug)]
pub struct LmdbStorage {
    // Before the lock: closed before the directory is given back.
    env: Environment,
    entries: Entries,
    lock: DirectoryLock,
    key_bytes_max: usize,
    reserve_bytes: u64,
    reads_may_block: bool,
    has_failed: AtomicBool,
    /// When it was last looked whether the file is still there.
    looked: Mutex<Instant>,
    batches: AtomicU64,
    syncs: AtomicU64,
}

impl LmdbStorage {
    /// Opens the store in `directory`, or makes it.
    ///
    /// # Errors
    ///
    /// `StorageUnusable` if the directory is missing, not writable, open already, or not of this engine; `StorageDamaged` if LMDB says that its
    /// file is damaged, as far as it looks at that; `IncompatibleFormat` if another release wrote it; `InvalidConfiguration` if an option is out of range. The message
    /// says what to do. Nothing that was there is changed.
    pub fn open(directory: impl AsRef<Path>, options: &LmdbOptions) -> Result<Self, Error> {
        let Opened { env, entries, lock } = open(directory.as_ref(), options)?;
        let key_bytes_max = env.max_key_size();
        Ok(LmdbStorage {
            env: Environment::new(env),
            entries,
            lock,
            key_bytes_max,
            reserve_bytes: options.reserve_bytes,
            reads_may_block: options.reads_may_block,
            has_failed: AtomicBool::new(false),
            looked: Mutex::new(Instant::now()),
            batches: AtomicU64::new(0),
            syncs: AtomicU64::new(0),
        })
    }

    /// Refuses what is known beforehand to fail.
    fn check(&self, batch: &Batch) -> Result<(), CommitError> {
        self.check_not_failed("write")?;
        self.check_still_there()?;
        let refuse = |message| Err(CommitError::NotWritten(StorageError::new("write", message)));
        for change in batch.changes() {
            if let Change::Put { key, .. } = change
                && !(1..=self.key_bytes_max).contains(&key.len())
            {
                let key_bytes_max = self.key_bytes_max;
                return refuse(format!("a key must have 1 to {key_bytes_max} bytes, not {}", key.len()));
            }
        }
        let free = free_space(self.lock.file())
            .map_err(|error| CommitError::NotWritten(StorageError::from_source("write", error)))?;
        let needed = self.reserve_bytes.saturating_add(batch.bytes() as u64);
        if free < needed {
            return refuse(format!(
                "the disk is nearly full: {free} bytes are free, the batch and reserve_bytes need {needed}"
            ));
        }
        Ok(())
    }

    /// Whether the directory still has the file that is open: one that was deleted takes batches, and nobody will ever find them.
    fn check_still_there(&self) -> Result<(), CommitError> {
        let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        if looked.elapsed() < LOOK_EVERY {
            return Ok(());
        }
        *looked = Instant::now();
        if self.env.is_in_its_place() {
            return Ok(());
        }
        self.has_failed.store(true, Ordering::Release);
        let message =
            "the store's file was deleted or replaced while it was open: what it has taken since may be gone";
        Err(CommitError::Unknown(StorageError::new("write", message)))
    }

    fn check_not_failed(&self, operation: &'static str) -> Result<(), CommitError> {
        if self.has_failed.load(Ordering::Acquire) {
            let message = "a commit failed before: the store has to be reopened";
            return Err(CommitError::Unknown(StorageError::new(operation, message)));
        }
        Ok(())
    }

    fn commit(&self, batch: &Batch) -> Result<(), HeedError> {
        let mut txn = self.env.write()?;
        for change in batch.changes() {
            match change {
                Change::Put { key, value } => self.entries.put(&mut txn, key, value)?,
                Change::Delete { key } => {
                    self.entries.delete(&mut txn, key)?;
                }
                Change::DeleteRange { start, end } => {
                    if let Some(bounds) = ScanRange::new(start, end).bounds() {
                        self.entries.delete_range(&mut txn, &bounds)?;
                    }
                }
            }
        }
        self.env.commit(txn)
    }

    fn commit_error(&self, error: HeedError) -> CommitError {
        // A write transaction, because it needs no reader's slot, whose lack would hide the answer.
        let is_clean = leaves_store_clean(&error) && self.env.write().is_ok();
        let error = StorageError::from_source("write", error);
        if is_clean {
            return CommitError::NotWritten(error);
        }
        self.has_failed.store(true, Ordering::Release);
        CommitError::Unknown(error)
    }
}

impl Storage for LmdbStorage {
    fn capabilities(&self) -> StorageCapabilities {
        StorageCapabilities {
            durable: true,
            reads_may_block: self.reads_may_block,
            writes_may_block: true,
            key_bytes_max: self.key_bytes_max,
        }
    }

    fn get(&self, key: &[u8], value: &mut Vec<u8>) -> Result<bool, StorageError> {
        value.clear();
        let txn = self.env.read().map_err(|error| read_error("get", error))?;
        let found = self.entries.get(&txn, key).map_err(|error| read_error("get", error))?;
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
        let txn = self.env.read().map_err(|error| read_error("get_many", error))?;
        for (index, key) in keys.iter().enumerate() {
            visit(index, self.entries.get(&txn, key).map_err(|error| read_error("get_many", error))?);
        }
        Ok(())
    }

    fn scan(&self, range: ScanRange<'_>, page: &mut Page) -> Result<(), StorageError> {
        let Some(bounds) = range.bounds() else { return Ok(()) };
        let txn = self.env.read().map_err(|error| read_error("scan", error))?;
        for entry in self.entries.range(&txn, &bounds).map_err(|error| read_error("scan", error))? {
            let (key, value) = entry.map_err(|error| read_error("scan", error))?;
            if !page.push(key, value) {
                break;
            }
        }
        Ok(())
    }

    fn write(&self, batch: &Batch, _: Durability) -> Result<(), CommitError> {
        if batch.is_empty() {
            return self.check_not_failed("write");
        }
        self.check(batch)?;
        self.commit(batch).map_err(|error| self.commit_error(error))?;
        self.batches.fetch_add(1, Ordering::Relaxed);
        self.syncs.fetch_add(SYNCS_PER_COMMIT, Ordering::Relaxed);
        Ok(())
    }

    fn sync(&self) -> Result<(), CommitError> {
        // Every batch is durable when its write has returned.
        self.check_not_failed("sync")
    }

    fn stats(&self) -> Result<StorageStats, StorageError> {
        let failed = |error| read_error("stats", error);
        let txn = self.env.read().map_err(failed)?;
        let stat = self.entries.stat(&txn).map_err(failed)?;
        let bytes_used = self.env.file_bytes().map_err(failed)?;
        // Pages of the file that hold nothing any more are written to again.
        let reusable = bytes_used.saturating_sub(stat.non_free_page_size() as u64);
        let on_device = free_space(self.lock.file()).map_err(|error| failed(error.into()))?;
        let on_device = match on_device.saturating_sub(self.reserve_bytes) {
            0 => 0,
            beyond_reserve => beyond_reserve.saturating_add(reusable),
        };
        let in_map = self.env.map_bytes().saturating_sub(bytes_used).saturating_add(reusable);
        Ok(StorageStats {
            entries: stat.entries as u64,
            bytes_used,
            bytes_free: Some(in_map.min(on_device)),
            syncs: self.syncs.load(Ordering::Relaxed),
            batches: self.batches.load(Ordering::Relaxed),
        })
    }
}
